//! A handler of HTTP requests that does everything that a handler can do, as the path says.

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

/// What a body has that is larger than what a connection may have unsent.
static BIG: [u8; Harness::ROOM] = [b'x'; Harness::ROOM];

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its method is HEAD.
    pub(crate) head_only: bool,
    pub(crate) expects: bool,
    pub(crate) upgrade: bool,
}

/// What is to be done when a job has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Then {
    #[default]
    Answer,
    Read,
}

/// Answers as the path says, else with the path. Nothing that it says depends on how the pieces of a
/// body were cut.
///
/// - `/read` sends the body back, and its trailers; `/pause` does so, with a job behind each piece;
///   `/ask` asks for it when a job has run; `/tiny` takes four bytes; `/early` answers at the first.
/// - `/pipe` sends each byte back as it comes, and much of it for a `!`; `/twice` reads the body
///   first; `/known` announces four bytes and sends the body; `/more` sends more than there is
///   room for, bit by bit; `/events` sends what a job says.
/// - `/later` answers when a job has run; `/big` with more than fits into an output; `/none`, `/204`
///   and `/205` without content; `/upgrade` hands over; `/closing` closes.
pub(crate) struct Several {
    asked: Rc<RefCell<Vec<Asked>>>,
    path: Vec<u8>,
    body: Vec<u8>,
    left: usize,
    then: Then,
}

impl Several {
    pub(crate) fn new(asked: Rc<RefCell<Vec<Asked>>>) -> Self {
        Self { asked, path: Vec::new(), body: Vec::new(), left: 0, then: Then::default() }
    }

    fn wait(&mut self, reply: Responder<'_, '_>, then: Then) -> Answer {
        self.then = then;
        let _ = reply.run(|| ());
        reply.later()
    }

    fn send_body(&mut self, reply: Responder<'_, '_>, trailers: &Trailers<'_>) -> Answer {
        for (name, value) in trailers.fields() {
            self.body.extend([b"|", name, b"=", value].concat());
        }
        let body = std::mem::take(&mut self.body);
        reply.send(Status::OK, &Fields::new(), Body::Shared(&body.into()))
    }

    fn write_on(&mut self, mut stream: Stream<'_, '_>) -> Answer {
        while self.left > 0 && !stream.is_full() {
            stream.write(&BIG[..BIG.len() / 3]);
            self.left -= 1;
        }
        if self.left > 0 { stream.more() } else { stream.end() }
    }
}

impl Handler for Several {
    fn on_request(&mut self, request: &Request<'_>, reply: Responder<'_, '_>) -> Answer {
        self.asked.borrow_mut().push(Asked {
            head_only: request.method() == Method::Head,
            expects: request.field("expect").is_some() && request.content() != Content::None,
            upgrade: request.upgrade().is_some(),
        });
        self.path = request.path().to_vec();
        self.body.clear();
        let fields = Fields::new();
        match &self.path[..] {
            b"/read" | b"/pause" | b"/early" | b"/twice" => reply.read(),
            b"/tiny" => reply.read_up_to(4),
            b"/ask" => self.wait(reply, Then::Read),
            b"/later" => self.wait(reply, Then::Answer),
            b"/pipe" => reply.stream(Status::OK, &fields, None).read(),
            b"/known" => reply.stream(Status::OK, &fields, Some(4)).read(),
            b"/more" => {
                self.left = 7;
                self.write_on(reply.stream(Status::OK, &fields, None))
            }
            b"/events" => {
                let stream = reply.stream(Status::OK, &fields, None);
                let _ = stream.run(|| ());
                stream.later()
            }
            b"/big" => reply.send(Status::OK, &fields, Body::Static(&BIG)),
            b"/none" => reply.send(Status::NOT_MODIFIED, &fields, Body::Empty),
            b"/204" => reply.stream(Status::NO_CONTENT, &fields, None).later(),
            b"/205" => reply.stream(Status::RESET_CONTENT, &fields, None).more(),
            b"/closing" => reply.closing().send(Status::OK, &fields, Body::Static(b"last")),
            b"/error" => reply.error(Status::NOT_FOUND, &fields, "There is no such thing."),
            b"/upgrade" => {
                let upgraded = reply.upgrade("parrot", &fields, Box::<Parrot>::default());
                upgraded.unwrap_or_else(|reply| reply.error(Status::CONFLICT, &fields, ""))
            }
            path => {
                let text = path.escape_ascii().to_string();
                reply.send(Status::OK, &fields, Body::Shared(&text.into()))
            }
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        _: Result<Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        match self.then {
            Then::Answer => {
                reply.send(Status::OK, &Fields::new(), Body::Static(b"it took a while"))
            }
            Then::Read => reply.read(),
        }
    }

    fn on_body(&mut self, piece: &[u8], reply: Responder<'_, '_>) -> Answer {
        assert!(!piece.is_empty(), "nothing is no piece");
        self.body.extend_from_slice(piece);
        match &self.path[..] {
            b"/early" => reply.closing().send(Status::OK, &Fields::new(), Body::Static(b"early")),
            b"/pause" => self.wait(reply, Then::Read),
            _ => reply.read(),
        }
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, reply: Responder<'_, '_>) -> Answer {
        if self.path == b"/twice" {
            self.left = self.body.len().min(7);
            return self.write_on(reply.stream(Status::CREATED, &Fields::new(), None));
        }
        self.send_body(reply, trailers)
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Room => self.write_on(stream),
            StreamEvent::Body(piece) => {
                for byte in piece {
                    let many = *byte == b'!' && self.path == b"/pipe";
                    stream.write(if many {
                        &BIG[..BIG.len() / 3]
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
                    // Those that frame a message are not for us to pass on.
                    let _ = fields.push(name, value);
                }
                stream.end_with(&fields)
            }
            StreamEvent::Message(..) => {
                stream.write(b"it took a while");
                stream.end()
            }
            // What has an end of its own goes on to it.
            StreamEvent::Drain => match &self.path[..] {
                b"/pipe" | b"/known" => stream.read(),
                b"/more" | b"/twice" => self.write_on(stream),
                _ => stream.end(),
            },
            _ => stream.abort(),
        }
    }
}

/// Says what it hears, and ends when it has heard nothing for a while.
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
