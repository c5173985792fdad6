//! Frames and HTTP on one port: the responses don't depend on how requests are split.

use std::rc::Rc;

use bytes::Bytes;
use sockeye_engine::Config;
use sockeye_message::{
    Answer, ContentMode, Flow, Handler, Header, Id, Limits, Message, Responder, ServerConfig, frame,
};
use sockeye_proto::{Abandoned, Peer, Protocol, Ticket};
use sockeye_sim::{Faults, Outcome, Rng, Script, World, seeds};

use crate::{here, secs};

const CONTENT_TYPES: [&str; 3] = ["a/whole", "a/pieces", "a/pauses"];

/// Sends content back: at once if its length is odd, otherwise after a job. The content type says
/// whether it is received as a whole, in pieces, or in pieces with a pause after each.
#[derive(Default)]
struct Mirror {
    pieces: Vec<u8>,
    pauses: bool,
}

impl Mirror {
    fn answer(content: Bytes, mut responder: Responder<'_, '_>) -> Answer {
        if content.len() % 2 == 1 {
            return responder.send(Message::binary("a/mirrored", content));
        }
        let _ = responder.run(move || content);
        responder.later()
    }
}

impl Handler for Mirror {
    fn content_mode(&mut self, header: &Header) -> ContentMode {
        self.pieces.clear();
        self.pauses = header.content_type == "a/pauses";
        if header.content_type == "a/whole" { ContentMode::Whole } else { ContentMode::Stream }
    }

    fn on_message(&mut self, message: Message, _: &Peer, responder: Responder<'_, '_>) -> Answer {
        Self::answer(message.content, responder)
    }

    fn on_content(&mut self, piece: &[u8], responder: &mut Responder<'_, '_>) -> Flow {
        self.pieces.extend_from_slice(piece);
        if !self.pauses {
            return Flow::More;
        }
        let _ = responder.run(|| ());
        Flow::Pause
    }

    fn on_end(&mut self, responder: Responder<'_, '_>) -> Answer {
        Self::answer(std::mem::take(&mut self.pieces).into(), responder)
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body.map(sockeye_proto::Message::downcast::<Bytes>) {
            Ok(Ok(content)) => responder.send(Message::binary("a/mirrored", *content)),
            // The pause is over: continue with the content.
            Ok(Err(_)) => responder.later(),
            Err(Abandoned) => responder.fail("the job was dropped"),
        }
    }
}

fn service() -> impl FnMut(&Peer) -> Box<dyn Protocol> {
    let shared = Rc::new(ServerConfig::new(Limits::default()));
    move |_| shared.open(Mirror::default())
}

fn content(rng: &mut Rng) -> Vec<u8> {
    let len = rng.below(300);
    rng.bytes(len)
}

/// An HTTP request, with a length or in chunks.
fn request(rng: &mut Rng, content: &[u8]) -> Vec<u8> {
    let kind = rng.pick(&CONTENT_TYPES);
    let chunked = rng.chance(500);
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", content.len())
    };
    let mut request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n")
            .into_bytes();
    if !chunked {
        request.extend_from_slice(content);
        return request;
    }
    for chunk in content.chunks(rng.between(1, 100)) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend_from_slice(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

/// A request in a frame, with keep-alive.
fn frame_request(rng: &mut Rng, id: u64, content: &[u8]) -> Vec<u8> {
    let message = Message::binary(rng.pick(&CONTENT_TYPES), content.to_vec());
    let mut header = Header::of(&message);
    (header.id, header.keep_alive) = (Some(Id::number(id)), true);
    [&frame::head(&header).expect("it is short"), content].concat()
}

/// The contents of the HTTP responses in `received`. Checks that nothing follows a response with
/// `Connection: close`.
fn http_responses(mut received: &[u8]) -> Vec<Vec<u8>> {
    let (mut contents, mut closes) = (Vec::new(), false);
    while !received.is_empty() {
        assert!(!closes, "nothing follows the last response");
        let end =
            received.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
        let head = std::str::from_utf8(&received[..end]).expect("text");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: a/mirrored\r\n"), "{head}");
        closes = head.contains("Connection: close\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.expect("a length").parse().expect("a number");
        contents.push(received[end..end + length].to_vec());
        received = &received[end + length..];
    }
    contents
}

/// The ids and contents of the frames in `received`.
fn frames(mut received: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut frames = Vec::new();
    while !received.is_empty() {
        let (header, len) =
            frame::read(received, &Limits::default()).expect("a frame").expect("a whole header");
        let end = len + header.content_length as usize;
        let id = header.id.as_ref().and_then(Id::as_number).expect("the id that was sent");
        frames.push((id, received[len..end].to_vec()));
        received = &received[end..];
    }
    frames
}

/// Four clients: whether each uses HTTP, the bytes that it sends, and the contents of its requests.
fn clients(rng: &mut Rng) -> Vec<(bool, Vec<u8>, Vec<Vec<u8>>)> {
    let mut client = |_| {
        let http = rng.chance(500);
        let contents: Vec<_> = (0..rng.between(1, 8)).map(|_| content(rng)).collect();
        let sent = contents.iter().enumerate().flat_map(|(id, content)| {
            if http { request(rng, content) } else { frame_request(rng, id as u64, content) }
        });
        (http, sent.collect(), contents)
    };
    (0..4).map(&mut client).collect()
}

/// Checks the responses in `received`, which may be fewer than the requests. Returns their number.
fn check(http: bool, received: &[u8], contents: &[Vec<u8>]) -> usize {
    if http {
        let responses = http_responses(received);
        assert!(contents.starts_with(&responses), "the responses are the contents, in order");
        return responses.len();
    }
    let mut responses = frames(received);
    responses.sort_unstable();
    for (id, content) in &responses {
        assert!(contents[*id as usize] == *content, "the response to {id}");
    }
    responses.dedup_by_key(|(id, _)| *id);
    responses.len()
}

#[test]
fn each_client_is_answered_in_its_own_protocol_despite_faults() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let mut faults = Faults { no_descriptor: 0, ..Faults::lossless(&mut rng) };
        // With smaller buffers, a request could arrive too slowly and time out.
        faults.send_buffer = faults.send_buffer.max(256);
        faults.receive_buffer = faults.receive_buffer.max(256);
        let mut world = World::new(seed, faults);
        world.server(&[here()], Config::default(), service());
        let clients: Vec<_> = clients(&mut rng)
            .into_iter()
            .map(|(http, sent, contents)| {
                let peer = world.peer(&here(), Script::new().send(sent).finish());
                (http, peer, contents)
            })
            .collect();
        world.settle();
        for (http, peer, contents) in clients {
            let received = world.peer_state(peer);
            assert_eq!(received.outcome.map(|(outcome, _)| outcome), Some(Outcome::Ended));
            assert_eq!(check(http, &received.bytes, &contents), contents.len(), "http: {http}");
        }
        world.finish();
    });
}

#[test]
fn draining_cuts_no_client_of_the_port() {
    seeds(0..300, |seed| {
        let mut rng = Rng::new(seed);
        let mut faults = Faults { stall: 0, no_descriptor: 0, ..Faults::lossless(&mut rng) };
        faults.send_buffer = faults.send_buffer.max(256);
        faults.receive_buffer = faults.receive_buffer.max(256);
        let mut world = World::new(seed, faults);
        let server = world.server(&[here()], Config::default(), service());
        let clients: Vec<_> = clients(&mut rng)
            .into_iter()
            .map(|(http, sent, contents)| {
                // The first bytes decide between frames and HTTP. Send some of them, and wait.
                let (begin, rest) = sent.split_at(rng.between(0, 4));
                let wait = rng.duration(secs(1));
                let script = Script::new().send(begin).wait(wait).send(rest).await_end();
                (http, world.peer(&here(), script), contents)
            })
            .collect();
        world.run(rng.duration(secs(1)));
        world.drain(server);
        let done = world.run_until(secs(29), |world| world.worker(server).is_done());
        assert!(done, "it drains without a cut");
        world.settle();
        assert_eq!(world.worker(server).stats().cut, 0);
        for (http, peer, contents) in clients {
            let received = world.peer_state(peer);
            check(http, &received.bytes, &contents);
            assert!(received.outcome.is_some());
        }
        world.finish();
    });
}

#[test]
fn with_lossy_faults_every_connection_ends() {
    seeds(0..200, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = World::new(seed, Faults::lossy(&mut rng));
        let server = world.server(&[here()], Config::default(), service());
        for (_, sent, _) in clients(&mut rng) {
            let cut = rng.below(sent.len());
            let script = Script::new().send(&sent[..cut]);
            world.peer(&here(), if rng.chance(500) { script.finish() } else { script });
        }
        world.settle();
        assert_eq!(world.worker(server).stats().closed_for("panicked"), 0);
        world.finish();
    });
}
