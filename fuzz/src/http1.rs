//! A stream of HTTP/1.1 requests.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_http::{Limits, Server, ServerConfig};
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

use crate::SplitInput;
use crate::chunk_decoder;
use crate::connection::{Ending, Jobs, Outcome, run_connection};
use crate::http1_handler::{FuzzHandler, RecordedRequest};

/// Limits that short inputs reach.
pub(crate) fn limits() -> Limits {
    Limits {
        request_line: 300,
        head: 600,
        fields: 12,
        body: 200,
        discard: 100,
        ..Limits::default()
    }
}

/// Sends the input's stream to a server, in parts and as a whole.
///
/// # Panics
///
/// If the outputs or the requests differ, or another parser can't read the outputs as responses to
/// the requests.
pub fn http1_stream(input: &[u8]) {
    let Some(split) = SplitInput::read(input) else { return };
    // All connections share this configuration, and with it the cached fields of the last head: if
    // they affect another request, the outputs may differ. HTTP/2 has a fuzz target of its own.
    let shared = Rc::new(ServerConfig::new(limits()).http2(false));
    let outcome = |parts: &mut dyn Iterator<Item = _>, ending, jobs| {
        outcome(Rc::clone(&shared), parts, ending, jobs)
    };
    for ending in [Ending::Eof, Ending::Silence, Ending::Drain] {
        let (whole, requests) = outcome(&mut [split.stream].into_iter(), ending, Jobs::Quick);
        // Slow jobs run after the ending. After `Silence`, which lasts an hour, their responses
        // would have another date. After `Drain`, their responses would announce the close.
        let late = matches!(ending, Ending::Eof).then_some(Jobs::Slow);
        for jobs in [Jobs::Quick].into_iter().chain(late) {
            let (parts, requests_in_parts) = outcome(&mut split.parts(), ending, jobs);
            assert_eq!(parts, whole, "the parts change the output");
            assert_eq!(requests_in_parts, requests, "the parts change the requests");
        }
        check(&whole, &requests, split.stream);
    }
}

fn outcome<'a>(
    shared: Rc<ServerConfig>,
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
    jobs: Jobs,
) -> (Outcome, Vec<RecordedRequest>) {
    let requests = Rc::new(RefCell::default());
    let record = Rc::clone(&requests);
    let server = Server::new(shared, move |_: &Peer| FuzzHandler::new(Rc::clone(&record)));
    let outcome = run_connection(Harness::new(server), parts, ending, jobs);
    (outcome, requests.take())
}

/// Parses the output as responses to `requests`, and possibly an error response after them.
fn check(outcome: &Outcome, requests: &[RecordedRequest], stream: &[u8]) {
    let mut rest = &outcome.output[..];
    for request in requests {
        let mut response = Head::read(rest);
        if response.status == 100 {
            assert!(request.expects, "an unexpected 100");
            rest = &rest[response.len..];
            if rest.is_empty() {
                assert!(outcome.fault.is_some(), "the final response is missing");
                return;
            }
            response = Head::read(rest);
        }
        rest = &rest[response.len..];
        if response.status == 101 {
            assert!(request.upgrade, "an unexpected 101");
            assert!(stream.ends_with(rest), "the other protocol got different bytes");
            return;
        }
        let content = match response.content {
            _ if request.head_only => Some(0),
            Framing::None => Some(0),
            Framing::Length(len) => (len <= rest.len()).then_some(len),
            Framing::Chunked => {
                chunk_decoder::decode(rest, usize::MAX, &Limits::default()).map(|whole| whole.len)
            }
            Framing::UntilClose => Some(rest.len()),
        };
        let Some(content) = content else {
            assert!(outcome.fault.is_some(), "an incomplete response: {outcome:?}");
            return;
        };
        rest = &rest[content..];
    }
    if rest.is_empty() {
        return;
    }
    assert!(outcome.fault.is_some(), "an unexpected response: {}", rest.escape_ascii());
    let response = Head::read(rest);
    assert!(
        (400..600).contains(&response.status),
        "an error response has the status {}",
        response.status
    );
    let content = rest.len() - response.len;
    // A refused HEAD has no content.
    let Framing::Length(len) = response.content else { panic!("a page has a length") };
    assert!(content == 0 || content == len, "{content} of {len} bytes");
}

/// The head of a response.
pub(crate) struct Head {
    pub(crate) len: usize,
    pub(crate) status: u16,
    pub(crate) content: Framing,
}

/// How the content of a response ends.
#[derive(Clone, Copy)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Head {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut fields);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            other => panic!("not a response, but {other:?}: {}", bytes.escape_ascii()),
        };
        let status = response.code.expect("a complete head has a status");
        let field = |name| response.headers.iter().find(|field| field.name == name);
        let content = match (field("Content-Length"), field("Transfer-Encoding")) {
            (Some(_), Some(_)) => panic!("a response with two lengths"),
            (Some(length), None) => {
                let digits = str::from_utf8(length.value).expect("digits");
                Framing::Length(digits.parse().expect("a length"))
            }
            (None, Some(coding)) => {
                assert_eq!(coding.value, b"chunked");
                Framing::Chunked
            }
            (None, None) if matches!(status, 100..200 | 204 | 304) => Framing::None,
            (None, None) => Framing::UntilClose,
        };
        let bare = matches!(content, Framing::None | Framing::UntilClose);
        assert!(bare || !matches!(status, 100..200 | 204), "a {status} with a body");
        Self { len, status, content }
    }
}
