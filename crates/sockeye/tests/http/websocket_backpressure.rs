//! WebSockets whose peers read nothing for a while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use sockeye::http::{Body, HttpService, Request, ws};
use sockeye::http_core::Server;
use sockeye::http_core::ws::{FrameHeader, MaskKey, Opcode};
use sockeye::proto::harness::Harness;

use crate::client::{serve, stop, until};
use crate::websockets::{open, text};

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client's frame, whose mask changes nothing.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mask = Some(MaskKey::default());
    let (header, len) = FrameHeader::whole(Opcode::Binary, payload.len(), mask).encode();
    [&header[..len], payload].concat()
}

#[test]
fn a_handler_gets_no_message_while_its_peer_reads_nothing() {
    let count = Arc::new(AtomicUsize::new(0));
    let service = HttpService::new({
        let count = Arc::clone(&count);
        move |request: Request<Body>| {
            let count = Arc::clone(&count);
            ws::on_message(&request, move |message, socket| {
                count.fetch_add(1, Ordering::Relaxed);
                socket.send(message);
            })
        }
    });
    let mut client = Harness::new(Server::new(Default::default(), service.handlers()));
    client.input(HANDSHAKE);
    assert!(client.output().starts_with(b"HTTP/1.1 101 "));
    const MESSAGES: usize = 1000;
    let message = [7; 10_000];
    client.input(&frame(&message).repeat(MESSAGES));
    let at_once = Harness::ROOM / message.len() + 1;
    assert_eq!(count.load(Ordering::Relaxed), at_once);
    assert!(client.held() < Harness::ROOM + 2 * message.len());
    // It goes on when the peer reads.
    let mut received = 0;
    while received < MESSAGES * (message.len() + 4) {
        let output = client.output();
        assert!(!output.is_empty());
        received += output.len();
    }
    assert_eq!(count.load(Ordering::Relaxed), MESSAGES);
}

/// Opens a WebSocket whose sender the test gets.
struct Opened(mpsc::Sender<ws::Sender>);

impl ws::Handler for Opened {
    fn on_open(&mut self, socket: &mut ws::Socket<'_, '_>) {
        self.0.send(socket.sender()).unwrap();
    }

    fn on_message(&mut self, _: ws::Message<'_>, _: &mut ws::Socket<'_, '_>) {}
}

#[test]
fn a_thread_that_sends_waits_for_its_peer_and_ends_with_it() {
    let (out, senders) = mpsc::channel();
    let (serving, address) =
        serve(move |request: Request<Body>| ws::upgrade(&request, Opened(out.clone())));
    let mut socket = open(&address, "/");
    let sender = senders.recv().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            let message = ws::SharedMessage::binary(&[7; 65_536]);
            // 64 GiB: it would end soon if it didn't wait.
            for _ in 0..1_000_000 {
                sender.send(message.clone())?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), ws::Gone>(())
        }
    });
    for _ in 0..100 {
        assert_eq!(socket.read().unwrap().len(), 65_536);
    }
    until(|| sent.load(Ordering::Relaxed) >= 100);
    // A peer that leaves ends the wait.
    drop(socket);
    assert_eq!(sending.join().unwrap(), Err(ws::Gone));
    assert!(sent.load(Ordering::Relaxed) < 1_000_000);
    stop(serving);
}

#[test]
fn a_peer_waits_while_a_thread_has_16_messages() {
    let (out, receivers) = mpsc::channel();
    let service = HttpService::new(move |request: Request<Body>| {
        let out = out.clone();
        ws::channel(&request, move |receiver, sender| out.send((receiver, sender)).unwrap())
    });
    let mut client = Harness::new(Server::new(Default::default(), service.handlers()));
    client.input(HANDSHAKE);
    client.output();
    let (receiver, sender) = receivers.recv().unwrap();
    const MESSAGES: usize = 100;
    client.input(&frame(b"message").repeat(MESSAGES));
    client.input(&frame(&[7; 200_000]).repeat(2));
    let mut received = 0;
    loop {
        let at_once: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
        assert!(at_once.len() <= 16, "{} messages wait", at_once.len());
        received += at_once.len();
        client.deliver();
        if received >= MESSAGES {
            break;
        }
        assert!(!at_once.is_empty());
    }
    assert_eq!(receiver.closed(), None);
    sender.try_send("answer").unwrap();
    client.deliver();
    assert_eq!(client.output(), b"\x81\x06answer");
    // When the receiver is dropped, the WebSocket is closed.
    drop(receiver);
    client.deliver();
    assert_eq!(client.output(), b"\x88\x02\x03\xe8");
}

#[test]
fn a_thread_answers_until_the_websocket_is_closed() {
    let (out, ends) = mpsc::channel();
    let (serving, address) = serve(move |request: Request<Body>| {
        let out = out.clone();
        ws::channel(&request, move |mut receiver, sender| {
            thread::spawn(move || {
                while let Some(message) = receiver.next() {
                    sender.send(message).unwrap();
                }
                out.send(receiver.closed()).unwrap();
            });
        })
    });
    let mut socket = open(&address, "/");
    for number in 0..1000 {
        socket.write(number.to_string().into()).unwrap();
    }
    socket.flush().unwrap();
    for number in 0..1000 {
        assert_eq!(text(&mut socket), number.to_string());
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    assert_eq!(ends.recv().unwrap(), Some((ws::CloseCode::NO_STATUS, String::new())));
    drop(open(&address, "/"));
    assert_eq!(ends.recv().unwrap().unwrap().0, ws::CloseCode::ABNORMAL);
    stop(serving);
}
