//! Sends from files that fail, and waits, on real sockets.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye_proto::{FileRange, FileSource};

use super::*;

/// An [`Overlay`] of `file`, which may also be a folder.
fn overlay(file: impl AsRef<std::path::Path>, timed: bool) -> Arc<Overlay> {
    let file = std::fs::File::open(file).unwrap();
    Arc::new(Overlay { file, timed, noted: AtomicUsize::new(0) })
}

/// The status after ten bytes of `source` are sent to a peer that is connected, or has closed.
fn sent_from(source: Arc<dyn FileSource>, is_connected: bool) -> SendStatus {
    let mut out = Box::new(Output::new());
    out.write_file(FileRange { source, offset: 0, len: 10 });
    let (ours, theirs) = UnixStream::pair().unwrap();
    let _theirs = is_connected.then_some(theirs);
    let mut socket =
        Socket { fd: ours.into(), key: Key(0), watched: false, watches_writing: false };
    let Sending::Done(sent) = Epoll::new().unwrap().send(&mut socket, out) else { unreachable!() };
    sent.status
}

/// A file without a descriptor, whose reads fail.
#[derive(Debug)]
struct Broken;

impl FileSource for Broken {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Err(Errno::IO.into())
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[test]
fn a_failure_of_a_file_is_distinguished_from_one_of_the_socket() {
    // A folder can be opened and not read.
    for timed in [true, false] {
        let status = sent_from(overlay(".", timed), true);
        let SendStatus::FileFailed(error) = status else { panic!("{status:?}") };
        assert!(Errno::from_io_error(&error).is_some(), "{error}");
    }
    let status = sent_from(Arc::new(Broken), true);
    let SendStatus::FileFailed(error) = status else { panic!("{status:?}") };
    assert_eq!(Errno::from_io_error(&error), Some(Errno::IO));
    for source in [overlay("Cargo.toml", true), overlay("Cargo.toml", false)] {
        let status = sent_from(source, false);
        let SendStatus::Failed(error) = status else { panic!("{status:?}") };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

/// A file that needs no probe, and counts the calls of `note_send`.
#[derive(Debug)]
struct Overlay {
    file: std::fs::File,
    timed: bool,
    noted: AtomicUsize,
}

impl FileSource for Overlay {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("the kernel sends it")
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
    fn is_timed(&self) -> bool {
        self.timed
    }
    fn note_send(&self, _: Duration) {
        self.noted.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_file_that_needs_no_probe_is_timed_if_it_may_become_slow() {
    for timed in [true, false] {
        let overlay = overlay("Cargo.toml", timed);
        let mut out = Box::new(Output::new());
        out.write_file(FileRange { source: overlay.clone(), offset: 0, len: 10 });
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut socket =
            Socket { fd: ours.into(), key: Key(0), watched: false, watches_writing: false };
        let mut driver = Epoll::new().unwrap();
        let Sending::Done(sent) = driver.send(&mut socket, out) else { unreachable!() };
        assert_eq!((sent.count, driver.calls().sendfile), (10, 1));
        assert_eq!(overlay.noted.load(Ordering::Relaxed), usize::from(timed));
    }
}

#[test]
fn a_wake_up_ends_the_next_wait() {
    let mut driver = Epoll::new().unwrap();
    let waker = driver.waker();
    let mut events = Vec::new();
    for until in [None, Some(Time::NEVER)] {
        waker.wake();
        waker.wake();
        driver.wait(driver.now(), until, &mut events).unwrap();
    }
    driver.wait(driver.now(), Some(Time::ZERO), &mut events).unwrap();
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(driver.calls().wait, 3);
}
