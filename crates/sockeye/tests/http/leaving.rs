//! Clients that leave, as the kernel tells of it.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use sockeye::http::{Body, Bytes, Limits, PendingReply, Reply, Request, Response, Sender};

use crate::client::{Client, PATIENCE, serve, serve_with, stop, until};

/// `/later` and `/events` hand out what the answer is given by, `/block` has the loop wait for a
/// word, anything else is answered at once.
struct Desk {
    laters: mpsc::Sender<PendingReply>,
    senders: mpsc::Sender<Sender>,
    blocked: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl Desk {
    fn answer(&self, request: &Request<Body>) -> Reply {
        match request.uri().path() {
            "/later" => {
                let laters = self.laters.clone();
                Reply::later(move |later| laters.send(later).unwrap())
            }
            "/events" => {
                let senders = self.senders.clone();
                Reply::events(move |sender| senders.send(sender).unwrap())
            }
            "/block" => {
                self.blocked.send(()).unwrap();
                self.go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                "unblocked".into()
            }
            _ => "at once".into(),
        }
    }
}

/// The test's ends of a [`Desk`].
struct Scene {
    serving: sockeye::http::Serving,
    address: String,
    laters: mpsc::Receiver<PendingReply>,
    senders: mpsc::Receiver<Sender>,
    blocked: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

impl Scene {
    fn new(half_closed_timeout: Duration) -> Self {
        let (to_laters, laters) = mpsc::channel();
        let (to_senders, senders) = mpsc::channel();
        let (to_blocked, blocked) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let desk = Desk {
            laters: to_laters,
            senders: to_senders,
            blocked: to_blocked,
            go: Mutex::new(may_go),
        };
        let limits = Limits { half_closed_timeout, ..Limits::default() };
        let answer = move |request: Request<Body>| desk.answer(&request);
        let (serving, address) = serve_with(limits, answer);
        Self { serving, address, laters, senders, blocked, go }
    }

    fn client(&self) -> Client {
        Client::new(&self.address)
    }

    fn later(&self) -> PendingReply {
        self.laters.recv_timeout(PATIENCE).unwrap()
    }

    fn sender(&self) -> Sender {
        self.senders.recv_timeout(PATIENCE).unwrap()
    }
}

/// So long that nobody waits for it.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(30);

#[test]
fn a_promised_answer_is_told_that_its_client_has_reset_the_connection() {
    let scene = Scene::new(LONG);
    let mut client = scene.client();
    client.head("GET /", &[]);
    client.head("GET /later", &[]);
    let later = scene.later();
    assert!(!later.is_gone());
    client.reset();
    until(|| later.is_gone());
    assert_eq!(stop(scene.serving).closed_for("reset"), 1);
}

#[test]
fn a_reset_that_comes_together_with_a_request_is_noticed() {
    let scene = Scene::new(LONG);
    let mut client = scene.client();
    client.head("GET /", &[]);
    client.wait();
    let mut other = scene.client();
    other.head("GET /block", &[]);
    scene.blocked.recv_timeout(PATIENCE).unwrap();
    // The loop sees both at once.
    client.head("GET /later", &[]);
    client.reset();
    scene.go.send(()).unwrap();
    let later = scene.later();
    until(|| later.is_gone());
    assert_eq!(other.answer().text(), "unblocked");
    drop(other);
    assert_eq!(stop(scene.serving).closed_for("reset"), 1);
}

#[test]
fn a_silent_stream_is_told_that_its_client_has_reset_the_connection() {
    let scene = Scene::new(LONG);
    let mut client = scene.client();
    client.head("GET /events", &[]);
    let sender = scene.sender();
    client.reset();
    until(|| sender.is_gone());
    assert_eq!(stop(scene.serving).closed_for("reset"), 1);
}

/// Endless pieces, and a word when they are dropped.
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
    was_dropped.recv_timeout(PATIENCE).unwrap();
    assert_eq!(stop(serving).closed_for("reset"), 1);
}

#[test]
fn a_silent_stream_to_a_half_closed_client_is_cancelled() {
    // Also with requests in the way that nobody reads.
    for behind in [0, 3] {
        let scene = Scene::new(SHORT);
        let mut client = scene.client();
        client.head("GET /events", &[]);
        let sender = scene.sender();
        for _ in 0..behind {
            client.head("GET /", &[]);
        }
        client.answer_head();
        client.end();
        assert_eq!(client.rest(), b"", "there is no last chunk");
        until(|| sender.is_gone());
        assert!(sender.send("nobody").is_err());
        assert_eq!(stop(scene.serving).closed_for("half_closed_timeout"), 1);
    }
}

#[test]
fn clients_of_a_silent_stream_that_just_close_leave_nothing_behind() {
    const CLIENTS: u64 = 20;
    let scene = Scene::new(SHORT);
    let senders: Vec<Sender> = (0..CLIENTS)
        .map(|_| {
            let mut client = scene.client();
            client.head("GET /events", &[]);
            client.answer_head();
            scene.sender()
        })
        .collect();
    until(|| senders.iter().all(Sender::is_gone));
    assert_eq!(stop(scene.serving).closed_for("half_closed_timeout"), CLIENTS);
}

#[test]
fn a_half_closed_client_gets_its_late_and_pipelined_answers_however_late() {
    let scene = Scene::new(SHORT);
    let mut client = scene.client();
    client.head("GET /later", &[]);
    client.head("GET /", &[]);
    client.head("GET /later", &[]);
    client.end();
    let later = scene.later();
    // A stream whose client ended its side after this one has used up its time.
    let mut other = scene.client();
    other.head("GET /events", &[]);
    let sender = scene.sender();
    other.end();
    until(|| sender.is_gone());
    assert!(!later.is_gone());
    later.send("first");
    assert_eq!(client.answer().text(), "first");
    assert_eq!(client.answer().text(), "at once");
    scene.later().send("last");
    assert_eq!(client.answer().text(), "last");
    assert!(client.is_over());
    stop(scene.serving);
}
