//! TLS between the driver and the session: the kernel sees ciphertext, protocols see plaintext.
//!
//! | file | what |
//! |---|---|
//! | `connection` | one connection: records in and out; the only file that uses rustls' connections |
//! | `secure` | what a connection with TLS has besides its session |
//! | `acceptor` | the configurations of servers and clients |
//! | `server_name` | the name that a client asks for |
//! | `handshakes` | limits on the handshakes of a shard |
//! | `limits` | sizes of records |
//! | `no_tls` | replaces `connection`, `acceptor` and `server_name` without the feature `tls` |
//!
//! While a connection is idle, it has no buffer: input is decrypted where it was received, and
//! records are appended to an output that is lent for that. How the shard shakes hands, decrypts
//! and seals is in `shard/secure.rs`.

#[cfg(feature = "tls")]
mod acceptor;
#[cfg(feature = "tls")]
mod connection;
mod handshakes;
mod limits;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod secure;
#[cfg(feature = "tls")]
mod server_name;

#[cfg(feature = "tls")]
pub use acceptor::{TlsAcceptor, TlsConnector};
#[cfg(feature = "tls")]
pub(crate) use connection::{Tls, TlsError};
pub(crate) use handshakes::Handshakes;
#[cfg(not(feature = "tls"))]
pub(crate) use no_tls::{Tls, TlsError};
#[cfg(not(feature = "tls"))]
pub use no_tls::{TlsAcceptor, TlsConnector};
pub(crate) use secure::{FileError, Secure};

#[cfg(test)]
mod tests;
