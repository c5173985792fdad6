//! A strict parser of request heads and trailer sections (RFC 9112, 2 to 5 and 7.1.2). It allocates
//! only to enlarge its buffers, which the next head reuses.
//!
//! A head that arrives whole is read in one pass. If a head arrives in parts, [`Progress`]
//! remembers where the first incomplete line starts, and up to where its end was searched. The
//! complete head is then read once more. So the work is bounded by the length of the head, in
//! however many parts the head arrives. Whether a head is refused, and why, depends on its bytes
//! alone: a line is checked when it is complete or exceeds a limit. Only the method is checked as
//! its bytes arrive, since a client of another protocol may never send a line end.
//!
//! The meaning of the fields is determined in [`framing`](crate::h1::framing).

use sockeye_proto::Fault;

use crate::h1::cached_fields::CachedFields;
use crate::h1::{framing, target};
use crate::semantics::chars;
use crate::semantics::control::{ControlData, Version};
use crate::semantics::method::{Method, MethodKind};
use crate::semantics::refusal::Refusal;
use crate::semantics::span::{Range, Span};
use crate::{Content, Limits, OwnedRequest, Request};

const BAD_CHARACTER: Refusal<'static> =
    Refusal::bad("sent a request target with an invalid character: percent-encode it");

/// How much of an incomplete head or trailer section has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    // Invariant: the lines before `line_start` are complete and valid, `field_count` of them are
    // field lines, and `line_start..searched` has no LF.
    line_start: u32,
    searched: u32,
    field_count: u32,
}

/// A complete head. Its fields are in the [`CachedFields`] that it was parsed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) control: ControlData,
    /// Where the fields start.
    pub(crate) fields_start: usize,
    /// The length in bytes, the blank line included.
    pub(crate) len: usize,
}

/// Reads the head at the start of `input`; `None` if it is incomplete. If an earlier call changed
/// `progress`, `input` begins with the input of that call.
pub(crate) fn parse(
    input: &[u8],
    progress: &mut Progress,
    limits: &Limits,
    cached: &mut CachedFields,
) -> Result<Option<Head>, Refusal<'static>> {
    if progress.searched > 0 {
        cached.clear();
        if !resume_head(input, progress, limits, &mut cached.spans)? {
            return Ok(None);
        }
        // The head is complete and valid. Read it again from the start, to get the spans of all
        // fields.
        *progress = Progress::default();
    }
    let Some((control, start)) = request_line(input, progress, limits)? else { return Ok(None) };
    let rest = &input[start..];
    if let Some(len) = cached.find(rest) {
        check_limits(limits, start, start + len)?;
        return Ok(Some(Head { control, fields_start: start, len: start + len }));
    }
    cached.clear();
    progress.line_start = start as u32;
    let Some(end) = field_lines(input, start, progress, limits, &mut cached.spans)? else {
        return Ok(None);
    };
    cached.store(&input[start..end]);
    Ok(Some(Head { control, fields_start: start, len: end }))
}

/// Continues to read a head. Returns whether it is complete.
fn resume_head(
    input: &[u8],
    progress: &mut Progress,
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<bool, Refusal<'static>> {
    if progress.line_start == 0 {
        check_method(input, limits)?;
        if !has_line_end(input, progress, limits)? {
            return Ok(false);
        }
        let Some((_, start)) = request_line(input, progress, limits)? else { return Ok(false) };
        progress.line_start = start as u32;
        progress.searched = start as u32;
    }
    resume_fields(input, progress, limits, spans)
}

/// Continues to read field lines. Returns whether all of them are complete.
fn resume_fields(
    input: &[u8],
    progress: &mut Progress,
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<bool, Refusal<'static>> {
    if !has_line_end(input, progress, limits)? {
        return Ok(false);
    }
    spans.clear();
    Ok(field_lines(input, 0, progress, limits, spans)?.is_some())
}

/// Whether the line that was incomplete is complete now. No byte is searched twice.
fn has_line_end(
    input: &[u8],
    progress: &mut Progress,
    limits: &Limits,
) -> Result<bool, Refusal<'static>> {
    if memchr::memchr(b'\n', &input[progress.searched as usize..]).is_some() {
        return Ok(true);
    }
    check_limits(limits, progress.line_start as usize, input.len() + 1)?;
    progress.searched = input.len() as u32;
    Ok(false)
}

/// Reads the trailer section at the start of `input` (RFC 9112, 7.1.2), with the limits of a head.
/// Returns its length; `None` if it is incomplete. Its fields are in `spans`.
pub(crate) fn trailers(
    input: &[u8],
    progress: &mut Progress,
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<Option<usize>, Refusal<'static>> {
    // There is no request line.
    let limits = &Limits { request_line: usize::MAX, ..limits.clone() };
    if progress.searched > 0 {
        if !resume_fields(input, progress, limits, spans)? {
            return Ok(None);
        }
        *progress = Progress::default();
    }
    spans.clear();
    field_lines(input, 0, progress, limits, spans)
}

/// Reads the request line. Returns it, and where the next line starts.
#[inline(always)] // Avoids copying the result, which is large.
fn request_line(
    input: &[u8],
    progress: &mut Progress,
    limits: &Limits,
) -> Result<Option<(ControlData, usize)>, Refusal<'static>> {
    match tokenize_request_line(input) {
        Ok((control, end)) => match check_limits(limits, 0, end) {
            Ok(()) => Ok(Some((control, end))),
            Err(refusal) => Err(check_method(input, limits).err().unwrap_or(refusal)),
        },
        Err(refusal) => {
            check_method(input, limits)?;
            refuse_if_complete(input, 0, refusal, progress, limits).map(|()| None)
        }
    }
}

/// Refuses a request line that doesn't begin with a method and a space. An incomplete line is
/// refused as soon as its bytes show the reason.
#[cold]
fn check_method(input: &[u8], limits: &Limits) -> Result<(), Refusal<'static>> {
    let longest = Method::MAX_LEN.min(limits.request_line.saturating_sub(1));
    let begin = &input[..input.len().min(longest + 1)];
    let len = chars::prefix_len(begin, chars::is_token_byte);
    if len > longest {
        // Such a method gets 501. 414 is for a target that is too long (RFC 9112, 3).
        return Err(Refusal::METHOD_TOO_LONG);
    }
    Err(match (len, &input[len..]) {
        // More input is needed, because the next byte decides.
        (_, [] | [b'\r']) | (0, [0x16]) => return Ok(()),
        (1.., [b' ', ..]) => return Ok(()),
        // Record type 22 (handshake), major version 3.
        (0, [0x16, 0x03, ..]) => Refusal::TLS,
        (_, [b'\n', ..]) => Refusal::LF_WITHOUT_CR,
        (_, [b'\r', next, ..]) if *next != b'\n' => Refusal::CR_WITHOUT_LF,
        _ => Refusal::NO_METHOD,
    })
}

/// Reads field lines up to the blank line. Returns where the head ends. The positions in `spans`
/// are relative to `base`.
fn field_lines(
    input: &[u8],
    base: usize,
    progress: &mut Progress,
    limits: &Limits,
    spans: &mut Vec<Span>,
) -> Result<Option<usize>, Refusal<'static>> {
    loop {
        let start = progress.line_start as usize;
        if let [b'\r', b'\n', ..] = input[start..] {
            check_limits(limits, start, start + 2)?;
            return Ok(Some(start + 2));
        }
        let (span, end) = match tokenize_field_line(input, start, base) {
            Ok(found) => found,
            Err(refusal) => {
                return refuse_if_complete(input, start, refusal, progress, limits).map(|()| None);
            }
        };
        check_limits(limits, start, end)?;
        progress.line_start = end as u32;
        progress.field_count += 1;
        if progress.field_count as usize > limits.fields {
            return Err(Refusal::TOO_MANY_FIELDS);
        }
        spans.push(span);
    }
}

/// Checks the line from `start` to `end` against the limits. For an incomplete line, `end` is its
/// earliest possible end. The line at 0 is the request line.
fn check_limits(limits: &Limits, start: usize, end: usize) -> Result<(), Refusal<'static>> {
    if start == 0 && end > limits.request_line {
        return Err(Refusal::LINE_TOO_LONG);
    }
    if end > limits.head {
        return Err(Refusal::HEAD_TOO_LARGE);
    }
    Ok(())
}

/// Refuses the line at `start`, which could not be read, if it is complete or exceeds a limit. If
/// it is incomplete, more input is needed. `refusal` is the reason for a line that ends with CRLF.
/// A line that ends with LF alone is refused for the missing CR.
#[cold]
fn refuse_if_complete(
    input: &[u8],
    start: usize,
    refusal: Refusal<'static>,
    progress: &mut Progress,
    limits: &Limits,
) -> Result<(), Refusal<'static>> {
    let line_end = memchr::memchr(b'\n', &input[start..]);
    check_limits(limits, start, line_end.map_or(input.len(), |at| start + at) + 1)?;
    match line_end {
        Some(at) if input[start..start + at].ends_with(b"\r") => Err(refusal),
        Some(_) => Err(Refusal::LF_WITHOUT_CR),
        None => {
            progress.searched = input.len() as u32;
            Ok(())
        }
    }
}

/// Reads `method SP request-target SP HTTP-version CRLF` (RFC 9112, 3). Like
/// [`tokenize_field_line`], it also fails for incomplete input.
#[inline(always)]
fn tokenize_request_line(input: &[u8]) -> Result<(ControlData, usize), Refusal<'static>> {
    // A short cut for the most frequent method.
    let get = input.starts_with(b"GET ");
    let method_len = if get { 3 } else { method_len(input).ok_or(Refusal::NO_METHOD)? };
    let start = method_len + 1;
    let path_end = start + chars::prefix_len(&input[start..], chars::is_path_byte);
    let end = match input.get(path_end) {
        Some(b' ') => path_end,
        Some(b'?') => query_end(input, path_end + 1)?,
        _ => return Err(BAD_CHARACTER),
    };
    let rest = &input[end + 1..];
    // A short cut for the most frequent version.
    let current = rest.starts_with(b"HTTP/1.1\r\n");
    let version = if current { Version::Http11 } else { version(rest, input)? };
    let method = if get { MethodKind::Get } else { MethodKind::from_token(&input[..method_len]) };
    let target = target::split(input, start, path_end, end, method)?;
    Ok((ControlData { method, version, target }, end + " HTTP/1.1\r\n".len()))
}

/// The end of the query that starts at `start`, if a space follows.
#[inline]
fn query_end(input: &[u8], start: usize) -> Result<usize, Refusal<'static>> {
    let end = start + chars::prefix_len(&input[start..], chars::is_query_byte);
    if input.get(end) == Some(&b' ') { Ok(end) } else { Err(BAD_CHARACTER) }
}

/// The length of the method at the start of `input`, if a space follows.
#[inline]
fn method_len(input: &[u8]) -> Option<usize> {
    let len = chars::prefix_len(input, chars::is_token_byte);
    ((1..=Method::MAX_LEN).contains(&len) && input.get(len) == Some(&b' ')).then_some(len)
}

/// Reads `HTTP-version CRLF` (RFC 9112, 2.3) at the start of `rest`, which follows the target in
/// `input`.
#[cold]
fn version(rest: &[u8], input: &[u8]) -> Result<Version, Refusal<'static>> {
    let digits = match rest.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor, b'\r', b'\n', ..]) => [*major, *minor],
        _ => [0, 0],
    };
    match &digits {
        b"11" => Ok(Version::Http11),
        b"10" => Ok(Version::Http10),
        // The preface of an HTTP/2 connection (RFC 9113, 3.4).
        b"20" if input.starts_with(b"PRI * ") => Err(Refusal::HTTP2),
        [b'0'..=b'9', b'0'..=b'9'] => Err(Refusal::VERSION),
        _ => Err(Refusal::bad("sent a request line that does not end with a version")),
    }
}

/// Reads `field-name ":" OWS field-value OWS CRLF` (RFC 9112, 5). Returns the parts, with positions
/// relative to `base`, and where the next line starts.
#[inline(always)]
fn tokenize_field_line(
    input: &[u8],
    start: usize,
    base: usize,
) -> Result<(Span, usize), Refusal<'static>> {
    let colon = start + chars::prefix_len(&input[start..], chars::is_token_byte);
    if colon == start || input.get(colon) != Some(&b':') {
        return Err(bad_name(&input[start..colon], input.get(colon)));
    }
    let mut value = colon + 1;
    while let Some(b' ' | b'\t') = input.get(value) {
        value += 1;
    }
    let value_end = value + chars::value_len(&input[value..]);
    let [b'\r', b'\n', ..] = input[value_end..] else { return Err(bad_value(&input[value_end..])) };
    let mut end = value_end;
    while end > value && matches!(input[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    let name = Range::new(start - base, colon - base);
    let span = Span { name, value: Range::new(value - base, end - base) };
    Ok((span, value_end + 2))
}

/// The refusal of a line that doesn't begin with a name and a colon.
#[cold]
fn bad_name(name: &[u8], next: Option<&u8>) -> Refusal<'static> {
    Refusal::bad(match (name, next) {
        // Obsolete line folding is refused (RFC 9112, 5.2).
        ([], Some(b' ' | b'\t')) => "sent a field line that begins with a space",
        ([], Some(b':')) => "sent a field without a name",
        // Attackers have used this space for request smuggling (RFC 9112, 5.1).
        (_, Some(b' ' | b'\t')) => "sent a space between a field's name and its colon",
        (_, Some(b'\r') | None) => "sent a field line without a colon",
        _ => "sent a field name with an invalid character",
    })
}

/// The refusal of a line whose value isn't followed by CRLF.
#[cold]
fn bad_value(rest: &[u8]) -> Refusal<'static> {
    match rest {
        [b'\r', ..] => Refusal::CR_WITHOUT_LF,
        _ => Refusal::bad("sent a control character in a field's value"),
    }
}

impl OwnedRequest {
    /// Reads a head as a server does, with the default limits, for tests of handlers. Ignores what
    /// follows the head.
    ///
    /// # Errors
    ///
    /// The fault that ends a server's connection if the head is invalid or incomplete.
    pub fn read(input: &[u8]) -> Result<Self, Fault> {
        let mut cached = CachedFields::default();
        let head = parse(input, &mut Progress::default(), &Limits::default(), &mut cached);
        let Some(Head { control, fields_start, len }) = head.map_err(Refusal::fault)? else {
            return Err(Fault::peer("eof_in_head", "sent a request head that is not complete"));
        };
        let mut request = Request {
            head: &input[..len],
            control: &control,
            section: &input[fields_start..len],
            spans: &cached.spans,
            index: &cached.index,
            content: Content::None,
            upgrade: false,
        };
        let framing = framing::of(&request).map_err(Refusal::fault)?;
        request.content = framing.content;
        request.upgrade = framing.upgrade && framing.content == Content::None;
        Ok(request.to_owned_request())
    }
}
