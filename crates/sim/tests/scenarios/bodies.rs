//! Requests with bodies, and streamed responses: the responses don't depend on how both are split.

use std::mem;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_http::{
    Answer, Body, Content, Fields, Handler, Request, Responder, Server, ServerConfig, Status,
    Stream, StreamEvent, Trailers,
};
use sockeye_proto::{Abandoned, Message, Peer, Ticket};
use sockeye_sim::{Faults, Rng, Script, World, seeds};

use crate::checked::{assert_no_violations, service};
use crate::here;
use crate::http::responses_to;

/// `/collect` sends a body back when it is complete. `/slow` does the same, and runs a job after
/// each piece. `/pipe` sends each piece back at once. `/ignore` doesn't read the body. `/fill`
/// streams more than fits into the output buffer.
#[derive(Default)]
struct Site {
    body: Vec<u8>,
    slow: bool,
    pieces_left: usize,
}

const PIECE: [u8; 7_000] = [b'x'; 7_000];
const PIECES: usize = 40;

impl Site {
    fn fill(&mut self, mut stream: Stream<'_, '_>) -> Answer {
        while self.pieces_left > 0 && !stream.is_full() {
            stream.write(&PIECE);
            self.pieces_left -= 1;
        }
        if self.pieces_left > 0 { stream.more() } else { stream.end() }
    }
}

impl Handler for Site {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.body.clear();
        self.slow = request.path() == b"/slow";
        let none = Fields::new();
        match (request.path(), request.content()) {
            (b"/collect" | b"/slow", _) => responder.read(),
            (b"/pipe", Content::Length(length)) => {
                responder.stream(Status::OK, &none, Some(length)).read()
            }
            (b"/fill", _) => {
                self.pieces_left = PIECES;
                self.fill(responder.stream(Status::OK, &none, Some((PIECES * PIECE.len()) as u64)))
            }
            _ => responder.send(Status::OK, &none, Body::Static(b"ignored")),
        }
    }

    fn on_message(
        &mut self,
        _: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body {
            Ok(_) => responder.read(),
            Err(Abandoned) => {
                responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "lost")
            }
        }
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.body.extend_from_slice(piece);
        if self.slow {
            let _ = responder.run(|| ());
            return responder.later();
        }
        responder.read()
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let body = mem::take(&mut self.body);
        responder.send(Status::OK, &Fields::new(), Body::Shared(&body.into()))
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, mut stream: Stream<'_, '_>) -> Answer {
        match event {
            StreamEvent::Room => self.fill(stream),
            StreamEvent::Body(piece) => {
                stream.write(piece);
                stream.read()
            }
            StreamEvent::BodyEnd(_) => stream.end(),
            _ => stream.abort(),
        }
    }
}

/// Sends `requests` to the test server, and returns the responses without their dates.
fn responses(seed: u64, faults: Faults, requests: &str) -> String {
    let shared = Rc::new(ServerConfig::default());
    responses_to(seed, faults, requests, move || {
        Server::new(Rc::clone(&shared), |_: &Peer| Site::default())
    })
}

/// A random request with a body, with a length or in chunks.
fn request(rng: &mut Rng) -> String {
    let path = rng.pick(&["/collect", "/slow", "/pipe", "/ignore", "/fill"]);
    let body = "0123456789".repeat(rng.between(0, 300));
    if path != "/pipe" && rng.chance(500) {
        let mut chunks = String::new();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(rng.between(1, rest.len()));
            chunks += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            rest = later;
        }
        return format!(
            "POST {path} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        );
    }
    let len = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {len}\r\n\r\n{body}")
}

#[test]
fn responses_to_requests_with_bodies_do_not_depend_on_faults() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let mut faults = Faults::lossless(&mut rng);
        // With smaller buffers, a request could arrive too slowly and time out.
        faults.send_buffer = faults.send_buffer.max(1024);
        faults.receive_buffer = faults.receive_buffer.max(1024);
        let count = rng.between(1, 8);
        let requests: String = (0..count).map(|_| request(&mut rng)).collect();
        let plain = responses(seed, Faults::none(), &requests);
        assert_eq!(plain.matches("HTTP/1.1 200 OK").count(), count);
        let received = responses(seed, faults, &requests);
        assert!(received == plain, "{} of {} bytes", received.len(), plain.len());
    });
}

#[test]
fn peers_that_disconnect_at_any_byte_leak_nothing() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let mut faults = Faults::lossless(&mut rng);
        // With smaller buffers, the responses to `/fill` would take too long.
        faults.send_buffer = faults.send_buffer.max(1024);
        faults.receive_buffer = faults.receive_buffer.max(1024);
        let mut world = World::new(seed, faults);
        let shared = Rc::new(ServerConfig::default());
        let (servers, logs) =
            service(move |_| Server::new(Rc::clone(&shared), |_: &Peer| Site::default()));
        world.server(&[here()], Config::default(), servers);
        let whole: String = (0..3).map(|_| request(&mut rng)).collect();
        let part = &whole[..rng.between(1, whole.len())];
        let script = Script::new().send(part);
        let ends = rng.pick(&["finish", "reset", "close"]);
        world.peer(
            &here(),
            match ends {
                "finish" => script.finish(),
                "reset" => script.reset(),
                _ => script.close(),
            },
        );
        world.settle();
        world.finish();
        assert_no_violations(&logs.borrow());
    });
}
