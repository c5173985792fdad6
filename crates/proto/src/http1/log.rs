//! What a server tells of each request that it has dealt with: for access logs.
//!
//! A [`Log`] is asked twice: when a request has come, what is to be remembered of it, since its
//! bytes are gone afterwards; and when its reply has been sent, or never will be, with what became
//! of it. Without one in [`Shared`](super::Shared) nothing of this happens.

use std::fmt;
use std::time::Duration;

use super::refusal::Refusal;
use super::{Request, Status};
use crate::{Fault, Peer, Reason, Wall, Whose};

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
    /// What is refused before it could be read: its first line without the line break, as far as it
    /// is known and at most [`Begun::LONGEST`] bytes of it. They may be anything.
    Unread(&'a [u8]),
}

impl<'a> Begun<'a> {
    /// How much is told of what can't be read.
    pub const LONGEST: usize = 1024;

    /// The first line of `input`.
    pub(super) fn unread(input: &'a [u8]) -> Self {
        let line = &input[..input.len().min(Self::LONGEST)];
        let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
        Self::Unread(line.strip_suffix(b"\r").unwrap_or(line))
    }
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
    /// the reply was sent, or the connection ended. Zero where both are the same.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
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
    fn what_cannot_be_read_is_told_as_far_as_its_line() {
        let long = vec![b'a'; 5000];
        for (input, line) in [
            (&b""[..], &b""[..]),
            (b"GET /a\0b HTTP/1.1\r\nHost: a\r\n", b"GET /a\0b HTTP/1.1"),
            (b"GET / HTTP/1.1\nHost: a\r\n", b"GET / HTTP/1.1"),
            (b"\x16\x03\x01", b"\x16\x03\x01"),
            (&long, &long[..Begun::LONGEST]),
        ] {
            let Begun::Unread(told) = Begun::unread(input) else { unreachable!() };
            assert_eq!(told, line);
        }
    }
}
