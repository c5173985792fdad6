//! Errors of the program, by exit code.
//!
//! `?` turns an [`anyhow::Error`] into [`Error::Failure`]. [`OrUsage::or_usage`] turns it into
//! [`Error::Usage`].

use std::fmt;
use std::io;
use std::process::ExitCode;

use anyhow::anyhow;
use rustix::io::Errno;

/// An error that ends the program.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line or an environment variable is wrong, so that the same command would fail
    /// again.
    Usage(anyhow::Error),
    /// Anything else, so that the same command may work later.
    Failure(anyhow::Error),
}

impl Error {
    /// An I/O error at a path from the command line: [`Error::Usage`] if the path is wrong, else
    /// [`Error::Failure`]. `failure` says what failed, such as "cannot write to FILE".
    pub(crate) fn of_path(error: io::Error, failure: String) -> Self {
        let is_wrong = is_wrong_path(&error);
        let error = anyhow::Error::new(error).context(failure);
        if is_wrong { Self::Usage(error) } else { Self::Failure(error) }
    }

    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::Usage(anyhow!("{text}"))
    }

    pub(crate) fn into_usage(self) -> Self {
        let (Self::Usage(error) | Self::Failure(error)) = self;
        Self::Usage(error)
    }

    /// The same error, prefixed with the flag whose value caused it.
    pub(crate) fn of_flag(self, flag: &'static str) -> Self {
        match self {
            Self::Usage(error) => Self::Usage(error.context(flag)),
            Self::Failure(error) => Self::Failure(error.context(flag)),
        }
    }

    /// The same error, with `advice` at the end of its text: what the user can do.
    pub(crate) fn with_advice(self, advice: &str) -> Self {
        let text = anyhow!("{self}; {advice}");
        match self {
            Self::Usage(_) => Self::Usage(text),
            Self::Failure(_) => Self::Failure(text),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            // The code that clap uses.
            Self::Usage(_) => ExitCode::from(2),
            Self::Failure(_) => ExitCode::FAILURE,
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Failure(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(error) | Self::Failure(error)) = self;
        write!(f, "{error:#}")
    }
}

/// Whether the error means that the path is wrong: the path is invalid, nothing exists there, or
/// what exists there is of the wrong kind, such as a folder in place of a file.
pub(crate) fn is_wrong_path(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory, NotFound};
    let kinds = [NotFound, NotADirectory, IsADirectory, AlreadyExists, InvalidFilename];
    // `ErrorKind` has no stable kind for a loop of symbolic links.
    kinds.contains(&error.kind()) || Errno::from_io_error(error) == Some(Errno::LOOP)
}

pub(crate) trait OrUsage<T> {
    /// Turns an error into [`Error::Usage`].
    fn or_usage(self) -> Result<T, Error>;
}

impl<T, E: Into<anyhow::Error>> OrUsage<T> for Result<T, E> {
    fn or_usage(self) -> Result<T, Error> {
        self.map_err(|error| Error::Usage(error.into()))
    }
}
