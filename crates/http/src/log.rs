//! What a server tells of each request that it has dealt with: for access logs.
//!
//! A [`Log`] is asked twice: when a request has come, what is to be remembered of it, since its
//! bytes are gone afterwards; and when its reply has been sent, or never will be, with what became
//! of it. Without one in [`Shared`](super::Shared) nothing of this happens.

use std::fmt;
use std::time::Duration;

use sockeye_proto::{Fault, Peer, Reason, Wall, Whose};

use super::refusal::Refusal;
use super::{Request, Status};

/// Hears of every request. One for each shard: it need be neither `Send` nor `Sync`.
pub trait Log: fmt::Debug {
    /// A request has come. What is to be known of it when it is over is appended to `notes`, which
    /// may have those of others in front.
    fn begun(&self, request: Begun<'_>, peer: &Peer, when: Wall, notes: &mut Vec<u8>);

    /// The request that these notes were made of is over. Requests of one connection end in the
    /// order in which they came.
    fn ended(&self, notes: &[u8], outcome: &Outcome);
}

/// What has come.
#[derive(Clone, Copy, Debug)]
pub enum Begun<'a> {
    /// A request. It may still be refused for what its fields say.
    Request(&'a Request<'a>),
    /// A request that is refused before its head could be read.
    Unread(Unread<'a>),
}

/// What is known of a request whose head could not be read, or did not come whole in time. A client
/// chose every byte of it, and it may be as long as a head: a log cuts and escapes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unread<'a> {
    /// Its first line without the line break, as far as it has come.
    pub line: &'a [u8],
    /// The value of its first `Host` field, if that line has come whole.
    pub host: Option<&'a [u8]>,
}

impl<'a> Unread<'a> {
    /// What is known from the beginning of a head.
    pub(super) fn of(head: &'a [u8]) -> Self {
        let mut lines = head.split_inclusive(|byte| *byte == b'\n');
        let line = lines.next().map_or(&[][..], without_break);
        let fields = lines.filter(|line| line.ends_with(b"\n")).map(without_break);
        let host = fields.take_while(|field| !field.is_empty()).find_map(host);
        Self { line, host }
    }
}

fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The value of a field line that is `Host`.
fn host(field: &[u8]) -> Option<&[u8]> {
    let (name, value) = field.split_at_checked("Host:".len())?;
    name.eq_ignore_ascii_case(b"Host:").then(|| value.trim_ascii())
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The status of the reply; `None` where none was begun.
    pub status: Option<Status>,
    /// How many bytes behind the reply's head the kernel took for sending, with the framing of
    /// chunks where the content has it.
    pub content: u64,
    /// From the turn in which the request's head was complete to the one in which the last byte of
    /// the reply was sent, or the connection ended. Zero where both are the same. A head that was too
    /// slow counts from its first byte, and a refused request up to when its reply was written.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
    /// Why it was refused, where the server did that by itself and not its handler: the code of the
    /// fault that ends the connection ([`Fault::code`]), for example `head_timeout`.
    pub refused: Option<&'static str>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// All of the reply was sent: the kernel has taken it.
    Complete,
    /// The client left, reset the connection, or broke the protocol in the middle of its request.
    ClientAborted,
    /// The client was too slow: it did not send the rest of its request, or took nothing of the
    /// reply.
    TimedOut,
    /// The file changed while it was being sent.
    FileChanged,
    /// The server stopped before the reply was sent.
    Stopped,
    /// The reply could not be completed, and that is our fault.
    Failed,
}

impl Ended {
    /// A stable name, in small letters with hyphens.
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

    /// How what was not complete ended with its connection.
    pub(super) fn with(reason: &Reason) -> Self {
        const TOO_SLOW: [&str; 3] =
            [Fault::IDLE, Refusal::HEAD_TIMEOUT.code, Refusal::BODY_TIMEOUT.code];
        match reason {
            Reason::FileChanged => Self::FileChanged,
            Reason::WriteStalled => Self::TimedOut,
            Reason::Fault(fault) if TOO_SLOW.contains(&fault.code) => Self::TimedOut,
            Reason::Fault(Fault { whose: Whose::Ours, .. }) | Reason::Panicked => Self::Failed,
            Reason::FileTimedOut | Reason::FileFailed(_) | Reason::ReadRefused => Self::Failed,
            Reason::NotWatched(_) => Self::Failed,
            Reason::Cut | Reason::Drained => Self::Stopped,
            _ => Self::ClientAborted,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_cannot_be_read_the_first_line_and_the_host_are_known() {
        let long = vec![b'a'; 5000];
        type Row<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);
        let table: [Row<'_>; 11] = [
            (b"", b"", None),
            (b"GET /a\0b HTTP/1.1\r\nHost: a\r\n", b"GET /a\0b HTTP/1.1", Some(b"a")),
            (b"GET / HTTP/1.1\nHost: a\n", b"GET / HTTP/1.1", Some(b"a")),
            (b"GET / HTTP/1.1\r\nA: b\r\nhOST:\t a:80 \r\nC", b"GET / HTTP/1.1", Some(b"a:80")),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", b"GET / HTTP/1.1", Some(b"a")),
            // Cut: the rest of the name may come.
            (b"GET / HTTP/1.1\r\nHost: exam", b"GET / HTTP/1.1", None),
            // Content.
            (b"GET / HTTP/1.1\r\n\r\nHost: a\r\n", b"GET / HTTP/1.1", None),
            (b"Host: a\r\n", b"Host: a", None),
            (b"\x16\x03\x01", b"\x16\x03\x01", None),
            (b"\n\n\n", b"", None),
            (&long, &long, None),
        ];
        for (input, line, host) in table {
            assert_eq!(Unread::of(input), Unread { line, host }, "{}", input.escape_ascii());
        }
    }
}
