//! The reasons why a name is not served.

use std::fmt;
use std::io;

use crate::naming::path::Refusal;

/// Why a name is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Absent {
    /// It does not exist.
    Missing,
    /// It is a folder without an `index.html`, and listing is off.
    NoIndex,
    /// Nothing is found, and the page of the single-page app, the folder's `index.html`, does not
    /// exist.
    NoFallback,
    /// It is a file, but the path has a final slash.
    NotAFolder,
    /// This process lacks this permission.
    Denied(Permission),
    /// A symbolic link leads out of the folder, and not into another folder that links may lead
    /// into.
    Outside,
    /// A symbolic link leads to a hidden name.
    Hidden,
    /// A symbolic link leads to a name that does not exist, in the folder or in another folder that
    /// links may lead into.
    BrokenLink,
    /// Symbolic links lead in circles, or there are more than 40.
    LinkLoop,
    /// It is neither a file nor a folder.
    NotRegular(Special),
    /// It changed at each attempt to open or read it. Or another process holds a lease on it.
    Changing,
    /// Its size on disk is not that of its content, and the content is longer than 1 MiB.
    TooLong,
    /// The system has not enough memory.
    OutOfMemory,
    /// The budget of memory for listings, archives and files of unknown size, or the client's share
    /// of it, is spent. Also if no request waits for the result any longer.
    Exhausted,
    /// The limit on open files is reached.
    TooManyOpenFiles(OpenFilesOf),
    /// Too many files of its file system wait to be closed: the file system hangs.
    ClosingHangs,
    /// The system call with this name is required and forbidden, probably by a sandbox.
    Forbidden(&'static str),
    /// The file system failed with this error number.
    Failed(i32),
    /// The path of the URL is outside the paths at which folders are served.
    Unmounted,
    /// The path is refused; no file was looked up.
    Refused(Refusal),
}

/// Which limit on open files is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenFilesOf {
    /// The limit of this process, `RLIMIT_NOFILE`.
    Process,
    /// The limit of the system, `fs.file-max`.
    System,
}

/// A permission on a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Passing through a folder (`x`).
    Traverse,
    /// Reading a file, or listing a folder (`r`).
    Read,
}

/// A kind of file that is never served.
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
            Self::NoFallback => {
                "nothing is found, and the folder has no index.html, the page of a single-page app"
            }
            Self::NotAFolder => "the path ends with a slash but leads to a file",
            Self::Denied(Permission::Read) => "this process has no permission to read it",
            Self::Denied(Permission::Traverse) => {
                "this process has no permission to pass through a folder on the way"
            }
            Self::Outside => "a symbolic link leads out of the folder",
            Self::Hidden => {
                "a symbolic link leads to a name that begins with a dot, which is hidden"
            }
            Self::BrokenLink => "a symbolic link leads to a name that does not exist",
            Self::LinkLoop => "symbolic links lead in circles, or are more than 40",
            Self::NotRegular(special) => return write!(f, "it is {special}, not a file"),
            Self::Changing => {
                "it was changed at each attempt to read it, or another process holds a lease on it"
            }
            Self::TooLong => {
                "its size on disk is not that of its content, which is longer than 1 MiB"
            }
            Self::OutOfMemory => "out of memory",
            Self::Exhausted => {
                "the memory for listings, archives and files of unknown size, or the client's share of \
                 it, is spent"
            }
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

/// The rest of an error message, after the name of a system call.
pub(crate) const FORBIDDEN: &str = "is not permitted here (a seccomp sandbox?): let the sandbox's \
     filter allow it (in a systemd unit: SystemCallFilter=), or update what runs the container \
     (Docker before 20.10 forbids calls that it does not know)";

impl Absent {
    /// Whether there is nothing at the name, so that the next lookup rule is tried.
    pub(crate) fn is_missing(self) -> bool {
        matches!(self, Self::Missing | Self::BrokenLink)
    }

    /// Whether the server lacks a resource, or a system call is forbidden. Both are independent of
    /// the name, so such a result is not cached.
    pub(crate) fn is_transient(self) -> bool {
        matches!(
            self,
            Self::OutOfMemory
                | Self::Exhausted
                | Self::TooManyOpenFiles(_)
                | Self::ClosingHangs
                | Self::Forbidden(_)
        )
    }
}

impl std::error::Error for Absent {}
