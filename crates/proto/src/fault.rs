//! What went wrong, whose fault it was, and why a connection ended.
//!
//! A [`Fault`] is what a connection says when it cannot go on; a [`Reason`] is what the engine
//! says about every connection that ended, of which a fault is one. Both have a stable `code` for
//! counters and a sentence for people.

use std::borrow::Cow;
use std::time::Duration;
use std::{fmt, io};

/// Blame fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer broke the protocol, exceeded a limit or was too slow.
    Peer,
    /// We could not do our part.
    Ours,
}

/// A connection that cannot go on. The response that the fault earns is in the output already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Blame fault it was.
    pub blame: Blame,
    /// A stable name in `snake_case`, for counters and for other programs.
    pub code: &'static str,
    /// What was wrong, as the end of a sentence that begins with "the peer" or "we".
    pub what: Cow<'static, str>,
}

impl Fault {
    /// The peer's fault.
    pub fn peer(code: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self { blame: Blame::Peer, code, what: what.into() }
    }

    /// The peer has been silent for so long, with nothing owed to either side: an end like any
    /// other, but one that we chose.
    #[must_use]
    pub fn idle(silence: Duration) -> Self {
        let what = format!("was silent for {} s, with nothing under way", silence.as_secs());
        Self::peer(Self::IDLE, what)
    }

    /// The code of [`Fault::idle`].
    pub const IDLE: &'static str = "idle_timeout";

    /// Our fault.
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

/// Why a connection ended. Every connection ends for exactly one reason.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The connection came to its end.
    Finished,
    /// The peer closed its side, and the connection closed ours: nothing was owed.
    PeerClosed,
    /// The peer reset the connection.
    Reset,
    /// The connection could not go on.
    Fault(Fault),
    /// The peer took none of our output for the whole write deadline.
    WriteStalled,
    /// A file changed while it was being sent, so that the response could not be completed.
    FileChanged,
    /// A file could not be read in time: its file system hangs.
    FileTimedOut,
    /// A file could not be read.
    FileFailed(io::Error),
    /// A file has to be read by a thread, and too many such reads are waiting.
    ReadRefused,
    /// The server drained, and the connection was idle or finished its response.
    Drained,
    /// The server drained, and the connection had not finished at the deadline.
    Cut,
    /// The peer's address has as many connections as it may.
    OverAddressLimit,
    /// All connection slots were taken, and this connection had been idle longest.
    MadeRoom,
    /// The connection's code panicked.
    Panicked,
    /// A connection that we opened did not come to stand.
    ConnectFailed(io::Error),
    /// A connection that we opened did not come to stand in time.
    ConnectTimedOut,
    /// The kernel could not watch the connection: it has no room or memory for that.
    NotWatched(io::Error),
    /// The socket failed in another way.
    Socket(io::Error),
}

impl Reason {
    /// A stable name in `snake_case`, for counters: the fault's own for a fault.
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

    /// Whether the connection ended as it should: nobody has to look into it.
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
            Self::Finished => f.write_str("the conversation came to its end"),
            Self::PeerClosed => f.write_str("the peer closed the connection"),
            Self::Reset => f.write_str("the peer reset the connection"),
            Self::Fault(fault) => fault.fmt(f),
            Self::WriteStalled => f.write_str("the peer stopped reading"),
            Self::FileChanged => f.write_str("the file changed while it was being sent"),
            Self::FileTimedOut => f.write_str("a file could not be read in time"),
            Self::FileFailed(error) => write!(f, "a file could not be read: {error}"),
            Self::ReadRefused => f.write_str("too many reads of files were waiting"),
            Self::Drained => f.write_str("the server is stopping"),
            Self::Cut => f.write_str("the server stopped before the conversation had finished"),
            Self::OverAddressLimit => {
                f.write_str("the peer's address has as many connections as it may")
            }
            Self::MadeRoom => f.write_str("closed while idle, to make room for a new connection"),
            Self::Panicked => f.write_str("our code for this conversation panicked"),
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
