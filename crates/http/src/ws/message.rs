//! Messages of WebSockets, as handlers get and send them.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{FrameHeader, Opcode};

/// A whole message of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The bytes of the message. Text is in UTF-8.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text of the message. `None` if it is binary.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    pub(super) fn opcode(self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// A message for several WebSockets, or for one on another thread. Clones share its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMessage {
    /// The message as a server's frame.
    frame: Bytes,
    payload_start: usize,
    pub(super) opcode: Opcode,
}

impl SharedMessage {
    /// Copies a message.
    #[must_use]
    pub fn new(message: Message<'_>) -> Self {
        let (opcode, payload) = (message.opcode(), message.bytes());
        let (header, len) = FrameHeader::whole(opcode, payload.len(), None).encode();
        let mut frame = BytesMut::with_capacity(len + payload.len());
        frame.put_slice(&header[..len]);
        frame.put_slice(payload);
        Self { frame: frame.freeze(), payload_start: len, opcode }
    }

    /// A message of text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Message::Text(text))
    }

    /// A message of bytes.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::new(Message::Binary(bytes))
    }

    /// The bytes of the message. Text is in UTF-8.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.frame[self.payload_start..]
    }

    /// The message as a frame without a mask.
    pub(super) fn frame(&self) -> &Bytes {
        &self.frame
    }
}

impl From<Message<'_>> for SharedMessage {
    fn from(message: Message<'_>) -> Self {
        Self::new(message)
    }
}

impl From<&str> for SharedMessage {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for SharedMessage {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl From<&[u8]> for SharedMessage {
    fn from(bytes: &[u8]) -> Self {
        Self::binary(bytes)
    }
}

impl From<Vec<u8>> for SharedMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self::binary(&bytes)
    }
}
