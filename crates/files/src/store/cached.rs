//! Lookups on an event loop, which must not block: the kernel answers from memory, or not at all.
//!
//! `RESOLVE_CACHED` (Linux 5.12) makes `openat2` fail if it would have to read a folder.
//! `RESOLVE_NO_XDEV` keeps names in the file system of the root, so that nothing is opened on
//! another mount, which may hang. The root's own file system is a local one: its type was asked for
//! where that may block, and [`RootId`] shows that the root is still the same folder.

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
use super::device::Device;
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

/// Makes an open file of a descriptor.
type MakeFile = fn(OwnedFd, Identity, Arc<Device>) -> Arc<dyn OpenFile>;

/// Whether event loops may look names up beneath a root.
#[derive(Debug, Default)]
pub(super) struct CachedLookups(Mutex<State>);

#[derive(Clone, Debug, Default)]
enum State {
    /// The type of the root's file system is not known.
    #[default]
    Unknown,
    /// The root, and its device.
    Known(RootId, Arc<Device>),
    /// The kernel doesn't support it, or a sandbox forbids it.
    Unsupported,
}

/// Identifies the folder at the path of the root. The numbers of devices, mounts and inodes are
/// reused, but not all of them with the same time of birth.
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
        // A network file system answers from memory, too.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(root, "", flags, wanted).ok()?;
        let StatxTimestamp { tv_sec, tv_nsec, .. } = stat.stx_btime;
        let has_born = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        let (_, Identity { device, inode, .. }) = from_statx(&stat);
        let born = has_born.then_some((tv_sec, tv_nsec));
        Some(Self { device, inode, mount: stat.stx_mnt_id, born })
    }
}

impl CachedLookups {
    /// Records the type of the root's file system, unless it is known. Blocks.
    pub(super) fn record(&self, root: BorrowedFd<'_>) {
        if matches!(*lock(&self.0), State::Unknown)
            && let Some(id) = RootId::of(root)
        {
            *lock(&self.0) = State::Known(id, Device::of(id.device, root));
        }
    }

    /// The root at `path` for one lookup. `None` if event loops may not look names up there.
    pub(super) fn root(&self, path: &Path, make_file: MakeFile) -> Option<CachedRoot> {
        let State::Known(id, device) = lock(&self.0).clone() else { return None };
        if !device.opens_at_once() {
            return None;
        }
        let start = monotonic();
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
        Some(CachedRoot { folder, device, make_file, would_block, start })
    }
}

/// The root for one lookup on an event loop.
pub(super) struct CachedRoot {
    folder: OwnedFd,
    device: Arc<Device>,
    make_file: MakeFile,
    would_block: AtomicBool,
    start: Duration,
}

impl CachedRoot {
    fn block(&self) -> Absent {
        self.would_block.store(true, Ordering::Relaxed);
        Absent::Exhausted
    }
}

impl Store for CachedRoot {
    fn open(&self, name: &[u8]) -> Result<Opened, Absent> {
        let name = OsStr::from_bytes(if name.is_empty() { b"." } else { name });
        // `NONBLOCK` in the flags: a file with a lease fails instead of waiting for its holder.
        debug_assert!(READ_FLAGS.contains(OFlags::NONBLOCK));
        let file = match rustix::fs::openat2(&self.folder, name, READ_FLAGS, NO_MODE, RESOLVE) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Err(Absent::Missing),
            // Not in memory, or something that takes more calls: a link, a permission.
            Err(_) => return Err(self.block()),
        };
        let stat = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
        let Ok((kind, identity)) = stat.map(|stat| from_statx(&stat)) else {
            return Err(self.block());
        };
        match kind {
            // A subvolume has another device, which may not be known.
            _ if identity.device != self.device.number() => Err(self.block()),
            FileType::Directory => Ok(Opened::Folder),
            FileType::RegularFile if !self.device.has_backlog() => {
                let file = (self.make_file)(file, identity, Arc::clone(&self.device));
                Ok(Opened::File(file, identity))
            }
            _ => Err(self.block()),
        }
    }

    fn list(
        &self,
        _: &[u8],
        _: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent> {
        Err(self.block())
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

/// A device that was slow is left to threads until it has recovered.
impl Drop for CachedRoot {
    fn drop(&mut self) {
        if self.device.is_timed() {
            self.device.note_send(monotonic().saturating_sub(self.start));
        }
    }
}

impl fmt::Debug for CachedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRoot").field("would_block", &self.would_block).finish_non_exhaustive()
    }
}
