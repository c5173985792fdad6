//! Why a certificate can't be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a certificate can't be used: in which file, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file can't be read.
    Unreadable(PathBuf, io::Error),
    /// A file doesn't have what it should have.
    Invalid(PathBuf, String),
    /// rustls refuses the configuration.
    Config(rustls::Error),
}

impl Error {
    pub(crate) fn invalid(path: &Path, what: impl Into<String>) -> Self {
        Self::Invalid(path.to_owned(), what.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Invalid(path, what) => write!(f, "{}: {what}", path.display()),
            Self::Config(error) => write!(f, "TLS can't be configured: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Invalid(..) => None,
            Self::Config(error) => Some(error),
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Config(error)
    }
}
