//! Whether reading from a file system, or closing a file there, may block.
//!
//! This is decided once for each mounted file system (a [`Device`]), by its type:
//!
//! - File systems in memory (tmpfs) never block.
//! - On known disk file systems, an event loop first probes the page cache: a read with the flag
//!   `RWF_NOWAIT` fails if it would wait for the disk. Then a thread reads. Where the kernel
//!   doesn't support this flag, every probe fails.
//! - Overlays (the root of a container) can't be probed, and are nearly always on a local disk:
//!   their files are sent directly while reads are quick. But opening a file there opens one on a
//!   file system of unknown type, so threads open files there.
//! - File systems that depend on another process or machine (FUSE, network), and unknown ones, are
//!   read by threads only; so is a slow disk, until it has recovered.
//!
//! Once all files of a device are closed, the kernel may reuse its number for another file system.
//! So while no file is open, [`Device::of`] checks the type of the file system, and replaces the
//! device if the type has changed.

use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use sockeye_proto::{Access, JobGroup};
use tracing::debug;

use crate::limits::lock::lock;

/// A read, send or lookup that takes longer than this makes its device slow.
pub(super) const SLOW_READ: Duration = Duration::from_millis(100);
/// A read that takes less than this shows that a slow device has recovered.
const QUICK_READ: Duration = Duration::from_millis(10);
/// Files of this size in bytes and larger are not closed on an event loop: closing an unlinked file
/// frees its blocks.
const MIN_SLOW_CLOSE: u64 = 64 * 1024 * 1024;
/// The most files of one device that may wait to be closed. At this limit, its files are refused.
const MAX_WAITING_TO_CLOSE: usize = 256;
/// The files of a device are divided into this many groups, so that a file that hangs doesn't block
/// the threads for the other groups.
const PARTS: u64 = 16;

/// File systems in memory.
const IN_MEMORY: [u32; 2] = [
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
];

/// overlayfs; the types of the file systems below it are unknown.
const OVERLAY: u32 = 0x794C_7630;

/// File systems that depend on a local disk only.
const ON_DISK: [u32; 12] = [
    0x0000_EF53, // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0xF2F5_2010, // F2FS
    0xCA45_1A4E, // bcachefs
    0x2FC1_2FC1, // ZFS
    0xE0F5_E1E2, // EROFS
    0x7371_7368, // SquashFS
    0x0000_9660, // ISO 9660
    0x2011_BAB0, // exFAT
    0x0000_4D44, // FAT
    0x7366_746E, // NTFS
];

/// File systems whose files the kernel makes when they are read, so that sizes are unknown before.
const MADE_BY_KERNEL: [u32; 8] = [
    0x0000_9FA0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x0027_E0EB, // cgroup
    0x6367_7270, // cgroup2
];

/// The devices in use, by number. Dropped ones are removed when another is added.
static DEVICES: LazyLock<Mutex<HashMap<u64, Weak<Device>>>> = LazyLock::new(Mutex::default);

thread_local! {
    /// Whether this thread is an event loop, which must not block.
    static IS_EVENT_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// A mounted file system.
#[derive(Debug)]
pub(crate) struct Device {
    number: u64,
    /// The type of the file system, as `fstatfs` returns it; 0 if that failed.
    file_system: u32,
    /// How its files are sent while it is not slow.
    access: Access,
    /// Whether its reads are timed, because it may become slow.
    timed: bool,
    /// Whether a read, send or lookup was slow, and no read was quick since: see [`SLOW_READ`] and
    /// [`QUICK_READ`].
    slow: AtomicBool,
    /// How many of its files are open. While any is open, the number of the device is not reused.
    open_files: AtomicUsize,
    /// How many of its files wait to be closed by a thread.
    closing: AtomicUsize,
    /// The channel to the thread that closes files; `None` if that thread can't be started.
    closer: OnceLock<Option<Sender<Closing>>>,
}

/// A file to be closed, and its device, which is kept until then.
type Closing = (OwnedFd, Arc<Device>);

impl Device {
    /// The device with this number, which contains `file`, a file or a folder. Blocks.
    pub(crate) fn of(number: u64, file: BorrowedFd<'_>) -> Arc<Self> {
        let known = lock(&DEVICES).get(&number).and_then(Weak::upgrade);
        let is_in_use = |known: &Self| known.open_files.load(Ordering::Relaxed) > 0;
        if let Some(known) = known.as_ref().filter(|known| is_in_use(known)) {
            return Arc::clone(known);
        }
        let file_system = type_of(file);
        if let Some(known) = known.filter(|known| known.file_system == file_system) {
            return known;
        }
        let (access, timed) = access_to(file_system);
        let new = Arc::new(Self::new(number, file_system, access, timed));
        let mut devices = lock(&DEVICES);
        if let Some(known) = devices.get(&number).and_then(Weak::upgrade)
            && known.file_system == file_system
        {
            return known;
        }
        devices.retain(|_, device| device.strong_count() > 0);
        devices.insert(number, Arc::downgrade(&new));
        new
    }

    pub(super) fn new(number: u64, file_system: u32, access: Access, timed: bool) -> Self {
        let (slow, open_files, closing, closer) = Default::default();
        Self { number, file_system, access, timed, slow, open_files, closing, closer }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Counts an open file, until [`Device::close`], or the thread that it uses, has closed it.
    pub(crate) fn add_open_file(&self) {
        self.open_files.fetch_add(1, Ordering::Relaxed);
    }

    /// How its files are sent now.
    pub(crate) fn access(&self) -> Access {
        if self.timed && self.slow.load(Ordering::Relaxed) { Access::Thread } else { self.access }
    }

    /// Whether opening a file of this device never waits, if the kernel has the file in memory.
    pub(crate) fn opens_at_once(&self) -> bool {
        self.access() != Access::Thread && self.file_system != OVERLAY
    }

    /// The group of the jobs that read the file with this inode: one of [`PARTS`] of the device.
    pub(crate) fn job_group(&self, inode: u64) -> JobGroup {
        // Served folders have job groups, too, with small numbers. The top bit distinguishes
        // devices.
        let root = 1 << 31 | (self.number >> 32 << 20 ^ self.number) as u32;
        JobGroup { root, part: (inode % PARTS) as u32 }
    }

    /// Whether the event loop times its calls for files of this device, since they may be slow.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// Records how long a call for a file of this device took: sending from it, for example. After
    /// a slow call, the event loop makes no such calls until the device has recovered.
    pub(crate) fn record_send(&self, took: Duration) {
        if took > SLOW_READ && !self.slow.swap(true, Ordering::Relaxed) {
            debug!(
                device = self.number,
                ?took,
                "file system is slow: reading its files by threads"
            );
        }
    }

    /// Records how long a read took.
    pub(crate) fn record_read(&self, took: Duration) {
        if took < QUICK_READ && self.slow.load(Ordering::Relaxed) {
            self.slow.store(false, Ordering::Relaxed);
            debug!(device = self.number, "file system has recovered");
        }
        self.record_send(took);
    }

    /// Whether [`MAX_WAITING_TO_CLOSE`] is reached.
    pub(crate) fn has_closing_backlog(&self) -> bool {
        self.closing.load(Ordering::Relaxed) >= MAX_WAITING_TO_CLOSE
    }

    /// Closes a file of `size` bytes: on another thread, if this one is an event loop and closing
    /// may block.
    pub(crate) fn close(self: &Arc<Self>, file: OwnedFd, size: u64) {
        let may_block = self.access() == Access::Thread || size >= MIN_SLOW_CLOSE;
        if IS_EVENT_LOOP.get()
            && may_block
            && let Some(closer) = self.closer.get_or_init(start_closer)
        {
            self.closing.fetch_add(1, Ordering::Relaxed);
            let _ = closer.send((file, Arc::clone(self)));
        } else {
            drop(file);
            self.open_files.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Marks this thread as an event loop, which must not block.
pub(crate) fn mark_event_loop() {
    IS_EVENT_LOOP.set(true);
}

/// Starts a thread that closes files until the device is dropped.
fn start_closer() -> Option<Sender<Closing>> {
    let (sender, receiver) = channel::<Closing>();
    let close = move || {
        for (file, device) in receiver {
            drop(file);
            device.open_files.fetch_sub(1, Ordering::Relaxed);
            device.closing.fetch_sub(1, Ordering::Relaxed);
        }
    };
    thread::Builder::new().name("sockeye-close".into()).spawn(close).ok().map(|_| sender)
}

/// The type of the file system of `file`.
fn type_of(file: BorrowedFd<'_>) -> u32 {
    // The field's width differs between architectures; all magic numbers have 32 bits.
    rustix::fs::fstatfs(file).map_or(0, |stat| stat.f_type as u32)
}

/// Whether the files of the file system that contains `file` are as long as their sizes say.
pub(crate) fn has_known_sizes(file: BorrowedFd<'_>) -> bool {
    !MADE_BY_KERNEL.contains(&type_of(file))
}

/// How files of this type of file system are sent, and whether its reads are timed.
fn access_to(file_system: u32) -> (Access, bool) {
    match file_system {
        OVERLAY => (Access::Direct, true),
        kind if IN_MEMORY.contains(&kind) => (Access::Direct, false),
        kind if ON_DISK.contains(&kind) => (Access::Probe, true),
        _ => (Access::Thread, false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn slow_disks_are_read_by_threads_until_they_recover() {
        let disk = Device::new(7, 0, Access::Probe, true);
        let [quick, fair, slow] = [9, 10, 101].map(Duration::from_millis);
        disk.record_send(SLOW_READ);
        assert_eq!(disk.access(), Access::Probe);
        disk.record_send(slow);
        disk.record_read(fair);
        assert_eq!(disk.access(), Access::Thread);
        disk.record_read(quick);
        assert_eq!(disk.access(), Access::Probe);
        disk.record_read(slow);
        assert_eq!(disk.access(), Access::Thread);
        let overlay = Device::new(7, 0, Access::Direct, true);
        assert_eq!(overlay.access(), Access::Direct);
        overlay.record_send(slow);
        assert_eq!(overlay.access(), Access::Thread);
        let memory = Device::new(7, 0, Access::Direct, false);
        memory.record_send(slow);
        assert_eq!(memory.access(), Access::Direct);
    }

    #[test]
    fn files_of_an_overlay_are_opened_by_threads() {
        for (file_system, at_once) in
            [(IN_MEMORY[0], true), (ON_DISK[0], true), (OVERLAY, false), (0, false)]
        {
            let (access, timed) = access_to(file_system);
            let device = Device::new(7, file_system, access, timed);
            assert_eq!(device.opens_at_once(), at_once, "{file_system:x}");
        }
    }

    #[test]
    fn loops_leave_closing_that_may_block_to_a_thread() {
        mark_event_loop();
        for (access, size, by_thread) in [
            (Access::Thread, 1, true),
            (Access::Probe, MIN_SLOW_CLOSE, true),
            (Access::Probe, MIN_SLOW_CLOSE - 1, false),
            (Access::Direct, 1, false),
        ] {
            let device = Arc::new(Device::new(7, 0, access, access == Access::Probe));
            let (sender, receiver) = channel();
            device.closer.set(Some(sender)).unwrap();
            let (mut reader, writer) = std::io::pipe().unwrap();
            device.add_open_file();
            device.close(writer.into(), size);
            let sent = receiver.try_recv();
            assert_eq!(sent.is_ok(), by_thread, "{access:?} {size}");
            drop(sent);
            assert_eq!(reader.read(&mut [0]).unwrap(), 0, "it is closed");
        }
    }

    #[test]
    fn jobs_close_files_themselves() {
        let device = Arc::new(Device::new(7, 0, Access::Thread, false));
        let (sender, receiver) = channel();
        device.closer.set(Some(sender)).unwrap();
        let (_reader, writer) = std::io::pipe().unwrap();
        device.add_open_file();
        thread::scope(|scope| scope.spawn(|| device.close(writer.into(), 1)).join()).unwrap();
        assert!(receiver.try_recv().is_err());
        assert_eq!(device.open_files.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn devices_are_kept_while_a_file_is_open() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let device = Device::of(u64::MAX, file.as_fd());
        assert!(Arc::ptr_eq(&device, &Device::of(u64::MAX, file.as_fd())));
        let (_reader, writer) = std::io::pipe().unwrap();
        device.add_open_file();
        device.close(writer.into(), 1);
        let known = Arc::downgrade(&device);
        drop(device);
        while known.strong_count() > 0 {
            thread::yield_now();
        }
        let new = Device::of(u64::MAX, file.as_fd());
        assert!(!Weak::ptr_eq(&known, &Arc::downgrade(&new)));
    }

    #[test]
    fn a_number_that_another_file_system_reuses_is_another_device() {
        let [proc, memory] =
            ["/proc/self/stat", "/dev/null"].map(|path| std::fs::File::open(path).unwrap());
        let device = Device::of(u64::MAX - 1, proc.as_fd());
        assert!(Arc::ptr_eq(&device, &Device::of(u64::MAX - 1, proc.as_fd())));
        // While a file is open, the number can't be reused.
        device.add_open_file();
        assert!(Arc::ptr_eq(&device, &Device::of(u64::MAX - 1, memory.as_fd())));
        device.open_files.fetch_sub(1, Ordering::Relaxed);
        let new = Device::of(u64::MAX - 1, memory.as_fd());
        assert_eq!((device.access(), new.access()), (Access::Thread, Access::Direct));
    }

    #[test]
    fn file_system_types_decide_access() {
        for (path, access) in [("/dev/null", Access::Direct), ("/proc/self/stat", Access::Thread)] {
            let file = std::fs::File::open(path).unwrap();
            assert_eq!(access_to(type_of(file.as_fd())).0, access, "{path}");
        }
    }

    #[test]
    fn no_more_files_are_opened_where_closing_hangs() {
        let device = Device::new(7, 0, Access::Thread, false);
        device.closing.store(MAX_WAITING_TO_CLOSE - 1, Ordering::Relaxed);
        assert!(!device.has_closing_backlog());
        device.closing.fetch_add(1, Ordering::Relaxed);
        assert!(device.has_closing_backlog());
    }
}
