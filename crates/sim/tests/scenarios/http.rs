//! HTTP/1.1 on the engine: the responses don't depend on how requests and responses are split.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use sockeye_engine::Config;
use sockeye_http::{
    Answer, Body, Fields, Handler, Handlers, Request, Responder, Server, ServerConfig, Status,
};
use sockeye_proto::{Abandoned, FileRange, FileSource, Message, Peer, Protocol, Ticket, Validity};
use sockeye_sim::{Faults, Outcome, Rng, Script, World, seeds};

use crate::checked::{SendClient, assert_no_violations, checked, service};
use crate::tls::TLS;
use crate::{here, secs};

/// A file in memory that changes after a number of reads.
#[derive(Debug)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    reads_left: AtomicUsize,
}

impl Text {
    pub(crate) fn new(reads_left: usize) -> Arc<Self> {
        let bytes = (0..5000_u32).map(|at| at as u8).collect();
        Arc::new(Self { bytes, reads_left: AtomicUsize::new(reads_left) })
    }

    fn range(self: &Arc<Self>) -> FileRange {
        let source: Arc<dyn FileSource> = self.clone();
        FileRange { source, offset: 0, len: self.bytes.len() as u64 }
    }
}

impl FileSource for Text {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = self.reads_left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        // A read may return less than requested.
        let count = rest.len().min(buffer.len()).min(1000);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn check(&self) -> Validity {
        if self.reads_left.load(Relaxed) > 0 { Validity::Valid } else { Validity::Changed }
    }
}

/// `/` responds at once, `/file` with a file, and `/later` after a job. Other paths are not found.
pub(crate) struct Site(pub(crate) Arc<Text>);

impl Site {
    pub(crate) fn handlers(text: &Arc<Text>) -> impl Handlers + use<> {
        let text = Arc::clone(text);
        move |_: &Peer| Self(Arc::clone(&text))
    }
}

impl Handler for Site {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let none = Fields::new();
        match request.path() {
            b"/" => responder.send(Status::OK, &none, Body::Static(b"at once")),
            b"/file" => responder.send(Status::OK, &none, Body::File(self.0.range())),
            b"/later" => {
                let _ = responder.run(|| ());
                responder.later()
            }
            _ => responder.error(Status::NOT_FOUND, &none, "there is nothing here"),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body {
            Ok(_) => responder.send(Status::OK, &Fields::new(), Body::Static(b"later")),
            Err(Abandoned) => {
                responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "lost")
            }
        }
    }
}

/// Sends `requests` to the test server, and returns the responses without their dates.
fn responses(seed: u64, faults: Faults, requests: &str) -> String {
    let shared = Rc::new(ServerConfig::default());
    let text = Text::new(usize::MAX);
    let open = move || Server::new(Rc::clone(&shared), Site::handlers(&text));
    responses_to(seed, faults, requests, open)
}

/// Sends `requests` to a server whose connections `open` makes, and closes the sending side.
/// Returns the responses without their dates.
pub(crate) fn responses_to<P: Protocol + 'static>(
    seed: u64,
    faults: Faults,
    requests: &str,
    mut open: impl FnMut() -> P + 'static,
) -> String {
    let mut world = World::new(seed, faults);
    let (servers, logs) = service(move |_| open());
    world.server(&[here()], Config::default(), servers);
    let client = world.peer(&here(), Script::new().send(requests).finish());
    world.settle();
    let received = world.peer_state(client);
    assert_eq!(received.outcome.map(|(outcome, _)| outcome), Some(Outcome::Ended));
    world.finish();
    assert_no_violations(&logs.borrow());
    let received: String = received.bytes.iter().copied().map(char::from).collect();
    let (dates, rest): (Vec<_>, Vec<_>) =
        received.split_inclusive("\r\n").partition(|line| line.starts_with("Date: "));
    assert_eq!(dates.len(), received.matches("HTTP/1.1 ").count(), "each response has a date");
    rest.concat()
}

#[test]
fn responses_to_pipelined_requests_do_not_depend_on_faults() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let mut faults = Faults::lossless(&mut rng);
        // With smaller buffers, a request could arrive too slowly and time out.
        faults.send_buffer = faults.send_buffer.max(256);
        faults.receive_buffer = faults.receive_buffer.max(256);
        let mut requests = String::new();
        let count = rng.between(1, 12);
        for _ in 0..count {
            let method = rng.pick(&["GET", "HEAD"]);
            let path = rng.pick(&["/", "/file", "/later", "/nothing"]);
            requests += &format!("{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n");
        }
        let plain = responses(seed, Faults::none(), &requests);
        assert_eq!(plain.matches("HTTP/1.1 ").count(), count);
        let received = responses(seed, faults, &requests);
        assert!(received == plain, "{} of {} bytes", received.len(), plain.len());
    });
}

#[test]
fn a_response_whose_file_changes_is_never_completed() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::lossless(&mut rng));
        let shared = Rc::new(ServerConfig::default());
        // The file needs five reads at least, so it changes before the last one.
        let text = Text::new(rng.between(1, 4));
        let (servers, logs) =
            service(move |_| Server::new(Rc::clone(&shared), Site::handlers(&text)));
        let server = world.server(&[here()], Config::default(), servers);
        let script = Script::new().send("GET /file HTTP/1.1\r\nHost: here\r\n\r\n");
        let client = world.peer(&here(), script);
        world.settle();
        let received = world.peer_state(client).bytes;
        let head = received.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        assert!(received.len() - head < 5000, "a wrong response was completed");
        assert_eq!(world.worker(server).stats().closed_for("file_changed"), 1);
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}

#[test]
fn only_the_last_response_of_a_connection_is_sent_before_the_fin() {
    const GET: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    const LAST: &str = "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    let open = || {
        let (shared, text) = (Rc::new(ServerConfig::default()), Text::new(usize::MAX));
        service(move |_| Server::new(Rc::clone(&shared), Site::handlers(&text)))
    };
    let mut world = World::new(1, Faults::none());
    world.server(&[here()], Config::default(), open().0);
    world.peer(&here(), Script::new().send(GET).wait(secs(2)).send(LAST));
    world.run(secs(1));
    assert_eq!(world.sends_before_fin(), 0);
    world.settle();
    assert_eq!(world.sends_before_fin(), 1);
    world.finish();

    let mut world = World::new(1, Faults::none());
    world.server_with_tls(&[here()], &TLS.0, Config::default(), open().0);
    let client = world.client(Config::default(), None);
    for (request, sends) in [(GET, 0), (LAST, 2)] {
        let (protocol, _) = checked(SendClient::then_read(request.as_bytes()));
        world.worker_mut(client).connect_tls(&here(), &TLS.1, protocol, 0);
        world.run(secs(1));
        assert_eq!(
            world.sends_before_fin(),
            sends,
            "the last response, and its client's close_notify"
        );
    }
    world.finish();
}
