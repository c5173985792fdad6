//! Certificates for TLS servers on Sockeye's engine: read from PEM files, checked, chosen by the
//! name that a client asks for, and replaced while the server runs.
//!
//! ```no_run
//! use sockeye_tls::{CertificateStore, Settings};
//!
//! let pairs = vec![["cert.pem".into(), "key.pem".into()]];
//! let store = CertificateStore::open(pairs, Settings::default())?;
//! let tls = store.acceptor();
//! // For `sockeye_engine::Config::tls`. Call `store.reload()` every few seconds.
//! # let _ = tls;
//! # Ok::<(), sockeye_tls::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | serve with certificates in files that other programs replace | [`CertificateStore`] |
//! | make a development certificate in a folder | [`SelfSigned`]; [`self_signed`] in memory |
//! | ask clients for certificates | [`Settings::client_ca`] |
//! | answer an ACME authority that validates names by TLS | [`Settings::challenges`] |
//! | verify the certificates of servers, in a client | [`ClientSettings`] |
//!
//! # Which certificate a client gets
//!
//! 1. A certificate with the name that the client asks for (SNI), or else a certificate with a
//!    wildcard for the name. If no certificate has either, the setting [`UnknownName`] decides
//!    whether the client gets the first certificate or is refused.
//! 2. If several certificates have the name, the client gets the first of them. Those with ECDSA or
//!    Ed25519 keys come before those with RSA keys, whose signatures cost more. A certificate whose
//!    signatures the client can't verify is skipped, unless the client can verify none.
//! 3. A client that asks for no name, because it knows only an address, gets the first certificate
//!    for an IP address, or else the first of all.
//!
//! # Sessions
//!
//! Clients resume sessions by tickets for up to 12 hours. The keys of the tickets are random,
//! rotate every 6 hours, and are shared by all connections of a store. They stay in use after a
//! reload of certificates. No certificate is sent when a session is resumed: its client still goes
//! by the one with which the session began. There is no cache of sessions and no early data.
//!
//! With [`Settings::client_ca`], the server issues no tickets, and accepts none that it issued
//! before this was set. So every connection has a full handshake, in which the server asks for the
//! client's certificate and checks it.
//!
//! # What this crate doesn't do
//!
//! It opens no socket and starts no thread. It doesn't check revocation.

#![forbid(unsafe_code)]

mod certificate;
mod chain;
mod client;
mod client_ca;
mod config;
pub mod durable;
mod error;
mod fingerprint;
mod names;
mod pem;
mod provider;
mod read;
mod self_signed;
mod settings;
mod store;
mod subject;
mod warning;
mod x509;

pub use certificate::{Certificate, CertificateInfo};
pub use client::{ClientError, ClientSettings, Refusal, RefusalKind, TlsClient, Trust};
pub use error::{Error, Problem, shell_word};
pub use fingerprint::{Fingerprint, sha256};
pub use provider::provider;
/// The crate rustls in the version that the engine uses, for configurations of your own.
pub use rustls;
pub use rustls::ClientConfig;
pub use self_signed::{SelfSigned, self_signed};
pub use settings::{ACME_TLS_ALPN, Challenges, ClientCa, HTTP_ALPN, Settings, UnknownName};
pub use store::CertificateStore;
pub use subject::subject;
pub use warning::{Warning, WarningKind};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(test)]
mod tests;
