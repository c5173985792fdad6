//! Certificates for TLS servers on Sockeye's engine: read from PEM files, checked, chosen by the
//! name that a client asks for, and replaced while the server runs.
//!
//! ```no_run
//! use sockeye_tls::{Certificate, Settings};
//!
//! let certificate = Certificate::from_files("cert.pem".as_ref(), "key.pem".as_ref())?;
//! let config = Settings::default().server_config(vec![certificate])?;
//! let tls = sockeye_engine::TlsAcceptor::new(&config);
//! // For `sockeye_engine::Config::tls`.
//! # let _ = tls;
//! # Ok::<(), sockeye_tls::Error>(())
//! ```

#![forbid(unsafe_code)]

mod certificate;
mod error;
mod files;
mod names;
mod self_signed;
mod settings;
mod subject;

pub use certificate::Certificate;
pub use error::Error;
pub use files::CertificateFiles;
pub use self_signed::self_signed;
pub use settings::{Settings, UnknownName};
pub use subject::subject;

#[cfg(test)]
mod tests;
