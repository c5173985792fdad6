//! Frames: the length of a JSON header (`u16`, big-endian), the header, and the content.
//!
//! A length is checked before anything is allocated for it, and memory for content grows with what
//! has arrived, not with what was announced.

use sockeye_proto::{Output, Permit};

use super::peer_protocol::PeerProtocol;
use super::{Header, Limits, Refusal};

/// Size of the length in front of a header, in bytes.
const LENGTH_SIZE: usize = 2;

/// Content of up to this many bytes is copied behind its header: one piece of output is cheaper to
/// send than two.
const MAX_COPIED: usize = 1024;

/// How many bytes of a request's content are not charged to its client. Over HTTP/2, where a
/// connection can have many requests at a time, all content is charged.
pub(super) const UNCHARGED: usize = 64 * 1024;

/// Reads the header at the front of `input`. Returns the header and the number of bytes before the
/// content; `None` when more bytes are needed.
///
/// # Errors
///
/// A [`Refusal`]. A wrong length or first byte of the header is refused before the rest of the
/// header arrives.
pub fn read(input: &[u8], limits: &Limits) -> Result<Option<(Header, usize)>, Refusal> {
    let Some((prefix, rest)) = input.split_first_chunk::<LENGTH_SIZE>() else { return Ok(None) };
    let len = u16::from_be_bytes(*prefix);
    if len == 0 {
        return Err(Refusal::bad_header(
            "a frame begins with the length of its header, not with 0",
        ));
    }
    // The header's first byte is checked before the limit on its length, so that a client of
    // another protocol gets an error that says so, and not one about the limit.
    let Some(first) = rest.first() else { return Ok(None) };
    if !matches!(first, b'{' | b' ' | b'\t' | b'\r' | b'\n') {
        if PeerProtocol::detect(input) == Some(PeerProtocol::Tls) {
            return Err(Refusal::tls());
        }
        return Err(Refusal::bad_header(match first {
            b'A'..=b'Z' => "this port speaks frames with a JSON header, and not HTTP",
            _ => "a header begins with '{', after two bytes with its length",
        }));
    }
    if len > limits.header {
        let limit = limits.header;
        let what = format!("the header has {len} bytes; the limit is {limit}");
        return Err(Refusal::new("too_large", what));
    }
    let len = usize::from(len);
    match rest.get(..len) {
        Some(json) => Ok(Some((Header::read(json)?, LENGTH_SIZE + len))),
        None => Ok(None),
    }
}

/// The bytes of a frame before its content: the header's length and its JSON. `None` if the JSON
/// has more than 65,535 bytes, the most that fits into a frame.
#[must_use]
pub fn head(header: &Header) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(192);
    head.extend_from_slice(&[0; LENGTH_SIZE]);
    header.write(&mut head);
    let len = u16::try_from(head.len() - LENGTH_SIZE).ok()?;
    head[..LENGTH_SIZE].copy_from_slice(&len.to_be_bytes());
    Some(head)
}

/// Writes a frame: what [`head`] returned, and the content.
pub(super) fn write(head: &[u8], content: bytes::Bytes, out: &mut Output) {
    if content.len() <= MAX_COPIED {
        out.write_all(&[head, &content]);
    } else {
        out.write(head);
        out.write_shared(content);
    }
}

/// Content as it arrives.
// Invariant: `bytes.len() + remaining` is the length that was announced.
#[derive(Debug)]
pub(super) struct ContentBuffer {
    bytes: Vec<u8>,
    remaining: u64,
    /// Charges the client for the content. `None` for a response, for which nobody is charged.
    permit: Option<Permit>,
    /// How many bytes are free of charge.
    uncharged: usize,
}

impl ContentBuffer {
    /// An empty buffer for `announced` bytes. Those above `uncharged` are charged to `permit`.
    pub(super) fn new(announced: u64, permit: Option<Permit>, uncharged: usize) -> Self {
        Self { bytes: Vec::new(), remaining: announced, permit, uncharged }
    }

    /// Appends `piece`, which has at most [`ContentBuffer::remaining`] bytes. Returns whether the
    /// budget has room for it; if not, nothing is appended.
    #[must_use]
    pub(super) fn take(&mut self, piece: &[u8]) -> bool {
        let wanted = self.bytes.len() + piece.len();
        if wanted > self.bytes.capacity() {
            // The capacity doubles, up to the announced length, so the permit is seldom resized.
            let remaining = usize::try_from(self.remaining).unwrap_or(usize::MAX);
            let announced = self.bytes.len().saturating_add(remaining);
            let capacity = wanted.max(2 * self.bytes.capacity()).min(announced);
            let charge = capacity.saturating_sub(self.uncharged) as u64;
            if charge > 0
                && let Some(permit) = &mut self.permit
                && !permit.resize(charge)
            {
                return false;
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        self.remaining -= piece.len() as u64;
        true
    }

    /// Bytes still to come.
    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The content, and the permit for it.
    pub(super) fn into_parts(self) -> (bytes::Bytes, Option<Permit>) {
        (self.bytes.into(), self.permit)
    }
}

/// At most `max` bytes from the start of `input`.
pub(super) fn prefix(input: &[u8], max: u64) -> &[u8] {
    match usize::try_from(max) {
        Ok(max) if max < input.len() => &input[..max],
        _ => input,
    }
}
