//! A service on the simulated network: its responses don't depend on the network.

use std::rc::Rc;

use sockeye::engine::driver::Target;
use sockeye::http::{
    Body, BodyReceiver, BodySource, Bytes, HeaderMap, HttpService, Reply, Request, Response,
    SourceNext,
};
use sockeye::{Config, Peer, Protocol, http_core};
use sockeye_sim::{Faults, Outcome, Rng, Script, World, seeds};

/// Receives a body, partly with jobs in between, and sends it back.
#[derive(Default)]
struct Back {
    taken: Vec<u8>,
    pieces: usize,
}

impl BodyReceiver for Back {
    fn piece(mut self: Box<Self>, piece: &[u8]) -> Reply {
        self.taken.extend_from_slice(piece);
        self.pieces += 1;
        if self.pieces.is_multiple_of(2) {
            Reply::read_more(self)
        } else {
            Reply::run(|| Reply::read_more(self))
        }
    }

    fn end(self: Box<Self>, trailers: HeaderMap) -> Reply {
        let trailers = trailers.len();
        let whole = Bytes::from(self.taken);
        Reply::run(move || format!("{trailers} {}", String::from_utf8_lossy(&whole)))
    }
}

/// Gives more than the output holds, partly with jobs in between.
struct Pour(usize);

impl BodySource for Pour {
    fn next(mut self: Box<Self>) -> SourceNext {
        if self.0 == 0 {
            return SourceNext::End;
        }
        self.0 -= 1;
        let piece = Bytes::from(vec![b'x'; 7000]);
        if self.0.is_multiple_of(3) {
            SourceNext::run(|| SourceNext::Piece(piece, self))
        } else {
            SourceNext::Piece(piece, self)
        }
    }
}

fn answer(request: Request<Body>) -> Reply {
    let path = request.uri().path().to_owned();
    let body = request.into_body();
    match &*path {
        "/collect" => body.collect(1 << 20, Bytes::from),
        "/receive" => body.receive(1 << 20, Back::default()),
        "/run" => Reply::run(move || body.collect(1 << 20, |body| Reply::run(move || body))),
        "/later" => Reply::later(|pending| pending.send("at once")),
        "/pull" => Reply::pull(Response::new(()), Pour(45)),
        "/sender" => Reply::stream(Response::new(()), |sender| {
            for piece in ["one ", "two ", "three "] {
                sender.try_send(piece).expect("there is credit for them");
            }
            sender.finish();
        }),
        _ => path.into(),
    }
}

fn here() -> Target {
    Target::Ip(([127, 0, 0, 1], 7).into())
}

fn serve(world: &mut World) {
    let (http, shared) = (HttpService::new(answer), Rc::new(http_core::ServerConfig::default()));
    let service = move |_: &Peer| -> Box<dyn Protocol> {
        Box::new(http_core::Server::new(Rc::clone(&shared), http.handlers()))
    };
    world.server(&[here()], Config::default(), service);
}

fn request(rng: &mut Rng) -> String {
    let path = rng.pick(&["/collect", "/receive", "/run", "/later", "/pull", "/sender", "/plain"]);
    let body = "0123456789".repeat(rng.between(0, 300));
    let head = format!("POST {path} HTTP/1.1\r\nHost: here\r\n");
    if rng.chance(500) {
        return format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    }
    let mut chunks = String::new();
    let mut rest = &body[..];
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(rng.between(1, rest.len()));
        chunks += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
        rest = later;
    }
    format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nA: b\r\n\r\n")
}

fn gentle(rng: &mut Rng) -> Faults {
    let mut faults = Faults::lossless(rng);
    // With smaller buffers, requests could miss their deadlines.
    faults.send_buffer = faults.send_buffer.max(1024);
    faults.receive_buffer = faults.receive_buffer.max(1024);
    faults
}

/// All that one client receives, without the dates.
fn responses(seed: u64, faults: Faults, requests: &str) -> String {
    let mut world = World::new(seed, faults);
    serve(&mut world);
    let client = world.peer(&here(), Script::new().send(requests).finish());
    world.settle();
    let received = world.peer_state(client);
    assert_eq!(received.outcome.map(|(outcome, _)| outcome), Some(Outcome::Ended));
    world.finish();
    let received: String = received.bytes.iter().copied().map(char::from).collect();
    received.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

/// The responses without their chunks, which may differ.
fn unframed(mut received: &str) -> Vec<String> {
    let mut replies = Vec::new();
    while let Some((head, mut rest)) = received.split_once("\r\n\r\n") {
        let mut body = String::new();
        if let Some((_, length)) = head.split_once("Content-Length: ") {
            let length =
                length.lines().next().and_then(|line| line.parse().ok()).expect("a number");
            let (content, behind) = rest.split_at(length);
            body.push_str(content);
            rest = behind;
        } else {
            loop {
                let (size, behind) = rest.split_once("\r\n").expect("a size");
                let size = usize::from_str_radix(size, 16).expect("a size");
                body.push_str(&behind[..size]);
                rest = &behind[size + 2..];
                if size == 0 {
                    break;
                }
            }
        }
        replies.push(format!("{head}\n{body}"));
        received = rest;
    }
    assert_eq!(received, "", "nothing is left over");
    replies
}

#[test]
fn responses_do_not_depend_on_the_network() {
    seeds(0..40, |seed| {
        let mut rng = Rng::new(seed);
        let faults = gentle(&mut rng);
        let count = rng.between(1, 8);
        let requests: String = (0..count).map(|_| request(&mut rng)).collect();
        let plain = unframed(&responses(seed, Faults::none(), &requests));
        assert_eq!(plain.len(), count);
        assert!(plain.iter().all(|response| response.starts_with("HTTP/1.1 200 OK")));
        assert_eq!(unframed(&responses(seed, faults, &requests)), plain);
    });
}

#[test]
fn interrupted_clients_leave_nothing_behind() {
    seeds(0..40, |seed| {
        let mut rng = Rng::new(seed);
        let faults = gentle(&mut rng);
        let mut world = World::new(seed, faults);
        serve(&mut world);
        let whole: String = (0..3).map(|_| request(&mut rng)).collect();
        let script = Script::new().send(&whole[..rng.between(1, whole.len())]);
        let script = match rng.pick(&["finish", "reset", "close"]) {
            "finish" => script.finish(),
            "reset" => script.reset(),
            _ => script.close(),
        };
        world.peer(&here(), script);
        world.settle();
        world.finish();
    });
}
