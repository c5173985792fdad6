//! From the bytes of a connection to messages and control frames.

use std::mem;

use super::close::{self, CloseCode, Closed};
use super::frame::{FrameHeader, Opcode};
use super::mask::{self, MaskKey};
use super::role::Role;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'a> {
    /// More bytes are needed.
    NeedMore,
    /// A part of a message, which is kept.
    Part,
    Text(&'a str),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close(Closed<'a>),
}

/// Why the peer's bytes can't be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The code to close with.
    pub(super) code: CloseCode,
    /// The end of a sentence that begins with "the peer".
    pub(super) what: &'static str,
}

impl From<(CloseCode, &'static str)> for Violation {
    fn from((code, what): (CloseCode, &'static str)) -> Self {
        Self { code, what }
    }
}

impl Violation {
    fn protocol(what: &'static str) -> Self {
        Self { code: CloseCode::PROTOCOL_ERROR, what }
    }

    const NOT_UTF8: Self =
        Self { code: CloseCode::INVALID_DATA, what: "sent text that is not UTF-8" };
    const TOO_LARGE: Self =
        Self { code: CloseCode::TOO_LARGE, what: "sent a message that is too large" };
}

/// The limits on one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageLimits {
    pub(super) message: usize,
    pub(super) fragments: u32,
}

/// Reads frames, and puts messages together.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// The rest of a frame of `message`.
    frame: Option<PartialFrame>,
    /// A message whose end has not arrived.
    message: Option<Box<PartialMessage>>,
}

/// A frame of a message, of which some payload has not arrived.
#[derive(Debug)]
struct PartialFrame {
    remaining: u64,
    /// The key for the next byte.
    key: MaskKey,
    is_final: bool,
}

/// The beginning of a message. Its memory grows with what has arrived, not with what is announced.
#[derive(Debug)]
struct PartialMessage {
    is_text: bool,
    content: Vec<u8>,
    /// Whole characters at the start of a text: these bytes are valid.
    checked: usize,
    fragments: u32,
}

impl PartialMessage {
    /// Checks text as it arrives, so that the first wrong byte ends the connection.
    fn check(&mut self) -> Result<(), Violation> {
        if !self.is_text {
            return Ok(());
        }
        match str::from_utf8(&self.content[self.checked..]) {
            Ok(_) => self.checked = self.content.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NOT_UTF8),
        }
        Ok(())
    }
}

impl Receiver {
    /// Memory that it holds, in bytes.
    pub(super) fn held(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.content.capacity())
    }

    /// Reads the next frame, or as much of a message as there is. Takes what it uses from `input`.
    /// `scratch` is memory for what is returned.
    ///
    /// # Errors
    ///
    /// If the peer breaks the protocol or exceeds a limit.
    pub(super) fn read<'a>(
        &mut self,
        input: &mut &[u8],
        role: Role,
        limits: MessageLimits,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Received<'a>, Violation> {
        if self.frame.is_some() {
            return self.read_payload(input, scratch);
        }
        let Some((header, len)) = FrameHeader::read(input).map_err(Violation::protocol)? else {
            return Ok(Received::NeedMore);
        };
        self.check_header(&header, role, limits)?;
        let key = header.mask.unwrap_or_default();
        let payload = &input[len..];
        let is_whole = payload.len() as u64 >= header.len;
        if header.opcode.is_control() && !is_whole {
            // At most 125 bytes: the connection keeps them.
            return Ok(Received::NeedMore);
        }
        // Most messages are one frame that arrives at once.
        if is_whole && header.is_final && header.opcode != Opcode::Continuation {
            let (payload, rest) = payload.split_at(header.len as usize);
            *input = rest;
            scratch.clear();
            scratch.extend_from_slice(payload);
            mask::mask(scratch, key);
            return match header.opcode {
                Opcode::Text => match str::from_utf8(scratch) {
                    Ok(text) => Ok(Received::Text(text)),
                    Err(_) => Err(Violation::NOT_UTF8),
                },
                Opcode::Binary | Opcode::Continuation => Ok(Received::Binary(scratch)),
                Opcode::Ping => Ok(Received::Ping(scratch)),
                Opcode::Pong => Ok(Received::Pong),
                Opcode::Close => Ok(Received::Close(close::read_payload(scratch)?)),
            };
        }
        *input = payload;
        self.frame = Some(PartialFrame { remaining: header.len, key, is_final: header.is_final });
        if header.opcode == Opcode::Continuation {
            if let Some(message) = &mut self.message {
                message.fragments += 1;
            }
        } else {
            self.message = Some(Box::new(PartialMessage {
                is_text: header.opcode == Opcode::Text,
                content: Vec::new(),
                checked: 0,
                fragments: 1,
            }));
        }
        self.read_payload(input, scratch)
    }

    /// Whether a frame with this header may come now.
    fn check_header(
        &self,
        header: &FrameHeader,
        role: Role,
        limits: MessageLimits,
    ) -> Result<(), Violation> {
        match (role, header.mask) {
            (Role::Server, None) => {
                return Err(Violation::protocol("sent a frame without a mask"));
            }
            (Role::Client, Some(_)) => return Err(Violation::protocol("sent a frame with a mask")),
            _ => {}
        }
        if header.is_compressed {
            return Err(Violation::protocol("sent a compressed frame without having agreed on it"));
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        let before = match (&self.message, header.opcode) {
            (Some(message), Opcode::Continuation) => {
                if message.fragments >= limits.fragments {
                    let what = "sent a message in too many fragments";
                    return Err(Violation { code: CloseCode::POLICY_VIOLATION, what });
                }
                message.content.len()
            }
            (None, Opcode::Continuation) => {
                return Err(Violation::protocol("sent a continuation of no message"));
            }
            (Some(_), _) => {
                return Err(Violation::protocol("sent a message inside another one"));
            }
            (None, _) => 0,
        };
        // As soon as it is announced.
        if header.len > (limits.message - before.min(limits.message)) as u64 {
            return Err(Violation::TOO_LARGE);
        }
        Ok(())
    }

    /// Reads payload of a frame of a message.
    fn read_payload<'a>(
        &mut self,
        input: &mut &[u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<Received<'a>, Violation> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Ok(Received::NeedMore);
        };
        let len = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(input.len());
        let (payload, rest) = input.split_at(len);
        *input = rest;
        let start = message.content.len();
        message.content.extend_from_slice(payload);
        mask::mask(&mut message.content[start..], frame.key);
        frame.key = mask::advance(frame.key, len);
        frame.remaining -= len as u64;
        message.check()?;
        if frame.remaining > 0 {
            return Ok(Received::NeedMore);
        }
        let is_final = frame.is_final;
        self.frame = None;
        if !is_final {
            return Ok(Received::Part);
        }
        if message.is_text && message.checked < message.content.len() {
            return Err(Violation::NOT_UTF8);
        }
        let is_text = message.is_text;
        *scratch = mem::take(&mut message.content);
        self.message = None;
        if !is_text {
            return Ok(Received::Binary(scratch));
        }
        str::from_utf8(scratch).map(Received::Text).map_err(|_| Violation::NOT_UTF8)
    }
}
