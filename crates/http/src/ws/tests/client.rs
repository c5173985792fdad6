//! The client's side.

use super::*;
use crate::Fields;
use crate::ws::{ClientHandshake, MaskKeys, Opening};

const NONCE: [u8; 16] = *b"the sample nonce";

fn response(fields: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n")
}

const ACCEPTED: &str = "Connection: upgrade\r\nUpgrade: WebSocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

#[test]
fn a_request_has_what_the_protocol_requires() {
    let handshake =
        ClientHandshake::new(NONCE, &Rc::default()).offering("chat").offering("v2.chat");
    let fields = Fields::new().with("Origin", b"http://a.example").unwrap();
    let request = handshake.request("a.example:81", "/chat?x", &fields);
    assert_eq!(
        str::from_utf8(&request).unwrap(),
        "GET /chat?x HTTP/1.1\r\nHost: a.example:81\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: chat, v2.chat\r\nOrigin: http://a.example\r\n\r\n"
    );
}

const CHAT: &str = "Sec-WebSocket-Protocol: chat\r\n";

#[test]
fn the_response_is_checked() {
    let handshake = ClientHandshake::new(NONCE, &Rc::default()).offering("chat");
    let good = response(ACCEPTED);
    let read = |input: &str| match handshake.read(input.as_bytes()).unwrap() {
        Opening::Open { len, protocol, .. } => Some((len, protocol)),
        Opening::NeedMore => None,
        Opening::Refused { status } => panic!("{status}"),
    };
    assert_eq!(read(&format!("{good}\u{1}")), Some((good.len(), None)));
    for end in 0..good.len() {
        assert_eq!(read(&good[..end]), None, "{end}");
    }
    let chosen = response(&format!("{ACCEPTED}{CHAT}"));
    assert_eq!(read(&chosen), Some((chosen.len(), Some("chat".into()))));
    let early = format!("HTTP/1.1 103 Early Hints\r\n\r\n{good}");
    assert_eq!(read(&early), Some((early.len(), None)));
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let opening = handshake.read(refused.as_bytes()).unwrap();
    assert!(matches!(opening, Opening::Refused { status: 403 }), "{opening:?}");
    for (bad, what) in [
        (ACCEPTED.replace("WebSocket\r", "h2c\r"), "another protocol"),
        (ACCEPTED.replace("upgrade", "close"), "another protocol"),
        (ACCEPTED.replace("s3p", "S3p"), "does not fit the key"),
        (format!("{ACCEPTED}Sec-WebSocket-Accept: x\r\n"), "does not fit the key"),
        (format!("{ACCEPTED}Sec-WebSocket-Protocol: other\r\n"), "was not offered"),
        (format!("{ACCEPTED}{CHAT}Sec-WebSocket-Protocol: other\r\n"), "more than one subprotocol"),
        (format!("{ACCEPTED}{CHAT}{CHAT}"), "more than one subprotocol"),
        (format!("{ACCEPTED}Sec-WebSocket-Extensions: permessage-deflate\r\n"), "was not offered"),
    ] {
        let error = handshake.read(response(&bad).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(what), "{bad}: {error}");
    }
    assert!(handshake.read(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
}

fn client() -> Client {
    let seen = Rc::<Seen>::default();
    let recorder = Recorder(Rc::clone(&seen));
    let masks = MaskKeys::new([9; 16]);
    let harness = Harness::new(Connection::client(Rc::default(), masks, recorder));
    seen.take();
    Client { harness, seen }
}

/// A frame without a mask.
fn bare(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let (header, len) = FrameHeader::whole(opcode, payload.len(), None).encode();
    [&header[..len], payload].concat()
}

#[test]
fn a_client_masks_each_frame_with_another_key() {
    let mut server = client();
    server.harness.input(&bare(Opcode::Text, b"echo this").repeat(2));
    let sender = server.seen.sender.borrow().clone().unwrap();
    let output = server.harness.output();
    let (first, second) = output.split_at(output.len() / 2);
    assert_ne!(first, second);
    assert_ne!(first[6..], b"echo this"[..]);
    assert_eq!(read_frames(&output), ["Text echo this"; 2]);
    sender.try_send("shared").unwrap();
    server.harness.deliver();
    assert_eq!(server.frames(), ["Text shared"]);
}

#[test]
fn a_client_refuses_masked_frames() {
    let mut server = client();
    server.harness.input(&frame(Opcode::Text, true, b"x"));
    assert!(server.frames()[0].starts_with("Close 1002"));
    assert_eq!(server.harness.fault().unwrap().code, "websocket_protocol_error");
}

#[test]
fn a_client_lets_the_server_end_the_connection_but_not_forever() {
    let mut server = client();
    server.harness.input(&bare(Opcode::Close, &[3, 0xE8]));
    assert_eq!(server.frames(), ["Close 1000 "]);
    assert_eq!(server.harness.end(), Some(sockeye_proto::End::Linger));
    server.harness.eof();
    assert_eq!(server.events(), ["closed 1000 "]);
}
