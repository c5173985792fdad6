//! Reads bytes with the HTTP server, and returns the requests as plain values.

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
pub(crate) struct Accepted {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    /// The minor version of HTTP/1: 0 or 1.
    pub(crate) minor: u8,
    pub(crate) fields: Lines,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Lines,
}

/// What follows the accepted requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing, or input after a request that closes the connection.
    Done,
    /// The beginning of a request.
    Incomplete,
    /// A request that is refused, with the status and the reason, which is the end of a sentence.
    Refused(u16, String),
}

/// The result of reading a connection's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) requests: Vec<Accepted>,
    pub(crate) end: End,
}

/// Reads these parts, one after the other, and then the end of input.
pub(crate) fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let requests = Rc::new(RefCell::default());
    let all = Rc::clone(&requests);
    let recorder = move |_: &Peer| Recorder { current: Accepted::default(), all: all.clone() };
    // These are readings of HTTP/1.1, also of the preface of HTTP/2.
    let config = ServerConfig::default().http2(false);
    let mut client = Harness::new(Server::new(Rc::new(config), recorder));
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
        None => End::Done,
        Some(fault) if fault.code.starts_with("eof_in_") => End::Incomplete,
        Some(fault) => End::Refused(last_status(&output), fault.what.to_string()),
    };
    Reading { requests: requests.take(), end }
}

/// The status of the last response. No response may have content that contains a status line.
fn last_status(output: &[u8]) -> u16 {
    let output = str::from_utf8(output).expect("our responses are text");
    let codes = output.split("HTTP/1.1 ").filter_map(|response| response.get(..3)?.parse().ok());
    codes.last().expect("a refusal has a response")
}

/// Records each request, and answers it when its body is complete.
struct Recorder {
    current: Accepted,
    all: Rc<RefCell<Vec<Accepted>>>,
}

impl Handler for Recorder {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.current = Accepted {
            method: request.method().to_string(),
            target: request.target().to_vec(),
            minor: u8::from(request.version() == Version::Http11),
            fields: request.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            ..Accepted::default()
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
