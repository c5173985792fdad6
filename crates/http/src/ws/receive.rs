//! Reads messages and control frames from the bytes of a connection.

use std::mem;

use super::close::{self, Closed};
use super::config::Config;
use super::content::{self, Content};
use super::extension::Extension;
use super::frame::{FrameHeader, Opcode};
use super::mask::{self, MaskKey};
use super::role::Role;
use super::scratch::Scratch;
use super::violation::Violation;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'a> {
    /// More bytes are needed.
    NeedMore,
    /// The end of a frame that is not the last one of its message. The [`Receiver`] keeps the
    /// message until its end has arrived.
    Part,
    Text(&'a str),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close(Closed<'a>),
}

/// What a [`Receiver`] needs from its connection to read.
pub(super) struct Context<'c> {
    pub(super) role: Role,
    pub(super) config: &'c Config,
    pub(super) extension: &'c mut Extension,
}

/// Reads frames, and assembles messages from them.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// The frame of `message` whose payload is being read.
    frame: Option<PartialFrame>,
    /// A message whose end has not arrived.
    message: Option<Box<PartialMessage>>,
}

/// A frame of a message whose payload has not arrived completely.
#[derive(Debug)]
struct PartialFrame {
    remaining: u64,
    /// The key for the next byte.
    key: MaskKey,
    is_final: bool,
}

/// The beginning of a message. Its memory grows with the bytes that have arrived, not with the
/// announced length.
#[derive(Debug)]
struct PartialMessage {
    is_compressed: bool,
    content: Content,
    fragments: u32,
}

impl Receiver {
    /// Memory of an incomplete message, in bytes.
    pub(super) fn held(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.content.capacity())
    }

    /// Reads the next frame, or as much payload of a message as `input` has. Advances `input` past
    /// the bytes that it uses. The result may borrow from `scratch`.
    ///
    /// # Errors
    ///
    /// If the peer breaks the protocol or exceeds a limit.
    pub(super) fn read<'a>(
        &mut self,
        input: &mut &[u8],
        context: &mut Context<'_>,
        scratch: &'a mut Scratch,
    ) -> Result<Received<'a>, Violation> {
        if self.frame.is_some() {
            return self.read_payload(input, context, scratch);
        }
        let Some((header, len)) = FrameHeader::read(input).map_err(Violation::protocol)? else {
            return Ok(Received::NeedMore);
        };
        self.check_header(&header, context)?;
        let key = header.mask.unwrap_or_default();
        let payload = &input[len..];
        let is_whole = payload.len() as u64 >= header.len;
        if header.opcode.is_control() && !is_whole {
            // A control frame is read when it is whole. Until then, it stays in the unused input.
            // It is short: its payload has at most 125 bytes.
            return Ok(Received::NeedMore);
        }
        // Most messages are one frame that arrives at once.
        if is_whole && header.is_final && header.opcode != Opcode::Continuation {
            let (payload, rest) = payload.split_at(header.len as usize);
            *input = rest;
            let content = if header.is_compressed {
                inflate(payload, key, true, context, scratch)?
            } else {
                scratch.unmasked.unmask(payload, key)
            };
            return match header.opcode {
                Opcode::Text => Ok(Received::Text(content::check(content)?)),
                Opcode::Binary | Opcode::Continuation => Ok(Received::Binary(content)),
                Opcode::Ping => Ok(Received::Ping(content)),
                Opcode::Pong => Ok(Received::Pong),
                Opcode::Close => Ok(Received::Close(close::read_payload(content)?)),
            };
        }
        *input = payload;
        self.frame = Some(PartialFrame { remaining: header.len, key, is_final: header.is_final });
        if header.opcode == Opcode::Continuation {
            if let Some(message) = &mut self.message {
                message.fragments += 1;
            }
        } else {
            let memory = scratch.lend_message(header.len, payload.len());
            self.message = Some(Box::new(PartialMessage {
                is_compressed: header.is_compressed,
                content: Content::new(header.opcode == Opcode::Text, memory),
                fragments: 1,
            }));
        }
        self.read_payload(input, context, scratch)
    }

    /// Checks that the peer may send a frame with this header now.
    fn check_header(&self, header: &FrameHeader, context: &Context<'_>) -> Result<(), Violation> {
        let limits = context.config.limits();
        match (context.role, header.mask) {
            (Role::Server, None) => {
                return Err(Violation::protocol("sent a frame without a mask"));
            }
            (Role::Client, Some(_)) => return Err(Violation::protocol("sent a frame with a mask")),
            _ => {}
        }
        // RFC 7692, 6.1: only the first frame of a message says that it is compressed.
        let is_first = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        if header.is_compressed && !(is_first && context.extension.may_compress()) {
            return Err(Violation::protocol("sent a frame with a reserved bit"));
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        let before = match (&self.message, header.opcode) {
            (Some(message), Opcode::Continuation) => {
                if message.fragments >= limits.fragments {
                    return Err(Violation::TOO_MANY_FRAGMENTS);
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
        let is_compressed = match &self.message {
            Some(message) => message.is_compressed,
            None => header.is_compressed,
        };
        // Compression can make a message longer, by an eighth at most: DEFLATE's fixed codes have
        // up to 9 bits. The 64 bytes are for the headers of DEFLATE's blocks. The size of the
        // content is checked when it is decompressed.
        let longer = if is_compressed { limits.message / 8 + 64 } else { 0 };
        // A message that is too large is refused as soon as its length is announced.
        let max = (limits.message - before.min(limits.message)).saturating_add(longer);
        if header.len > max as u64 {
            return Err(Violation::TOO_LARGE);
        }
        Ok(())
    }

    /// Reads payload of the current frame, as far as it has arrived.
    fn read_payload<'a>(
        &mut self,
        input: &mut &[u8],
        context: &mut Context<'_>,
        scratch: &'a mut Scratch,
    ) -> Result<Received<'a>, Violation> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Ok(Received::NeedMore);
        };
        let len = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(input.len());
        let (payload, rest) = input.split_at(len);
        *input = rest;
        let is_end = frame.remaining == len as u64;
        let part = if message.is_compressed {
            let is_last = is_end && frame.is_final;
            inflate(payload, frame.key, is_last, context, scratch)?
        } else {
            let before = message.content.len();
            if message.content.capacity() < before + len {
                // Reserves room for the rest of the frame, up to a capacity of twice what has
                // arrived of the message.
                let wanted = frame.remaining.min((before + 2 * len) as u64);
                message.content.reserve_exact(wanted as usize);
            }
            scratch.unmasked.unmask(payload, frame.key)
        };
        message.content.push(part)?;
        frame.key = mask::advance(frame.key, len);
        frame.remaining -= len as u64;
        if !is_end {
            return Ok(Received::NeedMore);
        }
        let is_final = frame.is_final;
        self.frame = None;
        if !is_final {
            return Ok(Received::Part);
        }
        scratch.message = mem::take(&mut message.content);
        self.message = None;
        match &scratch.message {
            Content::Text(text) => Ok(Received::Text(text.finish()?)),
            Content::Binary(bytes) => Ok(Received::Binary(bytes)),
        }
    }
}

/// Removes the mask from a part of a message, and decompresses it.
fn inflate<'s>(
    part: &[u8],
    key: MaskKey,
    is_last: bool,
    context: &mut Context<'_>,
    scratch: &'s mut Scratch,
) -> Result<&'s [u8], Violation> {
    let Scratch { unmasked, inflated, .. } = scratch;
    inflated.clear();
    let part = unmasked.unmask(part, key);
    context.extension.inflate(context.config, part, is_last, inflated)?;
    Ok(inflated)
}
