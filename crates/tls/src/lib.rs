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
//! | serve with certificates in files that others replace | [`CertificateStore`] |
//! | make a development certificate in a folder | [`SelfSigned`]; [`self_signed`] in memory |
//! | ask clients for certificates | [`Settings::client_ca`] |
//! | answer a CA that validates names | [`Settings::challenges`] |
//!
//! # Which certificate a client gets
//!
//! 1. One with the name that the client asks for (SNI); else one with a wildcard for it; else the
//!    first certificate, or none, by [`UnknownName`].
//! 2. Of several for a name, one whose signatures the client can verify: ECDSA or Ed25519 before RSA,
//!    which costs more.
//! 3. A client that asks for no name, because it knows only an address, gets the first certificate
//!    for an IP address, or else the first of all.
//!
//! # Sessions
//!
//! Clients resume sessions by tickets for up to 12 hours. The keys are random, rotate every 6 hours,
//! and are shared by all connections of a store. They survive a reload of certificates. A resumed
//! session shows clients the certificate with which it began. There is no cache of sessions and no
//! early data.
//!
//! With [`Settings::client_ca`], there are no tickets, and those from before aren't accepted: every
//! connection checks the client's certificate, or that there is none.
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
/// For configurations of your own, in the version that the engine uses.
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
