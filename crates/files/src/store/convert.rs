//! Converts types and errors of the kernel to those of this crate.

use rustix::fs::{FileType, Statx};
use rustix::io::Errno;

use super::absent::{Absent, OpenFilesOf, Permission, Special};
use super::identity::{Identity, Stamp};
use super::open;

/// The type and the identity of a file.
pub(crate) fn from_statx(stat: &Statx) -> (FileType, Identity) {
    let stamp = |time: rustix::fs::StatxTimestamp| Stamp { secs: time.tv_sec, nanos: time.tv_nsec };
    let identity = Identity {
        device: u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
        inode: stat.stx_ino,
        size: stat.stx_size,
        modified: stamp(stat.stx_mtime),
        changed: stamp(stat.stx_ctime),
        links: stat.stx_nlink.into(),
    };
    (FileType::from_raw_mode(stat.stx_mode.into()), identity)
}

/// Converts the type of a special file.
pub(crate) fn special(kind: FileType) -> Special {
    match kind {
        FileType::Fifo => Special::Pipe,
        FileType::Socket => Special::Socket,
        _ => Special::Device,
    }
}

/// Converts an error of the file system to the reason why a name is not served.
pub(crate) fn to_absent(error: impl Into<open::Error>) -> Absent {
    let error = match error.into() {
        open::Error::Hidden => return Absent::Hidden,
        open::Error::BrokenLink => return Absent::BrokenLink,
        open::Error::Forbidden(call) => return Absent::Forbidden(call),
        open::Error::Os(error) => error,
    };
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Absent::Missing,
        // The caller finds out which permission it is.
        Errno::ACCESS | Errno::PERM => Absent::Denied(Permission::Traverse),
        Errno::XDEV => Absent::Outside,
        Errno::LOOP => Absent::Link,
        Errno::MFILE => Absent::TooManyOpenFiles(OpenFilesOf::Process),
        Errno::NFILE => Absent::TooManyOpenFiles(OpenFilesOf::System),
        Errno::NOMEM => Absent::Exhausted,
        Errno::AGAIN => Absent::Changing,
        _ => Absent::Failed(error.raw_os_error()),
    }
}
