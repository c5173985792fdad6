//! Runs the HTTP server on some bytes, and returns the requests that it parses.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_http::{
    Answer, Body, Fields, Handler, Request, Responder, Server, ServerConfig, Status, Trailers,
    Version,
};
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

/// Fields in order: names as they were sent, values without surrounding spaces.
pub(crate) type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// A request that was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParsedRequest {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    /// 0 or 1, of HTTP/1.
    pub(crate) minor: u8,
    pub(crate) fields: Lines,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Lines,
}

/// How the input ends after the accepted requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputEnd {
    /// Nothing follows, or input after a request that closes the connection.
    Done,
    /// An incomplete request.
    Incomplete,
    /// A request that is refused, with the status and the reason.
    Refused(u16, String),
}

/// The result of parsing a connection's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedInput {
    pub(crate) requests: Vec<ParsedRequest>,
    pub(crate) end: InputEnd,
}

/// Parses these parts, one after the other, and then the end of input.
pub(crate) fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> ParsedInput {
    let requests = Rc::new(RefCell::default());
    let all = Rc::clone(&requests);
    let record =
        move |_: &Peer| RecordRequests { current: ParsedRequest::default(), all: all.clone() };
    let mut client = Harness::new(Server::new(Rc::new(ServerConfig::default()), record));
    let mut output = Vec::new();
    for part in parts {
        if client.fault().is_none() && client.end().is_none() {
            client.input(part);
            output.extend(client.output());
        }
    }
    if client.fault().is_none() && client.end().is_none() {
        client.eof();
        output.extend(client.output());
    }
    let end = match client.fault() {
        None => InputEnd::Done,
        Some(fault) if fault.code.starts_with("eof_in_") => InputEnd::Incomplete,
        Some(fault) => InputEnd::Refused(last_status(&output), fault.what.to_string()),
    };
    ParsedInput { requests: requests.take(), end }
}

/// The status of the last response. No content here contains `HTTP/1.1` followed by a number.
fn last_status(output: &[u8]) -> u16 {
    let output = str::from_utf8(output).expect("our responses are text");
    let codes = output.split("HTTP/1.1 ").filter_map(|response| response.get(..3)?.parse().ok());
    codes.last().expect("a refusal has a response")
}

/// Records each request, and answers it when its body is complete.
struct RecordRequests {
    current: ParsedRequest,
    all: Rc<RefCell<Vec<ParsedRequest>>>,
}

impl Handler for RecordRequests {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.current = ParsedRequest {
            method: request.method().to_string(),
            target: request.target().to_vec(),
            minor: u8::from(request.version() == Version::Http11),
            fields: request.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            ..ParsedRequest::default()
        };
        responder.read()
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.current.body.extend_from_slice(piece);
        responder.read()
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let fields = trailers.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
        self.current.trailers = fields.collect();
        self.all.borrow_mut().push(std::mem::take(&mut self.current));
        responder.send(Status::OK, &Fields::new(), Body::Empty)
    }
}
