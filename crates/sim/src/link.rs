//! One end of a connection, as the kernel keeps it: what has arrived, and what is in flight.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use sockeye_engine::driver::Target;
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Output};

/// Which end. Never used twice in a run, so that what comes late is known to be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId(pub usize);

/// Who holds an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It waits to be accepted.
    Queue,
    /// A driver's socket; the key once it is attached.
    Driver { poller: usize, key: Option<Key> },
    /// A scripted peer.
    Script(usize),
    /// It was closed.
    Nobody,
}

/// How far an end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Standing,
    Failed(io::ErrorKind),
}

/// One end of a connection.
///
/// Bytes go from the `wire` of one end to the `inbox` of the other, in order, whenever a delivery
/// comes due; there is at most one delivery scheduled per direction.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) owner: Owner,
    pub(crate) stage: Stage,
    /// The other end, once the connection stands.
    pub(crate) peer: Option<EndId>,
    /// Where the other end is.
    pub(crate) address: Address,
    /// Where it connects to and where from, for an end that connects.
    pub(crate) bound_for: Option<(Target, Option<IpAddr>)>,
    /// What has arrived and was not read.
    pub(crate) inbox: VecDeque<u8>,
    /// The end of input has arrived, behind `inbox`.
    pub(crate) eof: bool,
    /// What was sent and has not arrived.
    pub(crate) wire: VecDeque<u8>,
    /// A FIN follows the wire.
    pub(crate) finishing: bool,
    /// The FIN has arrived.
    pub(crate) finished: bool,
    /// A delivery from the wire is scheduled.
    pub(crate) delivering: bool,
    /// The sender was told to wait, and is owed readiness when there is room.
    pub(crate) blocked: bool,
    /// Nothing arrives here or leaves from here any more.
    pub(crate) vanished: bool,
    /// The failure was told by a receive: the next one says end of input.
    pub(crate) failure_told: bool,
    /// A send that the driver works on.
    pub(crate) pending: Option<Box<Output>>,
    /// The send has come due, and waits for room.
    pub(crate) pending_due: bool,
}

impl End {
    pub(crate) fn new(owner: Owner, stage: Stage, address: Address) -> Self {
        Self {
            owner,
            stage,
            peer: None,
            address,
            bound_for: None,
            inbox: VecDeque::new(),
            eof: false,
            wire: VecDeque::new(),
            finishing: false,
            finished: false,
            delivering: false,
            blocked: false,
            vanished: false,
            failure_told: false,
            pending: None,
            pending_due: false,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.owner == Owner::Nobody
    }

    pub(crate) fn failure(&self) -> Option<io::ErrorKind> {
        match self.stage {
            Stage::Failed(kind) => Some(kind),
            Stage::Connecting | Stage::Standing => None,
        }
    }

    /// Whether a receive would say something.
    pub(crate) fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.eof || self.failure().is_some()
    }

    /// How many bytes a send could take, where `buffer` may be in flight.
    pub(crate) fn room(&self, buffer: usize) -> usize {
        buffer.saturating_sub(self.wire.len())
    }

    /// Whether a sender that was told to wait should be notified of room: as a kernel
    /// does, only when it is worth it.
    pub(crate) fn is_worth_telling(&self, buffer: usize) -> bool {
        self.wire.len() < buffer && self.wire.len() <= buffer * 2 / 3
    }

    /// Whether there is something to deliver.
    pub(crate) fn has_cargo(&self) -> bool {
        !self.wire.is_empty() || (self.finishing && !self.finished)
    }

    /// Ends for good. What was not read is lost: some stacks are like that, and a server must not
    /// count on any other.
    pub(crate) fn fail(&mut self, kind: io::ErrorKind) {
        self.stage = Stage::Failed(kind);
        self.inbox.clear();
        self.wire.clear();
        self.finished = true;
    }
}
