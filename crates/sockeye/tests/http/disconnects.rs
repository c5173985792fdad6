//! Clients that leave, on real sockets.

use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake};
use std::time::Duration;

use sockeye::http::{Body, Bytes, Limits, PendingReply, Reply, Request, Response, Sender};

use crate::client::{Client, TIMEOUT, serve, serve_with, stop, until};

/// `/later` and `/events` pass their `PendingReply` or `Sender` to the test, `/block` blocks the
/// event loop until the test continues it, and other paths are answered at once.
struct Handler {
    pending_replies: mpsc::Sender<PendingReply>,
    senders: mpsc::Sender<Sender>,
    blocked: mpsc::Sender<()>,
    proceed: Mutex<mpsc::Receiver<()>>,
}

impl Handler {
    fn answer(&self, request: &Request<Body>) -> Reply {
        match request.uri().path() {
            "/later" => {
                let pending_replies = self.pending_replies.clone();
                Reply::later(move |pending| pending_replies.send(pending).unwrap())
            }
            "/events" => {
                let senders = self.senders.clone();
                Reply::events(move |sender| senders.send(sender).unwrap())
            }
            "/block" => {
                self.blocked.send(()).unwrap();
                self.proceed.lock().unwrap().recv_timeout(TIMEOUT).unwrap();
                "unblocked".into()
            }
            _ => "at once".into(),
        }
    }
}

/// The test's ends of a [`Handler`].
struct Fixture {
    serving: sockeye::http::Serving,
    address: String,
    pending_replies: mpsc::Receiver<PendingReply>,
    senders: mpsc::Receiver<Sender>,
    blocked: mpsc::Receiver<()>,
    proceed: mpsc::Sender<()>,
}

impl Fixture {
    fn new(half_closed_timeout: Duration) -> Self {
        let (to_pending_replies, pending_replies) = mpsc::channel();
        let (to_senders, senders) = mpsc::channel();
        let (to_blocked, blocked) = mpsc::channel();
        let (proceed, may_proceed) = mpsc::channel();
        let handler = Handler {
            pending_replies: to_pending_replies,
            senders: to_senders,
            blocked: to_blocked,
            proceed: Mutex::new(may_proceed),
        };
        let limits = Limits { half_closed_timeout, ..Limits::default() };
        let answer = move |request: Request<Body>| handler.answer(&request);
        let (serving, address) = serve_with(limits, answer);
        Self { serving, address, pending_replies, senders, blocked, proceed }
    }

    fn client(&self) -> Client {
        Client::new(&self.address)
    }

    fn pending_reply(&self) -> PendingReply {
        self.pending_replies.recv_timeout(TIMEOUT).unwrap()
    }

    fn sender(&self) -> Sender {
        self.senders.recv_timeout(TIMEOUT).unwrap()
    }
}

/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(30);

#[test]
fn a_pending_reply_is_gone_after_a_reset() {
    let fixture = Fixture::new(LONG);
    let mut client = fixture.client();
    client.head("GET /", &[]);
    client.head("GET /later", &[]);
    let pending = fixture.pending_reply();
    assert!(!pending.is_gone());
    client.reset();
    until(|| pending.is_gone());
    assert_eq!(stop(fixture.serving).closed_for("reset"), 1);
}

/// Sends a message for each wake-up.
struct Wakes(mpsc::Sender<()>);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap();
    }
}

#[test]
fn a_future_is_woken_when_a_pending_reply_is_gone() {
    let fixture = Fixture::new(LONG);
    let mut client = fixture.client();
    let (wakes, woken) = mpsc::channel();
    let waker = Arc::new(Wakes(wakes)).into();
    let mut cx = Context::from_waker(&waker);

    client.head("GET /later", &[]);
    let pending = fixture.pending_reply();
    let mut gone = pin!(pending.gone());
    assert!(gone.as_mut().poll(&mut cx).is_pending());
    pending.send("done");
    woken.recv_timeout(TIMEOUT).unwrap();
    assert!(gone.poll(&mut cx).is_ready(), "the response was sent");
    assert_eq!(client.response().text(), "done");

    client.head("GET /", &[]);
    client.head("GET /later", &[]);
    let pending = fixture.pending_reply();
    let mut gone = pin!(pending.gone());
    assert!(gone.as_mut().poll(&mut cx).is_pending());
    assert!(woken.try_recv().is_err());
    client.reset();
    woken.recv_timeout(TIMEOUT).unwrap();
    assert!(gone.poll(&mut cx).is_ready());
    assert_eq!(stop(fixture.serving).closed_for("reset"), 1);
}

#[test]
fn a_reset_right_after_a_request_is_noticed() {
    let fixture = Fixture::new(LONG);
    let mut client = fixture.client();
    client.head("GET /", &[]);
    client.wait();
    let mut other = fixture.client();
    other.head("GET /block", &[]);
    fixture.blocked.recv_timeout(TIMEOUT).unwrap();
    // The loop sees the request and the reset at once.
    client.head("GET /later", &[]);
    client.reset();
    fixture.proceed.send(()).unwrap();
    let pending = fixture.pending_reply();
    until(|| pending.is_gone());
    assert_eq!(other.response().text(), "unblocked");
    drop(other);
    assert_eq!(stop(fixture.serving).closed_for("reset"), 1);
}

#[test]
fn a_sender_is_gone_after_a_reset() {
    let fixture = Fixture::new(LONG);
    let mut client = fixture.client();
    client.head("GET /events", &[]);
    let sender = fixture.sender();
    client.reset();
    until(|| sender.is_gone());
    assert_eq!(stop(fixture.serving).closed_for("reset"), 1);
}

/// Endless pieces. Dropping it sends a message.
struct Pieces(mpsc::Sender<()>);

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        Some(Bytes::from_static(&[b'x'; 64 * 1024]))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_source_is_dropped_when_its_client_resets_the_connection() {
    let (dropped, was_dropped) = mpsc::channel();
    let (serving, address) =
        serve(move |_: Request<Body>| Reply::pieces(Response::new(()), Pieces(dropped.clone())));
    let mut client = Client::new(&address);
    client.head("GET /", &[]);
    client.reset();
    was_dropped.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(stop(serving).closed_for("reset"), 1);
}

#[test]
fn a_silent_stream_to_a_half_closed_client_is_cancelled() {
    // Also with unread requests.
    for behind in [0, 3] {
        let fixture = Fixture::new(SHORT);
        let mut client = fixture.client();
        client.head("GET /events", &[]);
        let sender = fixture.sender();
        for _ in 0..behind {
            client.head("GET /", &[]);
        }
        client.response_head();
        client.end();
        assert_eq!(client.rest(), b"", "there is no last chunk");
        until(|| sender.is_gone());
        assert!(sender.send("nobody").is_err());
        assert_eq!(stop(fixture.serving).closed_for("half_closed_timeout"), 1);
    }
}

#[test]
fn a_silent_stream_is_dropped_after_its_client_closes() {
    const CLIENTS: u64 = 20;
    let fixture = Fixture::new(SHORT);
    let senders: Vec<Sender> = (0..CLIENTS)
        .map(|_| {
            let mut client = fixture.client();
            client.head("GET /events", &[]);
            client.response_head();
            fixture.sender()
        })
        .collect();
    until(|| senders.iter().all(Sender::is_gone));
    assert_eq!(stop(fixture.serving).closed_for("half_closed_timeout"), CLIENTS);
}

#[test]
fn a_half_closed_client_gets_late_and_pipelined_responses() {
    let fixture = Fixture::new(SHORT);
    let mut client = fixture.client();
    client.head("GET /later", &[]);
    client.head("GET /", &[]);
    client.head("GET /later", &[]);
    client.end();
    let pending = fixture.pending_reply();
    // A stream whose client closed its sending side later has timed out.
    let mut other = fixture.client();
    other.head("GET /events", &[]);
    let sender = fixture.sender();
    other.end();
    until(|| sender.is_gone());
    assert!(!pending.is_gone());
    pending.send("first");
    assert_eq!(client.response().text(), "first");
    assert_eq!(client.response().text(), "at once");
    fixture.pending_reply().send("last");
    assert_eq!(client.response().text(), "last");
    assert!(client.is_closed());
    stop(fixture.serving);
}
