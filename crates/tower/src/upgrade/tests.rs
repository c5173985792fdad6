//! Both ends of a pipe, without sockets and threads.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use hyper::rt::{Read, ReadBuf, Write};
use sockeye::proto::harness::Harness;
use sockeye::{End, Reason};

use super::connection_end::ConnectionEnd;
use super::task_end::TaskEnd;

/// A task that counts how often it is woken.
struct Task {
    end: TaskEnd,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn poll<T>(&mut self, poll: impl FnOnce(Pin<&mut TaskEnd>, &mut Context<'_>) -> T) -> T {
        let waker = Waker::from(Arc::clone(&self.woken));
        poll(Pin::new(&mut self.end), &mut Context::from_waker(&waker))
    }

    /// Reads up to `max` bytes.
    fn read(&mut self, max: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut bytes = vec![0; max];
        let mut buffer = ReadBuf::new(&mut bytes);
        let polled = self.poll(|end, cx| end.poll_read(cx, buffer.unfilled()));
        let bytes = buffer.filled().to_vec();
        polled.map_ok(|()| bytes)
    }

    fn read_now(&mut self, max: usize) -> Vec<u8> {
        let Poll::Ready(Ok(bytes)) = self.read(max) else { panic!("no input") };
        bytes
    }

    fn read_error(&mut self) -> ErrorKind {
        let Poll::Ready(Err(error)) = self.read(1) else { panic!("no error") };
        error.kind()
    }

    /// The number of bytes that were written, `None` if there is no room.
    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.poll(|end, cx| end.poll_write(cx, bytes)) {
            Poll::Ready(written) => Some(written.unwrap()),
            Poll::Pending => None,
        }
    }

    fn write_error(&mut self) -> ErrorKind {
        let polled = self.poll(|end, cx| end.poll_write(cx, b"x"));
        let Poll::Ready(Err(error)) = polled else { panic!("no error") };
        error.kind()
    }

    fn shut_down(&mut self) {
        assert!(matches!(self.poll(TaskEnd::poll_shutdown), Poll::Ready(Ok(()))));
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::Relaxed)
    }
}

fn upgraded() -> (Harness, Task) {
    let (connection, end) = ConnectionEnd::new();
    (Harness::new(connection), Task { end, woken: Arc::default() })
}

const KIB: usize = 1024;

#[test]
fn input_waits_until_the_task_reads() {
    let (mut peer, mut task) = upgraded();
    assert!(task.read(1).is_pending());
    let sent: Vec<u8> = (0..200 * KIB).map(|index| (index % 251) as u8).collect();
    peer.input(&sent);
    assert_eq!((task.woken(), peer.unused()), (1, 136 * KIB));
    assert_eq!(peer.charged(), 64 * KIB);
    let mut received = task.read_now(48 * KIB);
    peer.deliver();
    assert_eq!(peer.unused(), 136 * KIB, "not yet");
    received.extend(task.read_now(1));
    peer.deliver();
    assert_eq!(peer.unused(), 136 * KIB - (48 * KIB + 1));
    while received.len() < sent.len() {
        received.extend(task.read_now(10_000)); // Panics without input.
        peer.deliver();
    }
    assert!(received == sent && task.read(1).is_pending());
    assert_eq!((peer.unused(), peer.charged()), (0, 0));
}

#[test]
fn output_waits_until_the_peer_reads() {
    let (mut peer, mut task) = upgraded();
    let piece: Vec<u8> = (0..100 * KIB).map(|index| (index % 251) as u8).collect();
    let mut written = Vec::<u8>::new();
    let mut write = |task: &mut Task| {
        let count = task.write(&piece[written.len() % 251..]);
        written.extend(piece[written.len() % 251..].iter().take(count.unwrap_or(0)));
        count
    };
    assert_eq!((write(&mut task), write(&mut task)), (Some(64 * KIB), None));
    assert_eq!(task.woken(), 0);
    peer.deliver();
    assert_eq!(task.woken(), 1);
    for _ in 0..10 {
        write(&mut task);
        peer.deliver();
    }
    assert_eq!(write(&mut task), None);
    let limit = Harness::ROOM + 64 * KIB;
    assert!((Harness::ROOM..=limit).contains(&peer.held()), "{} bytes", peer.held());
    assert_eq!(peer.charged() - peer.held(), 64 * KIB, "what the pipe holds");
    let woken = task.woken();
    let mut received = peer.output();
    assert_eq!((task.woken(), write(&mut task)), (woken + 1, Some(64 * KIB)));
    peer.deliver();
    received.extend(peer.output());
    assert!(received == written);
    assert_eq!(peer.charged(), 0);
}

#[test]
fn what_a_task_writes_before_the_switch_is_sent() {
    let (connection, end) = ConnectionEnd::new();
    let mut task = Task { end, woken: Arc::default() };
    assert_eq!(task.write(b"first"), Some(5));
    let mut peer = Harness::new(connection);
    assert_eq!(peer.output(), b"first");
}

#[test]
fn a_shutdown_ends_the_output_and_a_drop_the_connection() {
    let (mut peer, mut task) = upgraded();
    task.write(b"last");
    peer.deliver();
    task.shut_down();
    peer.deliver();
    assert_eq!((peer.output(), peer.end()), (b"last".to_vec(), Some(End::Finish)));
    assert_eq!(task.write_error(), ErrorKind::BrokenPipe);
    peer.input(b"more");
    assert_eq!(task.read_now(9), b"more");
    drop(task);
    peer.deliver();
    assert_eq!(peer.end(), Some(End::Linger));

    let (mut peer, mut task) = upgraded();
    task.write(b"last");
    peer.input(&[0; 200 * KIB]);
    drop(task);
    peer.input(b"ignored");
    peer.deliver();
    assert_eq!((peer.output(), peer.end()), (b"last".to_vec(), Some(End::Linger)));
}

#[test]
fn output_is_sent_whole_before_the_end_however_full_it_is() {
    let (mut peer, mut task) = upgraded();
    let mut len = 0;
    for _ in 0..10 {
        len += task.write(&[1; 64 * KIB]).unwrap_or(0);
        peer.deliver();
    }
    drop(task);
    peer.deliver();
    assert_eq!(peer.end(), None, "some of it waits for room");
    let mut received = peer.output();
    received.extend(peer.output());
    assert_eq!((received.len(), peer.end()), (len, Some(End::Linger)));
}

#[test]
fn a_task_reads_everything_before_it_sees_the_end() {
    for (reason, kind) in [
        (Reason::Reset, ErrorKind::ConnectionReset),
        (Reason::WriteStalled, ErrorKind::TimedOut),
        (Reason::Cut, ErrorKind::ConnectionAborted),
    ] {
        let (mut peer, mut task) = upgraded();
        peer.input(b"abc");
        peer.end_for(&reason);
        assert_eq!(task.write_error(), ErrorKind::BrokenPipe);
        assert_eq!(task.read_now(9), b"abc");
        assert_eq!(task.read_error(), kind);
        assert_eq!(task.read_now(9), b"", "an error comes once");
    }
    // After the peer's end, that of the connection is no error.
    let (mut peer, mut task) = upgraded();
    peer.input(b"abc");
    peer.eof();
    assert_eq!(peer.end(), None, "the task may still write");
    assert_eq!((task.read_now(9), task.read_now(9)), (b"abc".to_vec(), Vec::new()));
    assert_eq!(task.write(b"def"), Some(3));
    peer.deliver();
    assert_eq!(peer.output(), b"def");
    peer.end_for(&Reason::Reset);
    assert_eq!((task.read_now(9), task.write_error()), (Vec::new(), ErrorKind::BrokenPipe));
}

#[test]
fn a_task_that_waits_is_woken_by_the_end() {
    let (mut peer, mut task) = upgraded();
    assert!(task.read(1).is_pending());
    peer.eof();
    assert_eq!(task.woken(), 1);
    // Without an event, as after a panic.
    let (connection, end) = ConnectionEnd::new();
    let mut task = Task { end, woken: Arc::default() };
    assert!(task.read(1).is_pending());
    drop(connection);
    assert_eq!((task.woken(), task.read_error()), (1, ErrorKind::ConnectionAborted));
}

#[test]
fn a_drain_leaves_the_task_alone() {
    let (mut peer, mut task) = upgraded();
    peer.drain();
    assert!(task.read(1).is_pending());
    peer.input(b"a");
    assert_eq!((task.read_now(9), peer.end()), (b"a".to_vec(), None));
}
