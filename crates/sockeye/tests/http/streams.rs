//! Responses that are sent piece by piece.

use std::collections::VecDeque;
use std::iter;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use sockeye::http::{
    Body, BodySource, Bytes, Event, HeaderMap, HeaderValue, Reply, Request, Response, Sender,
    SourceNext, SourceWaker, TrySendError,
};

use crate::client::{Client, serve, stop};

/// Serves responses, and passes their senders to the test.
fn senders(
    reply: fn(mpsc::Sender<Sender>, &Request<Body>) -> Reply,
) -> (sockeye::http::Serving, String, mpsc::Receiver<Sender>) {
    let (out, senders) = mpsc::channel();
    let (serving, address) = serve(move |request: Request<Body>| reply(out.clone(), &request));
    (serving, address, senders)
}

fn stream(out: mpsc::Sender<Sender>, _: &Request<Body>) -> Reply {
    let head = Response::builder().header("trailer", "x-sum").body(()).unwrap();
    Reply::stream(head, move |sender| out.send(sender).unwrap())
}

fn of_ten(out: mpsc::Sender<Sender>, request: &Request<Body>) -> Reply {
    let length = Response::builder().header("content-length", "10").body(()).unwrap();
    let length = if request.uri().path() == "/none" { Response::new(()) } else { length };
    Reply::stream(length, move |sender| out.send(sender).unwrap())
}

#[test]
fn a_thread_sends_piece_by_piece_and_ends_with_trailers() {
    let (serving, address, senders) = senders(stream);
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let sender = senders.recv().unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let response = client.response_head();
    assert_eq!(response.field("transfer-encoding"), Some("chunked"));
    assert_eq!(response.field("trailer"), Some("x-sum"));
    sender.send("first").unwrap();
    assert_eq!(client.chunk().unwrap(), b"first");
    // An empty piece sends nothing, and is not the end.
    sender.send("").unwrap();
    sender.try_send(vec![b'x'; 5000]).unwrap();
    assert_eq!(client.chunk().unwrap(), [b'x'; 5000]);
    sender.finish_with(trailers);
    assert_eq!(client.chunk(), None);
    // The connection stays open after the trailers.
    client.head("GET /", &[]);
    senders.recv().unwrap().finish();
    let mut rest = Client::new(&address);
    rest.head("GET /", &["Connection: close"]);
    let sender = senders.recv().unwrap();
    sender.send("last").unwrap();
    sender.finish();
    assert_eq!(rest.response().text(), "last");
    drop((client, rest));
    stop(serving);
}

#[test]
fn a_stream_that_breaks_its_content_length_is_cut() {
    let (serving, address, senders) = senders(of_ten);
    for (pieces, whole) in [(&["12345", "67890"][..], true), (&["12345"], false)] {
        let mut client = Client::new(&address);
        client.head("GET /", &[]);
        let sender = senders.recv().unwrap();
        for piece in pieces {
            sender.send(*piece).unwrap();
        }
        sender.finish();
        assert_eq!(client.response_head().field("content-length"), Some("10"));
        if whole {
            client.head("GET /none", &["Connection: close"]);
            senders.recv().unwrap().finish();
        }
        let rest = client.rest();
        assert_eq!(rest.starts_with(b"1234567890HTTP/1.1 200 OK\r\n"), whole);
        assert_eq!(rest == b"12345", !whole);
    }
    // More than the Content-Length would be read as another response.
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let sender = senders.recv().unwrap();
    sender.send("12345678901").unwrap();
    client.response_head();
    assert!(client.rest().len() <= 10);
    drop(client);
    stop(serving);
    assert!(sender.is_gone());
}

#[test]
fn a_sender_that_is_dropped_cuts_the_response() {
    let (serving, address, senders) = senders(stream);
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let sender = senders.recv().unwrap();
    sender.send("some").unwrap();
    drop(sender);
    client.response_head();
    assert_eq!(client.rest(), b"4\r\nsome\r\n");
    assert_eq!(stop(serving).closed_for("response_aborted"), 1);
}

#[test]
fn a_response_to_head_starts_no_sender() {
    let (serving, address, senders) = senders(of_ten);
    let mut client = Client::new(&address);
    assert_eq!(client.request("HEAD /").field("content-length"), Some("10"));
    assert_eq!(client.request("HEAD /none").field("transfer-encoding"), Some("chunked"));
    assert!(senders.try_recv().is_err());
    drop(client);
    stop(serving);
}

#[test]
fn a_fast_sender_waits_for_a_slow_client_and_fails_when_it_leaves() {
    let (serving, address, senders) = senders(stream);
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let sender = senders.recv().unwrap();
    // The client reads nothing, so the kernel's buffers, the output and the sender's queue fill up.
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let mut refused = 0;
    let mut sent = 0;
    while refused < 1000 {
        match sender.try_send(piece.clone()) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(TrySendError::Full(back)) => {
                assert_eq!(back.len(), piece.len());
                refused += 1;
                thread::yield_now();
            }
            Err(TrySendError::ClientGone(_)) => panic!("the client is there"),
        }
        assert!(sent < 1000, "there is no backpressure");
    }
    // A blocked sender is woken when the client leaves.
    let sending = thread::spawn(move || {
        while sender.send(piece.clone()).is_ok() {}
        assert!(sender.is_gone());
    });
    drop(client);
    sending.join().unwrap();
    stop(serving);
}

#[test]
fn a_late_piece_does_not_get_into_the_next_response() {
    let (serving, address, senders) = senders(of_ten);
    let mut client = Client::new(&address);
    client.head("GET /none", &[]);
    let old = senders.recv().unwrap();
    old.send("old").unwrap();
    assert_eq!(client.response_head().status, 200);
    assert_eq!(client.chunk().unwrap(), b"old");
    old.finish();
    assert_eq!(client.chunk(), None);
    // The blank line after the trailers is read with the next response's head.
    client.head("GET /", &[]);
    let new = senders.recv().unwrap();
    new.send("0123456789").unwrap();
    new.finish();
    client.head("GET /none", &["Connection: close"]);
    let last = senders.recv().unwrap();
    drop(last);
    let rest = String::from_utf8(client.rest()).unwrap();
    assert!(rest.starts_with("\r\nHTTP/1.1 200 OK\r\n"), "{rest}");
    assert!(rest.contains("\r\n\r\n0123456789HTTP/1.1 200 OK\r\n"), "{rest}");
    stop(serving);
}

#[test]
fn events_arrive_one_by_one_and_draining_completes_the_response() {
    let (serving, address, senders) =
        senders(|out, _| Reply::events(move |sender| out.send(sender).unwrap()));
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let sender = senders.recv().unwrap();
    let head = client.response_head();
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    for count in 0..3 {
        sender.send(Event::new(&count.to_string()).name("count")).unwrap();
        let text = format!("data: {count}\nevent: count\n\n");
        assert_eq!(client.chunk().unwrap(), text.as_bytes());
    }
    serving.handle().drain();
    assert_eq!(client.chunk(), None);
    assert!(serving.join().unwrap().cut == 0);
    assert!(sender.send("nobody").is_err());
}

#[test]
fn a_stream_can_be_completed_while_the_server_drains() {
    let (serving, address, senders) = senders(stream);
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let sender = senders.recv().unwrap();
    serving.handle().drain();
    while !sender.is_stopping() {
        thread::yield_now();
    }
    sender.send("all").unwrap();
    sender.finish();
    assert_eq!(client.response().text(), "all");
    assert_eq!(serving.join().unwrap().cut, 0);
}

#[test]
fn a_sender_never_blocks_on_the_event_loop() {
    let (serving, address) = serve(|_: Request<Body>| {
        Reply::stream(Response::new(()), |sender| while sender.send("more").is_ok() {})
    });
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    client.response_head();
    client.rest();
    assert_eq!(stop(serving).closed_for("handler_panicked"), 1);
}

/// Counts down, with every second step on the pool.
struct Countdown(u32);

impl BodySource for Countdown {
    fn next(mut self: Box<Self>) -> SourceNext {
        match self.0 {
            0 => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-end", HeaderValue::from_static("0"));
                SourceNext::EndWith(trailers)
            }
            13 => SourceNext::Abort,
            left => {
                self.0 -= 1;
                let piece = Bytes::from(format!("{left} "));
                if left % 2 == 0 {
                    SourceNext::Piece(piece, self)
                } else {
                    SourceNext::run(|| SourceNext::Piece(piece, self))
                }
            }
        }
    }
}

#[test]
fn a_source_returns_pieces_and_runs_work() {
    let (serving, address) = serve(|request: Request<Body>| {
        let from = request.uri().path()[1..].parse().unwrap();
        Reply::pull(Response::new(()), Countdown(from))
    });
    let mut client = Client::new(&address);
    let answer = client.request("GET /5");
    assert_eq!((answer.text(), &*answer.trailers), ("5 4 3 2 1 ", "x-end: 0\r\n"));
    assert_eq!(client.request("GET /0").text(), "");
    client.head("GET /15", &[]);
    client.response_head();
    assert_eq!(client.rest(), b"3\r\n15 \r\n3\r\n14 \r\n");
    stop(serving);
}

#[test]
fn a_source_is_called_only_as_fast_as_the_client_reads() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const PIECES: usize = 2000;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let (serving, address) = serve(move |_: Request<Body>| {
        let count = Arc::clone(&count);
        // Empty pieces send nothing.
        Reply::pieces(
            Response::new(()),
            (0..PIECES * 2).map(move |at| {
                count.fetch_add(1, Ordering::Relaxed);
                vec![b'x'; if at % 2 == 0 { 64 * 1024 } else { 0 }]
            }),
        )
    });
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    client.response_head();
    // 125 MiB is more than the kernel and the server buffer.
    let mut seen = 0;
    let mut same = 0;
    while same < 1000 {
        let now = taken.load(Ordering::Relaxed);
        (same, seen) = if now == seen { (same + 1, seen) } else { (0, now) };
        thread::yield_now();
        assert!(seen < PIECES * 2, "all were taken, though the client doesn't read");
    }
    let mut bytes = 0;
    while let Some(chunk) = client.chunk() {
        bytes += chunk.len();
    }
    assert_eq!(bytes, PIECES * 64 * 1024);
    drop(client);
    stop(serving);
}

/// Returns only empty pieces, each from a job.
struct Empty;

impl BodySource for Empty {
    fn next(self: Box<Self>) -> SourceNext {
        SourceNext::run(move || SourceNext::Piece(Bytes::new(), self))
    }
}

#[test]
fn endless_empty_pieces_abort_the_response() {
    let (serving, address) = serve(|request: Request<Body>| match request.uri().path() {
        "/loop" => Reply::pieces(Response::new(()), iter::repeat(Bytes::new())),
        "/pool" => Reply::pull(Response::new(()), Empty),
        // The maximum number in a row.
        _ => Reply::pieces(
            Response::new(()),
            (1..=3 * 1024).map(|at| if at % 1024 == 0 { "x" } else { "" }),
        ),
    });
    let mut client = Client::new(&address);
    // Each response has its own count.
    for _ in 0..2 {
        assert_eq!(client.request("GET /some").text(), "xxx");
    }
    for path in ["/loop", "/pool"] {
        let mut client = Client::new(&address);
        client.head(&format!("GET {path}"), &[]);
        client.response_head();
        assert_eq!(client.rest(), b"", "there is no last chunk");
    }
    drop(client);
    assert_eq!(stop(serving).closed_for("empty_body_pieces"), 2);
}

/// Returns the pieces in the queue, and waits if it is empty.
struct QueueSource {
    queue: Arc<Mutex<VecDeque<Step>>>,
}

/// A step of [`QueueSource`].
enum Step {
    Piece(Bytes),
    /// In a job: sends a message, and waits for one. Then the source waits without checking the
    /// queue.
    Run(mpsc::Sender<()>, mpsc::Receiver<()>),
    End,
}

impl BodySource for QueueSource {
    fn next(self: Box<Self>) -> SourceNext {
        let next = self.queue.lock().unwrap().pop_front();
        match next {
            None => SourceNext::Wait(self),
            Some(Step::Piece(piece)) => SourceNext::Piece(piece, self),
            Some(Step::Run(begun, proceed)) => SourceNext::run(move || {
                begun.send(()).unwrap();
                proceed.recv().unwrap();
                SourceNext::Wait(self)
            }),
            Some(Step::End) => SourceNext::End,
        }
    }
}

/// Serves responses from one queue, and passes their wakers to the test.
fn queued()
-> (sockeye::http::Serving, String, Arc<Mutex<VecDeque<Step>>>, mpsc::Receiver<SourceWaker>) {
    let queue = Arc::<Mutex<VecDeque<Step>>>::default();
    let (out, wakers) = mpsc::channel();
    let ours = Arc::clone(&queue);
    let (serving, address) = serve(move |_: Request<Body>| {
        let (out, queue) = (out.clone(), Arc::clone(&ours));
        Reply::follow(Response::new(()), move |waker| {
            out.send(waker).unwrap();
            QueueSource { queue }
        })
    });
    (serving, address, queue, wakers)
}

#[test]
fn a_waiting_source_is_called_again_when_it_is_woken() {
    let (serving, address, queue, wakers) = queued();
    let push = |piece: &'static str| {
        queue.lock().unwrap().push_back(Step::Piece(piece.into()));
    };
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let waker = wakers.recv().unwrap();
    assert_eq!(client.response_head().status, 200);
    for _ in 0..3 {
        // More than a sender can queue.
        (0..100).for_each(|_| push("said"));
        (0..100).for_each(|_| waker.wake());
        (0..100).for_each(|_| assert_eq!(client.chunk().unwrap(), b"said"));
    }
    // A wake-up during a job of the source is not lost.
    let ((begun, has_begun), (proceed, may_proceed)) = (mpsc::channel(), mpsc::channel());
    queue.lock().unwrap().push_back(Step::Run(begun, may_proceed));
    waker.wake();
    has_begun.recv().unwrap();
    push("meanwhile");
    waker.wake();
    // The same worker processes the wake-up before this request.
    let mut other = Client::new(&address);
    other.head("HEAD /", &[]);
    assert_eq!(other.response_head().status, 200);
    proceed.send(()).unwrap();
    assert_eq!(client.chunk().unwrap(), b"meanwhile");
    assert!(!waker.is_gone());
    // The source ends the response.
    queue.lock().unwrap().push_back(Step::End);
    waker.wake();
    assert_eq!(client.chunk(), None);
    assert!(waker.is_gone());
    // Another response has a waker of its own.
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let next = wakers.recv().unwrap();
    push("next");
    next.wake();
    assert_eq!(client.response_head().status, 200);
    assert_eq!(client.chunk().unwrap(), b"next");
    // Draining completes a response whose source waits.
    serving.handle().drain();
    assert_eq!(client.chunk(), None);
    drop((client, other));
    assert_eq!(serving.join().unwrap().cut, 0);
    assert!(next.is_gone());
}

#[test]
fn a_source_that_nothing_can_wake_aborts_its_response() {
    let (serving, address) = serve(|_: Request<Body>| {
        Reply::pull(Response::new(()), QueueSource { queue: Arc::default() })
    });
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    assert!(!client.rest().ends_with(b"0\r\n\r\n"));
    stop(serving);
}

#[test]
fn wakeups_do_not_exceed_the_output_limit() {
    let (serving, address, queue, wakers) = queued();
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    let waker = wakers.recv().unwrap();
    // The client reads nothing, so the kernel's buffers and the output fill up, and the rest of 100
    // MiB stays in the queue.
    let mut other = Client::new(&address);
    for _ in 0..100 {
        queue.lock().unwrap().push_back(Step::Piece(Bytes::from_static(&[b'.'; 1 << 20])));
        waker.wake();
        // The same worker processes the wake-up before this request.
        other.head("HEAD /", &[]);
        assert_eq!(other.response_head().status, 200);
    }
    assert!(queue.lock().unwrap().len() > 50);
    drop(other);
    drop(client);
    // The source is dropped with its connection.
    crate::client::until(|| waker.is_gone());
    stop(serving);
}
