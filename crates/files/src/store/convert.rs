//! Converts what the kernel says about files.

use rustix::fs::{FileType, Statx};
use rustix::io::Errno;

use super::absent::{Absent, Denied, OpenFilesOf, Permission, Special};
use super::identity::{Identity, Stamp};
use super::open;

/// The type and the identity of a file, from what `statx` says.
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

/// The kind of what is neither a file nor a folder.
pub(crate) fn special(kind: FileType) -> Special {
    match kind {
        FileType::Fifo => Special::Pipe,
        FileType::Socket => Special::Socket,
        _ => Special::Device,
    }
}

/// Why nothing is served for a name, by the error of the file system.
pub(crate) fn to_absent(error: impl Into<open::Error>) -> Absent {
    let error = match error.into() {
        open::Error::Hidden => return Absent::Hidden,
        open::Error::Forbidden(call) => return Absent::Forbidden(call),
        open::Error::Os(error) => error,
    };
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Absent::Missing,
        // For the folder that is served, or one on the way to it.
        Errno::ACCESS | Errno::PERM => Absent::Denied(Denied { at: 0, need: Permission::Traverse }),
        Errno::XDEV => Absent::Outside,
        Errno::LOOP => Absent::Link,
        Errno::MFILE => Absent::TooManyOpenFiles(OpenFilesOf::Process),
        Errno::NFILE => Absent::TooManyOpenFiles(OpenFilesOf::System),
        Errno::NOMEM => Absent::Exhausted,
        Errno::AGAIN => Absent::Changing,
        _ => Absent::Failed(error.raw_os_error()),
    }
}
