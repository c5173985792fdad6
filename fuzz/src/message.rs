//! A stream of messages.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::Value;
use sockeye_message::reference::Reference;
use sockeye_message::text::Encoding;
use sockeye_message::{
    Answer, ContentMode, Flow, Handler, Header, Limits, Message, Responder, Server,
};
use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Message as Letter, Peer, Ticket};

use crate::Cut;
use crate::play::{Ending, Jobs, Outcome, play};

/// What an answer has that is larger than what a connection may have unsent.
static BIG: [u8; Harness::ROOM] = [b'x'; Harness::ROOM];

/// The codes that the server and [`Small`] give.
pub(crate) const CODES: [&str; 8] = [
    "bad_header",
    "bad_content",
    "bad_request",
    "too_large",
    "unsupported_encoding",
    "timeout",
    "incomplete",
    "internal",
];

/// Sends the input's stream to a server: cut as the input says, and whole.
///
/// # Panics
///
/// When the two are not answered alike, or not with frames that another parser can read.
pub fn message_stream(input: &[u8]) {
    let Some(cut) = Cut::read(input) else { return };
    for ending in [Ending::Eof, Ending::Silence] {
        let (whole, _) = outcome([cut.stream], ending, Jobs::Slow);
        let (parts, paused) = outcome(cut.parts(), ending, Jobs::Slow);
        // A pause in the middle of content lets what waits be answered meanwhile.
        assert!(paused || parts == whole, "the cut is seen:\n{parts:?}\n{whole:?}");
        check(&whole);
        // How fast a job runs decides which answer is first, so only the frames are looked at.
        check(&outcome(cut.parts(), ending, Jobs::Quick).0);
    }
}

fn outcome<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
    jobs: Jobs,
) -> (Outcome, bool) {
    let paused = Rc::new(Cell::new(false));
    let server = Server::new(Rc::new(limits()), Small::new(Rc::clone(&paused)));
    (play(Harness::new(server), parts, ending, jobs), paused.get())
}

/// So small that short inputs reach them.
pub(crate) fn limits() -> Limits {
    Limits { header: 400, content: 200, in_flight: 3, ..Limits::default() }
}

/// Reads the output as frames.
pub(crate) fn check(outcome: &Outcome) {
    let mut rest = &outcome.output[..];
    let mut without_id = 0;
    while !rest.is_empty() {
        let (header, content, later) = frame(rest).unwrap_or_else(|| {
            panic!("no frame: {}", rest[..rest.len().min(200)].escape_ascii());
        });
        rest = later;
        without_id += usize::from(header.get("id").is_none());
        if header["content-type"] != "text/json" {
            continue;
        }
        let content: Value = serde_json::from_slice(content).expect("our JSON is JSON");
        let result = content["result"].as_str().expect("a result is text");
        if let Some(error) = content.get("error") {
            let code = error["code"].as_str().expect("an error has a code");
            assert!(CODES.contains(&code), "nobody knows the code {code}");
            assert!(result.starts_with("Error: "), "an error that does not say so: {result}");
        }
    }
    assert!(without_id <= 1, "an old peer gets one reply, not {without_id}");
}

/// Takes a frame apart: its header, its content, and what is behind it.
fn frame(bytes: &[u8]) -> Option<(Value, &[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (header, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let header: Value = serde_json::from_slice(header).ok()?;
    for key in ["byteorder", "content-type", "content-encoding"] {
        header.get(key)?.as_str()?;
    }
    let len = usize::try_from(header.get("content-length")?.as_u64()?).ok()?;
    let (content, rest) = rest.split_at_checked(len)?;
    Some((header, content, rest))
}

/// Answers JSON as the reference service does, and other types by their names: `later` when a job
/// has run, `lost` when a promise is broken, `big` with more than fits into an output, `stream` and
/// `pause` with the length of content that it has not kept, `text` with the same text.
#[derive(Default)]
pub(crate) struct Small {
    /// How much has come of the content that comes piece by piece.
    received: usize,
    /// It is to pause behind each piece.
    pauses: bool,
    /// It did.
    paused: Rc<Cell<bool>>,
    /// Requests whose answers wait for a job.
    late: Vec<u64>,
    reference: Reference,
}

/// What a type means to [`Small`]: its name, over HTTP without what stands before the slash.
fn kind(content_type: &str) -> &str {
    content_type.rsplit('/').next().unwrap_or_default()
}

impl Small {
    /// One that tells `paused` when it does.
    pub(crate) fn new(paused: Rc<Cell<bool>>) -> Self {
        Self { paused, ..Self::default() }
    }
}

impl Handler for Small {
    fn content_mode(&mut self, header: &Header) -> ContentMode {
        let kind = kind(&header.content_type);
        self.pauses = kind == "pause";
        self.received = 0;
        if self.pauses || kind == "stream" { ContentMode::Stream } else { ContentMode::Whole }
    }

    fn on_message(
        &mut self,
        message: Message,
        peer: &Peer,
        mut reply: Responder<'_, '_>,
    ) -> Answer {
        match kind(&message.content_type) {
            "later" => {
                let _ = reply.run(|| ());
                self.late.push(reply.request());
                reply.later()
            }
            "lost" => {
                drop(reply.promise());
                reply.later()
            }
            "big" => reply.send(Message::binary("big", &BIG[..])),
            "text" => match message.to_text() {
                Ok(text) => {
                    let encoding =
                        Encoding::of(&message.content_encoding).expect("it was read in it");
                    let answer = Message::text("text", encoding, &text).expect("it was read in it");
                    assert_eq!(answer.to_text().as_ref(), Ok(&text), "text survives {encoding:?}");
                    reply.send(answer)
                }
                Err(error) => reply.refuse(error),
            },
            _ => Handler::on_message(&mut self.reference, message, peer, reply),
        }
    }

    fn on_content(&mut self, piece: &[u8], reply: &mut Responder<'_, '_>) -> Flow {
        assert!(!piece.is_empty(), "nothing is no piece");
        self.received += piece.len();
        if !self.pauses {
            return Flow::More;
        }
        let _ = reply.run(|| ());
        self.paused.set(true);
        Flow::Pause
    }

    fn on_end(&mut self, reply: Responder<'_, '_>) -> Answer {
        reply.send(Message::binary("count", self.received.to_string()))
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<Letter, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        match body {
            Ok(_) if self.late.contains(&reply.request()) => {
                reply.send(Message::binary("late", "it took a while"))
            }
            // On with the content.
            Ok(_) => reply.later(),
            Err(Abandoned) => reply.error("internal", "it was lost"),
        }
    }
}
