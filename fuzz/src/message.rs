//! A stream of message frames (docs/message.md).

use std::cell::Cell;
use std::rc::Rc;

use serde_json::Value;
use sockeye_message::reference::Reference;
use sockeye_message::text::Encoding;
use sockeye_message::{
    Answer, ContentMode, Flow, Handler, Header, Limits, Message, Responder, Server,
};
use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Message as JobResult, Peer, Ticket};

use crate::SplitInput;
use crate::connection::{Ending, Jobs, Outcome, run_connection};

/// Content as long as the output limit of a connection, so that its frame exceeds the limit.
static LARGE: [u8; Harness::ROOM] = [b'x'; Harness::ROOM];

/// The error codes of the server and of [`TestHandler`].
pub(crate) const CODES: [&str; 11] = [
    "bad_header",
    "bad_content",
    "bad_request",
    "too_large",
    "too_complex",
    "unsupported_encoding",
    "busy",
    "timeout",
    "incomplete",
    "tls_on_plain_port",
    "internal",
];

/// Sends the input's stream to a server, in parts and as a whole.
///
/// # Panics
///
/// If the outputs differ and no content was paused, or if another parser can't read an output.
pub fn message_stream(input: &[u8]) {
    let Some(split) = SplitInput::read(input) else { return };
    for ending in [Ending::Eof, Ending::Silence] {
        let (whole, _) = outcome([split.stream], ending, Jobs::Slow);
        let (parts, paused) = outcome(split.parts(), ending, Jobs::Slow);
        // The handler can pause after a piece of content, and the parts decide where pieces end.
        // During a pause, other requests may be answered, so the order of the responses may differ.
        assert!(paused || parts == whole, "the parts change the output:\n{parts:?}\n{whole:?}");
        check(&whole);
        // The order of the responses depends on when jobs run, so only the frames are checked.
        check(&outcome(split.parts(), ending, Jobs::Quick).0);
    }
}

fn outcome<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    ending: Ending,
    jobs: Jobs,
) -> (Outcome, bool) {
    let paused = Rc::new(Cell::new(false));
    let server = Server::new(Rc::new(limits()), TestHandler::new(Rc::clone(&paused)));
    (run_connection(Harness::new(server), parts, ending, jobs), paused.get())
}

/// Limits that short inputs reach.
pub(crate) fn limits() -> Limits {
    Limits { header: 400, content: 200, in_flight: 3, ..Limits::default() }
}

/// Parses the output as frames.
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
        let content: Value = serde_json::from_slice(content).expect("the content is JSON");
        let result = content["result"].as_str().expect("a result is text");
        if let Some(error) = content.get("error") {
            let code = error["code"].as_str().expect("an error has a code");
            assert!(CODES.contains(&code), "unknown code {code}");
            assert!(result.starts_with("Error: "), "an error without the prefix: {result}");
        }
    }
    assert!(without_id <= 1, "a client without ids gets one response, not {without_id}");
}

/// Parses a frame. Returns its header, its content, and the rest.
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

/// Answers messages by the names of their types: `later` after a job (work for another thread) has
/// run, `lost` with an error, since its promise (of a result) is dropped, `big` with more than fits
/// into the output, `stream` and `pause` with the length of content that arrived in pieces, `text`
/// with the same text. [`Reference`] answers all other types.
#[derive(Default)]
pub(crate) struct TestHandler {
    /// Number of bytes of content that arrived in pieces.
    received: usize,
    /// Whether to pause after each piece.
    pauses: bool,
    /// Whether it has paused.
    paused: Rc<Cell<bool>>,
    /// Requests that wait for a job.
    late: Vec<u64>,
    reference: Reference,
}

/// The name of a type for [`TestHandler`]: over HTTP, the part after the slash.
fn kind(content_type: &str) -> &str {
    content_type.rsplit('/').next().unwrap_or_default()
}

impl TestHandler {
    /// Creates a handler that sets `paused` when it pauses.
    pub(crate) fn new(paused: Rc<Cell<bool>>) -> Self {
        Self { paused, ..Self::default() }
    }
}

impl Handler for TestHandler {
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
        mut responder: Responder<'_, '_>,
    ) -> Answer {
        match kind(&message.content_type) {
            "later" => {
                let _ = responder.run(|| ());
                self.late.push(responder.request());
                responder.later()
            }
            "lost" => {
                drop(responder.promise());
                responder.later()
            }
            "big" => responder.send(Message::binary("big", &LARGE[..])),
            "text" => match message.to_text() {
                Ok(text) => {
                    let encoding =
                        Encoding::of(&message.content_encoding).expect("a supported encoding");
                    let answer =
                        Message::text("text", encoding, &text).expect("a supported encoding");
                    assert_eq!(answer.to_text().as_ref(), Ok(&text), "text survives {encoding:?}");
                    responder.send(answer)
                }
                Err(error) => responder.refuse(error),
            },
            _ => Handler::on_message(&mut self.reference, message, peer, responder),
        }
    }

    fn on_content(&mut self, piece: &[u8], responder: &mut Responder<'_, '_>) -> Flow {
        assert!(!piece.is_empty(), "a piece is not empty");
        self.received += piece.len();
        if !self.pauses {
            return Flow::More;
        }
        let _ = responder.run(|| ());
        self.paused.set(true);
        Flow::Pause
    }

    fn on_end(&mut self, responder: Responder<'_, '_>) -> Answer {
        responder.send(Message::binary("count", self.received.to_string()))
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<JobResult, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body {
            Ok(_) if self.late.contains(&responder.request()) => {
                responder.send(Message::binary("late", "it took a while"))
            }
            // Continue with the content.
            Ok(_) => responder.later(),
            Err(Abandoned) => responder.error("internal", "the promise was abandoned"),
        }
    }
}
