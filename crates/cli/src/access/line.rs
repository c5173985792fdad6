//! Formats the lines of the access log.
//!
//! Whatever a client sends, its request takes one line of printable ASCII. Other characters are
//! escaped: in JSON as `\u001b`, and in the other formats as `\x1b`, the style of Apache and nginx.
//! The only terminal escape sequences are the colours that Sockeye itself writes.
//!
//! A line is made in two steps. When a request starts, [`begin`] writes what is known then: the
//! request's notes. When the request has ended, [`end`] makes the line from these notes and the
//! outcome.

use std::time::Duration;

use clap::ValueEnum;
use sockeye::http_core::{FieldName, Outcome, Request, RequestHead, UnparsedHead, Version, date};
use sockeye::proto::{Address, Peer, TlsInfo, WallTime};
use sockeye::tls;

use super::escape::{UNESCAPED, truncated, write_escaped, write_hex};
use super::terminal_line;
use crate::stdout;

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The combined format of Apache and nginx, followed by the duration in seconds and how the
    /// request ended.
    Combined,
    /// A JSON object per line.
    Json,
    /// Short columns for people: see [`terminal_line`].
    #[value(skip)]
    Terminal { color: bool },
}

/// The maximum number of bytes by which a line is longer than its notes.
pub(super) const MAX_END_LEN: usize = 256;

/// The maximum lengths in bytes of a target, of a field, and of a fault's code, the TLS version or
/// the cipher suite. Longer values are truncated, and three dots follow.
const MAX_TARGET: usize = 8 * 1024;
const MAX_FIELD: usize = 1024;
const MAX_CODE: usize = 64;
/// The limit for a method on a terminal, where a target has the limit `MAX_FIELD`.
const MAX_SHORT_METHOD: usize = 16;

/// The notes are a number, in this many bytes, and a text. The number is a position in the text:
/// where [`end`] inserts the status or, in the format for a terminal, where the target begins.
const SPLIT_LEN: usize = 4;

/// The formatted date of the last request. It is formatted again only when a new second of the
/// clock has begun.
#[derive(Default)]
pub(super) struct DateCache {
    second: Option<WallTime>,
    text: Vec<u8>,
}

impl DateCache {
    pub(super) fn of(&mut self, when: WallTime, format: Format) -> &[u8] {
        if self.second.replace(when) != Some(when) {
            self.text.clear();
            write_date(when, format, &mut self.text);
        }
        &self.text
    }
}

/// Appends a date: `22/Nov/2026:19:00:00 +0000` in the combined format, `2026-11-22T19:00:00Z` in
/// JSON, and nothing for a terminal.
fn write_date(when: WallTime, format: Format, text: &mut Vec<u8>) {
    // Such as `Sun, 22 Nov 2026 19:00:00 GMT`.
    let date = date::format(when);
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    match format {
        Format::Combined => {
            for part in [day, b"/", month, b"/", year, b":", time, b" +0000"] {
                text.extend_from_slice(part);
            }
        }
        Format::Json => {
            const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
            let number = MONTHS.chunks(3).position(|name| name == month).unwrap_or(0) + 1;
            let number = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
            for part in [year, b"-", &number, b"-", day, b"T", time, b"Z"] {
                text.extend_from_slice(part);
            }
        }
        Format::Terminal { .. } => {}
    }
}

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestSource<'a> {
    pub(super) client: Address,
    /// Whether trusted proxies are configured. If so, `client` may differ from the peer's address.
    pub(super) has_proxies: bool,
    /// The connection's peer.
    pub(super) peer: &'a Peer,
}

/// Appends to `notes` the parts of a line that are known when a request starts.
pub(super) fn begin(
    format: Format,
    date: &[u8],
    source: RequestSource<'_>,
    request: RequestHead<'_>,
    notes: &mut Vec<u8>,
) {
    let start = notes.len();
    notes.extend_from_slice(&[0; SPLIT_LEN]);
    let split = match format {
        Format::Combined => begin_combined(date, source.client, request, notes),
        Format::Json => begin_json(date, source, request, notes),
        Format::Terminal { .. } => begin_for_terminal(request, notes),
    };
    // Values are truncated far below 4 GiB.
    let split = (split - start - SPLIT_LEN) as u32;
    notes[start..start + SPLIT_LEN].copy_from_slice(&split.to_le_bytes());
}

/// Appends the line of a request that has ended. The line is at most [`MAX_END_LEN`] bytes longer
/// than the request's notes.
pub(super) fn end(format: Format, notes: &[u8], outcome: &Outcome, line: &mut Vec<u8>) {
    let Some((split, notes)) = notes.split_first_chunk::<SPLIT_LEN>() else { return };
    let split = (u32::from_le_bytes(*split) as usize).min(notes.len());
    let (front, behind) = notes.split_at(split);
    if let Format::Terminal { color } = format {
        return terminal_line::end([front, behind], outcome, color, stdout::width(), line);
    }
    line.extend_from_slice(front);
    match format {
        Format::Combined => {
            match outcome.status {
                Some(status) => write_number(status.code().into(), line),
                // nginx also writes 000 if there was no status.
                None => line.extend_from_slice(b"000"),
            }
            line.push(b' ');
            write_number(outcome.content, line);
            line.extend_from_slice(behind);
            line.push(b' ');
            write_seconds(outcome.duration, line);
            line.push(b' ');
            line.extend_from_slice(outcome.end_reason.as_str().as_bytes());
        }
        Format::Json => {
            line.extend_from_slice(b",\"status\":");
            match outcome.status {
                Some(status) => write_number(status.code().into(), line),
                None => line.extend_from_slice(b"null"),
            }
            line.extend_from_slice(b",\"bytes\":");
            write_number(outcome.content, line);
            line.extend_from_slice(b",\"seconds\":");
            write_seconds(outcome.duration, line);
            line.extend_from_slice(b",\"ended\":\"");
            line.extend_from_slice(outcome.end_reason.as_str().as_bytes());
            line.push(b'"');
            if let Some(code) = outcome.fault_code {
                write_json_member("reason", Some(code.as_bytes()), MAX_CODE, line);
            }
            line.push(b'}');
        }
        // Returned above.
        Format::Terminal { .. } => {}
    }
    line.push(b'\n');
}

/// Appends the text of the notes in the combined format. Returns the position at which the status
/// is to be inserted.
fn begin_combined(
    date: &[u8],
    client: Address,
    request: RequestHead<'_>,
    notes: &mut Vec<u8>,
) -> usize {
    write_address(client, notes);
    notes.extend_from_slice(b" - - [");
    notes.extend_from_slice(date);
    notes.extend_from_slice(b"] \"");
    match request {
        RequestHead::Parsed(request) => {
            notes.extend_from_slice(request.method().as_str().as_bytes());
            notes.push(b' ');
            write_escaped(request.target(), MAX_TARGET, notes);
            notes.push(b' ');
            notes.extend_from_slice(version(request));
        }
        RequestHead::Unparsed(UnparsedHead { line: b"", .. }) => notes.push(b'-'),
        RequestHead::Unparsed(UnparsedHead { line, .. }) => write_escaped(line, MAX_FIELD, notes),
    }
    notes.extend_from_slice(b"\" ");
    let status_offset = notes.len();
    let [_, referer, user_agent] = fields(request);
    for value in [referer, user_agent] {
        notes.extend_from_slice(b" \"");
        match value {
            Some(value) => write_escaped(value, MAX_FIELD, notes),
            None => notes.push(b'-'),
        }
        notes.push(b'"');
    }
    status_offset
}

/// Appends the text of the notes in JSON. Returns the position at which the status is to be
/// inserted, which is the end of the text.
fn begin_json(
    date: &[u8],
    source: RequestSource<'_>,
    request: RequestHead<'_>,
    notes: &mut Vec<u8>,
) -> usize {
    notes.extend_from_slice(b"{\"time\":\"");
    notes.extend_from_slice(date);
    notes.extend_from_slice(b"\",\"address\":\"");
    write_address(source.client, notes);
    notes.push(b'"');
    if source.has_proxies {
        notes.extend_from_slice(b",\"by\":\"");
        write_address(source.peer.address, notes);
        notes.push(b'"');
    }
    match request {
        RequestHead::Parsed(request) => {
            notes.extend_from_slice(b",\"method\":\"");
            notes.extend_from_slice(request.method().as_str().as_bytes());
            notes.push(b'"');
            write_json_member("target", Some(request.target()), MAX_TARGET, notes);
            notes.extend_from_slice(b",\"version\":\"");
            notes.extend_from_slice(version(request));
            notes.push(b'"');
        }
        RequestHead::Unparsed(UnparsedHead { line, .. }) => {
            let [method, target, version] = request_line_parts(line);
            write_json_member("method", method, MAX_FIELD, notes);
            write_json_member("target", target, MAX_TARGET, notes);
            write_json_member("version", version, MAX_FIELD, notes);
            write_json_member("unread", Some(line), MAX_FIELD, notes);
        }
    }
    let [host, referer, user_agent] = fields(request);
    write_json_member("host", host, MAX_FIELD, notes);
    write_json_member("referer", referer, MAX_FIELD, notes);
    write_json_member("user_agent", user_agent, MAX_FIELD, notes);
    if let Some(tls) = &source.peer.tls {
        write_json_tls(tls, notes);
    }
    notes.len()
}

#[cold]
fn write_json_tls(info: &TlsInfo, notes: &mut Vec<u8>) {
    write_json_member("tls_version", Some(info.version.as_bytes()), MAX_CODE, notes);
    write_json_member("tls_cipher", Some(info.cipher_suite.as_bytes()), MAX_CODE, notes);
    let resumed: &[u8] = if info.resumed { b"true" } else { b"false" };
    notes.extend_from_slice(b",\"tls_resumed\":");
    notes.extend_from_slice(resumed);
    if let Some(name) = &info.server_name {
        write_json_member("tls_server_name", Some(name.as_bytes()), MAX_FIELD, notes);
    }
    if let Some(certificate) = info.client_certificates.first() {
        let subject = tls::subject(certificate);
        write_json_member("tls_client", subject.as_deref().map(str::as_bytes), MAX_FIELD, notes);
    }
}

/// Appends the text of the notes for a terminal: the method, then the target. Returns the position
/// at which the target begins.
fn begin_for_terminal(request: RequestHead<'_>, notes: &mut Vec<u8>) -> usize {
    let (method, target) = match request {
        RequestHead::Parsed(request) => (request.method().as_str().as_bytes(), request.target()),
        RequestHead::Unparsed(UnparsedHead { line, .. }) => {
            let [method, target, _] = request_line_parts(line);
            let rest = method.map_or(line, |method| &line[method.len() + 1..]);
            (method.unwrap_or(b"-"), target.unwrap_or(rest))
        }
    };
    let (method, dots) = truncated(method, MAX_SHORT_METHOD);
    notes.extend_from_slice(method);
    notes.extend_from_slice(dots);
    let target_offset = notes.len();
    write_escaped(target, MAX_FIELD, notes);
    target_offset
}

/// The host, Referer and User-Agent; the first value of a repeated field. The host of a parsed
/// request comes from the target or, if the target has none, from the field Host.
fn fields(request: RequestHead<'_>) -> [Option<&[u8]>; 3] {
    match request {
        RequestHead::Parsed(request) => [
            request.host(),
            request.common_field(FieldName::Referer),
            request.common_field(FieldName::UserAgent),
        ],
        RequestHead::Unparsed(unread) => {
            [FieldName::Host, FieldName::Referer, FieldName::UserAgent]
                .map(|name| unread.field(name.as_str()))
        }
    }
}

/// The method, target and version in the first line of a malformed or incomplete request. A part
/// that is incomplete or invalid is `None`.
#[cold]
fn request_line_parts(line: &[u8]) -> [Option<&[u8]>; 3] {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_target = |word: &&[u8]| {
        let path_len = word.iter().position(|byte| *byte == b'?').unwrap_or(word.len());
        word.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
            && !word[..path_len].contains(&b'\\')
    };
    let is_version =
        |version: &&[u8]| matches!(version, [b'H', b'T', b'T', b'P', b'/', _, b'.', _]);
    // A word is complete if a space follows it.
    let method = method.filter(|word| target.is_some() && !word.is_empty());
    let target = target.filter(|word| version.is_some() && !word.is_empty());
    [
        method.filter(|word| word.iter().all(is_token)),
        target.filter(|_| words.next().is_none()).filter(is_target),
        version.filter(is_version).filter(|word| word.iter().all(u8::is_ascii_graphic)),
    ]
}

fn version(request: &Request<'_>) -> &'static [u8] {
    match request.version() {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
        Version::Http2 => b"HTTP/2.0",
    }
}

fn write_address(address: Address, line: &mut Vec<u8>) {
    match address {
        Address::Ip(address) => match address.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => {
                for (at, octet) in ip.octets().into_iter().enumerate() {
                    if at > 0 {
                        line.push(b'.');
                    }
                    write_number(octet.into(), line);
                }
            }
            std::net::IpAddr::V6(ip) => line.extend_from_slice(ip.to_string().as_bytes()),
        },
        Address::Unix => line.extend_from_slice(b"unix"),
    }
}

fn write_number(mut number: u64, line: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// Writes seconds, with six decimals: `12.000345`.
fn write_seconds(time: Duration, line: &mut Vec<u8>) {
    write_number(time.as_secs(), line);
    let mut micros = time.subsec_micros();
    let mut decimals = *b".000000";
    for digit in decimals[1..].iter_mut().rev() {
        *digit = b'0' + (micros % 10) as u8;
        micros /= 10;
    }
    line.extend_from_slice(&decimals);
}

/// Appends `,"name":` and the value as a string, or `null` if there is no value.
fn write_json_member(name: &str, value: Option<&[u8]>, max: usize, line: &mut Vec<u8>) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    let Some(value) = value else { return line.extend_from_slice(b"\":null") };
    line.extend_from_slice(b"\":\"");
    let (value, dots) = truncated(value, max);
    if value.iter().all(|byte| UNESCAPED[usize::from(*byte)]) {
        line.extend_from_slice(value);
    } else {
        write_json_escaped(value, line);
    }
    line.extend_from_slice(dots);
    line.push(b'"');
}

/// Escapes quotes and backslashes. Writes everything else that is not printable ASCII as UTF-16
/// units: `\u001b`. Bytes that are not UTF-8 become the replacement character.
fn write_json_escaped(value: &[u8], line: &mut Vec<u8>) {
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => line.extend([b'\\', c as u8]),
                ' '..='~' => line.push(c as u8),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        line.extend_from_slice(b"\\u");
                        unit.to_be_bytes().into_iter().for_each(|byte| write_hex(byte, line));
                    }
                }
            }
        }
        if !chunk.invalid().is_empty() {
            line.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests;
