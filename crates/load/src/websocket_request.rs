//! Messages for WebSockets, prepared to be sent and to be recognised when they come back.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use bytes::Bytes;
use sockeye_http::Fields;
use sockeye_http::ws::{ClientHandshake, FrameHeader, Message, Opcode, mask};

/// The request that opens a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketOpening {
    /// The value of the `Host` field.
    pub host: String,
    /// The path, and the query if there is one.
    pub target: String,
    /// Further fields of the request.
    pub fields: Fields,
    /// The subprotocols to offer.
    pub protocols: Vec<String>,
}

/// A message for a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocketRequest {
    pub(crate) opening: WebSocketOpening,
    pub(crate) is_text: bool,
    /// The frame that is sent.
    ///
    /// It is masked once, with a random key. A browser uses a new key for each frame, so that no
    /// script can choose the bytes that are sent (RFC 6455, section 10.3). A load client runs no
    /// scripts, so one key is enough.
    pub(crate) sent: Bytes,
    /// The frame that the server has to send back: the same message, unmasked.
    pub(crate) echo: Bytes,
    pub(crate) content_len: u64,
}

impl WebSocketRequest {
    pub(crate) fn new(opening: WebSocketOpening, message: Message<'_>) -> Self {
        let is_text = matches!(message, Message::Text(_));
        let opcode = if is_text { Opcode::Text } else { Opcode::Binary };
        let payload = message.bytes();
        let [a, b, c, d, ..] = random_bytes();
        let key = [a, b, c, d];
        let wire = |key| {
            let (header, len) = FrameHeader::whole(opcode, payload.len(), key).encode();
            let mut frame = [&header[..len], payload].concat();
            mask(&mut frame[len..], key.unwrap_or_default());
            Bytes::from(frame)
        };
        let (sent, echo) = (wire(Some(key)), wire(None));
        Self { opening, is_text, sent, echo, content_len: payload.len() as u64 }
    }
}

impl WebSocketOpening {
    /// A new handshake, and the bytes of its request.
    pub(crate) fn request(&self) -> (ClientHandshake, Vec<u8>) {
        // The default configuration offers no compression.
        let handshake = ClientHandshake::new(random_bytes(), &Rc::default());
        let handshake = self.protocols.iter().fold(handshake, ClientHandshake::offering);
        let request = handshake.request(&self.host, &self.target, &self.fields);
        (handshake, request)
    }
}

/// Random bytes: hashes with the keys of [`RandomState`], which come from the system's random
/// numbers.
fn random_bytes() -> [u8; 16] {
    let hash = |input: u8| u128::from(RandomState::new().hash_one(input));
    (hash(0) << 64 | hash(1)).to_le_bytes()
}
