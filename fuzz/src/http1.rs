//! A stream of HTTP/1.1 requests.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_http::{Limits, Server, ServerConfig};
use sockeye_proto::Peer;
use sockeye_proto::harness::Harness;

use crate::Cut;
use crate::chunks;
use crate::http1_handler::{Asked, Several};
use crate::play::{Ending, Jobs, Outcome, play};

/// So small that short inputs reach them.
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

/// Sends the input's stream to a server: cut as the input says, and whole.
///
/// # Panics
///
/// When the two are not answered alike, or not with responses that another parser can read.
pub fn http1_stream(input: &[u8]) {
    let Some(cut) = Cut::read(input) else { return };
    // What is known of one request must change nothing for another one.
    let shared = Rc::new(ServerConfig::new(limits()));
    let outcome = |parts: &mut dyn Iterator<Item = _>, ending, jobs| {
        outcome(Rc::clone(&shared), parts, ending, jobs)
    };
    for ending in [Ending::Eof, Ending::Silence, Ending::Drain] {
        let (whole, asked) = outcome(&mut [cut.stream].into_iter(), ending, Jobs::Quick);
        // What is said after a long silence has another date.
        let late = matches!(ending, Ending::Eof).then_some(Jobs::Slow);
        for jobs in [Jobs::Quick].into_iter().chain(late) {
            let (parts, also_asked) = outcome(&mut cut.parts(), ending, jobs);
            assert_eq!(parts, whole, "the cut is seen in the answer");
            assert_eq!(also_asked, asked, "the cut is seen in the requests");
        }
        check(&whole, &asked, cut.stream);
    }
}

fn outcome<'a>(
    shared: Rc<ServerConfig>,
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
    jobs: Jobs,
) -> (Outcome, Vec<Asked>) {
    let asked = Rc::new(RefCell::default());
    let ours = Rc::clone(&asked);
    let server = Server::new(shared, move |_: &Peer| Several::new(Rc::clone(&ours)));
    let outcome = play(Harness::new(server), parts, ending, jobs);
    (outcome, asked.take())
}

/// Reads the output as responses to `asked`, and one more where something was refused.
fn check(outcome: &Outcome, asked: &[Asked], stream: &[u8]) {
    let mut rest = &outcome.output[..];
    for asked in asked {
        let mut reply = Head::read(rest);
        if reply.status == 100 {
            assert!(asked.expects, "nobody waits for a word to go on");
            rest = &rest[reply.len..];
            if rest.is_empty() {
                assert!(outcome.fault.is_some(), "a final reply is owed");
                return;
            }
            reply = Head::read(rest);
        }
        rest = &rest[reply.len..];
        if reply.status == 101 {
            assert!(asked.upgrade, "nobody asked for another protocol");
            assert!(stream.ends_with(rest), "the other protocol got something else");
            return;
        }
        let content = match reply.content {
            _ if asked.head_only => Some(0),
            Framing::None => Some(0),
            Framing::Length(len) => (len <= rest.len()).then_some(len),
            Framing::Chunked => {
                chunks::decode(rest, usize::MAX, &Limits::default()).map(|whole| whole.len)
            }
            Framing::UntilClose => Some(rest.len()),
        };
        let Some(content) = content else {
            assert!(outcome.fault.is_some(), "a reply that was not completed: {outcome:?}");
            return;
        };
        rest = &rest[content..];
    }
    if rest.is_empty() {
        return;
    }
    assert!(outcome.fault.is_some(), "nobody asked for this: {}", rest.escape_ascii());
    let reply = Head::read(rest);
    assert!((400..600).contains(&reply.status), "a refusal is an error, not {}", reply.status);
    let content = rest.len() - reply.len;
    // A refused HEAD has no content.
    let Framing::Length(len) = reply.content else { panic!("a page has a length") };
    assert!(content == 0 || content == len, "{content} of {len} bytes");
}

/// The head of a response.
pub(crate) struct Head {
    pub(crate) len: usize,
    pub(crate) status: u16,
    pub(crate) content: Framing,
}

/// Where the content of a response ends.
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
        let mut reply = httparse::Response::new(&mut fields);
        let len = match reply.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            other => panic!("no reply, but {other:?}: {}", bytes.escape_ascii()),
        };
        let status = reply.code.expect("a complete head has a status");
        let field = |name| reply.headers.iter().find(|field| field.name == name);
        let content = match (field("Content-Length"), field("Transfer-Encoding")) {
            (Some(_), Some(_)) => panic!("a reply that is framed twice"),
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
