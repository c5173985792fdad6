//! One chunked body.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_http::{
    Answer, Body, Fields, Handler, Request, Responder, Server, ServerConfig, Status,
};
use sockeye_http::{Content, Trailers};
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

use crate::SplitInput;
use crate::chunk_decoder::{self, DecodedBody};
use crate::http1::limits;

const CHUNKED: &str = "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/// Reads the input's stream as a chunked body, in parts and as a whole.
///
/// # Panics
///
/// If the results differ from each other or from that of `chunk_decoder`; or if a body that the
/// handler doesn't read hides the request after it, or is parsed as a request.
pub fn chunked_body(input: &[u8]) {
    let Some(split) = SplitInput::read(input) else { return };
    let limits = limits();
    let room = usize::try_from(limits.body).expect("it is small");
    let simple = chunk_decoder::decode(split.stream, room, &limits);
    assert_eq!(read([split.stream]), simple, "the server and the simple decoder differ");
    assert_eq!(read(split.parts()), simple, "the parts change the result");

    let room = usize::try_from(limits.discard).expect("it is small");
    let body = match chunk_decoder::decode(split.stream, room, &limits) {
        Some(whole) => &split.stream[..whole.len],
        None => split.stream,
    };
    let whole = chunk_decoder::decode(&[body, NEXT].concat(), room, &limits);
    let is_next = whole.is_some_and(|whole| whole.len == body.len());
    assert_eq!(requests_after(body), usize::from(is_next), "requests after the body");
}

/// The server's result for a body that the handler reads.
fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<DecodedBody> {
    let read = Rc::new(RefCell::default());
    let shared = Rc::clone(&read);
    let collect = move |_: &Peer| Collect { read: Rc::clone(&shared) };
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
    assert!(!ended || client.fault().is_none(), "a body is complete and invalid");
    ended.then(|| DecodedBody { len: len - client.unused(), ..whole })
}

/// Number of requests that the server finds in or after a body that the handler doesn't read.
fn requests_after(body: &[u8]) -> usize {
    let read = Rc::new(RefCell::default());
    let shared = Rc::clone(&read);
    let collect = move |_: &Peer| Collect { read: Rc::clone(&shared) };
    let mut client = Harness::new(Server::new(Rc::new(ServerConfig::new(limits())), collect));
    client.input(&[format!("POST / {CHUNKED}").as_bytes(), body, NEXT].concat());
    read.take().requests - 1
}

/// The requests and the body that the handler received.
#[derive(Default)]
struct Read {
    whole: DecodedBody,
    ended: bool,
    requests: usize,
}

/// Collects the body of `/read`, and never responds. Answers other requests without reading their
/// bodies.
struct Collect {
    read: Rc<RefCell<Read>>,
}

impl Handler for Collect {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.read.borrow_mut().requests += 1;
        if request.path() == b"/read" {
            assert_eq!(request.content(), Content::Chunked);
            return responder.read();
        }
        responder.send(Status::OK, &Fields::new(), Body::Empty)
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        assert!(!piece.is_empty(), "a piece is not empty");
        self.read.borrow_mut().whole.body.extend_from_slice(piece);
        responder.read()
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let mut read = self.read.borrow_mut();
        read.ended = true;
        let fields = trailers.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
        read.whole.trailers = fields.collect();
        responder.later()
    }
}
