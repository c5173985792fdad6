//! Why the program could not do what was asked: the difference is its exit code.
//!
//! An [`anyhow::Error`] doesn't become an [`Error`] by itself. Whoever hands one on says what it is,
//! by [`OrExit`]; checks of the command line alone return [`anyhow::Result`], and [`crate::plan`] says
//! once that these are errors of usage.

use std::fmt;
use std::io;
use std::process::ExitCode;

use rustix::io::Errno;

/// What ends the program.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line, or an environment variable, is wrong: the same again fails again.
    Usage(anyhow::Error),
    /// Something else is: the same may work at another time.
    Failure(anyhow::Error),
}

impl Error {
    /// `error` of the file or socket at a path of the command line, with what was done to it.
    pub(crate) fn of_path(error: io::Error, doing: String) -> Self {
        let is_wrong = is_wrong_path(&error);
        let error = anyhow::Error::new(error).context(doing);
        if is_wrong { Self::Usage(error) } else { Self::Failure(error) }
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

/// Whether a path leads to nothing, or to something of another kind: it is wrong usage then.
pub(crate) fn is_wrong_path(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory, NotFound};
    let kinds = [NotFound, NotADirectory, IsADirectory, AlreadyExists, InvalidFilename];
    // A loop of links has no stable kind.
    kinds.contains(&error.kind()) || Errno::from_io_error(error) == Some(Errno::LOOP)
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
