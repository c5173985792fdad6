//! Sends from files that fail, and waits, on real sockets.

use std::io::{IoSlice, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use sockeye_proto::{Access, FileRange, FileSource, Validity};

use super::*;
use crate::driver::{QUANTUM, SendStatus};

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
    let mut socket = socket_of(ours);
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

/// A file that needs no probe, and counts the calls of `record_send`.
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
    fn record_send(&self, _: Duration) {
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
        let mut socket = socket_of(ours);
        let mut driver = Epoll::new().unwrap();
        let Sending::Done(sent) = driver.send(&mut socket, out) else { unreachable!() };
        assert_eq!((sent.count, driver.calls().sendfile), (10, 1));
        assert_eq!(overlay.noted.load(Ordering::Relaxed), usize::from(timed));
    }
}

/// Receives what `peer` has sent before it closed its side, as the worker does. Returns the bytes
/// of each receive.
fn receive_all(fd: impl Into<OwnedFd>) -> Vec<Vec<u8>> {
    let (mut driver, mut socket) = (Epoll::new().unwrap(), socket_of(fd));
    driver.watch(&mut socket).unwrap();
    // The bytes before the end have arrived, too.
    let (mut events, mut has_ended) = (Vec::new(), false);
    while !has_ended {
        driver.wait(driver.now(), None, &mut events).unwrap();
        has_ended =
            events.drain(..).any(|event| matches!(event, IoEvent::Ready { ended: true, .. }));
    }
    let mut all = Vec::new();
    loop {
        let received = driver.receive(&mut socket).unwrap();
        all.push(received.bytes.to_vec());
        if !received.more {
            return all;
        }
    }
}

#[test]
fn input_behind_urgent_data_is_received() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let ours = listener.accept().unwrap().0;
    ours.set_nonblocking(true).unwrap();
    let peer = SockRef::from(&peer);
    peer.send(b"one").unwrap();
    peer.send_out_of_band(b"!").unwrap();
    peer.send(b"two").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    // The urgent byte is not part of the input.
    assert_eq!(receive_all(ours), [b"one", b"two"]);
}

#[test]
fn input_behind_descriptors_is_received() {
    for count in [0, 1] {
        let (ours, peer) = UnixStream::pair().unwrap();
        let descriptors = [peer.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if count > 0 {
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        }
        sendmsg(&peer, &[IoSlice::new(b"one")], &mut control, SendFlags::empty()).unwrap();
        SockRef::from(&peer).send(b"two").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let received = receive_all(ours);
        assert_eq!(received.concat(), b"onetwo");
        // Without descriptors, one call receives everything.
        assert_eq!(received.len(), 1 + count);
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

#[test]
fn a_watched_listener_is_reported_as_long_as_a_connection_waits() {
    let queue = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    queue.set_nonblocking(true).unwrap();
    let address = queue.local_addr().unwrap();
    let connect = || std::net::TcpStream::connect(address).unwrap();
    // Two descriptors of the socket, as if another process shared it.
    let mut listener = Listener::tcp(queue.try_clone().unwrap().into());
    let mut driver = Epoll::new().unwrap();
    let reported = |driver: &mut Epoll| {
        let mut events = Vec::new();
        driver.wait(Time::ZERO, Some(Time::ZERO), &mut events).unwrap();
        assert!(events.iter().all(|event| matches!(event, IoEvent::ListenerReady(7))));
        events.len()
    };

    driver.watch_listener(&mut listener, 7).unwrap();
    assert_eq!(reported(&mut driver), 0);
    let _first = connect();
    assert_eq!([reported(&mut driver), reported(&mut driver)], [1, 1]);
    driver.unwatch_listener(&mut listener);
    assert_eq!(reported(&mut driver), 0);
    driver.watch_listener(&mut listener, 7).unwrap();
    assert_eq!(reported(&mut driver), 1);
    driver.accept(&mut listener).unwrap();
    assert_eq!(reported(&mut driver), 0);

    let _second = connect();
    driver.close_listener(listener);
    assert_eq!(reported(&mut driver), 0, "the listener is closed");
}

/// Sends before a FIN, and closes with unread input. Returns whether the bytes were held back, and
/// what the peer received.
fn sent_before_fin() -> (bool, Vec<u8>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut socket = socket_of(listener.accept().unwrap().0);
    let mut driver = Epoll::new().unwrap();
    let mut out = Box::new(Output::new());
    out.write(b"some ");
    out.write_shared(b"shared ".to_vec().into());
    out.write(b"bytes");
    let Sending::Done(sent) = driver.send_before_fin(&mut socket, out) else { unreachable!() };
    assert!(matches!(sent.status, SendStatus::Ready) && sent.count == 17, "{sent:?}");
    peer.set_nonblocking(true).unwrap();
    let is_held_back = peer.peek(&mut [0; 9]).is_err();
    peer.set_nonblocking(false).unwrap();
    io::Write::write_all(&mut peer, b"unread").unwrap();
    driver.close(socket);
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    (is_held_back, received)
}

#[test]
fn bytes_that_are_held_back_for_the_fin_arrive_although_there_is_unread_input() {
    // The kernel holds them back for 200 ms at most, which may have passed on a busy machine.
    let mut attempts = (0..100).map(|_| sent_before_fin());
    let is_held_back = attempts.any(|(is_held_back, received)| {
        assert_eq!(received, b"some shared bytes");
        is_held_back
    });
    assert!(is_held_back);
}

/// The bytes of a file by their offset. Reads of it are counted.
#[derive(Debug)]
struct Numbers {
    /// Where the content ends.
    end: u64,
    access: Access,
    validity: Validity,
    reads: AtomicUsize,
}

impl Numbers {
    fn new() -> Self {
        let (access, validity) = (Access::Direct, Validity::Valid);
        Self { end: u64::MAX, access, validity, reads: AtomicUsize::new(0) }
    }
}

impl FileSource for Numbers {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let count = self.end.saturating_sub(offset).min(buffer.len() as u64) as usize;
        (offset..).zip(&mut buffer[..count]).for_each(|(at, to)| *to = (at % 251) as u8);
        Ok(count)
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn access(&self) -> Access {
        self.access
    }
    fn check(&self) -> Validity {
        self.validity
    }
}

const FRAME: u64 = 16 * 1024;

/// Writes a frame whose content begins at the `number`th frame of the file.
fn write_frame(out: &mut Output, source: &Arc<Numbers>, number: u64) {
    out.write(&[number as u8; 9]);
    let source = Arc::<Numbers>::clone(source);
    out.write_file(FileRange { source, offset: number * FRAME, len: FRAME });
}

fn is_frame(bytes: &[u8], number: u64) -> bool {
    let (head, content) = bytes.split_at(9);
    head == [number as u8; 9]
        && (number * FRAME..).zip(content).all(|(at, got)| *got == (at % 251) as u8)
}

fn socket_of(fd: impl Into<OwnedFd>) -> Socket {
    let fd = fd.into();
    let is_unix = SockRef::from(&fd).local_addr().unwrap().is_unix();
    Socket::new(fd, is_unix)
}

/// Sends `out` until it is empty, reading what arrives. Returns that, and the driver.
fn send_all(fd: impl Into<OwnedFd>, mut peer: impl Read, mut out: Box<Output>) -> (Vec<u8>, Epoll) {
    let (mut driver, mut socket, mut arrived) = (Epoll::new().unwrap(), socket_of(fd), Vec::new());
    while !out.is_empty() {
        let Sending::Done(sent) = driver.send(&mut socket, out) else { unreachable!() };
        assert!(matches!(sent.status, SendStatus::Ready | SendStatus::Blocked), "{sent:?}");
        let before = arrived.len();
        arrived.resize(before + sent.count as usize, 0);
        peer.read_exact(&mut arrived[before..]).unwrap();
        out = sent.out;
    }
    (arrived, driver)
}

#[test]
fn frames_of_files_are_read_and_sent_together() {
    let source = Arc::new(Numbers::new());
    let mut out = Box::new(Output::new());
    (0..16).for_each(|number| write_frame(&mut out, &source, number));
    out.write(b"end");
    let (ours, theirs) = UnixStream::pair().unwrap();
    sockopt::set_socket_send_buffer_size(&ours, 1 << 20).unwrap();
    let (arrived, driver) = send_all(ours, theirs, out);
    let (frames, end) = arrived.split_at(16 * (9 + FRAME as usize));
    assert!((0..).zip(frames.chunks(9 + FRAME as usize)).all(|(at, frame)| is_frame(frame, at)));
    assert_eq!(end, b"end");
    let calls = driver.calls();
    assert!(calls.send <= 3, "{calls:?}");
    assert_eq!((calls.sendfile, source.reads.load(Ordering::Relaxed)), (0, 2));
}

#[test]
fn frames_of_several_files_are_sent_together_and_each_run_of_frames_is_read_at_once() {
    let files = [Arc::new(Numbers::new()), Arc::new(Numbers::new())];
    let mut out = Box::new(Output::new());
    // A run has one or two frames. The last one repeats a frame, so it continues no other.
    let frames = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (1, 2), (1, 2)];
    for (file, number) in frames {
        write_frame(&mut out, &files[file], number);
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    sockopt::set_socket_send_buffer_size(&ours, 1 << 20).unwrap();
    let (arrived, driver) = send_all(ours, theirs, out);
    assert_eq!(arrived.len(), frames.len() * (9 + FRAME as usize));
    for ((_, number), frame) in frames.into_iter().zip(arrived.chunks(9 + FRAME as usize)) {
        assert!(is_frame(frame, number), "frame {number}");
    }
    let reads = files.map(|file| file.reads.load(Ordering::Relaxed));
    assert_eq!((driver.calls().send, driver.calls().sendfile, reads), (1, 0, [2, 3]));
}

#[test]
fn what_the_socket_does_not_take_of_frames_is_sent_later() {
    let source = Arc::new(Numbers::new());
    let mut out = Box::new(Output::new());
    (0..40).for_each(|number| write_frame(&mut out, &source, number));
    out.write_file(FileRange { source: source.clone(), offset: 40 * FRAME, len: 10 * FRAME });
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    sockopt::set_socket_send_buffer_size(&ours, 20_000).unwrap();
    let (arrived, _) = send_all(ours, theirs, out);
    let (frames, long) = arrived.split_at(40 * (9 + FRAME as usize));
    assert!((0..).zip(frames.chunks(9 + FRAME as usize)).all(|(at, frame)| is_frame(frame, at)));
    assert!((40 * FRAME..).zip(long).all(|(at, got)| *got == (at % 251) as u8));
    assert_eq!(long.len() as u64, 10 * FRAME);
}

#[test]
fn frames_end_before_a_file_that_has_changed_or_that_a_thread_must_read() {
    for (last, expected, len) in [
        (
            Numbers { validity: Validity::Changed, ..Numbers::new() },
            "FileChanged",
            2 * (9 + FRAME) + 9,
        ),
        (
            Numbers { validity: Validity::Unknown, ..Numbers::new() },
            "NeedsRead",
            2 * (9 + FRAME) + 9,
        ),
        (Numbers { access: Access::Thread, ..Numbers::new() }, "NeedsRead", 2 * (9 + FRAME) + 9),
        (Numbers { end: 2 * FRAME, ..Numbers::new() }, "FileChanged", 2 * (9 + FRAME) + 9),
        (Numbers { end: 2 * FRAME + 5, ..Numbers::new() }, "FileChanged", 2 * (9 + FRAME) + 9 + 5),
    ] {
        let (source, last) = (Arc::new(Numbers::new()), Arc::new(last));
        let mut out = Box::new(Output::new());
        (0..2).for_each(|number| write_frame(&mut out, &source, number));
        write_frame(&mut out, &last, 2);
        write_frame(&mut out, &source, 3);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut driver = Epoll::new().unwrap();
        let Sending::Done(sent) = driver.send(&mut socket_of(ours), out) else { unreachable!() };
        assert_eq!((format!("{:?}", sent.status), sent.count), (expected.to_owned(), len));
    }
}

#[test]
fn frames_that_are_read_together_end_where_their_file_does() {
    for missing in [0, 5, FRAME] {
        let source = Arc::new(Numbers { end: 3 * FRAME - missing, ..Numbers::new() });
        let mut out = Box::new(Output::new());
        (0..4).for_each(|number| write_frame(&mut out, &source, number));
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (mut driver, mut socket) = (Epoll::new().unwrap(), socket_of(ours));
        let Sending::Done(sent) = driver.send(&mut socket, out) else { unreachable!() };
        // The header of the frame that lacks content is sent, with what there is of its content.
        let headers = 3 + u64::from(missing == 0);
        assert_eq!(format!("{:?}", sent.status), "FileChanged");
        assert_eq!(sent.count, headers * 9 + 3 * FRAME - missing);
    }
}

#[test]
fn the_end_of_a_changed_file_is_not_sent_after_a_full_quantum() {
    // The range begins before the end of the quantum, and ends after the tail that may follow.
    let (before, len) = (QUANTUM as usize - 1_000, 7_000);
    let source = Arc::new(Numbers { validity: Validity::Changed, ..Numbers::new() });
    let mut out = Box::new(Output::new());
    out.write_shared(vec![0; before].into());
    out.write_file(FileRange { source, offset: 0, len });
    let (ours, _theirs) = UnixStream::pair().unwrap();
    sockopt::set_socket_send_buffer_size(&ours, 1 << 20).unwrap();
    let (mut driver, mut socket) = (Epoll::new().unwrap(), socket_of(ours));
    let Sending::Done(first) = driver.send(&mut socket, out) else { unreachable!() };
    assert_eq!(format!("{:?}", first.status), "Ready");
    assert!(first.count < before as u64 + len, "the whole range was sent, and not checked");
    let Sending::Done(second) = driver.send(&mut socket, first.out) else { unreachable!() };
    assert_eq!((format!("{:?}", second.status), second.count), ("FileChanged".to_owned(), 0));
}

#[test]
fn a_limit_of_unsent_bytes_is_set_on_the_socket() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut socket = socket_of(ours);
    let mut driver = Epoll::new().unwrap();
    driver.limit_unsent(&mut socket, 70_000);
    assert_eq!(SockRef::from(&socket.fd).tcp_notsent_lowat().unwrap(), 70_000);
    // Without an effect, and without an error.
    driver.limit_unsent(&mut socket_of(UnixStream::pair().unwrap().0), 70_000);
}
