//! A response's head and trailers, and what the head says about the end of the content.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use memchr::{memchr_iter, memmem};

use crate::h1::head;
use crate::semantics::chars;
use crate::semantics::refusal::Refusal;
use crate::{Content, Limits, Trailers, Version};

/// Why a response is malformed: the end of a sentence that begins with "the peer".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadResponse(pub &'static str);

impl fmt::Display for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer {}", self.0)
    }
}

impl std::error::Error for BadResponse {}

// Requests and responses have the same rules for lines and chunks, and so the same refusals.
// Exceptions: responses may have bare LFs in their heads, and folded values of fields.
impl From<Refusal<'static>> for BadResponse {
    fn from(refusal: Refusal<'static>) -> Self {
        Self(match refusal {
            Refusal::HEAD_TOO_LARGE => "sent a response's head of more than 64 KiB",
            Refusal::LF_WITHOUT_CR => {
                "ended a line of a chunked body with a bare LF, not CRLF: readers could disagree about \
                 where the body ends"
            }
            Refusal { what, .. } => what,
        })
    }
}

/// The limits on a head, and on trailers: 64 KiB and 256 fields. Servers send longer heads than
/// clients, for example with `Content-Security-Policy`.
pub(super) static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits {
    request_line: 64 * 1024,
    head: 64 * 1024,
    fields: 256,
    ..Limits::default()
});

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The status code, from 100 to 599.
    pub status: u16,
    /// Whether the server accepts another request on this connection after this response.
    pub persistent: bool,
    /// The number of interim responses (RFC 9110, 15.2) before this response: at most 100.
    pub interim: u32,
    /// How the end of the content is found, unless the request was HEAD; `None` if the content ends
    /// with the connection.
    pub(super) content: Option<Content>,
    /// The head as it arrived, with the blank line.
    pub bytes: &'a [u8],
}

impl Head<'_> {
    /// The length of the content, if the head states it. After a HEAD request: of the content that
    /// GET would return.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self.content? {
            Content::None => Some(0),
            Content::Length(length) => Some(length),
            Content::Chunked => None,
        }
    }
}

/// The length of the head at the start of `input`; `None` if it is incomplete. An earlier call has
/// found no end of the head in the first `searched` bytes.
pub(crate) fn len(input: &[u8], searched: usize) -> Result<Option<usize>, BadResponse> {
    const PREFIX: &[u8] = b"HTTP/1.";
    let start = &input[..input.len().min(PREFIX.len())];
    if !PREFIX.starts_with(start) {
        return Err(BadResponse("sent something else than an HTTP/1 response"));
    }
    let end = blank_line(input, searched.saturating_sub(2));
    if end.unwrap_or(input.len()) > LIMITS.head {
        return Err(BadResponse("sent a response's head of more than 64 KiB"));
    }
    Ok(end)
}

/// The end of the first blank line that follows an LF at `from` or later. A bare LF also ends a
/// line (RFC 9112, 2.2).
fn blank_line(input: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', &input[from..]).find_map(|at| match input[from + at + 1..] {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// Ends every line with CRLF, and replaces each line break that folds a field's value (obs-fold)
/// with a space, as RFC 9112, 5.2, requires of a user agent. The fields start at the line with the
/// index `first`. A space at the start of that line folds nothing, and is refused later.
pub(super) fn unfold(lines: &[u8], first: usize) -> Cow<'_, [u8]> {
    let is_plain = |at: usize| {
        lines[..at].ends_with(b"\r") && !matches!(lines.get(at + 1), Some(b' ' | b'\t'))
    };
    if memchr_iter(b'\n', lines).all(is_plain) {
        return Cow::Borrowed(lines);
    }
    let mut plain = Vec::with_capacity(lines.len());
    // Where the last line begins that is not folded onto another one.
    let mut last = 0;
    for (number, line) in lines.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if number > first && matches!(line, [b' ' | b'\t', ..]) {
            plain.truncate(last + plain[last..].trim_ascii_end().len());
            plain.push(b' ');
            plain.extend_from_slice(chars::trim(line));
        } else {
            last = plain.len();
            plain.extend_from_slice(line);
        }
        plain.extend_from_slice(b"\r\n");
    }
    Cow::Owned(plain)
}

/// Parses a complete head.
pub(crate) fn parse(bytes: &[u8]) -> Result<Head<'_>, BadResponse> {
    let plain = unfold(bytes, 1);
    let (status, version, start) = status_line(&plain)?;
    let fields = &plain[start..];
    let mut spans = Vec::new();
    let whole = head::trailers(fields, &mut head::Progress::default(), &LIMITS, &mut spans)?;
    if whole != Some(fields.len()) {
        return Err(BadResponse("sent a response's head whose end is ambiguous"));
    }
    let mut framing = FramingFields::default();
    for (name, value) in (Trailers { section: fields, spans: &spans }).fields() {
        framing.add(name, value)?;
    }
    let is_http10 = version == Version::Http10;
    let content = content(status, &framing)?;
    let persistent = !framing.close && (!is_http10 || framing.keep_alive);
    Ok(Head { status, persistent, interim: 0, content, bytes })
}

/// Reads `HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112, 4), also without the
/// second space. Returns the status, the version, and where the next line begins.
fn status_line(bytes: &[u8]) -> Result<(u16, Version, usize), BadResponse> {
    const BAD: BadResponse = BadResponse("sent a status line that can't be read");
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

/// What the fields that were read so far say about the end of the content, and about the
/// connection.
#[derive(Default)]
struct FramingFields {
    length: Option<u64>,
    has_transfer_coding: bool,
    /// Whether the last transfer coding so far is `chunked`.
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl FramingFields {
    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in list_members(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // Some servers repeat one value in a list (RFC 9112, 6.3).
                for member in list_members(value) {
                    let length = chars::parse_number(member);
                    if length.is_none() {
                        return Err(BadResponse("sent a Content-Length that is not a number"));
                    }
                    if self.length.is_some() && self.length != length {
                        return Err(BadResponse("sent two lengths of one response"));
                    }
                    self.length = length;
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                for coding in list_members(value) {
                    if self.chunked {
                        return Err(BadResponse("sent a transfer coding behind the chunked one"));
                    }
                    self.has_transfer_coding = true;
                    self.chunked = coding.eq_ignore_ascii_case(b"chunked");
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(chars::trim)
}

/// How the end of the content is found (RFC 9112, 6.3).
fn content(status: u16, framing: &FramingFields) -> Result<Option<Content>, BadResponse> {
    Ok(match framing.length {
        _ if matches!(status, ..200 | 204 | 304) => Some(Content::None),
        Some(_) if framing.has_transfer_coding => {
            return Err(BadResponse("sent a response with both a length and a transfer coding"));
        }
        None => framing.chunked.then_some(Content::Chunked),
        Some(0) => Some(Content::None),
        Some(length) => Some(Content::Length(length)),
    })
}

/// Checks the trailer section at the start of `input` (RFC 9112, 7.1.2). Returns its length; `None`
/// if it is incomplete. An earlier call has found no end of the section in the first `searched`
/// bytes. Folded values are accepted (5.2).
pub(super) fn trailers_len(input: &[u8], searched: usize) -> Result<Option<usize>, BadResponse> {
    let mut end = None;
    for at in memchr_iter(b'\n', &input[searched..]).map(|at| searched + at) {
        match input[..at] {
            [b'\r'] | [.., b'\n', b'\r'] => {
                end = Some(at + 1);
                break;
            }
            [.., b'\r'] => {}
            _ => return Err(Refusal::LF_WITHOUT_CR.into()),
        }
    }
    if end.unwrap_or(input.len()) > LIMITS.head {
        return Err(BadResponse("sent trailers of more than 64 KiB"));
    }
    if let Some(end) = end {
        let plain = unfold(&input[..end], 0);
        head::trailers(&plain, &mut head::Progress::default(), &LIMITS, &mut Vec::new())?;
    }
    Ok(end)
}
