//! TLS between the driver and the protocols: the kernel sees ciphertext, protocols see plaintext.
//! To seal is to encrypt plaintext into records.
//!
//! | file | what |
//! |---|---|
//! | `connection` | one connection: records in and out; no other file uses rustls' connections |
//! | `secure` | the TLS state of a connection, kept beside its protocol |
//! | `acceptor` | the configurations of servers and clients |
//! | `error` | why a connection can't go on, and the codes for it |
//! | `names` | names of cipher suites and alerts |
//! | `server_name` | the name that a client asks for |
//! | `clock` | the time that rustls sees |
//! | `handshakes` | limits on the handshakes of a worker (event loop) |
//! | `hello` | client hellos that threads read and answer, because a signature takes long |
//! | `limits` | sizes of records and handshake messages |
//! | `harness` | a connection without a socket, for fuzzing |
//! | `no_tls` | replaces the files that use rustls, if the feature `tls` is off |
//!
//! While a connection is idle, it has no buffer: input is decrypted in the receive buffer, and
//! records are appended to an output from the worker's pool of outputs. How the worker makes
//! handshakes is in `worker/handshake.rs`; how it decrypts and seals, in `worker/secure.rs`; how it
//! passes client hellos to threads, in `worker/hello.rs`.

#[cfg(feature = "tls")]
mod acceptor;
#[cfg(feature = "tls")]
mod clock;
#[cfg(feature = "tls")]
mod connection;
#[cfg(feature = "tls")]
mod error;
mod handshakes;
#[cfg(feature = "harness")]
mod harness;
mod hello;
mod limits;
#[cfg(feature = "tls")]
mod names;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod secure;
#[cfg(feature = "tls")]
mod server_name;

#[cfg(feature = "tls")]
pub(crate) use acceptor::WorkerAcceptor;
#[cfg(feature = "tls")]
pub use acceptor::{TlsAcceptor, TlsConnector};
#[cfg(feature = "tls")]
pub(crate) use connection::Tls;
#[cfg(feature = "tls")]
pub(crate) use error::TlsError;
pub(crate) use handshakes::Handshakes;
#[cfg(feature = "harness")]
pub use harness::TlsHarness;
pub(crate) use hello::{Hello, HelloRead};
#[cfg(not(feature = "tls"))]
pub(crate) use no_tls::{Tls, TlsError, WorkerAcceptor};
#[cfg(not(feature = "tls"))]
pub use no_tls::{TlsAcceptor, TlsConnector};
pub(crate) use secure::{Secure, Unsealed};

#[cfg(all(test, feature = "tls"))]
mod tests;
