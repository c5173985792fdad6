//! Lookups on an event loop, which must not block: the kernel answers from memory, or not at all.
//!
//! `RESOLVE_CACHED` (Linux 5.12) makes `openat2` fail if it would have to read a folder.
//! `RESOLVE_NO_XDEV` makes it fail if the name leads to another mount, which may hang. The root's
//! own file system must not hang either. So a thread has to find out its type first
//! ([`CachedLookups::record`]), and each lookup checks that the root is still the same
//! ([`RootId`]).

use std::ffi::OsStr;
use std::fmt;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::absent::Absent;
use super::convert::{file_clock, from_statx, monotonic};
use super::device::{Device, SLOW_READ};
use super::identity::{Identity, Stamp};
use super::omitted::Omitted;
use super::open::{FOLDER_FLAGS, NO_MODE, READ_FLAGS};
use super::traits::{Child, OpenFile, Opened, Store};
use crate::limits::lock::lock;
use rustix::fs::{AtFlags, CWD, FileType, OFlags, ResolveFlags, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

/// How names are resolved beneath the root.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::CACHED);

/// After a lookup that took longer than [`SLOW_READ`], event loops leave lookups to threads for
/// this time: another process, such as a virus scanner, may have to allow each opening of a file
/// (fanotify).
const PAUSE: Duration = Duration::from_secs(600);

/// Turns a descriptor into an open file.
type MakeFile = fn(OwnedFd, Identity, Arc<Device>) -> Arc<dyn OpenFile>;

/// Whether event loops may look names up beneath a root.
#[derive(Debug, Default)]
pub(super) struct CachedLookups(Mutex<State>);

/// What is known about a root.
#[derive(Clone, Debug, Default)]
enum State {
    /// The type of the root's file system is not known.
    #[default]
    Unknown,
    /// The identity of the root, and the device that contains it.
    Known(RootId, Arc<Device>),
    /// A lookup was slow. Event loops do none until this time of the monotonic clock.
    Slow(Duration),
    /// The kernel doesn't support `RESOLVE_CACHED`, or a sandbox forbids `openat2`.
    Unsupported,
}

/// Identifies the folder at the path of the root. The numbers of devices, mounts and inodes are
/// reused, so the time of creation is compared, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RootId {
    device: u64,
    inode: u64,
    mount: u64,
    born: Option<(i64, u32)>,
}

impl RootId {
    fn of(root: BorrowedFd<'_>) -> Option<Self> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME | StatxFlags::MNT_ID;
        // `DONT_SYNC`: even a network file system answers from memory, without asking its server.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(root, "", flags, wanted).ok()?;
        let StatxTimestamp { tv_sec, tv_nsec, .. } = stat.stx_btime;
        let has_born = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        let (_, Identity { device, inode, .. }) = from_statx(&stat);
        let born = has_born.then_some((tv_sec, tv_nsec));
        // The kernel gives device numbers with major 0 to file systems without a disk and to some
        // with one (Btrfs), and reuses these numbers. Without a time of creation, such a number
        // identifies nothing.
        if born.is_none() && device >> 32 == 0 {
            return None;
        }
        Some(Self { device, inode, mount: stat.stx_mnt_id, born })
    }
}

impl CachedLookups {
    /// Records the type of the root's file system, if the state is `Unknown`. Blocks.
    pub(super) fn record(&self, root: BorrowedFd<'_>) {
        if matches!(*lock(&self.0), State::Unknown)
            && let Some(id) = RootId::of(root)
        {
            *lock(&self.0) = State::Known(id, Device::of(id.device, root));
        }
    }

    /// Forgets the root, which is missing: event loops look up nothing beneath it until a thread
    /// has found it again.
    pub(super) fn forget(&self) {
        let mut state = lock(&self.0);
        if matches!(*state, State::Known(..)) {
            *state = State::Unknown;
        }
    }

    /// The root at `path` for one lookup. `None` if a thread has to do the lookup.
    pub(super) fn root(&self, path: &Path, make_file: MakeFile) -> Option<CachedRoot<'_>> {
        let start = monotonic();
        let state = lock(&self.0).clone();
        let State::Known(id, device) = state else {
            if matches!(state, State::Slow(until) if until <= start) {
                *lock(&self.0) = State::Unknown;
            }
            return None;
        };
        if !device.opens_at_once() {
            return None;
        }
        let folder =
            match rustix::fs::openat2(CWD, path, FOLDER_FLAGS, NO_MODE, ResolveFlags::CACHED) {
                Ok(folder) => folder,
                Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                    *lock(&self.0) = State::Unsupported;
                    return None;
                }
                Err(_) => return None,
            };
        if RootId::of(folder.as_fd()) != Some(id) {
            *lock(&self.0) = State::Unknown;
            return None;
        }
        let would_block = AtomicBool::new(false);
        Some(CachedRoot { lookups: self, folder, device, make_file, would_block, start })
    }
}

/// The root for one lookup on an event loop.
pub(super) struct CachedRoot<'a> {
    lookups: &'a CachedLookups,
    folder: OwnedFd,
    device: Arc<Device>,
    make_file: MakeFile,
    would_block: AtomicBool,
    /// When the lookup began, by the monotonic clock.
    start: Duration,
}

impl CachedRoot<'_> {
    /// Records that a call would block. Returns an error that ends the lookup and isn't cached: a
    /// thread repeats the lookup.
    fn would_block_error(&self) -> Absent {
        self.would_block.store(true, Ordering::Relaxed);
        Absent::Exhausted
    }
}

impl Store for CachedRoot<'_> {
    fn open(&self, name: &[u8]) -> Result<Opened, Absent> {
        let name = OsStr::from_bytes(if name.is_empty() { b"." } else { name });
        // `NONBLOCK` in the flags: if another process has a lease on the file (`F_SETLEASE`),
        // opening fails instead of waiting for that process.
        debug_assert!(READ_FLAGS.contains(OFlags::NONBLOCK));
        let file = match rustix::fs::openat2(&self.folder, name, READ_FLAGS, NO_MODE, RESOLVE) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Err(Absent::Missing),
            // The name is not in memory, or more system calls are needed to say why it can't be
            // opened: a link, a missing permission.
            Err(_) => return Err(self.would_block_error()),
        };
        let stat = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
        let Ok((kind, identity)) = stat.map(|stat| from_statx(&stat)) else {
            return Err(self.would_block_error());
        };
        match kind {
            // A subvolume (of Btrfs) has a device number of its own: `self.device` doesn't describe
            // it.
            _ if identity.device != self.device.number() => Err(self.would_block_error()),
            FileType::Directory => Ok(Opened::Folder),
            FileType::RegularFile if !self.device.has_closing_backlog() => {
                let file = (self.make_file)(file, identity, Arc::clone(&self.device));
                Ok(Opened::File(file, identity))
            }
            _ => Err(self.would_block_error()),
        }
    }

    fn list(
        &self,
        _: &[u8],
        _: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent> {
        Err(self.would_block_error())
    }

    fn now(&self) -> Stamp {
        file_clock()
    }

    fn single_file(&self) -> Option<&[u8]> {
        None
    }

    fn would_block(&self) -> bool {
        self.would_block.load(Ordering::Relaxed)
    }
}

/// Records how long the lookup took. After a slow lookup, threads do all lookups beneath this root
/// for [`PAUSE`]. If the device's calls are timed, threads also read its files until it has
/// recovered.
impl Drop for CachedRoot<'_> {
    fn drop(&mut self) {
        let now = monotonic();
        let took = now.saturating_sub(self.start);
        if took > SLOW_READ {
            *lock(&self.lookups.0) = State::Slow(now + PAUSE);
        }
        if self.device.is_timed() {
            // For the device, a slow lookup counts as a slow send: both hold up the event loop.
            self.device.record_send(took);
        }
    }
}

impl fmt::Debug for CachedRoot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRoot").field("would_block", &self.would_block).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use sockeye_proto::Access;

    use super::*;
    use crate::store::open;
    use crate::tests::scratch::Scratch;

    #[test]
    fn after_a_slow_lookup_threads_look_up_for_some_time() {
        let (scratch, lookups) = (Scratch::new(), CachedLookups::default());
        let root = open::folder(scratch.path()).unwrap();
        let make: MakeFile = |_, _, _| unreachable!("no file is opened");
        let is_allowed = || lookups.root(scratch.path(), make).is_some();
        lookups.record(root.as_fd());
        let Some(quick) = lookups.root(scratch.path(), make) else {
            return eprintln!("SKIPPED: no lookups on event loops here");
        };
        drop(quick);
        assert!(is_allowed());
        let mut slow = lookups.root(scratch.path(), make).unwrap();
        slow.start = monotonic().saturating_sub(2 * SLOW_READ);
        // A device of this test, without timing: the real one isn't slow, and other tests use it.
        slow.device = Arc::new(Device::new(7, 0, Access::Direct, false));
        drop(slow);
        lookups.record(root.as_fd());
        assert!(!is_allowed(), "the pause isn't over");
        *lock(&lookups.0) = State::Slow(monotonic());
        assert!(!is_allowed(), "its root has to be recorded again");
        lookups.record(root.as_fd());
        assert!(is_allowed());
    }
}
