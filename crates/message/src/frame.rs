//! Frames: `u16` big-endian, so many bytes of header, and content behind it.
//!
//! Both sides read with it. Nothing is taken on trust: a length is judged before anything is
//! allocated for it, and content grows with what has arrived, not with what was announced.

use std::fmt;

use sockeye_proto::{Output, Permit};

use super::fault::Refusal;
use super::{Header, Limits};

/// Bytes of the number in front of a header.
const PREFIX: usize = 2;

/// Contents of up to so many bytes are copied behind their header: one piece is cheaper to send
/// than two.
const WORTH_SHARING: usize = 1024;

/// So many bytes of a content are not charged: what every connection may hold.
const FREE: usize = 64 * 1024;

/// Reads the header that `input` begins with. Returns it and how many bytes it takes up, the
/// number in front of it included; `None` when more bytes are needed.
///
/// # Errors
///
/// A [`Refusal`] at the first byte that shows it: a length of 0 or beyond the limit, a header that
/// doesn't begin as an object does, or, when it is whole, one that can't be understood.
pub fn read(input: &[u8], limits: &Limits) -> Result<Option<(Header, usize)>, Refusal> {
    let Some((prefix, rest)) = input.split_first_chunk::<PREFIX>() else { return Ok(None) };
    let len = u16::from_be_bytes(*prefix);
    if len == 0 {
        return Err(Refusal::header("a frame begins with the length of its header, not with 0"));
    }
    // What speaks another protocol is told so, and not that its header is too long, however its
    // bytes were cut.
    let Some(first) = rest.first() else { return Ok(None) };
    if !matches!(first, b'{' | b' ' | b'\t' | b'\r' | b'\n') {
        return Err(Refusal::header(match first {
            b'A'..=b'Z' => "this port speaks frames with a JSON header, and not HTTP",
            0..=4 => "this port speaks frames with a JSON header, and not TLS",
            _ => "a header begins with '{', behind two bytes with its length",
        }));
    }
    if len > limits.header {
        let limit = limits.header;
        let what = format!("the header has {len} bytes, and at most {limit} are taken");
        return Err(Refusal::too_large(what));
    }
    let len = usize::from(len);
    match rest.get(..len) {
        Some(json) => Ok(Some((Header::read(json)?, PREFIX + len))),
        None => Ok(None),
    }
}

/// Whether as much content as `header` announces may come.
///
/// # Errors
///
/// `too_large` when it is more than the limit.
pub fn admit(header: &Header, limits: &Limits) -> Result<(), Refusal> {
    let (len, limit) = (header.content_length, limits.content);
    if len <= limit {
        return Ok(());
    }
    let what = format!("the content has {len} bytes, and at most {limit} are taken");
    Err(Refusal::too_large(what))
}

/// A header that does not fit into a frame: it has more than 65,535 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderTooLong;

impl fmt::Display for HeaderTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header has more than 65,535 bytes, the most that a frame can say")
    }
}

impl std::error::Error for HeaderTooLong {}

/// A header with its length before it: a frame up to its content.
///
/// # Errors
///
/// [`HeaderTooLong`].
pub fn head(header: &Header) -> Result<Vec<u8>, HeaderTooLong> {
    let mut head = Vec::with_capacity(192);
    head.extend_from_slice(&[0; PREFIX]);
    header.write(&mut head);
    let len = u16::try_from(head.len() - PREFIX).map_err(|_| HeaderTooLong)?;
    head[..PREFIX].copy_from_slice(&len.to_be_bytes());
    Ok(head)
}

/// Writes a frame. The header's `content_length` is that of the content.
pub(super) fn write(
    header: &Header,
    content: bytes::Bytes,
    out: &mut Output,
) -> Result<(), HeaderTooLong> {
    debug_assert_eq!(header.content_length, content.len() as u64);
    let head = head(header)?;
    if content.len() <= WORTH_SHARING {
        out.write_all(&[&head, &content]);
    } else {
        out.write(&head);
        out.write_shared(content);
    }
    Ok(())
}

/// Content as it comes.
// Invariant: `bytes.len() + left` is the length that was announced.
#[derive(Debug)]
pub(super) struct Collected {
    bytes: Vec<u8>,
    left: u64,
    /// What is charged for it, if anybody is.
    permit: Option<Permit>,
}

impl Collected {
    /// Nothing yet of so many bytes.
    pub(super) fn new(announced: u64) -> Self {
        Self { bytes: Vec::new(), left: announced, permit: None }
    }

    /// The same, of which what is above a free amount is charged to `permit`.
    pub(super) fn charged(announced: u64, permit: Permit) -> Self {
        Self { permit: Some(permit), ..Self::new(announced) }
    }

    /// Takes what belongs to the content from the front of `input`. Returns whether it could be
    /// had: if not, the budget is spent, and nothing is taken.
    #[must_use]
    pub(super) fn take(&mut self, input: &[u8]) -> bool {
        let piece = front(input, self.left);
        let wanted = self.bytes.len() + piece.len();
        if wanted > self.bytes.capacity() {
            // Twice what has come, and never more than was announced.
            let announced = usize::try_from(self.left).unwrap_or(usize::MAX);
            let most = self.bytes.len().saturating_add(announced);
            let room = wanted.max(2 * self.bytes.capacity()).min(most);
            // Memory at least doubles each time, so the budget is asked a few times for a content,
            // and not for each read.
            let charge = room.saturating_sub(FREE) as u64;
            if charge > 0
                && let Some(permit) = &mut self.permit
                && !permit.resize(charge)
            {
                return false;
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        self.left -= piece.len() as u64;
        true
    }

    /// How many bytes are to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The content, and what is charged for it as long as it is worked on.
    pub(super) fn into_parts(self) -> (bytes::Bytes, Option<Permit>) {
        (self.bytes.into(), self.permit)
    }
}

/// The front of `input`, at most `most` bytes.
pub(super) fn front(input: &[u8], most: u64) -> &[u8] {
    match usize::try_from(most) {
        Ok(most) if most < input.len() => &input[..most],
        _ => input,
    }
}
