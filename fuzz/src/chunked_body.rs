//! One body in chunks.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_http::{
    Answer, Body, Fields, Handler, Request, Responder, Server, ServerConfig, Status,
};
use sockeye_http::{Content, Trailers};
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

use crate::Cut;
use crate::chunks::{self, Whole};
use crate::http1::limits;

const CHUNKED: &str = "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// Reads the input's stream as a body in chunks: cut as the input says, and whole.
///
/// # Panics
///
/// When the two are not read alike, or otherwise than the simplest decoder reads it; and when a body
/// that nobody asks for hides the request behind it, or is taken for one.
pub fn chunked_body(input: &[u8]) {
    let Some(cut) = Cut::read(input) else { return };
    let limits = limits();
    let room = usize::try_from(limits.body).expect("it is small");
    let simple = chunks::decode(cut.stream, room, &limits);
    assert_eq!(read([cut.stream]), simple, "read otherwise");
    assert_eq!(read(cut.parts()), simple, "the cut is seen");

    let room = usize::try_from(limits.discard).expect("it is small");
    let body = match chunks::decode(cut.stream, room, &limits) {
        Some(whole) => &cut.stream[..whole.len],
        None => cut.stream,
    };
    let whole = chunks::decode(&[body, NEXT].concat(), room, &limits);
    let is_next = whole.is_some_and(|whole| whole.len == body.len());
    assert_eq!(requests_behind(body), usize::from(is_next), "of requests behind it");
}

/// What the server makes of a body that is asked for.
fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Whole> {
    let read = Rc::new(RefCell::default());
    let ours = Rc::clone(&read);
    let collect = move |_: &Peer| Collect { read: Rc::clone(&ours) };
    let mut client = Harness::new(Server::new(Rc::new(ServerConfig::new(limits())), collect));
    client.input(format!("POST /read {CHUNKED}").as_bytes());
    let mut len = 0;
    for part in parts {
        if client.fault().is_none() {
            client.input(part);
            len += part.len();
        }
    }
    let Read { whole, ended, .. } = read.take();
    assert!(!ended || client.fault().is_none(), "complete and refused");
    ended.then(|| Whole { len: len - client.unused(), ..whole })
}

/// How many requests the server finds in or behind a body that nobody asks for.
fn requests_behind(body: &[u8]) -> usize {
    let read = Rc::new(RefCell::default());
    let ours = Rc::clone(&read);
    let collect = move |_: &Peer| Collect { read: Rc::clone(&ours) };
    let mut client = Harness::new(Server::new(Rc::new(ServerConfig::new(limits())), collect));
    client.input(&[format!("POST / {CHUNKED}").as_bytes(), body, NEXT].concat());
    read.take().requests - 1
}

/// What came.
#[derive(Default)]
struct Read {
    whole: Whole,
    ended: bool,
    requests: usize,
}

/// Collects the body under `/read` and says nothing to it; answers everything else without its body.
struct Collect {
    read: Rc<RefCell<Read>>,
}

impl Handler for Collect {
    fn on_request(&mut self, request: &Request<'_>, reply: Responder<'_, '_>) -> Answer {
        self.read.borrow_mut().requests += 1;
        if request.path() == b"/read" {
            assert_eq!(request.content(), Content::Chunked);
            return reply.read();
        }
        reply.send(Status::OK, &Fields::new(), Body::Empty)
    }

    fn on_body(&mut self, piece: &[u8], reply: Responder<'_, '_>) -> Answer {
        assert!(!piece.is_empty(), "nothing is no piece");
        self.read.borrow_mut().whole.body.extend_from_slice(piece);
        reply.read()
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, reply: Responder<'_, '_>) -> Answer {
        let mut read = self.read.borrow_mut();
        read.ended = true;
        let fields = trailers.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
        read.whole.trailers = fields.collect();
        reply.later()
    }
}
