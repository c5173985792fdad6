//! Tests of HTTP/2: RFC 9113 frame by frame, and several requests in flight.

pub(super) mod client;
mod connect;
mod costs;
mod endings;
mod floods;
mod frames;
mod priorities;
mod properties;
mod requests;
mod starts;
mod streams;
mod switch;
mod timing;
mod tunnels;
mod windows;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Message, Peer, Promise, Ticket, Time, WallTime};

use self::client::{Client, END, block, head, raw};
use crate::{
    Answer, Body, Fields, Handler, Limits, Log, Outcome, Request, RequestHead, Responder, Server,
    ServerConfig, Status, Stream, StreamEvent, Trailers,
};

static LARGE: [u8; 10 * 16384 + 7] = [b'x'; 10 * 16384 + 7];

/// `/later` answers when a test fulfills its promise, `/never` not at all. `/endless` streams while
/// there is room, `/echo` streams what it reads, `/stop` streams until the server drains. `/large`
/// has a large response, `/late` too, which says that it isn't urgent; `/collect` answers after the
/// request's content, `/early` at its first piece, `/tiny` accepts four bytes. `/hold` reads when a
/// job has run, `/pause` pauses after each piece until a job has run. `/panic` panics,
/// `/panic-started` after its head. `/fields` answers with what the request says, `/head` with a
/// large head, `/trailers` with large trailers, `/proxy` with a Proxy-Connection field. `/none` is
/// a 304. Other paths answer at once.
struct Site {
    shared: Rc<Shared>,
    path: Vec<u8>,
    content: usize,
}

#[derive(Default)]
struct Shared {
    promises: RefCell<Vec<Promise>>,
    /// Handlers that were made, and those that are alive.
    made: Cell<u32>,
    alive: Cell<i32>,
    /// The destructors of handlers panic.
    panics_in_drop: Cell<bool>,
    /// Requests whose content was incomplete.
    incomplete: Cell<u32>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shared.alive.update(|alive| alive - 1);
        assert!(!self.shared.panics_in_drop.get(), "on purpose, in a destructor");
    }
}

fn pour(mut stream: Stream<'_, '_>) -> Answer {
    while !stream.is_full() {
        stream.write(&[b'x'; 1000]);
    }
    stream.more()
}

/// The control data and the fields of a request.
fn show(request: &Request<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut shown = format!("{} {}", request.method(), text(request.target()));
    for (name, value) in request.fields() {
        shown += &format!("|{}={}", text(name), text(value));
    }
    shown
}

static LONG: [u8; 30_000] = [b'v'; 30_000];

impl Handler for Site {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let none = Fields::new();
        self.path = request.path().to_vec();
        match request.path() {
            b"/later" => {
                self.shared.promises.borrow_mut().push(responder.promise());
                responder.later()
            }
            b"/never" => responder.later(),
            b"/endless" => pour(responder.stream(Status::OK, &none, None)),
            b"/echo" => responder.stream(Status::OK, &none, None).read(),
            b"/stop" => responder.stream(Status::OK, &none, None).later(),
            b"/large" => responder.send(Status::OK, &none, Body::Static(&LARGE)),
            b"/late" => {
                let fields = Fields::new().with("Priority", b"u=7").unwrap();
                responder.send(Status::OK, &fields, Body::Static(&LARGE))
            }
            b"/collect" | b"/early" | b"/pause" => responder.read(),
            b"/tiny" => responder.read_up_to(4),
            b"/hold" => {
                let _ = responder.run(|| "read");
                responder.later()
            }
            b"/panic" => panic!("on purpose"),
            b"/panic-started" => {
                let mut stream = responder.stream(Status::OK, &none, None);
                stream.write(b"abc");
                panic!("on purpose, in the middle");
            }
            b"/abort" => responder.stream(Status::OK, &none, None).abort(),
            b"/none" => responder.send(Status::NOT_MODIFIED, &none, Body::Static(b"never sent")),
            b"/no-content" => responder.send(Status::NO_CONTENT, &none, Body::Empty),
            b"/fields" => responder.send(Status::OK, &none, Body::Shared(&show(request).into())),
            b"/head" => {
                let fields = Fields::new().with("X-Long", &LONG).unwrap();
                responder.send(Status::OK, &fields, Body::Static(b"head"))
            }
            b"/proxy" => {
                let fields = Fields::new().with("Proxy-Connection", b"close").unwrap();
                let mut stream = responder.stream(Status::OK, &fields, None);
                stream.write(b"abc");
                stream.end_with(&fields)
            }
            b"/trailers" => {
                let mut stream = responder.stream(Status::OK, &none, None);
                stream.write(b"abc");
                stream.end_with(&Fields::new().with("X-Long", &LONG).unwrap())
            }
            path => responder.send(Status::OK, &none, Body::Copied(path)),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let text = *body.unwrap().downcast::<&'static str>().unwrap();
        if text == "read" {
            return responder.read();
        }
        responder.send(Status::OK, &Fields::new(), Body::Static(text.as_bytes()))
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.content += piece.len();
        match &self.path[..] {
            b"/early" => responder.send(Status::OK, &Fields::new(), Body::Static(b"early")),
            b"/pause" => {
                let _ = responder.run(|| "read");
                responder.later()
            }
            _ => responder.read(),
        }
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let mut text = self.content.to_string();
        for (name, value) in trailers.fields() {
            text +=
                &format!("|{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        }
        responder.send(Status::OK, &Fields::new(), Body::Shared(&text.into()))
    }

    fn on_incomplete(&mut self, _: Time) {
        self.shared.incomplete.update(|count| count + 1);
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Room => pour(stream),
            StreamEvent::Body(piece) => {
                stream.write(piece);
                stream.read()
            }
            StreamEvent::BodyEnd(trailers) => {
                let mut fields = Fields::new();
                for (name, value) in Trailers::fields(trailers) {
                    fields.push(str::from_utf8(name).unwrap(), value).unwrap();
                }
                stream.end_with(&fields)
            }
            StreamEvent::Drain => stream.end(),
            _ => stream.later(),
        }
    }
}

/// Records requests and how they ended, in the order in which they ended.
#[derive(Debug, Default)]
struct Ends(RefCell<Vec<String>>);

impl Log for Ends {
    fn on_request(&self, request: RequestHead<'_>, _: &Peer, _: WallTime, notes: &mut Vec<u8>) {
        match request {
            RequestHead::Parsed(request) => notes.extend_from_slice(request.target()),
            RequestHead::Unparsed(head) => {
                notes.push(b'?');
                notes.extend_from_slice(head.line);
            }
        }
    }

    fn on_end(&self, notes: &[u8], outcome: &Outcome) {
        let status = outcome.status.map_or(0, Status::code);
        let (notes, content) = (String::from_utf8_lossy(notes), outcome.content);
        let refused = outcome.fault_code.map(|code| format!(" {code}")).unwrap_or_default();
        let reason = outcome.end_reason.as_str();
        self.0.borrow_mut().push(format!("{notes} {status} {content} {reason}{refused}"));
    }
}

/// A client of a server with [`Site`].
struct Scene {
    client: Client,
    shared: Rc<Shared>,
    ends: Rc<Ends>,
}

/// A server with [`Site`], and what tests see of it.
fn server(limits: Limits) -> (Harness, Rc<Shared>, Rc<Ends>) {
    let (shared, ends) = (Rc::<Shared>::default(), Rc::<Ends>::default());
    let config = Rc::new(ServerConfig::new(limits).logging(ends.clone()));
    let ours = Rc::clone(&shared);
    let server = Server::new(config, move |_: &Peer| {
        ours.made.update(|made| made + 1);
        ours.alive.update(|alive| alive + 1);
        Site { shared: Rc::clone(&ours), path: Vec::new(), content: 0 }
    });
    (Harness::new(server), shared, ends)
}

impl Scene {
    fn with(limits: Limits, settings: &[(u16, u32)]) -> Self {
        let (harness, shared, ends) = server(limits);
        Self { client: Client::with_settings(harness, settings), shared, ends }
    }

    fn new() -> Self {
        Self::with(Limits::default(), &[])
    }

    /// Fulfills all promises.
    fn fulfill(&mut self, text: &'static str) {
        for promise in self.shared.promises.take() {
            promise.fulfill(Box::new(text));
        }
        self.client.harness.deliver();
    }
}
