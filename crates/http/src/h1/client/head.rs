//! A response's head: its status line, and what its fields say about where it ends.

use std::borrow::Cow;

use memchr::{memchr_iter, memmem};

use super::error::BadReply;
use super::limits::LIMITS;
use crate::h1::head;
use crate::semantics::chars;
use crate::{Content, Trailers, Version};

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The status code, from 100 to 599.
    pub status: u16,
    /// The server would take another request on this connection behind this response.
    pub persistent: bool,
    /// Interim responses (RFC 9110, 15.2) that came before it: at most 100.
    pub interim: u32,
    pub(super) framing: Framing,
    /// The head as it came, with the blank line.
    pub bytes: &'a [u8],
}

/// How the end of the content is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    Content(Content),
    /// With the connection's end.
    UntilClose,
}

impl Head<'_> {
    /// Whether another head follows for the same request.
    pub(super) fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// How long the content is going to be, where the head says so.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::None | Framing::Content(Content::None) => Some(0),
            Framing::Content(Content::Length(length)) => Some(length),
            Framing::Content(Content::Chunked) | Framing::UntilClose => None,
        }
    }
}

/// The length of the head at the beginning of `input`, of whose first `seen` bytes it is known that
/// they hold no end; `None` while it is incomplete.
pub(super) fn len(input: &[u8], seen: usize) -> Result<Option<usize>, BadReply> {
    const PREFIX: &[u8] = b"HTTP/1.";
    let begun = &input[..input.len().min(PREFIX.len())];
    if !PREFIX.starts_with(begun) {
        return Err(BadReply("sent something else than an HTTP/1 reply"));
    }
    let end = blank_line(input, seen.saturating_sub(2));
    if end.unwrap_or(input.len()) > LIMITS.head {
        return Err(BadReply("sent a reply's head of more than 64 KiB"));
    }
    Ok(end)
}

/// Where the first blank line ends, of those behind an LF at `from` or later. A bare LF ends a line,
/// too (RFC 9112, 2.2).
fn blank_line(input: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', &input[from..]).find_map(|at| match input[from + at + 1..] {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// `lines` with CRLF behind every one, and one space in the place of each line break that folds a
/// field's value (obs-fold): a user agent has to replace it before it reads the value (RFC 9112,
/// 5.2). The fields begin at the line number `first`: if that line begins with a space it folds
/// nothing, and is left to be refused.
pub(super) fn unfolded(lines: &[u8], first: usize) -> Cow<'_, [u8]> {
    let is_plain = |at: usize| {
        lines[..at].ends_with(b"\r") && !matches!(lines.get(at + 1), Some(b' ' | b'\t'))
    };
    if memchr_iter(b'\n', lines).all(is_plain) {
        return Cow::Borrowed(lines);
    }
    let mut plain = Vec::with_capacity(lines.len());
    for (number, line) in lines.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if number > first && matches!(line, [b' ' | b'\t', ..]) {
            plain.truncate(plain.len() - 2);
            plain.truncate(plain.trim_ascii_end().len());
            plain.push(b' ');
            plain.extend_from_slice(chars::trim(line));
        } else {
            plain.extend_from_slice(line);
        }
        plain.extend_from_slice(b"\r\n");
    }
    Cow::Owned(plain)
}

/// Reads a whole head.
pub(super) fn parse(bytes: &[u8]) -> Result<Head<'_>, BadReply> {
    let plain = unfolded(bytes, 1);
    let (status, version, start) = status_line(&plain)?;
    let fields = &plain[start..];
    let mut spans = Vec::new();
    let whole = head::trailers(fields, &mut head::Progress::default(), &LIMITS, &mut spans)?;
    if whole != Some(fields.len()) {
        return Err(BadReply("sent a reply's head that ends in two places"));
    }
    let mut seen = Seen::default();
    for (name, value) in (Trailers { section: fields, spans: &spans }).fields() {
        seen.take(name, value)?;
    }
    let old = version == Version::Http10;
    if status == 101 {
        return Err(BadReply("switched to another protocol, though nobody had asked for that"));
    }
    let framing = framing(status, &seen)?;
    let persistent = !seen.close && (!old || seen.keep_alive) && framing != Framing::UntilClose;
    Ok(Head { status, persistent, interim: 0, framing, bytes })
}

/// `HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112, 4), also without the second
/// space. Returns where the next line begins.
fn status_line(bytes: &[u8]) -> Result<(u16, Version, usize), BadReply> {
    const BAD: BadReply = BadReply("sent a status line that can't be read");
    let end = memmem::find(bytes, b"\r\n").ok_or(BAD)?;
    let (version, rest) = bytes[..end].split_at_checked(9).ok_or(BAD)?;
    let version = match version {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return Err(BAD),
    };
    let (code, reason) = rest.split_at_checked(3).ok_or(BAD)?;
    let status = match *code {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            [a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))
        }
        _ => return Err(BAD),
    };
    match reason {
        [] => {}
        [b' ', reason @ ..] if chars::is_field_value(reason) => {}
        _ => return Err(BAD),
    }
    Ok((status, version, end + 2))
}

/// The fields that matter, as they are met.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Seen {
    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadReply> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in elements(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // A list of one value, again and again, has been seen in the wild (RFC 9112, 6.3).
                for element in elements(value) {
                    let length = Some(number(element)?);
                    if self.length.is_some() && self.length != length {
                        return Err(BadReply("sent two lengths of one reply"));
                    }
                    self.length = length;
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                for coding in elements(value) {
                    if self.chunked {
                        return Err(BadReply("sent a transfer coding behind the chunked one"));
                    }
                    self.coded = true;
                    self.chunked = coding.eq_ignore_ascii_case(b"chunked");
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(chars::trim)
}

fn number(digits: &[u8]) -> Result<u64, BadReply> {
    const BAD: BadReply = BadReply("sent a Content-Length that is no number");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    digits.iter().try_fold(0, add).ok_or(BAD)
}

/// RFC 9112, 6.3.
fn framing(status: u16, seen: &Seen) -> Result<Framing, BadReply> {
    if status < 200 || status == 204 || status == 304 {
        return Ok(Framing::None);
    }
    Ok(match seen.length {
        Some(_) if seen.coded => {
            return Err(BadReply("sent a reply with both a length and a transfer coding"));
        }
        None if seen.chunked => Framing::Content(Content::Chunked),
        None => Framing::UntilClose,
        Some(0) => Framing::None,
        Some(length) => Framing::Content(Content::Length(length)),
    })
}
