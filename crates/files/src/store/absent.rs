//! Why there is nothing to serve under a name.

use std::fmt;
use std::io;

use crate::naming::path::Refusal;

/// Why there is nothing to serve under a name that is fine in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Absent {
    /// Nothing has this name.
    Missing,
    /// A folder without an `index.html`, which is not listed.
    NoIndex,
    /// A file, where the path wants a folder.
    NotAFolder,
    /// This process may not read it, or not get there.
    Denied(Denied),
    /// A symbolic link leads out of the folder.
    Outside,
    /// A symbolic link leads to a hidden name.
    Hidden,
    /// A symbolic link leads in circles, or may not be followed.
    Link,
    /// Neither a file nor a folder.
    NotRegular(Special),
    /// It changes faster than it can be read.
    Changing,
    /// We are out of memory, or of a budget.
    Exhausted,
    /// As many files are open as may be.
    TooManyOpenFiles(OpenFilesOf),
    /// Too many files of this file system wait to be closed: it hangs.
    ClosingHangs,
    /// A system call that can't be done without is forbidden, by a sandbox as it seems. Its name.
    Forbidden(&'static str),
    /// The file system failed: the number of its error.
    Failed(i32),
    /// No folder is served there.
    Unmounted,
    /// The path is refused before any file is looked at.
    Refused(Refusal),
}

/// Blame open files there are too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenFilesOf {
    /// This process's: its limit is `RLIMIT_NOFILE`.
    Process,
    /// All processes': the system's limit is `fs.file-max`.
    System,
}

/// Which permission this process lacks, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Denied {
    /// How much of the name leads to what denies it, in bytes: 0 is the folder that is served.
    pub at: usize,
    /// What may not be done there.
    pub need: Permission,
}

/// What a permission is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// To pass through a folder (`x`).
    Traverse,
    /// To read a file (`r`).
    Read,
}

/// What a name can lead to besides files and folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Special {
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no such file",
            Self::NoIndex => "the folder has no index.html, and listing is off",
            Self::NotAFolder => "the path ends with a slash but leads to a file",
            Self::Denied(Denied { need: Permission::Read, .. }) => {
                "this process has no permission to read it"
            }
            Self::Denied(Denied { need: Permission::Traverse, .. }) => {
                "this process has no permission to pass through a folder on the way"
            }
            Self::Outside => "a symbolic link leads out of the folder",
            Self::Hidden => {
                "a symbolic link leads to a name that begins with a dot, which is hidden"
            }
            Self::Link => "a symbolic link leads in circles, or may not be followed",
            Self::NotRegular(special) => return write!(f, "it is {special}, not a file"),
            Self::Changing => "the file changes faster than it can be read",
            Self::Exhausted => "out of memory",
            Self::TooManyOpenFiles(OpenFilesOf::Process) => {
                "this process has as many files open as it may: raise its limit on open files \
                 (ulimit -n, or LimitNOFILE= in a systemd unit)"
            }
            Self::TooManyOpenFiles(OpenFilesOf::System) => {
                "the system has as many files open as it may: raise its limit (sysctl fs.file-max)"
            }
            Self::ClosingHangs => "too many files of this file system wait to be closed: it hangs",
            Self::Forbidden(call) => return write!(f, "{call} {FORBIDDEN}"),
            Self::Failed(error) => {
                let error = io::Error::from_raw_os_error(*error);
                return write!(f, "the file system failed: {error}");
            }
            Self::Unmounted => "no folder is served there",
            Self::Refused(refusal) => return refusal.fmt(f),
        })
    }
}

/// What follows the name of a system call.
pub(crate) const FORBIDDEN: &str = "is not permitted here (a seccomp sandbox?): let the sandbox's \
     filter allow it (in a systemd unit: SystemCallFilter=), or update what runs the container \
     (Docker before 20.10 forbids calls that it does not know)";

impl Absent {
    /// Whether this says something about the server, and nothing about the name: it may be gone for
    /// the next request.
    pub(crate) fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Exhausted | Self::TooManyOpenFiles(_) | Self::ClosingHangs | Self::Forbidden(_)
        )
    }
}

impl std::error::Error for Absent {}
