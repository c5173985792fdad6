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

#![forbid(unsafe_code)]

mod certificate;
mod chain;
mod client;
mod client_ca;
mod config;
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
mod tickets;
mod warning;
mod x509;

pub use certificate::{Certificate, CertificateInfo};
pub use client::{ClientError, ClientSettings, Refusal, RefusalKind, TlsClient, Trust};
pub use error::{Error, Problem};
pub use fingerprint::Fingerprint;
pub use provider::provider;
/// For configurations of your own, in the version that the engine uses.
pub use rustls;
pub use rustls::ClientConfig;
pub use self_signed::{SelfSigned, self_signed};
pub use settings::{ACME_TLS_ALPN, Challenges, ClientCa, Settings, UnknownName};
pub use store::CertificateStore;
pub use subject::subject;
pub use warning::{Warning, WarningKind};

#[cfg(test)]
mod tests;
