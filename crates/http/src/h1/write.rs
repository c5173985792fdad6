//! Writing responses as HTTP/1.1.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use sockeye_proto::{Output, Turn, WallTime};

use super::exchange::H1Exchange;
use crate::semantics::control::Version;
use crate::semantics::date;
use crate::semantics::decimal::{MAX_DIGITS, decimal};
use crate::semantics::exchange::{ContentLength, UpgradeProtocols};
use crate::semantics::status::Status;

/// The start of most responses of a worker (event loop), which is formatted once a second: the
/// status line of [`Status::OK`], `Date`, and what the configuration adds to every response.
#[derive(Default)]
pub(crate) struct CachedPreamble {
    pub(crate) server_header: bool,
    pub(crate) strict_transport_security: Option<Duration>,
    /// The second for which `bytes` is formatted.
    second: Cell<Option<WallTime>>,
    bytes: RefCell<Vec<u8>>,
}

const OK_LINE: &[u8] = b"HTTP/1.1 200 OK\r\n";

impl CachedPreamble {
    /// Writes the status line and the fields that every response has.
    #[inline(always)]
    fn write(&self, status: Status, now: WallTime, bytes: &mut Vec<u8>) {
        let mut preamble = self.bytes.borrow_mut();
        if self.second.replace(Some(now)) != Some(now) {
            self.format(now, &mut preamble);
        }
        if status == Status::OK {
            bytes.extend_from_slice(&preamble);
        } else {
            write_status_line(status, bytes);
            bytes.extend_from_slice(&preamble[OK_LINE.len()..]);
        }
    }

    #[cold]
    fn format(&self, now: WallTime, preamble: &mut Vec<u8>) {
        preamble.clear();
        preamble.extend_from_slice(OK_LINE);
        preamble.extend_from_slice(b"Date: ");
        preamble.extend_from_slice(&date::format(now));
        preamble.extend_from_slice(b"\r\n");
        if self.server_header {
            preamble.extend_from_slice(b"Server: sockeye\r\n");
        }
        if let Some(max_age) = self.strict_transport_security {
            let max_age = max_age.as_secs();
            let field = format!("Strict-Transport-Security: max-age={max_age}\r\n");
            preamble.extend_from_slice(field.as_bytes());
        }
    }
}

/// Writes a status line. The version is the server's own, whatever the version of the request (RFC
/// 9110, 6.2).
fn write_status_line(status: Status, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(b"HTTP/1.1 ");
    match status.code_and_reason() {
        Some(text) => bytes.extend_from_slice(text.as_bytes()),
        // The space is required even without a reason phrase (RFC 9112, 4).
        None => bytes.extend_from_slice(format!("{} ", status.code()).as_bytes()),
    }
    bytes.extend_from_slice(b"\r\n");
}

impl H1Exchange {
    /// Writes the status line and the fields that every response has, then calls `fill` to append
    /// the rest of the head.
    #[inline(always)]
    pub(crate) fn write_head(
        &self,
        preamble: &CachedPreamble,
        status: Status,
        turn: &mut Turn<'_>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        let connection: &[u8] = match (self.version, self.persistent) {
            // By default, connections persist in HTTP/1.1 and close in HTTP/1.0.
            (Version::Http10, true) => b"Connection: keep-alive\r\n",
            (_, true) => b"",
            (_, false) => b"Connection: close\r\n",
        };
        let now = turn.wall();
        turn.out.write_with(|bytes| {
            preamble.write(status, now, bytes);
            append(connection, bytes);
            fill(bytes);
        });
    }

    /// Writes the field that says where the content ends, if the response needs one, and the blank
    /// line that ends the head.
    pub(crate) fn write_framing(&self, length: ContentLength, bytes: &mut Vec<u8>) {
        if length == ContentLength::Unknown && self.version == Version::Http11 {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        } else {
            write_length(length, bytes);
        }
    }

    /// Writes a piece of content whose total length was not announced. `write` writes the bytes of
    /// the piece: `len` of them, at least one.
    pub(crate) fn write_chunk(&self, len: u64, out: &mut Output, write: impl FnOnce(&mut Output)) {
        // In HTTP/1.0, such content ends with the connection.
        if self.version == Version::Http10 {
            return write(out);
        }
        out.write(chunk_line(len, &mut [0; 18]));
        write(out);
        out.write(b"\r\n");
    }

    /// Writes the end of content whose length was not announced. `trailers` are field lines.
    pub(crate) fn write_last_chunk(&self, trailers: &[u8], out: &mut Output) {
        if self.version == Version::Http11 {
            out.write_all(&[b"0\r\n", trailers, b"\r\n"]);
        }
    }
}

/// Writes `Upgrade`, and the option of `Connection` that it requires (RFC 9110, 7.8).
#[cold]
pub(crate) fn write_upgrade(protocols: &UpgradeProtocols, bytes: &mut Vec<u8>) {
    if protocols.offered.is_empty() {
        return;
    }
    bytes.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
    bytes.extend_from_slice(protocols.offered.as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

/// Appends `more`. It is usually empty, and then this costs nothing.
#[inline]
pub(crate) fn append(more: &[u8], bytes: &mut Vec<u8>) {
    if !more.is_empty() {
        bytes.extend_from_slice(more);
    }
}

/// Writes the Content-Length, if the length is known, and the blank line that ends the head.
pub(crate) fn write_length(length: ContentLength, bytes: &mut Vec<u8>) {
    if let ContentLength::Known(length) = length {
        bytes.extend_from_slice(b"Content-Length: ");
        bytes.extend_from_slice(decimal(length, &mut [0; MAX_DIGITS]));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

/// Formats the line before a chunk's data (its size and CRLF) at the end of `buffer`.
fn chunk_line(mut size: u64, buffer: &mut [u8; 18]) -> &[u8] {
    buffer[16..].copy_from_slice(b"\r\n");
    let mut start = 16;
    while size > 0 {
        start -= 1;
        buffer[start] = b"0123456789abcdef"[(size % 16) as usize];
        size /= 16;
    }
    &buffer[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hexadecimal_without_leading_zeros() {
        for (size, line) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (16, "10\r\n"),
            (0xabc0, "abc0\r\n"),
            (u64::MAX, "ffffffffffffffff\r\n"),
        ] {
            assert_eq!(chunk_line(size, &mut [0; 18]), line.as_bytes());
        }
    }

    #[test]
    fn a_status_line_has_the_code_and_the_reason() {
        let line = |status| {
            let mut bytes = Vec::new();
            write_status_line(status, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        for status in Status::ALL {
            assert_eq!(
                line(*status),
                format!("HTTP/1.1 {} {}\r\n", status.code(), status.reason())
            );
        }
        assert_eq!(line(Status::OK).as_bytes(), OK_LINE);
        assert_eq!(line(Status::from_code(599).unwrap()), "HTTP/1.1 599 \r\n");
        assert_eq!(line(Status::SWITCHING_PROTOCOLS), "HTTP/1.1 101 Switching Protocols\r\n");
    }
}
