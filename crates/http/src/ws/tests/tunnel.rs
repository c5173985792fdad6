//! Protocols inside WebSockets.

use std::time::Duration;

use bytes::Bytes;
use sockeye_proto::echo::Echo;
use sockeye_proto::{Consumed, End, Event, Fault, Peer, Protocol, Reason, Remote, Time, Turn};

use super::*;
use crate::ws::{Handshake, Tunnel};
use crate::{Answer, Body, Fields, Request, Responder, Server, Status};

fn server_of(protocol: Box<dyn Protocol>) -> Harness {
    Harness::new(Connection::server(Rc::default(), Tunnel::new(protocol)))
}

fn binary(bytes: &[u8]) -> Vec<u8> {
    frame(Opcode::Binary, true, bytes)
}

#[test]
fn bytes_of_messages_are_input_and_output_leaves_in_messages() {
    let mut client = server_of(Box::new(Echo::default()));
    client.input(&binary(b"one"));
    assert_eq!(read_frames(&client.output()), ["Binary one"]);
    client.input(&frame(Opcode::Text, true, b"two"));
    assert_eq!(read_frames(&client.output()), ["Binary two"]);
    // What doesn't fit waits, and nothing is lost.
    let big = vec![7; 200_000];
    let stream = binary(&big).repeat(3);
    stream.chunks(50_000).for_each(|part| client.input(part));
    let mut received = Vec::new();
    let output = client.output();
    let mut rest = &output[..];
    while let Some((header, len)) = FrameHeader::read(rest).unwrap() {
        received.extend_from_slice(&rest[len..][..header.len as usize]);
        rest = &rest[len + header.len as usize..];
    }
    assert_eq!((received.len(), rest.len()), (600_000, 0));
    client.input(&frame(Opcode::Close, true, &[3, 0xE8]));
    assert_eq!(read_frames(&client.output()), ["Close 1000 "]);
    assert_eq!(client.end(), Some(End::Close));
}

#[test]
fn http_runs_in_a_websocket() {
    struct Hello;
    impl crate::Handler for Hello {
        fn on_request(&mut self, _: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
            let content = Bytes::from(vec![b'x'; 5000]);
            responder.send(Status::OK, &Fields::new(), Body::Shared(&content))
        }
    }
    let mut client = server_of(Box::new(Server::new(Rc::default(), |_: &Peer| Hello)));
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for byte in request {
        client.input(&binary(&[*byte]));
    }
    let frames = read_frames(&client.output());
    assert!(frames[0].starts_with("Binary HTTP/1.1 200 OK"), "{frames:?}");
    assert!(frames.concat().ends_with(&"x".repeat(5000)));
    // A malformed request ends the inner connection, after its response.
    client.input(&binary(b"?\r\n\r\n"));
    let frames = read_frames(&client.output());
    assert!(frames[0].starts_with("Binary HTTP/1.1 400 "), "{frames:?}");
    assert!(frames.last().unwrap().starts_with("Close 1008 sent"), "{frames:?}");
}

/// Notes its events; ends, fails, waits or runs a job as the first byte of its input says.
#[derive(Default)]
struct Scripted {
    events: Rc<RefCell<Vec<String>>>,
    deadline: Option<Time>,
}

impl Protocol for Scripted {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        match input[0] {
            b'e' => turn.end(End::Close),
            b'f' => return Err(Fault::peer("test", "sent an f")),
            b'o' => return Err(Fault::ours("test", "did it")),
            b'p' => panic!("on purpose"),
            b'd' => self.deadline = Some(turn.now() + Duration::from_secs(3)),
            b'j' => {
                let _ = turn.run(|| ());
                return Ok(Consumed::pause(1));
            }
            b'w' => turn.remote().wake(),
            _ => {}
        }
        self.events.borrow_mut().push(format!("input {}", input.escape_ascii()));
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let name = match event {
            Event::Deadline => {
                self.deadline = None;
                "deadline".to_owned()
            }
            Event::Message(..) => {
                turn.resume();
                "message".to_owned()
            }
            Event::Closed(reason) => format!("closed {}", reason.code()),
            Event::Drain { .. } => {
                turn.end(End::Finish);
                turn.out.write(b"bye");
                "drain".to_owned()
            }
            event => format!("{event:?}").split([' ', '(']).next().unwrap().to_owned(),
        };
        self.events.borrow_mut().push(name);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

fn scripted() -> (Harness, Rc<RefCell<Vec<String>>>) {
    let scripted = Scripted::default();
    let events = Rc::clone(&scripted.events);
    (server_of(Box::new(scripted)), events)
}

#[test]
fn the_end_of_the_protocol_closes_the_websocket() {
    for (input, close, reported) in [
        (b"e", "Close 1000 ", None),
        (b"f", "Close 1008 sent an f", Some("test")),
        (b"o", "Close 1011 ", Some("test")),
        (b"p", "Close 1011 ", Some("protocol_panicked")),
    ] {
        let (mut client, _) = scripted();
        client.input(&binary(input));
        assert_eq!(read_frames(&client.output()), [close]);
        client.input(&frame(Opcode::Close, true, &[3, 0xE8]));
        assert_eq!(client.end(), Some(End::Close), "{close}");
        let codes: Vec<_> = client.take_reported().iter().map(|fault| fault.code).collect();
        assert_eq!(codes, Vec::from_iter(reported), "{close}");
    }
}

#[test]
fn events_reach_the_protocol() {
    let (mut client, events) = scripted();
    client.input(&binary(b"d"));
    client.pass(Duration::from_secs(3));
    client.input(&binary(b"w"));
    client.deliver();
    client.input(&[binary(b"jx"), binary(b"y")].concat());
    assert_eq!(events.take(), ["Open", "input d", "deadline", "input w", "Woken"]);
    client.run_jobs();
    assert_eq!(events.take(), ["message", "input x", "input y"]);
    client.input(&frame(Opcode::Close, true, b""));
    assert_eq!(events.take(), ["Eof", "closed peer_closed"]);
    let (mut client, events) = scripted();
    client.end_for(&Reason::Reset);
    assert_eq!(events.take(), ["Open", "closed reset"]);
}

/// Gives out its remote when it gets input, and writes 100,000 bytes for each message of it.
struct Pusher(Rc<RefCell<Option<Remote>>>);

impl Protocol for Pusher {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        *self.0.borrow_mut() = Some(turn.remote());
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Message(..) = event {
            turn.out.write(&[b'x'; 100_000]);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_remote_may_send_again_when_a_full_output_was_moved() {
    let remote = Rc::default();
    let mut client = server_of(Box::new(Pusher(Rc::clone(&remote))));
    client.input(&binary(b"?"));
    let remote = remote.take().unwrap();
    for _ in 0..2 * Remote::MESSAGES {
        remote.try_send(Box::new(())).unwrap();
        client.deliver();
        assert!(client.output().len() > 100_000);
    }
}

#[test]
fn a_drain_lets_the_protocol_finish() {
    let (mut client, events) = scripted();
    client.drain();
    assert_eq!(read_frames(&client.output()), ["Binary bye"]);
    client.input(&frame(Opcode::Close, true, b""));
    assert_eq!(events.take()[..2], ["Open", "drain"]);
    assert_eq!(read_frames(&client.output()), ["Close "]);
}

/// Keeps what it gets, and needs more.
struct Hoard;

impl Protocol for Hoard {
    fn on_bytes(&mut self, _: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(0))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Drain { .. } = event {
            turn.set_held(400_000);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[test]
fn the_client_is_charged_for_what_the_protocol_holds() {
    let mut client = server_of(Box::new(Hoard));
    assert_eq!(client.charged(), 0);
    client.input(&binary(&[0; 100_000]));
    assert!(client.charged() >= 100_000, "{} for unused input", client.charged());
    client.drain();
    assert!(client.charged() >= 500_000, "{} for what it says it holds", client.charged());
}

/// Keeps a sender of its WebSocket.
#[derive(Clone, Default)]
struct Senders(Rc<RefCell<Option<Sender>>>);

impl Handler for Senders {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        *self.0.borrow_mut() = Some(socket.sender());
    }

    fn on_message(&mut self, _: Message<'_>, _: &mut Socket<'_, '_>) {}
}

/// Upgrades each request to a WebSocket.
struct Upgrade(Senders);

impl crate::Handler for Upgrade {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let config = Rc::default();
        let handshake = Handshake::read(request, false, &config).unwrap();
        handshake.accept(None, &config, self.0.clone(), responder)
    }
}

/// A tunnel that also keeps a sender of its own WebSocket.
struct TunnelWithSender(Tunnel, Senders);

impl Handler for TunnelWithSender {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        self.1.on_open(socket);
        self.0.on_open(socket);
    }

    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        self.0.on_message(message, socket);
    }

    fn on_delivery(
        &mut self,
        ticket: Ticket,
        delivery: Result<Delivery, Abandoned>,
        socket: &mut Socket<'_, '_>,
    ) {
        self.0.on_delivery(ticket, delivery, socket);
    }
}

#[test]
fn a_sender_sends_over_its_own_websocket_in_a_tunnel() {
    for has_outer in [false, true] {
        let (outer, inner) = (Senders::default(), Senders::default());
        let ours = inner.clone();
        let upgrades = Server::new(Rc::default(), move |_: &Peer| Upgrade(ours.clone()));
        let tunnel = Tunnel::new(Box::new(upgrades));
        let mut client = match has_outer {
            true => {
                let tunnel = TunnelWithSender(tunnel, outer.clone());
                Harness::new(Connection::server(Rc::default(), tunnel))
            }
            false => Harness::new(Connection::server(Rc::default(), tunnel)),
        };
        let handshake =
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        client.input(&binary(handshake));
        assert!(read_frames(&client.output())[0].starts_with("Binary HTTP/1.1 101 "));
        inner.0.borrow().as_ref().unwrap().try_send("inner").unwrap();
        client.deliver();
        let framed = b"\x82\x07\x81\x05inner";
        assert_eq!(client.output(), framed, "{has_outer}");
        if let Some(outer) = &*outer.0.borrow() {
            outer.try_send("outer").unwrap();
            client.deliver();
            assert_eq!(read_frames(&client.output()), ["Text outer"]);
        }
        inner.0.borrow().as_ref().unwrap().close(CloseCode::NORMAL, "");
        client.deliver();
        assert_eq!(client.output(), b"\x82\x04\x88\x02\x03\xE8");
    }
}
