//! Why a client can't use TLS.

use std::fmt;

use crate::error::Error;

/// Why a client can't use TLS.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// A file can't be used, or rustls refuses the configuration.
    Certificate(Error),
    /// No certificates of authorities (CAs) were found on this machine.
    NoRoots {
        /// Where they were looked for.
        looked_in: String,
    },
    /// The name of the server is invalid: no certificate can have it.
    InvalidName(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => error.fmt(f),
            Self::NoRoots { looked_in } => {
                write!(f, "this machine has no certificates of authorities in {looked_in}")
            }
            Self::InvalidName(name) => {
                write!(f, "'{name}' is not a name that a certificate can have")
            }
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Certificate(error) => Some(error),
            Self::NoRoots { .. } | Self::InvalidName(_) => None,
        }
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> Self {
        Self::Certificate(error)
    }
}
