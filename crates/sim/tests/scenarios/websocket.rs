//! WebSockets whose peers are idle, slow or gone.

use std::cell::RefCell;
use std::rc::Rc;

use sockeye_engine::Config;
use sockeye_http::ws::{
    self, Closed, FrameHeader, Handshake, Limits, Message, Opcode, Socket, mask,
};
use sockeye_http::{Answer, Handler, Request, Responder, Server, ServerConfig};
use sockeye_proto::Peer;
use sockeye_sim::{Faults, Outcome, Rng, Script, WorkerId, World, seeds};

use crate::{here, secs};

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
const GOODBYE: &[u8] = &[0x03, 0xE8];

/// What the handlers of a server were told about ends: codes and reasons.
type Ends = Rc<RefCell<Vec<String>>>;

struct Open(Rc<ws::Config>, Ends);

impl Handler for Open {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let handshake = Handshake::read(request, false, &self.0).expect("a good request");
        handshake.accept(None, &self.0, Echo(Rc::clone(&self.1)), responder)
    }
}

struct Echo(Ends);

impl ws::Handler for Echo {
    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        socket.send(message);
    }

    fn on_close(&mut self, Closed { code, reason }: Closed<'_>, _: &mut Socket<'_, '_>) {
        self.0.borrow_mut().push(format!("{code} {reason}"));
    }
}

fn serve(world: &mut World, config: Config) -> (WorkerId, Ends) {
    let ends = Ends::default();
    let shared = Rc::new(ServerConfig::default());
    let sockets = Rc::new(ws::Config::new(Limits::default()));
    let told = Rc::clone(&ends);
    let servers = move |_: &Peer| {
        let (sockets, told) = (Rc::clone(&sockets), Rc::clone(&told));
        Server::new(Rc::clone(&shared), move |_: &Peer| Open(Rc::clone(&sockets), Rc::clone(&told)))
    };
    (world.server(&[here()], config, servers), ends)
}

fn frame(opcode: Opcode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final, ..FrameHeader::whole(opcode, payload.len(), Some(KEY)) };
    let (bytes, len) = header.encode();
    let mut frame = bytes[..len].to_vec();
    frame.extend(payload);
    mask(&mut frame[len..], KEY);
    frame
}

/// A frame of a server: its opcode and payload.
type Received = (Opcode, Vec<u8>);

/// The frames after the response that opens the WebSocket. The last one may be incomplete.
fn frames(bytes: &[u8]) -> Vec<Received> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Vec::new();
    };
    assert!(bytes.starts_with(b"HTTP/1.1 101 "), "{}", bytes.escape_ascii());
    let mut rest = &bytes[end + 4..];
    let mut frames = Vec::new();
    while let Some((header, len)) = FrameHeader::read(rest).expect("a valid header") {
        assert!(header.is_final && header.mask.is_none());
        let Some(payload) = rest[len..].get(..header.len as usize) else { break };
        frames.push((header.opcode, payload.to_vec()));
        rest = &rest[len + payload.len()..];
    }
    frames
}

/// The messages among frames.
fn messages(frames: &[Received]) -> Vec<&[u8]> {
    frames
        .iter()
        .filter(|(opcode, _)| matches!(opcode, Opcode::Text | Opcode::Binary))
        .map(|(_, payload)| &payload[..])
        .collect()
}

/// With smaller buffers, a head could arrive too slowly and time out.
fn no_tiny_buffers(faults: Faults) -> Faults {
    let (send_buffer, receive_buffer) =
        (faults.send_buffer.max(4096), faults.receive_buffer.max(4096));
    Faults { send_buffer, receive_buffer, ..faults }
}

/// Random messages, some of them in fragments with pings between them.
fn random_messages(rng: &mut Rng) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut sent, mut payloads) = (Vec::new(), Vec::new());
    for _ in 0..rng.between(1, 20) {
        let len = rng.pick(&[0, 1, 125, 126, 1000, 20_000]);
        let payload = rng.bytes(len);
        if rng.chance(300) {
            let at = rng.below(len + 1);
            sent.extend(frame(Opcode::Binary, false, &payload[..at]));
            sent.extend(frame(Opcode::Ping, true, b"between"));
            sent.extend(frame(Opcode::Continuation, true, &payload[at..]));
        } else {
            sent.extend(frame(Opcode::Binary, true, &payload));
        }
        payloads.push(payload);
    }
    (sent, payloads)
}

#[test]
fn echoes_do_not_depend_on_faults() {
    seeds(0..100, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(Faults::lossless(&mut rng));
        let mut world = World::new(seed, faults);
        let (server, ends) = serve(&mut world, Config::default());
        let (sent, payloads) = random_messages(&mut rng);
        let script = Script::new().send(HANDSHAKE).send(sent);
        let peer = world.peer(&here(), script.send(frame(Opcode::Close, true, GOODBYE)));
        world.settle();
        let state = world.peer_state(peer);
        let received = frames(&state.bytes);
        assert_eq!(messages(&received), payloads);
        assert_eq!(received.last(), Some(&(Opcode::Close, GOODBYE.to_vec())));
        assert_eq!(state.outcome.map(|(outcome, _)| outcome), Some(Outcome::Ended));
        assert_eq!(*ends.borrow(), ["1000 "]);
        assert_eq!(world.worker(server).stats().total_closed(), 1);
        world.finish();
    });
}

#[test]
fn an_idle_peer_stays_as_long_as_it_answers_pings() {
    seeds(0..50, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(Faults::lossless(&mut rng));
        let mut world = World::new(seed, faults);
        let (server, ends) = serve(&mut world, Config::default());
        // It sends a pong in each half minute, whether or not a ping has come: longer than any
        // timeout of HTTP.
        let mut script = Script::new().send(HANDSHAKE);
        for _ in 0..20 {
            script = script.wait(secs(29)).send(frame(Opcode::Pong, true, b""));
        }
        script = script.send(frame(Opcode::Text, true, b"still here"));
        let alive = world.peer(&here(), script.send(frame(Opcode::Close, true, GOODBYE)));
        let start = world.now();
        world.settle();
        let received = frames(&world.peer_state(alive).bytes);
        assert_eq!(messages(&received), [b"still here"]);
        assert!(world.now().since(start) >= secs(580));
        assert_eq!(*ends.borrow(), ["1000 "]);
        assert_eq!(world.worker(server).stats().closed_for("websocket_no_pong"), 0);
        world.finish();
    });
}

/// A peer that has vanished, and one that reads and never answers, look the same.
#[test]
fn a_peer_that_answers_no_ping_is_cut_after_20_s() {
    seeds(0..50, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(Faults::lossless(&mut rng));
        let mut world = World::new(seed, faults);
        let (server, ends) = serve(&mut world, Config::default());
        // Half a message is no sign of life later on.
        let half = frame(Opcode::Text, true, b"half of it");
        let half = &half[..rng.below(half.len())];
        let peer = world.peer(&here(), Script::new().send(HANDSHAKE).send(half));
        let start = world.now();
        world.settle();
        let state = world.peer_state(peer);
        assert_eq!(frames(&state.bytes), [(Opcode::Ping, Vec::new())]);
        let (_, ended) = state.outcome.expect("it was closed");
        let lasted = ended.since(start);
        assert!((secs(50)..secs(80)).contains(&lasted), "it lasted {lasted:?}");
        assert_eq!(*ends.borrow(), ["1006 no pong came"]);
        assert_eq!(world.worker(server).stats().closed_for("websocket_no_pong"), 1);
        world.finish();
    });
}

#[test]
fn a_slow_reader_gets_all_echoes_and_holds_little() {
    seeds(0..50, |seed| {
        const OUTPUT: usize = 4096;
        let mut rng = Rng::new(seed);
        let faults = Faults {
            send_buffer: 1024,
            receive_buffer: 1024,
            read_size: 1024,
            stall: 0,
            ..Faults::lossless(&mut rng)
        };
        let mut world = World::new(seed, faults);
        let config = Config { max_buffered_output: OUTPUT, ..Config::default() };
        let (server, ends) = serve(&mut world, config);
        let payloads: Vec<_> = (0..40).map(|_| rng.bytes(500)).collect();
        let sent = payloads.iter().flat_map(|payload| frame(Opcode::Binary, true, payload));
        // Longer than the deadline of a pong: nothing is read from it meanwhile, so it doesn't
        // count.
        let script = Script::new().send(HANDSHAKE).read_slowly(400, secs(10));
        let script = script.send(sent.collect::<Vec<_>>());
        let peer = world.peer(&here(), script.send(frame(Opcode::Close, true, GOODBYE)));
        let start = world.now();
        world.settle();
        assert_eq!(*ends.borrow(), ["1000 "]);
        assert_eq!(world.worker(server).stats().closed_for("websocket_no_pong"), 0);
        let received = frames(&world.peer_state(peer).bytes);
        assert!(messages(&received) == payloads);
        assert!(world.now().since(start) >= secs(400), "the reader was not slow");
        world.finish();
    });
}

/// Peers that leave, reset, stop reading or vanish: each handler is told the end once, and what
/// came is a beginning of what was due.
#[test]
fn every_websocket_ends_once_whatever_its_peer_does() {
    seeds(0..150, |seed| {
        let mut rng = Rng::new(seed);
        let faults = no_tiny_buffers(Faults::lossy(&mut rng));
        let mut world = World::new(seed, faults);
        let (server, ends) = serve(&mut world, Config::default());
        let mut peers = Vec::new();
        for _ in 0..rng.between(1, 5) {
            let (sent, payloads) = random_messages(&mut rng);
            let at = rng.below(sent.len() + 1);
            let script = Script::new().send(HANDSHAKE).send(&sent[..at]);
            let script = script.wait(rng.duration(secs(60))).send(&sent[at..]);
            let script = match rng.pick(&["finish", "wait", "reset", "close", "stop", "slow"]) {
                "finish" => script.finish(),
                "wait" => script.wait(secs(200)),
                "reset" => script.wait(rng.duration(secs(1))).reset(),
                "close" => script.wait(rng.duration(secs(1))).close(),
                "stop" => script.stop_reading().wait(rng.duration(secs(300))),
                _ => script.read_slowly(2000, secs(1)).wait(secs(30)).read_all(),
            };
            peers.push((world.peer(&here(), script), payloads));
        }
        if rng.chance(300) {
            world.run(rng.duration(secs(90)));
            world.drain(server);
        }
        world.settle();
        let mut opened = 0;
        for (peer, payloads) in &peers {
            let received = frames(&world.peer_state(*peer).bytes);
            let echoes = messages(&received);
            assert!(payloads.iter().map(|payload| &payload[..]).take(echoes.len()).eq(echoes));
            opened += usize::from(!received.is_empty());
        }
        let told = ends.borrow().len();
        assert!((opened..=peers.len()).contains(&told), "{:?} of {opened}", ends.borrow());
        assert_eq!(world.worker(server).connections(), 0);
        world.finish();
    });
}
