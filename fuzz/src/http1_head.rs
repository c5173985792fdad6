//! The head of one HTTP/1.1 request.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_http::{Answer, Content, Handler, Request, Responder, Server, ServerConfig, Version};
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

use crate::SplitInput;
use crate::http1::limits;

/// A parsed head.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    method: String,
    target: Vec<u8>,
    version: u8,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The server's result for an input.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    head: Option<(Head, Content)>,
    /// Number of bytes that the server has not used, such as those after the head. 0 after a fault.
    unused: usize,
    output: Vec<u8>,
    fault: Option<&'static str>,
}

/// Reads the bytes of a [`SplitInput`] as one request, in its parts and as a whole.
///
/// # Panics
///
/// If the results differ; if `httparse` refuses an accepted head or parses it differently; if the
/// length of the body contradicts the fields; or if the head, serialized again, is parsed
/// differently.
pub fn head(input: &[u8]) {
    let Some(split) = SplitInput::read(input) else { return };
    let shared = Rc::new(ServerConfig::new(limits()));
    let whole = ours(&shared, [split.stream]);
    assert_eq!(ours(&shared, split.parts()), whole, "the parts change the result");
    assert_eq!(
        ours(&shared, [split.stream]),
        whole,
        "a head that the server has cached is read differently"
    );
    let Some((head, content)) = &whole.head else { return };
    // The server skips one blank line before the head.
    let stream = split.stream.strip_prefix(b"\r\n").unwrap_or(split.stream);
    let (theirs, len) = theirs(stream).expect("httparse accepts what we do");
    assert_eq!(
        (head, whole.unused),
        (&theirs, stream.len() - len),
        "httparse reads it differently"
    );
    assert_eq!(*content, framing(&theirs), "the length of the body differs");
    let written = write(head);
    // The second time, the head's fields are cached.
    for time in ["first", "second"] {
        let again = ours(&shared, [&written[..]]);
        assert_eq!(again.head, whole.head, "a written head is read differently the {time} time");
    }
}

fn ours<'a>(shared: &Rc<ServerConfig>, parts: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let head = Rc::new(RefCell::new(None));
    let ours = Rc::clone(&head);
    let record = move |_: &Peer| RecordHead(Rc::clone(&ours));
    let mut client = Harness::new(Server::new(Rc::clone(shared), record));
    for part in parts {
        if client.fault().is_none() {
            client.input(part);
        }
    }
    let unused = if client.fault().is_some() { 0 } else { client.unused() };
    let output = client.output();
    let fault = client.fault().map(|fault| fault.code);
    Read { head: head.take(), unused, output, fault }
}

fn theirs(input: &[u8]) -> Option<(Head, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(len) = request.parse(input).ok()? else { return None };
    let fields = request.headers.iter().map(|f| (f.name.as_bytes().to_vec(), f.value.to_vec()));
    let head = Head {
        method: request.method?.to_owned(),
        target: request.path?.as_bytes().to_vec(),
        version: request.version?,
        fields: fields.collect(),
    };
    Some((head, len))
}

/// The content that the fields of an accepted head announce (RFC 9112, 6.3).
fn framing(head: &Head) -> Content {
    let values = |name: &str| {
        let named = |field: &&(Vec<u8>, Vec<u8>)| field.0.eq_ignore_ascii_case(name.as_bytes());
        head.fields.iter().filter(named).map(|field| &field.1[..]).collect::<Vec<_>>()
    };
    match (&values("transfer-encoding")[..], &values("content-length")[..]) {
        ([], []) => Content::None,
        ([], [length]) => {
            let length: u64 = str::from_utf8(length).unwrap().parse().expect("a length");
            if length == 0 { Content::None } else { Content::Length(length) }
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && head.version == 1 => {
            Content::Chunked
        }
        framed => panic!("the end is ambiguous: {framed:?}"),
    }
}

fn write(head: &Head) -> Vec<u8> {
    let Head { method, target, version, fields } = head;
    let target = str::from_utf8(target).expect("a target is ASCII");
    let mut bytes = format!("{method} {target} HTTP/1.{version}\r\n").into_bytes();
    for (name, value) in fields {
        bytes.extend([name, &b":"[..], value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes
}

/// Keeps the head, and never responds.
struct RecordHead(Rc<RefCell<Option<(Head, Content)>>>);

impl Handler for RecordHead {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let fields = request.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
        let head = Head {
            method: request.method().to_string(),
            target: request.target().to_vec(),
            version: u8::from(request.version() == Version::Http11),
            fields: fields.collect(),
        };
        let before = self.0.borrow_mut().replace((head, request.content()));
        assert!(before.is_none(), "a second request before the response to the first");
        responder.later()
    }
}
