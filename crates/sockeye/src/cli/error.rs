//! Why the program could not do what was asked: the difference is its exit code.
//!
//! An [`anyhow::Error`] doesn't become an [`Error`] by itself. Whoever hands one on says what it is,
//! by [`OrExit`]; checks of the command line alone return [`anyhow::Result`], and [`crate::plan`] says
//! once that these are errors of usage.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// What ends the program.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line, or an environment variable, is wrong: the same again fails again.
    Usage(anyhow::Error),
    /// Something else is: the same may work at another time.
    Failure(anyhow::Error),
}

impl Error {
    /// `error` of the file or socket at a path of the command line, with what was done to it. A path
    /// that leads to nothing, or to something of another kind, is wrong usage.
    pub(crate) fn of_path(error: io::Error, doing: String) -> Self {
        use io::ErrorKind::{
            AlreadyExists, InvalidFilename, IsADirectory, NotADirectory, NotFound,
        };
        let kind = error.kind();
        let error = anyhow::Error::new(error).context(doing);
        match kind {
            NotFound | NotADirectory | IsADirectory | AlreadyExists | InvalidFilename => {
                Self::Usage(error)
            }
            _ => Self::Failure(error),
        }
    }

    /// The same of something that was typed.
    pub(crate) fn into_usage(self) -> Self {
        let (Self::Usage(error) | Self::Failure(error)) = self;
        Self::Usage(error)
    }

    /// As `--help` has it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            // That of `clap`, too.
            Self::Usage(_) => ExitCode::from(2),
            Self::Failure(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(error) | Self::Failure(error)) = self;
        write!(f, "{error:#}")
    }
}

/// Says what an error is.
pub(crate) trait OrExit<T> {
    /// The command line is wrong.
    fn or_usage(self) -> Result<T, Error>;

    /// Something else is.
    fn or_failure(self) -> Result<T, Error>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_usage(self) -> Result<T, Error> {
        self.map_err(|error| Error::Usage(error.into()))
    }

    fn or_failure(self) -> Result<T, Error> {
        self.map_err(|error| Error::Failure(error.into()))
    }
}
