//! What a request's fields say about its body, its host and the connection (RFC 9112, 3.2, 6 and
//! 9.3).
//!
//! Two parties that disagree about where a request ends can be made to disagree about who sent the
//! next one. So whatever could be read in two ways is refused here, also where the RFC would let us
//! repair it.

use super::chars;
use super::refusal::Refusal;
use super::{Content, Request, Version};

/// What the fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) content: Content,
    /// The client would send another request on this connection.
    pub(super) persistent: bool,
    /// The client waits for a word before it sends the body (RFC 9110, 10.1.1).
    pub(super) expects_continue: bool,
    /// The client would go on with another protocol (RFC 9110, 7.8).
    pub(super) upgrade: bool,
}

/// The fields that matter, as they are met.
#[derive(Default)]
struct Seen<'a> {
    hosts: u32,
    lengths: u32,
    length: &'a [u8],
    codings: u32,
    coding: &'a [u8],
    close: bool,
    keep_alive: bool,
    /// The `Connection` option.
    upgrade: bool,
    /// The `Upgrade` field names something.
    protocol: bool,
    expects: bool,
    expects_other: bool,
}

/// Reads what the fields of `request` say.
pub(super) fn of(request: &Request<'_>) -> Result<Framing, Refusal> {
    let mut seen = Seen::default();
    for (name, value) in request.fields() {
        see(&mut seen, name, value)?;
    }
    let old = request.version() == Version::Http10;
    if seen.hosts == 0 && !old {
        return Err(Refusal::bad("sent no Host field"));
    }
    let content = content(&seen, old)?;
    if seen.expects_other {
        return Err(Refusal::EXPECTATION);
    }
    Ok(Framing {
        content,
        persistent: !seen.close && (!old || seen.keep_alive),
        // From HTTP/1.0 both are to be ignored (RFC 9110, 7.8 and 10.1.1).
        expects_continue: seen.expects && !old && content != Content::None,
        upgrade: seen.upgrade && seen.protocol && !old,
    })
}

/// Most fields don't matter, and the length of the name tells.
fn see<'a>(seen: &mut Seen<'a>, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"host") => {
            seen.hosts += 1;
            if seen.hosts > 1 {
                return Err(Refusal::bad("sent more than one Host field"));
            }
            if !chars::is_host(value) {
                return Err(Refusal::bad("sent a Host field that names no host"));
            }
        }
        7 if name.eq_ignore_ascii_case(b"upgrade") => seen.protocol |= !value.is_empty(),
        10 if name.eq_ignore_ascii_case(b"connection") => {
            for option in value.split(|byte| *byte == b',').map(chars::trim) {
                seen.close |= option.eq_ignore_ascii_case(b"close");
                seen.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                seen.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            }
        }
        6 if name.eq_ignore_ascii_case(b"expect") => {
            // Empty members of a list count for nothing (RFC 9110, 5.6.1.2).
            let members = value.split(|byte| *byte == b',').map(chars::trim);
            for member in members.filter(|member| !member.is_empty()) {
                let known = member.eq_ignore_ascii_case(b"100-continue");
                seen.expects |= known;
                seen.expects_other |= !known;
            }
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            seen.lengths += 1;
            seen.length = value;
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            seen.codings += 1;
            seen.coding = value;
        }
        _ => {}
    }
    Ok(())
}

fn content(seen: &Seen<'_>, old: bool) -> Result<Content, Refusal> {
    match (seen.codings, seen.lengths) {
        (0, 0) => Ok(Content::None),
        (0, 1) => length(seen.length),
        (0, _) => Err(Refusal::bad("sent more than one Content-Length field")),
        (_, 1..) => Err(Refusal::bad("sent both Content-Length and Transfer-Encoding")),
        // HTTP/1.0 has no codings: whoever passed this on may have framed it otherwise
        // (RFC 9112, 6.1).
        _ if old => Err(Refusal::bad("sent Transfer-Encoding in HTTP/1.0")),
        (2.., _) => Err(Refusal::bad("sent more than one Transfer-Encoding field")),
        (1, _) => coding(seen.coding),
    }
}

/// `1*DIGIT` and nothing else: no sign, no list, and no more than can be counted.
fn length(value: &[u8]) -> Result<Content, Refusal> {
    const BAD: Refusal = Refusal::bad("sent a Content-Length that is no number");
    if value.is_empty() {
        return Err(BAD);
    }
    let mut length = 0u64;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(BAD);
        }
        let digit = u64::from(byte - b'0');
        length = length.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or(BAD)?;
    }
    Ok(if length == 0 { Content::None } else { Content::Length(length) })
}

/// `chunked`, once and alone.
fn coding(value: &[u8]) -> Result<Content, Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Content::Chunked);
    }
    let mut codings = value.split(|byte| *byte == b',').map(chars::trim);
    if codings.clone().any(|coding| !chars::is_token(coding)) {
        return Err(Refusal::bad("sent a Transfer-Encoding that is no list of codings"));
    }
    // Only the last coding can say where the body ends (RFC 9112, 6.3).
    if codings.clone().filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count() > 1
        || codings.clone().next_back().is_some_and(|last| !last.eq_ignore_ascii_case(b"chunked"))
            && codings.any(|coding| coding.eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Refusal::bad("sent a chunked coding that is not the last one"));
    }
    Err(Refusal::UNKNOWN_CODING)
}
