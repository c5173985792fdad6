//! Hooks for access logs: which requests arrived, and how they ended.

use std::fmt;
use std::time::Duration;

use sockeye_proto::{Blame, Fault, Peer, Reason, WallTime};

use crate::semantics::chars;
use crate::semantics::refusal::Refusal;
use crate::{Request, Status};

/// An access log, one per worker (event loop), set by
/// [`ServerConfig::logging`](crate::ServerConfig::logging). It is called twice for each request:
/// [`Log::on_request`] notes what the log needs from the head, and [`Log::on_end`] gets these notes
/// back at the end of the response. A request is not logged if the client leaves before its head is
/// complete, or, in HTTP/2, if the client may repeat it because it was not processed (RFC 9113,
/// 8.7).
pub trait Log: fmt::Debug {
    /// A request has arrived. Append notes about it, in a format of your own, to `notes`, which may
    /// already contain notes about other requests.
    fn on_request(
        &self,
        request: RequestHead<'_>,
        peer: &Peer,
        when: WallTime,
        notes: &mut Vec<u8>,
    );

    /// The request with these notes has ended. In HTTP/1.1, requests of a connection end in the
    /// order of their arrival.
    fn on_end(&self, notes: &[u8], outcome: &Outcome);
}

/// The head of a request that has arrived.
#[derive(Clone, Copy, Debug)]
pub enum RequestHead<'a> {
    /// A valid head. The server may still refuse the request because of its fields.
    Parsed(&'a Request<'a>),
    /// A head that the server can't parse. The server refuses the request.
    Unparsed(UnparsedHead<'a>),
}

/// A head that is malformed, incomplete, too large or not supported. It may be longer than the
/// limit on heads, and contain any bytes: a log must truncate and escape it. A head of HTTP/2 is
/// written as lines in the form of HTTP/1.1.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnparsedHead<'a> {
    /// Its first line without the line break, as far as it has arrived.
    pub line: &'a [u8],
    /// The complete lines after the first one, up to the end of the head; or, if the first line
    /// ends with CRLF, up to a line that ends with LF alone.
    field_lines: &'a [u8],
}

impl<'a> UnparsedHead<'a> {
    /// Finds the lines in the start of a head.
    #[cold]
    pub(crate) fn of(head: &'a [u8]) -> Self {
        let mut lines = head.split_inclusive(|byte| *byte == b'\n');
        let line = lines.next().unwrap_or_default();
        // If the first line ends with CRLF and a later one with LF alone, the sender may regard
        // this later line and the next one as a single value. So no line from there on is used.
        let line_break: &[u8] = if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
        let complete =
            |field: &&[u8]| field.ends_with(line_break) && !without_break(field).is_empty();
        let len: usize = lines.take_while(complete).map(<[u8]>::len).sum();
        Self { line: without_break(line), field_lines: &head[line.len()..][..len] }
    }

    /// The fields whose lines are complete and start with a name, in order. Unlike the values of a
    /// [`Request`], these may contain control characters, and line breaks if a field is folded.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        // A line that begins with a space or tab continues the one before it (RFC 9112, 5.2).
        let fields =
            self.field_lines.chunk_by(|byte, next| *byte != b'\n' || b" \t".contains(next));
        fields.filter_map(|field| {
            let colon = memchr::memchr(b':', field)?;
            let (name, value) = (&field[..colon], &field[colon + 1..]);
            chars::is_token(name).then(|| (name, value.trim_ascii()))
        })
    }

    /// The values of all fields of that name, in order. Names are compared without regard to case.
    pub fn fields_named<'n>(
        &self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields()
            .filter(|(this, _)| this.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields_named(name).next()
    }
}

/// Shows no values of fields, which may be secrets.
impl fmt::Debug for UnparsedHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnparsedHead")
            .field("line", &String::from_utf8_lossy(self.line))
            .field("fields", &self.fields().count())
            .finish()
    }
}

/// The line without its LF or CRLF.
fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How a request ended, and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The status of the response; `None` if there is no response.
    pub status: Option<Status>,
    /// Bytes of the response's content that were sent. Trailers count, too, and in HTTP/1.1 the
    /// framing of chunks.
    pub content: u64,
    /// The time from the end of the request's head until the last byte of the response is sent, or
    /// the stream or connection ends. Zero if start and end are in the same turn of the event loop.
    /// For an incomplete head, the time starts with the first byte of the head. For a refused
    /// request, the time ends when the response is written to the output.
    pub duration: Duration,
    /// Why the request ended.
    pub end_reason: EndReason,
    /// The code of the fault ([`Fault::code`]) for which the server itself, not a handler, refused
    /// the request, for example `head_timeout`. In HTTP/2, also the code of a fault of the client
    /// for which the server ended the stream or the connection, for example `http2_stream_stalled`.
    pub fault_code: Option<&'static str>,
}

/// The code of the fault with which an HTTP/2 connection ends if its client has sent nothing for
/// some time, and doesn't answer a PING.
pub(crate) const PING_TIMEOUT: &str = "http2_ping_timeout";

/// The code of the fault that ends an HTTP/2 response if the client's flow-control windows have
/// allowed no byte of it for [`Limits::write_timeout`](crate::Limits::write_timeout).
pub(crate) const STREAM_STALLED: &str = "http2_stream_stalled";

/// Why a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The kernel has accepted the whole response for sending. A response that switches to another
    /// protocol is complete at once.
    Complete,
    /// The client left, reset the connection or the stream, or broke the protocol in the middle of
    /// its request.
    ClientAborted,
    /// The client was too slow: it did not send the rest of its request, or did not receive the
    /// response.
    TimedOut,
    /// The file changed while it was being sent.
    FileChanged,
    /// The server stopped before the response was sent.
    Stopped,
    /// The response could not be completed, and the server is to blame.
    Failed,
}

impl EndReason {
    /// A stable name, in lower case with hyphens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientAborted => "client-aborted",
            Self::TimedOut => "timed-out",
            Self::FileChanged => "file-changed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// The end reason of a request that was not complete when its connection or stream ended for
    /// `reason`.
    pub(crate) fn from_reason(reason: &Reason) -> Self {
        const TOO_SLOW: [&str; 5] = [
            Fault::IDLE,
            Refusal::HEAD_TIMEOUT.code,
            Refusal::BODY_TIMEOUT.code,
            PING_TIMEOUT,
            STREAM_STALLED,
        ];
        match reason {
            Reason::FileChanged => Self::FileChanged,
            Reason::WriteStalled => Self::TimedOut,
            Reason::Fault(fault) if TOO_SLOW.contains(&fault.code) => Self::TimedOut,
            Reason::Fault(Fault { blame: Blame::Ours, .. }) | Reason::Panicked => Self::Failed,
            Reason::FileTimedOut | Reason::FileFailed(_) => Self::Failed,
            // Too many reads of files waited for a thread.
            Reason::ReadRefused => Self::Failed,
            // The driver could not watch the connection's socket.
            Reason::NotWatched(_) => Self::Failed,
            Reason::Cut | Reason::Drained => Self::Stopped,
            _ => Self::ClientAborted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_heads_have_their_first_line_and_host() {
        let long = vec![b'a'; 5000];
        type Row<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);
        let table: [Row<'_>; 11] = [
            (b"", b"", None),
            (b"GET /a\0b HTTP/1.1\r\nHost: a\r\n", b"GET /a\0b HTTP/1.1", Some(b"a")),
            (b"GET / HTTP/1.1\nHost: a\n", b"GET / HTTP/1.1", Some(b"a")),
            (b"GET / HTTP/1.1\r\nA: b\r\nhOST:\t a:80 \r\nC", b"GET / HTTP/1.1", Some(b"a:80")),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", b"GET / HTTP/1.1", Some(b"a")),
            // The rest of the host name has not arrived.
            (b"GET / HTTP/1.1\r\nHost: exam", b"GET / HTTP/1.1", None),
            // After the empty line, `Host: a` is content.
            (b"GET / HTTP/1.1\r\n\r\nHost: a\r\n", b"GET / HTTP/1.1", None),
            (b"Host: a\r\n", b"Host: a", None),
            (b"\x16\x03\x01", b"\x16\x03\x01", None),
            (b"\n\n\n", b"", None),
            (&long, &long, None),
        ];
        for (input, line, host) in table {
            let unread = UnparsedHead::of(input);
            assert_eq!(
                (unread.line, unread.field("host")),
                (line, host),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn unread_heads_have_the_fields_whose_lines_are_complete() {
        type Row<'a> = (&'a [u8], &'a [(&'a str, &'a str)]);
        let table: [Row<'_>; 10] = [
            (b"", &[]),
            (b"A: 1\r\nB:2 \r\nC: 3", &[("A", "1"), ("B", "2")]),
            (b"A: 1\r\nA: 2\r\n\r\nB: 3\r\n", &[("A", "1"), ("A", "2")]),
            // Fields after a malformed line are found, too: a proxy may have added them.
            (b"A: 1\r\nb\r\n: c\r\nd : e\r\nB: 2\r\n", &[("A", "1"), ("B", "2")]),
            (b"A: 1\r\nB: \x01,2\r\nC: 3\r\n", &[("A", "1"), ("B", "\x01,2"), ("C", "3")]),
            // A folded field is one field.
            (b"A: 1\r\n 2: 3\r\n\t4\r\nB: 5\r\n", &[("A", "1\r\n 2: 3\r\n\t4"), ("B", "5")]),
            (b" A: 1\r\nB: 2\r\n", &[("B", "2")]),
            // The sender may mean `2\nC: 3` as the value of B.
            (b"A: 1\r\nB: 2\nC: 3\r\nD: 4\r\n", &[("A", "1")]),
            (b"A: 1\r\n\nB: 2\r\n", &[("A", "1")]),
            (b"A: 1\r\nB: 2\rC: 3\r\n", &[("A", "1"), ("B", "2\rC: 3")]),
        ];
        for (lines, expected) in table {
            let head = [b"GET /a b HTTP/1.1\r\n", lines].concat();
            let fields: Vec<_> = UnparsedHead::of(&head).fields().collect();
            let expected = expected.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert_eq!(fields, expected.collect::<Vec<_>>(), "{}", lines.escape_ascii());
        }
        let unread = UnparsedHead::of(b"GET / HTTP/1.1\r\nCookie: secret\r\n");
        assert_eq!(format!("{unread:?}"), "UnparsedHead { line: \"GET / HTTP/1.1\", fields: 1 }");
    }
}
