//! Why a protocol can't go on ([`Fault`]), and why a connection ended ([`Reason`]).
//!
//! Both have a stable `code` for counters and programs, and a sentence for people.

use std::borrow::Cow;
use std::time::Duration;
use std::{fmt, io};

/// Who caused a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer: it broke the protocol, exceeded a limit or was too slow.
    Peer,
    /// This program.
    Ours,
}

/// A protocol can't go on. If the peer is told why, the output already has the error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Who caused it.
    pub blame: Blame,
    /// A stable name in `snake_case`, for counters and other programs.
    pub code: &'static str,
    /// What was wrong: the rest of a sentence that begins with "the peer" or "we".
    pub what: Cow<'static, str>,
}

impl Fault {
    /// A fault of the peer.
    pub fn peer(code: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Peer, code, what: what.into() }
    }

    /// An idle connection timed out after `silence`. Counts as an orderly end.
    #[must_use]
    pub fn idle(silence: Duration) -> Self {
        let what = format!("was silent for {} s with no request in flight", silence.as_secs());
        Self::peer(Self::IDLE, what)
    }

    /// The code of [`Fault::idle`].
    pub const IDLE: &'static str = "idle_timeout";

    /// A fault of this program.
    pub fn ours(code: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Ours, code, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blame = match self.blame {
            Blame::Peer => "the peer",
            Blame::Ours => "we",
        };
        write!(f, "{blame} {}", self.what)
    }
}

impl std::error::Error for Fault {}

/// Why a connection ended. Each connection has one reason.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The protocol ended it.
    Finished,
    /// The peer closed its sending side, and the protocol closed ours. Or the peer closed the
    /// connection before it had begun the TLS handshake.
    PeerClosed,
    /// The peer reset the connection.
    Reset,
    /// The protocol, or TLS, could not go on.
    Fault(Fault),
    /// The peer took no output for the whole write timeout.
    WriteStalled,
    /// A file changed while it was being sent, so the response was not completed.
    FileChanged,
    /// A file could not be read in time: its file system may hang.
    FileTimedOut,
    /// A file could not be read.
    FileFailed(io::Error),
    /// A thread had to read a file, and too many jobs waited for threads.
    ReadRefused,
    /// The server drained. The connection was idle, had finished its response, or was not open yet:
    /// we were still connecting (TLS handshake included), or its client had not begun the TLS
    /// handshake.
    Drained,
    /// The server stopped, or its drain timeout passed, before the connection had finished.
    Cut,
    /// The peer's address had too many connections.
    OverAddressLimit,
    /// There were too many connections, and this one had been idle longest on its event loop.
    MadeRoom,
    /// Code for this connection panicked: its protocol, the service or a job.
    Panicked,
    /// An outgoing connection could not be established.
    ConnectFailed(io::Error),
    /// An outgoing connection was not established in time.
    ConnectTimedOut,
    /// The kernel could not watch the connection (epoll): no memory was free, or the user's limit
    /// on watched descriptors was reached.
    NotWatched(io::Error),
    /// The socket failed in another way.
    Socket(io::Error),
}

impl Reason {
    /// A stable name in `snake_case`, for counters. For a fault, this is [`Fault::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::PeerClosed => "peer_closed",
            Self::Reset => "reset",
            Self::Fault(fault) => fault.code,
            Self::WriteStalled => "write_stalled",
            Self::FileChanged => "file_changed",
            Self::FileTimedOut => "file_timed_out",
            Self::FileFailed(_) => "file_failed",
            Self::ReadRefused => "read_refused",
            Self::Drained => "drained",
            Self::Cut => "cut",
            Self::OverAddressLimit => "over_address_limit",
            Self::MadeRoom => "made_room",
            Self::Panicked => "panicked",
            Self::ConnectFailed(_) => "connect_failed",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::NotWatched(_) => "not_watched",
            Self::Socket(_) => "socket_error",
        }
    }

    /// Whether the connection ended normally.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        match self {
            Self::Finished | Self::PeerClosed | Self::Drained | Self::MadeRoom => true,
            Self::Fault(fault) => fault.code == Fault::IDLE,
            _ => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the protocol ended the connection"),
            Self::PeerClosed => f.write_str("the peer closed the connection"),
            Self::Reset => f.write_str("the peer reset the connection"),
            Self::Fault(fault) => fault.fmt(f),
            Self::WriteStalled => f.write_str("the peer stopped reading"),
            Self::FileChanged => f.write_str("the file changed while it was being sent"),
            Self::FileTimedOut => f.write_str("a file could not be read in time"),
            Self::FileFailed(error) => write!(f, "a file could not be read: {error}"),
            Self::ReadRefused => f.write_str("too many reads of files were waiting"),
            Self::Drained => f.write_str("the server is stopping"),
            Self::Cut => f.write_str("the server stopped before the connection had finished"),
            Self::OverAddressLimit => f.write_str("the peer's address had too many connections"),
            Self::MadeRoom => f.write_str("closed while idle, for a new connection"),
            Self::Panicked => f.write_str("our code for this connection panicked"),
            Self::ConnectFailed(error) => write!(f, "could not connect: {error}"),
            Self::ConnectTimedOut => f.write_str("could not connect in time"),
            Self::NotWatched(error) => {
                write!(f, "the kernel could not watch the connection: {error}")
            }
            Self::Socket(error) => write!(f, "the socket failed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_a_sentence_and_counts_under_its_code() {
        let fault = Fault::peer("head_timeout", "sent no whole request head within 10 s");
        assert_eq!(fault.to_string(), "the peer sent no whole request head within 10 s");
        let reason = Reason::Fault(fault);
        assert_eq!(reason.code(), "head_timeout");
        assert!(!reason.is_orderly());
        assert!(Reason::Finished.is_orderly());
        assert!(Reason::MadeRoom.is_orderly());
        assert!(Reason::Fault(Fault::idle(Duration::from_secs(60))).is_orderly());
    }
}
