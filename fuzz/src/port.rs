//! A stream of message frames (docs/message.md) or of HTTP requests, to a port that accepts both.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::Value;
use sockeye_http::{
    self as http_core, Answer, Fields, Handlers, Method, Request, Responder, Status, Trailers,
};
use sockeye_message::{FramesOrHttp, Http, HttpRequest, PeerProtocol, Server, ServerConfig};
use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Message, Peer, Protocol, Ticket};

use crate::SplitInput;
use crate::connection::{Ending, Jobs, Outcome, run_connection};
use crate::http1::{Framing, Head};
use crate::message::{self, CODES, TestHandler, limits};

/// Error codes that occur only with HTTP.
const HTTP_CODES: [&str; 9] = [
    "unsupported_type",
    "method_not_allowed",
    "not_found",
    "forbidden_origin",
    "unknown_method",
    "unknown_coding",
    "unknown_expectation",
    "unsupported_version",
    "http2_preface",
];

/// Sends the input's stream to a port, in parts and as a whole. Also sends the whole stream to a
/// server that accepts only the protocol that the port detects in the stream.
///
/// # Panics
///
/// If the outputs differ by more than `Date` fields and, after a pause in content, the order of
/// frames. Or if another parser can't read an output.
pub fn message_port(input: &[u8]) {
    let Some(split) = SplitInput::read(input) else { return };
    if split.stream.starts_with(b"PRI * HTTP/2.0\r\n") {
        // HTTP/2 has a target of its own.
        return;
    }
    for ending in [Ending::Eof, Ending::Silence] {
        let (whole, _) = outcome(port, [split.stream], ending, Jobs::Slow);
        let (parts, paused) = outcome(port, split.parts(), ending, Jobs::Slow);
        let (quick, _) = outcome(port, split.parts(), ending, Jobs::Quick);
        match PeerProtocol::detect(split.stream) {
            // On a port without TLS, the HTTP server answers a TLS handshake with an error.
            Some(PeerProtocol::Http | PeerProtocol::Tls) => {
                // Requests are answered in order, so only the `Date` fields may differ.
                assert_eq!(undated(&parts), undated(&whole), "the parts change the result");
                let requests = Rc::default();
                let (direct, _) = outcome(
                    |handler| http(handler, Rc::clone(&requests)),
                    [split.stream],
                    ending,
                    Jobs::Slow,
                );
                assert_eq!(direct, whole, "the port changes the output");
                check(&whole, &requests.borrow());
                check(&quick, &requests.borrow());
            }
            Some(PeerProtocol::Frames) | None => {
                // While the handler pauses within the content of one request, others may be
                // answered. So the order of the responses may depend on the parts.
                assert!(
                    paused || parts == whole,
                    "the parts change the output:\n{parts:?}\n{whole:?}"
                );
                let (direct, _) = outcome(frames, [split.stream], ending, Jobs::Slow);
                assert_eq!(direct, whole, "the port changes the output");
                message::check(&whole);
                message::check(&quick);
            }
        }
    }
}

fn outcome<'a, P: Protocol + 'static>(
    open: impl FnOnce(TestHandler) -> P,
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
    jobs: Jobs,
) -> (Outcome, bool) {
    let paused = Rc::new(Cell::new(false));
    let server = open(TestHandler::new(Rc::clone(&paused)));
    (run_connection(Harness::new(server), parts, ending, jobs), paused.get())
}

fn port(handler: TestHandler) -> FramesOrHttp<TestHandler> {
    FramesOrHttp::new(Rc::new(ServerConfig::new(limits())), handler)
}

fn frames(handler: TestHandler) -> Server<TestHandler> {
    Server::new(Rc::new(limits()), handler)
}

fn http(
    handler: TestHandler,
    requests: Rc<RefCell<Vec<bool>>>,
) -> http_core::Server<impl Handlers> {
    let http = Http::new(Rc::new(limits()), handler);
    http_core::Server::new(
        Rc::new(http_core::ServerConfig::new(limits().http())),
        move |peer: &Peer| Recorded { inner: http.handler(peer), requests: Rc::clone(&requests) },
    )
}

/// Records for each request whether it is HEAD.
struct Recorded {
    inner: HttpRequest<TestHandler>,
    requests: Rc<RefCell<Vec<bool>>>,
}

impl http_core::Handler for Recorded {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.requests.borrow_mut().push(request.method() == Method::Head);
        self.inner.on_request(request, responder)
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        self.inner.on_message(ticket, body, responder)
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.inner.on_body(piece, responder)
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        self.inner.on_body_end(trailers, responder)
    }

    fn page(
        &self,
        status: Status,
        code: &'static str,
        what: &str,
    ) -> Option<(Fields, bytes::Bytes)> {
        self.inner.page(status, code, what)
    }

    fn allow(&self) -> &'static str {
        self.inner.allow()
    }
}

/// The outcome without its `Date` fields.
fn undated(outcome: &Outcome) -> Outcome {
    let lines = outcome.output.split_inclusive(|byte| *byte == b'\n');
    let output = lines.filter(|line| !line.starts_with(b"Date: ")).collect::<Vec<_>>().concat();
    Outcome { output, fault: outcome.fault.clone() }
}

/// Parses the output as responses to `requests`, and possibly an error response after them.
fn check(outcome: &Outcome, requests: &[bool]) {
    let mut rest = &outcome.output[..];
    let mut requests = requests.iter();
    while !rest.is_empty() {
        let response = Head::read(rest);
        rest = &rest[response.len..];
        if response.status == 100 {
            continue;
        }
        if response.status == 101 {
            // The frames of a WebSocket follow, which the target `websocket` checks.
            return;
        }
        let head_only = requests.next();
        assert!(head_only.is_some() || outcome.fault.is_some(), "a response without a request");
        let length = match response.content {
            Framing::Length(length) if head_only != Some(&true) => length,
            // These responses are written whole.
            Framing::Chunked | Framing::UntilClose => panic!("a response without a length"),
            Framing::Length(_) | Framing::None => continue,
        };
        if head_only.is_none() && rest.is_empty() {
            // A refused HEAD has no content.
            break;
        }
        let (content, later) = rest.split_at_checked(length).expect("all of the content is there");
        rest = later;
        if response.status >= 400 {
            let content: Value = serde_json::from_slice(content).expect("an error is JSON");
            let code = content["error"]["code"].as_str().expect("an error has a code");
            assert!(CODES.contains(&code) || HTTP_CODES.contains(&code), "unknown code {code}");
            let result = content["result"].as_str().expect("a result is text");
            assert!(result.starts_with("Error: "), "an error without the prefix: {result}");
        }
    }
    // The last request may have no response, for example if the client ended in the middle of a
    // head.
    assert!(requests.next().is_none() || outcome.fault.is_some(), "a request without a response");
}
