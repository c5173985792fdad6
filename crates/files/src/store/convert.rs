//! Converts types, errors and clocks of the kernel to those of this crate.

use std::time::Duration;

use rustix::fs::{FileType, Statx};
use rustix::io::Errno;
use rustix::time::ClockId;

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
        // `Traverse` is a guess: the store's `open` and `list` find out which permission is
        // missing.
        Errno::ACCESS | Errno::PERM => Absent::Denied(Permission::Traverse),
        Errno::XDEV => Absent::Outside,
        Errno::LOOP => Absent::LinkLoop,
        Errno::MFILE => Absent::TooManyOpenFiles(OpenFilesOf::Process),
        Errno::NFILE => Absent::TooManyOpenFiles(OpenFilesOf::System),
        Errno::NOMEM => Absent::OutOfMemory,
        // Renames or changing links disturbed each attempt to open the name.
        Errno::AGAIN => Absent::Changing,
        _ => Absent::Failed(error.raw_os_error()),
    }
}

/// The clock from which the kernel sets the times of files: `CLOCK_REALTIME_COARSE`. Since Linux
/// 6.13, these times may be ahead of this clock by less than a tick.
pub(crate) fn file_clock() -> Stamp {
    let now = rustix::time::clock_gettime(ClockId::RealtimeCoarse);
    Stamp { secs: now.tv_sec, nanos: u32::try_from(now.tv_nsec).unwrap_or(0) }
}

/// The monotonic clock.
pub(crate) fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lack_of_memory_is_no_spent_budget() {
        assert_eq!(to_absent(Errno::NOMEM), Absent::OutOfMemory);
    }
}
