//! A handler of HTTP requests that uses many features of handlers, selected by path.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sockeye_http::{
    Answer, Body, Content, Fields, Handler, Method, Request, Responder, Status, Stream,
    StreamEvent, Trailers,
};
use sockeye_proto::harness::Harness;
use sockeye_proto::{
    Abandoned, Consumed, End, Event, Fault, Message, Protocol, Ticket, Time, Turn,
};

/// Content as long as the limit on a connection's output. With its head, a response exceeds the
/// limit.
static LARGE: [u8; Harness::ROOM] = [b'x'; Harness::ROOM];

/// The properties of a request that decide which responses to it are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordedRequest {
    /// Whether the method is HEAD.
    pub(crate) head_only: bool,
    /// Whether a 100 may come first: the request has an Expect field and content.
    pub(crate) expects: bool,
    /// Whether a 101 may be the response: the request asks for another protocol.
    pub(crate) upgrade: bool,
}

/// The next step after a job has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AfterJob {
    #[default]
    Answer,
    Read,
}

/// Answers in the way that the request's path selects. A path that is not listed here is sent back
/// as the content. The output doesn't depend on how a request's body is split into pieces.
///
/// - `/read` reads the body, then sends it and its trailers back. `/pause` also runs a job after
///   each piece, and `/ask` runs one before it reads. `/tiny` accepts only four bytes. `/early`
///   answers at the first piece.
/// - `/pipe` sends each byte back as it arrives, and for each `!` a third of [`LARGE`] instead.
///   `/known` sends each byte back, too, and announces a length of four. `/twice` reads the body,
///   then sends a third of [`LARGE`] for each byte, at most seven. `/more` reads nothing, and sends
///   seven such thirds. `/events` starts its response, and completes it after a job has run.
/// - `/later` answers after a job has run; `/big` with more than fits into the output; `/none`,
///   `/204` and `/205` without content; `/error` with 404; `/upgrade` switches protocols, or
///   answers with 409; `/closing` closes the connection.
pub(crate) struct FuzzHandler {
    requests: Rc<RefCell<Vec<RecordedRequest>>>,
    path: Vec<u8>,
    body: Vec<u8>,
    /// Number of pieces that are still to be written.
    left: usize,
    after_job: AfterJob,
}

impl FuzzHandler {
    pub(crate) fn new(requests: Rc<RefCell<Vec<RecordedRequest>>>) -> Self {
        Self {
            requests,
            path: Vec::new(),
            body: Vec::new(),
            left: 0,
            after_job: AfterJob::default(),
        }
    }

    fn wait(&mut self, responder: Responder<'_, '_>, after_job: AfterJob) -> Answer {
        self.after_job = after_job;
        let _ = responder.run(|| ());
        responder.later()
    }

    fn send_body(&mut self, responder: Responder<'_, '_>, trailers: &Trailers<'_>) -> Answer {
        for (name, value) in trailers.fields() {
            self.body.extend([b"|", name, b"=", value].concat());
        }
        let body = std::mem::take(&mut self.body);
        responder.send(Status::OK, &Fields::new(), Body::Shared(&body.into()))
    }

    fn write_more(&mut self, mut stream: Stream<'_, '_>) -> Answer {
        while self.left > 0 && !stream.is_full() {
            stream.write(&LARGE[..LARGE.len() / 3]);
            self.left -= 1;
        }
        if self.left > 0 { stream.more() } else { stream.end() }
    }
}

impl Handler for FuzzHandler {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.requests.borrow_mut().push(RecordedRequest {
            head_only: request.method() == Method::Head,
            expects: request.field("expect").is_some() && request.content() != Content::None,
            upgrade: request.upgrade().is_some(),
        });
        self.path = request.path().to_vec();
        self.body.clear();
        let fields = Fields::new();
        match &self.path[..] {
            b"/read" | b"/pause" | b"/early" | b"/twice" => responder.read(),
            b"/tiny" => responder.read_up_to(4),
            b"/ask" => self.wait(responder, AfterJob::Read),
            b"/later" => self.wait(responder, AfterJob::Answer),
            b"/pipe" => responder.stream(Status::OK, &fields, None).read(),
            b"/known" => responder.stream(Status::OK, &fields, Some(4)).read(),
            b"/more" => {
                self.left = 7;
                self.write_more(responder.stream(Status::OK, &fields, None))
            }
            b"/events" => {
                let stream = responder.stream(Status::OK, &fields, None);
                let _ = stream.run(|| ());
                stream.later()
            }
            b"/big" => responder.send(Status::OK, &fields, Body::Static(&LARGE)),
            b"/none" => responder.send(Status::NOT_MODIFIED, &fields, Body::Empty),
            b"/204" => responder.stream(Status::NO_CONTENT, &fields, None).later(),
            b"/205" => responder.stream(Status::RESET_CONTENT, &fields, None).more(),
            b"/closing" => responder.closing().send(Status::OK, &fields, Body::Static(b"last")),
            b"/error" => responder.error(Status::NOT_FOUND, &fields, "There is no such thing."),
            b"/upgrade" => {
                let upgraded = responder.upgrade("parrot", &fields, Box::<Parrot>::default());
                upgraded.unwrap_or_else(|responder| responder.error(Status::CONFLICT, &fields, ""))
            }
            path => {
                let text = path.escape_ascii().to_string();
                responder.send(Status::OK, &fields, Body::Shared(&text.into()))
            }
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match self.after_job {
            AfterJob::Answer => {
                responder.send(Status::OK, &Fields::new(), Body::Static(b"it took a while"))
            }
            AfterJob::Read => responder.read(),
        }
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        assert!(!piece.is_empty(), "a piece is not empty");
        self.body.extend_from_slice(piece);
        match &self.path[..] {
            b"/early" => {
                responder.closing().send(Status::OK, &Fields::new(), Body::Static(b"early"))
            }
            b"/pause" => self.wait(responder, AfterJob::Read),
            _ => responder.read(),
        }
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        if self.path == b"/twice" {
            self.left = self.body.len().min(7);
            return self.write_more(responder.stream(Status::CREATED, &Fields::new(), None));
        }
        self.send_body(responder, trailers)
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Room => self.write_more(stream),
            StreamEvent::Body(piece) => {
                for byte in piece {
                    let many = *byte == b'!' && self.path == b"/pipe";
                    stream.write(if many {
                        &LARGE[..LARGE.len() / 3]
                    } else {
                        std::slice::from_ref(byte)
                    });
                }
                stream.read()
            }
            StreamEvent::BodyEnd(trailers) => {
                let mut fields = Fields::new();
                for (name, value) in trailers.fields() {
                    let name = str::from_utf8(name).expect("a token");
                    // Fields that frame a message can't be added.
                    let _ = fields.push(name, value);
                }
                stream.end_with(&fields)
            }
            StreamEvent::Message(..) => {
                stream.write(b"it took a while");
                stream.end()
            }
            // A response that is still to echo a body or to write pieces continues. Others end now.
            StreamEvent::Drain => match &self.path[..] {
                b"/pipe" | b"/known" => stream.read(),
                b"/more" | b"/twice" => self.write_more(stream),
                _ => stream.end(),
            },
            _ => stream.abort(),
        }
    }
}

/// An echo that ends after a second, or when the input ends.
#[derive(Default)]
struct Parrot {
    until: Time,
}

impl Protocol for Parrot {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        turn.out.write(input);
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => self.until = turn.now() + Duration::from_secs(1),
            Event::Eof { .. } | Event::Deadline => turn.end(End::Close),
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.until)
    }
}
