//! Messages over WebSocket, on a port of frames and HTTP.

mod flow;
mod http2;
mod messages;
mod opening;

use http_core::ws::{FrameHeader, Opcode, mask};

use super::*;

pub(super) const OPEN: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const KEY: [u8; 4] = [7, 0xA0, 3, 0xFF];

/// What the server sends over a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Received {
    Text(String),
    /// The id, the message and whether the WebSocket stays open.
    Binary(Option<Id>, Message, bool),
    Close(u16),
    Ping,
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

/// A frame of a client.
fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let (header, len) = FrameHeader::whole(opcode, payload.len(), Some(KEY)).encode();
    let mut payload = payload.to_vec();
    mask(&mut payload, KEY);
    [&header[..len], &payload].concat()
}

/// The client's side of a WebSocket.
pub(super) struct Socket(pub(super) Harness);

impl Socket {
    fn to(config: ServerConfig, handler: impl Handler + 'static) -> Self {
        let mut client = Harness::new(FramesOrHttp::new(Rc::new(config), handler));
        client.input(format!("{OPEN}\r\n").as_bytes());
        let output = client.output();
        assert!(output.starts_with(b"HTTP/1.1 101 "), "{}", output.escape_ascii());
        Self(client)
    }

    pub(super) fn new(limits: Limits, handler: impl Handler + 'static) -> Self {
        Self::to(ServerConfig::new(limits), handler)
    }

    fn slow() -> Self {
        Self::new(Limits::default(), Slow::default())
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.0.input(&masked(opcode, payload));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.send(Opcode::Text, text.as_bytes());
    }

    /// Sends a frame of the message protocol.
    pub(super) fn binary(&mut self, frame: &[u8]) {
        self.send(Opcode::Binary, frame);
    }

    fn received(&mut self) -> Vec<Received> {
        let (output, mut received) = (self.0.output(), Vec::new());
        let mut rest = &output[..];
        while !rest.is_empty() {
            let (header, len) = FrameHeader::read(rest).unwrap().expect("a whole header");
            let (payload, after) = rest[len..].split_at(header.len as usize);
            rest = after;
            received.push(match header.opcode {
                Opcode::Text => text(str::from_utf8(payload).unwrap()),
                Opcode::Binary => {
                    let mut frames = frames(payload);
                    let (header, message) = frames.remove(0);
                    assert!(frames.is_empty(), "{}", payload.escape_ascii());
                    Received::Binary(header.id, message, header.keep_alive)
                }
                Opcode::Close => Received::Close(u16::from_be_bytes([payload[0], payload[1]])),
                Opcode::Ping => Received::Ping,
                other => panic!("{other:?}"),
            });
        }
        received
    }

    /// The one text that was received.
    fn received_text(&mut self) -> String {
        match &self.received()[..] {
            [Received::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The code of the one error that was received, in text.
    fn error_code(&mut self) -> String {
        code(&self.received_text())
    }
}

fn code(text: &str) -> String {
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(value["result"].as_str().unwrap().starts_with("Error: "), "{value}");
    value["error"]["code"].as_str().unwrap().to_owned()
}

fn respond(text: &str) -> String {
    let mut socket = Socket::new(Limits::default(), Reference::default());
    socket.text(text);
    socket.received_text()
}

const SEARCH: &str = r#"{"action": "search", "value": "ring"}"#;
const FOUND: &str = "{\"result\": \"In the caves beneath the Misty Mountains. \u{1f48d}\"}";

/// All ways have the same responses. Frames and HTTP are compared in the tests of HTTP.
pub(super) fn respond_in_binary(frame: &[u8]) -> Message {
    let mut socket = Socket::new(Limits::default(), Reference::default());
    socket.binary(frame);
    match socket.received().remove(0) {
        Received::Binary(None, message, false) => message,
        other => panic!("{other:?}"),
    }
}

/// The response to content in text, which has no header.
pub(super) fn respond_in_text(content: &str) -> Message {
    Message::json_text(respond(content))
}

#[test]
fn an_idle_websocket_is_small() {
    let size = size_of::<http_core::ws::Connection<crate::websocket::WebSocket<Reference>>>();
    assert!(size <= 264, "{size}");
}
