//! Reads what a WebSocket server sends: echoes of the messages that it received, or anything else.

use std::mem;

use sockeye_http::ws::{CloseCode, FrameHeader, Opcode};

use super::parts::{BadResponse, ReceivedSoFar};
use crate::websocket_request::WebSocketRequest;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message of this many bytes.
    Message { len: u64, is_echo: bool },
    /// The payload of a ping.
    Ping(Vec<u8>),
    /// The code and the reason of a close frame.
    Close(CloseCode, String),
}

/// Reads the frames of one connection.
///
/// Input is first compared with the frame of the expected echo, which costs a fraction of reading a
/// header and a payload.
#[derive(Debug, Default)]
pub(crate) struct WebSocketReader {
    /// Bytes of the expected frame that have arrived.
    matched: usize,
    /// Set while frames arrive that aren't the expected echo.
    other: Option<Box<OtherFrames>>,
}

#[derive(Debug, Default)]
struct OtherFrames {
    /// Received bytes that are not parsed yet.
    bytes: Vec<u8>,
    /// A message whose last frame has not arrived, and whether it is text.
    message: Option<(bool, Vec<u8>)>,
}

impl WebSocketReader {
    /// Reads `input`, which follows the bytes that earlier calls have consumed. `request` is the
    /// oldest one without a response. Returns the number of bytes consumed, and what was read:
    /// `None` if it is incomplete.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        request: Option<&WebSocketRequest>,
        max_content: u64,
    ) -> Result<(usize, Option<Received>), BadResponse> {
        if self.other.is_none()
            && let Some(WebSocketRequest { echo, content_len, .. }) = request
        {
            let expected = &echo[self.matched..];
            let len = input.len().min(expected.len());
            if input[..len] == expected[..len] {
                self.matched += len;
                if self.matched < echo.len() {
                    return Ok((len, None));
                }
                self.matched = 0;
                return Ok((len, Some(Received::Message { len: *content_len, is_echo: true })));
            }
        }
        self.read_other(input, request, max_content)
    }

    /// Slow path: the input differs from the expected frame, or no frame is expected. Further input
    /// is read here, too, until all frames and messages are complete.
    #[cold]
    fn read_other(
        &mut self,
        input: &[u8],
        request: Option<&WebSocketRequest>,
        max_content: u64,
    ) -> Result<(usize, Option<Received>), BadResponse> {
        let mut other = self.other.take().unwrap_or_default();
        if let Some(request) = request {
            // The bytes that matched so far belong to the frame, too.
            let matched = mem::take(&mut self.matched);
            other.bytes.extend_from_slice(&request.echo[..matched]);
        }
        other.bytes.extend_from_slice(input);
        let received = other.read(request, max_content)?;
        if !other.bytes.is_empty() || other.message.is_some() {
            self.other = Some(other);
        }
        Ok((input.len(), received))
    }

    /// How much of the next message has arrived.
    pub(crate) fn received_so_far(&self) -> ReceivedSoFar {
        let other = self.other.as_deref();
        let message = other.and_then(|other| other.message.as_ref()).map_or(0, |(_, of)| of.len());
        match self.matched + message + other.map_or(0, |other| other.bytes.len()) {
            0 => ReceivedSoFar::nothing(),
            read => ReceivedSoFar::content(read as u64, None),
        }
    }
}

impl OtherFrames {
    /// Reads the next message, ping or close frame; `None` if it is incomplete.
    fn read(
        &mut self,
        request: Option<&WebSocketRequest>,
        max_content: u64,
    ) -> Result<Option<Received>, BadResponse> {
        let bad = |what: &str| BadResponse(what.into());
        loop {
            let read = FrameHeader::read(&self.bytes).map_err(bad)?;
            let Some((header, start)) = read else { return Ok(None) };
            let before = self.message.as_ref().map_or(0, |(_, content)| content.len() as u64);
            if header.len > max_content.saturating_sub(before) {
                return Err(BadResponse::larger_than(max_content));
            }
            if header.mask.is_some() {
                return Err(bad("sent a frame with a mask"));
            }
            if header.is_compressed {
                return Err(bad("sent a compressed frame without having agreed on it"));
            }
            // `header.len` is at most `max_content`, which fits into memory.
            let Some(payload) = self.bytes.get(start..start + header.len as usize) else {
                return Ok(None);
            };
            let payload = payload.to_vec();
            self.bytes.drain(..start + payload.len());
            let is_text = match header.opcode {
                Opcode::Ping => return Ok(Some(Received::Ping(payload))),
                Opcode::Pong => continue,
                Opcode::Close => return Ok(Some(close(&payload))),
                Opcode::Continuation => None,
                Opcode::Text => Some(true),
                Opcode::Binary => Some(false),
            };
            let (is_text, mut content) = match (self.message.take(), is_text) {
                (Some(message), None) => message,
                (None, Some(is_text)) => (is_text, Vec::new()),
                (Some(_), Some(_)) => return Err(bad("sent a message inside another one")),
                (None, None) => return Err(bad("sent a continuation of no message")),
            };
            content.extend_from_slice(&payload);
            if !header.is_final {
                self.message = Some((is_text, content));
                continue;
            }
            let is_echo = request.is_some_and(|request| {
                request.is_text == is_text
                    && request.echo.ends_with(&content)
                    && request.content_len == content.len() as u64
            });
            return Ok(Some(Received::Message { len: content.len() as u64, is_echo }));
        }
    }
}

fn close(payload: &[u8]) -> Received {
    let (code, reason) = match payload {
        [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        _ => (CloseCode::NO_STATUS, &[][..]),
    };
    Received::Close(code, String::from_utf8_lossy(reason).into_owned())
}
