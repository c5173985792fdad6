//! A stream of HTTP/1.1 requests.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_proto::harness::Harness;
use sockeye_proto::http1::{
    Answer, Body, Fields, Handler, Method, Reply, Request, Server, Shared, Status,
};
use sockeye_proto::{Abandoned, Message, Ticket};

use crate::Cut;
use crate::play::{Ending, Jobs, Outcome, play};

/// What a body has that is larger than what a conversation may have unsent.
static BIG: [u8; Harness::ROOM] = [b'x'; Harness::ROOM];

/// Sends the input's stream to a server: cut as the input says, and whole.
///
/// # Panics
///
/// When the two are not answered alike, or not with replies that another parser can read.
pub fn http1_stream(input: &[u8]) {
    let Some(cut) = Cut::read(input) else { return };
    for ending in [Ending::Eof, Ending::Silence] {
        let (whole, asked) = outcome([cut.stream], ending);
        let (parts, _) = outcome(cut.parts(), ending);
        assert_eq!(parts, whole, "the cut is seen in the answer");
        check(&whole, &asked);
    }
}

type Asked = Vec<Method>;

fn outcome<'a>(parts: impl IntoIterator<Item = &'a [u8]>, ending: Ending) -> (Outcome, Asked) {
    let asked = Rc::new(RefCell::default());
    let handler = Small { asked: Rc::clone(&asked) };
    let server = Server::new(Rc::new(Shared::default()), handler);
    let outcome = play(Harness::new(server), parts, ending, Jobs::Quick);
    (outcome, asked.take())
}

/// Reads the output as replies to `asked`, and one more where something was refused.
fn check(outcome: &Outcome, asked: &[Method]) {
    let mut rest = &outcome.output[..];
    for method in asked {
        let reply = Head::read(rest);
        rest = &rest[reply.len..];
        if reply.has_content && *method != Method::Head {
            rest = rest.get(reply.content..).expect("all of the content is there");
        }
    }
    if rest.is_empty() {
        return;
    }
    assert!(outcome.fault.is_some(), "nobody asked for this: {}", rest.escape_ascii());
    let reply = Head::read(rest);
    assert!((400..600).contains(&reply.status), "a refusal is an error, not {}", reply.status);
    let content = rest.len() - reply.len;
    // A refused HEAD has no content.
    assert!(content == 0 || content == reply.content, "{content} of {} bytes", reply.content);
}

/// The head of a reply.
struct Head {
    len: usize,
    status: u16,
    has_content: bool,
    content: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut reply = httparse::Response::new(&mut fields);
        let len = match reply.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            other => panic!("no reply, but {other:?}: {}", bytes.escape_ascii()),
        };
        let status = reply.code.expect("a complete head has a status");
        let length = reply.headers.iter().find(|field| field.name == "Content-Length");
        let content = length.map_or(0, |field| {
            let digits = str::from_utf8(field.value).expect("digits");
            digits.parse().expect("a length")
        });
        Self { len, status, has_content: !matches!(status, 204 | 304), content }
    }
}

/// Answers small: under `/later` when a job has run, under `/big` with more than fits into an
/// output, under `/none` with 304, else with what it was asked. Keeps the methods that it answered.
struct Small {
    asked: Rc<RefCell<Asked>>,
}

impl Handler for Small {
    fn on_request(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer {
        self.asked.borrow_mut().push(request.method());
        match request.path() {
            b"/later" => {
                let _ = reply.run(|| ());
                reply.later()
            }
            b"/big" => reply.send(Status::OK, &Fields::new(), Body::Static(&BIG)),
            b"/none" => reply.send(Status::NOT_MODIFIED, &Fields::new(), Body::Empty),
            b"/error" => reply.error(Status::NOT_FOUND, &Fields::new(), "There is no such thing."),
            path => {
                let text = path.escape_ascii().to_string();
                reply.send(Status::OK, &Fields::new(), Body::Shared(&text.into()))
            }
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        reply.send(Status::OK, &Fields::new(), Body::Static(b"it took a while"))
    }
}
