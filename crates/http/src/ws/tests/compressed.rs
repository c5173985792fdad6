//! Compressed messages.

use sockeye_proto::Peer;

use super::*;
use crate::ws::{ClientHandshake, DeflateOptions, Handshake, MaskKeys, Opening};
use crate::{Answer, Fields, Request, Responder, Server};

struct Echo;

impl Handler for Echo {
    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        socket.send(message);
    }
}

struct Open(Rc<Config>);

impl crate::Handler for Open {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match Handshake::read(request, false, &self.0) {
            Ok(handshake) => handshake.accept(None, &self.0, Echo, responder),
            Err(refused) => refused.answer(responder),
        }
    }
}

/// Above 1 MiB, so that the highest ratio counts, too.
const MESSAGE: usize = 2_000_000;

fn config(deflates: bool) -> Rc<Config> {
    let config = Config::new(Limits { message: MESSAGE, ..Limits::default() });
    Rc::new(if deflates { config.deflating(DeflateOptions::default()) } else { config })
}

/// A server of [`Echo`], and a client that has opened a WebSocket with it.
fn pair(server_deflates: bool, client_deflates: bool) -> (Harness, Client) {
    let (for_server, for_client) = (config(server_deflates), config(client_deflates));
    let mut server =
        Harness::new(Server::new(Rc::default(), move |_: &Peer| Open(Rc::clone(&for_server))));
    let handshake = ClientHandshake::new([3; 16], &for_client);
    server.input(&handshake.request("a", "/", &Fields::new()));
    let response = server.output();
    let opening = handshake.read(&response).unwrap();
    let Opening::Open { len, extension, .. } = opening else { panic!("{opening:?}") };
    assert_eq!(len, response.len());
    let seen = Rc::<Seen>::default();
    let recorder = Recorder(Rc::clone(&seen));
    let connection = Connection::client(for_client, MaskKeys::new([1; 16]), recorder);
    let harness = Harness::new(connection.with_extension(extension));
    seen.take();
    (server, Client { harness, seen })
}

#[test]
fn messages_are_compressed_if_both_sides_can() {
    for (server_deflates, client_deflates) in [(true, true), (true, false), (false, true)] {
        let (mut server, mut client) = pair(server_deflates, client_deflates);
        let sender = client.seen.sender.borrow().clone().unwrap();
        for text in ["x".repeat(10_000), "short".to_owned(), "long, too ".repeat(1000)] {
            sender.try_send(&*text).unwrap();
            client.harness.deliver();
            let sent = client.harness.output();
            server.drip(&sent);
            let answer = server.output();
            let is_compressed = server_deflates && client_deflates && text.len() > 1000;
            for bytes in [&sent, &answer] {
                assert_eq!(bytes.len() < 1000, is_compressed || text.len() < 1000);
                assert_eq!(bytes[0] & 0x40 != 0, is_compressed);
            }
            client.harness.input(&answer);
            assert_eq!(client.events(), [format!("text {text}")]);
        }
    }
}

/// Sends the compressed frames of a message of `len` bytes.
fn compressed(len: usize, client: &mut Client) -> Vec<u8> {
    let sender = client.seen.sender.borrow().clone().unwrap();
    sender.try_send(&*"x".repeat(len)).unwrap();
    client.harness.deliver();
    client.harness.output()
}

#[test]
fn limits_hold_for_what_is_decompressed() {
    for (len, text) in [(1_100_000, "expands to more than 200 times its size"), (MESSAGE + 1, "")] {
        let (mut server, mut client) = pair(true, true);
        let bomb = compressed(len, &mut client);
        assert!(bomb.len() < 5500, "{}", bomb.len());
        server.input(&bomb);
        let [close] = &read_frames(&server.output())[..] else { panic!("one frame") };
        assert!(close.starts_with("Close 1009 "), "{close}");
        assert!(close.ends_with(text), "{close}");
        assert_eq!(server.fault().unwrap().code, "websocket_message_too_large");
    }
    let (mut server, mut client) = pair(true, true);
    let mut broken = compressed(5000, &mut client);
    broken[10] ^= 0xFF;
    server.input(&broken);
    assert!(read_frames(&server.output())[0].starts_with("Close 1007 "));
}

/// A message of zeros in stored blocks, which are longer than what they hold.
fn stored(len: usize) -> Vec<u8> {
    let zeros = vec![0; len];
    let blocks = zeros.chunks(0xFFFF).map(|data| {
        let len = data.len() as u16;
        [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), data].concat()
    });
    // At the end, the first byte of an empty block.
    [blocks.collect::<Vec<_>>().concat(), vec![0]].concat()
}

#[test]
fn a_message_that_compression_has_made_longer_is_as_large_as_its_content() {
    for (len, is_allowed) in [(MESSAGE, true), (MESSAGE + 1, false)] {
        let payload = stored(len);
        assert!(payload.len() > MESSAGE);
        for first in [payload.len(), payload.len() - 1, 7] {
            let (mut server, _) = pair(true, true);
            let (first, second) = payload.split_at(first);
            let mut bytes = frame(Opcode::Binary, second.is_empty(), first);
            bytes[0] |= 0x40;
            server.input(&bytes);
            if !second.is_empty() {
                server.input(&frame(Opcode::Continuation, true, second));
            }
            assert_eq!(server.fault().is_none(), is_allowed, "{len} bytes, first {}", first.len());
        }
    }
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    for opcode in [Opcode::Ping, Opcode::Close, Opcode::Continuation] {
        let (mut server, _) = pair(true, true);
        if opcode == Opcode::Continuation {
            server.input(&frame(Opcode::Text, false, b""));
        }
        let mut bytes = frame(opcode, true, b"");
        bytes[0] |= 0x40;
        server.input(&bytes);
        assert!(read_frames(&server.output())[0].starts_with("Close 1002 "), "{opcode:?}");
    }
}

#[test]
fn malformed_offers_are_refused() {
    let config = config(true);
    let mut server =
        Harness::new(Server::new(Rc::default(), move |_: &Peer| Open(Rc::clone(&config))));
    server.input(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
          Sec-WebSocket-Extensions: permessage-deflate; =\r\n\r\n",
    );
    let output = String::from_utf8(server.output()).unwrap();
    assert!(output.starts_with("HTTP/1.1 400 ") && output.contains("Extensions"), "{output}");
}
