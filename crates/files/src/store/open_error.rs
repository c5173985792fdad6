//! Why a folder or file can't be opened for serving.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::absent::FORBIDDEN;

/// Why a folder or file can't be opened for serving. `Debug` writes the same sentence as `Display`,
/// because a program whose `main` returns an error prints it with `Debug`.
#[non_exhaustive]
pub enum OpenError {
    /// It does not exist.
    NotFound(PathBuf),
    /// This process has no permission to open it, or a folder on the way to it.
    Denied(PathBuf),
    /// It is neither a folder nor a regular file.
    NotServable(PathBuf),
    /// It was passed to [`Disk::links_into`](crate::Disk::links_into), and is not a folder.
    NotAFolder(PathBuf),
    /// The required system call with this name is forbidden, probably by a sandbox.
    Forbidden(&'static str),
    /// Anything else.
    Failed(PathBuf, io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(path) => write!(f, "{}: no such file or folder", path.display()),
            Self::Denied(path) => write!(f, "{}: no permission to read it", path.display()),
            Self::NotServable(path) => {
                write!(f, "{}: neither a folder nor a regular file", path.display())
            }
            Self::NotAFolder(path) => write!(f, "{}: not a folder", path.display()),
            Self::Forbidden(call) => write!(f, "{call} {FORBIDDEN}"),
            Self::Failed(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// `source` returns nothing: `Display` includes the system's error, which would appear twice.
impl std::error::Error for OpenError {}

impl OpenError {
    /// Converts the system's error for the folder or file at `path`.
    pub(super) fn of(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Self::NotFound(path.to_owned())
            }
            io::ErrorKind::PermissionDenied => Self::Denied(path.to_owned()),
            _ => Self::Failed(path.to_owned(), error),
        }
    }
}
