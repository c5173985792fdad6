//! One connection: its conversation, what the conversation has not used and not sent, and how far
//! it has come.
//!
//! A connection never touches its socket: the shard reads and writes. Here is what it is; `talk` has
//! every call into its conversation, `tail` the input that the conversation has not used.
//!
//! Most connections of a server are idle most of the time, so what only few of them have at a time
//! is behind a pointer.

mod tail;
mod talk;

use std::sync::Arc;

use sockeye_proto::driver::{Credit, Key, ShardHandles};
use sockeye_proto::{Client, End, Mark, Output, Peer, Protocol, Reason, Time, Wall};

use crate::Config;
use crate::buffered::{Buffered, FREE};
use crate::outputs::Outputs;
use crate::shard::Reads;
use crate::tally::Tally;
use crate::timers::Timers;
use tail::Tail;

/// What the connections of a shard share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: Arc<Config>,
    pub(crate) handles: ShardHandles,
    /// The clocks, read once a turn.
    pub(crate) now: Time,
    pub(crate) wall: Wall,
    pub(crate) outputs: Outputs,
    /// What is charged for output that is held in memory.
    pub(crate) buffered: Buffered,
    /// Reads of files that are under way.
    pub(crate) reads: Reads,
    pub(crate) timers: Timers,
    pub(crate) tally: Tally,
    /// Connections to flush at the end of the turn: something to send, to tell or to end.
    pub(crate) dirty: Vec<Key>,
    /// Connections to serve without waiting for an edge: there is something to read already.
    pub(crate) ready: Vec<Key>,
}

/// What a connection expects next.
#[derive(Debug)]
pub(crate) enum Stage {
    /// To come to stand, by then.
    Connecting { until: Time },
    /// The conversation.
    Talking,
    /// The last byte to be sent: the conversation has failed, or said its last word.
    Ending,
    /// The peer's end, while what it still sends is thrown away.
    Lingering(Box<Lingering>),
}

/// How far lingering may still go.
#[derive(Debug)]
pub(crate) struct Lingering {
    pub(crate) until: Time,
    /// Until then without input.
    pub(crate) quiet: Time,
    /// Bytes.
    pub(crate) left: u64,
    /// Something has come.
    pub(crate) has_come: bool,
}

/// What was handed to the driver and has not come back: no bytes, if nothing was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InFlight {
    bytes: u64,
    // Narrow, for the sake of those that have nothing in flight; at the limit they count as full.
    held: u32,
    ranges: u32,
}

impl InFlight {
    /// All of `out`.
    pub(crate) fn of(out: &Output) -> Self {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self { bytes: out.unsent(), held: narrow(out.held()), ranges: narrow(out.file_ranges()) }
    }

    /// Bytes in all.
    pub(crate) fn bytes(self) -> u64 {
        self.bytes
    }

    /// Bytes in memory.
    pub(crate) fn held(self) -> usize {
        self.held as usize
    }

    /// How many bytes the output may hold beside it, of `most` in all, before it counts as full: none
    /// while as many ranges of files are in flight as may be.
    #[cold]
    pub(crate) fn room_beside(self, most: usize) -> usize {
        if self.ranges() < Output::MAX_FILE_RANGES { most.saturating_sub(self.held()) } else { 0 }
    }

    /// Ranges of files.
    pub(crate) fn ranges(self) -> usize {
        self.ranges as usize
    }

    pub(crate) fn is_any(self) -> bool {
        self.bytes > 0
    }
}

#[derive(Debug)]
pub(crate) struct Conn<S> {
    pub(crate) socket: S,
    pub(crate) peer: Peer,
    pub(crate) generation: u32,
    pub(crate) stage: Stage,
    /// Why it ends, once that is known.
    pub(crate) reason: Option<Box<Reason>>,
    /// How the conversation wants it to end.
    pub(crate) end: Option<End>,
    /// What is to be sent; never present and empty.
    pub(crate) out: Option<Box<Output>>,
    pub(crate) in_flight: InFlight,
    pub(crate) deadline: Time,
    pub(crate) write_deadline: Time,
    /// What was unacknowledged when the write deadline was set.
    pub(crate) unacknowledged: u64,
    pub(crate) opened: Time,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Places of the credit that are given back when the output has room again.
    owed_credit: u32,
    credit: Option<Arc<Credit>>,
    /// The last mark that was set, until it is reached.
    mark: Option<Mark>,
    tail: Tail,
    protocol: Conversation,
    /// The census counts it: it came in, we did not open it.
    pub(crate) counted: bool,
    /// There may be something to receive.
    pub(crate) readable: bool,
    /// The peer ended its side, though we may not have received everything before that.
    pub(crate) ended: bool,
    /// It failed, though we may not have received everything before that.
    pub(crate) failed: bool,
    /// We have received everything that will come.
    pub(crate) eof: bool,
    eof_told: bool,
    half_close_told: bool,
    paused: bool,
    want_room: bool,
    /// Something was sent since the conversation was last told of progress.
    pub(crate) moved: bool,
    /// The kernel takes no more until it says so.
    pub(crate) blocked: bool,
    /// Charged for the output that it holds.
    pub(crate) charged: bool,
    /// A thread reads the file at the front of the output; the write deadline is the read's.
    pub(crate) reading: bool,
    /// Our side has ended: the FIN is out.
    pub(crate) finished: bool,
    pub(crate) drained: bool,
    /// In `Common::dirty`.
    dirty: bool,
    /// In `Common::ready`.
    queued: bool,
}

/// A conversation, until it panics.
struct Conversation(Option<Box<dyn Protocol>>);

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Protocol" } else { "Panicked" })
    }
}

impl<S> Conn<S> {
    pub(crate) fn new(
        socket: S,
        peer: Peer,
        generation: u32,
        stage: Stage,
        protocol: Box<dyn Protocol>,
        now: Time,
    ) -> Self {
        Self {
            socket,
            peer,
            generation,
            stage,
            reason: None,
            end: None,
            out: None,
            in_flight: InFlight::default(),
            deadline: Time::NEVER,
            write_deadline: Time::NEVER,
            unacknowledged: 0,
            opened: now,
            received: 0,
            sent: 0,
            owed_credit: 0,
            credit: None,
            mark: None,
            tail: Tail::default(),
            protocol: Conversation(Some(protocol)),
            counted: false,
            readable: false,
            ended: false,
            failed: false,
            eof: false,
            eof_told: false,
            half_close_told: false,
            paused: false,
            want_room: false,
            moved: false,
            blocked: false,
            reading: false,
            charged: false,
            finished: false,
            drained: false,
            dirty: false,
            queued: false,
        }
    }

    /// Whether the conversation takes part: it has neither failed nor said its last word.
    pub(crate) fn is_talking(&self) -> bool {
        matches!(self.stage, Stage::Talking)
    }

    /// Whether the conversation's code panicked: the connection is to be closed now.
    pub(crate) fn has_panicked(&self) -> bool {
        self.protocol.0.is_none()
    }

    /// Whether it is to be read from: it takes part, is not paused, and its peer reads too.
    pub(crate) fn wants_input(&self, config: &Config) -> bool {
        if self.is_talking() {
            return !self.eof && !self.paused && self.held() < config.max_buffered_output;
        }
        self.lingers() && !self.eof
    }

    #[cold] // Few ever do, and none for long.
    fn lingers(&self) -> bool {
        matches!(self.stage, Stage::Lingering(_))
    }

    /// Charges its client for the output that it holds, `queued` bytes of it not in flight.
    #[cold]
    pub(crate) fn charge(&mut self, key: Key, queued: usize, common: &mut Common) {
        let held = queued + self.in_flight.held();
        self.charged = held > FREE;
        if self.charged {
            common.buffered.charge(key, Client::of(self.peer.address), held, common.now);
        } else {
            common.buffered.release(key);
        }
    }

    /// Output bytes held in memory.
    fn held(&self) -> usize {
        let queued = self.out.as_ref().map_or(0, |out| out.held());
        queued + self.in_flight.held()
    }

    /// Unsent ranges of files.
    fn file_ranges(&self) -> usize {
        let queued = self.out.as_ref().map_or(0, |out| out.file_ranges());
        queued + self.in_flight.ranges()
    }

    /// Whether everything written has been sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_none() && !self.in_flight.is_any()
    }

    /// Why it is over, where nothing went wrong.
    pub(crate) fn conclusion(&self) -> Reason {
        match self.end {
            _ if self.drained => Reason::Drained,
            Some(End::Close | End::Linger) if self.eof => Reason::PeerClosed,
            _ => Reason::Finished,
        }
    }

    /// When to look at it again.
    pub(crate) fn next_deadline(&self) -> Time {
        if self.is_talking() {
            return self.deadline.min(self.write_deadline);
        }
        self.other_deadline()
    }

    #[cold]
    fn other_deadline(&self) -> Time {
        match &self.stage {
            Stage::Talking | Stage::Ending => self.write_deadline,
            Stage::Connecting { until } => *until,
            Stage::Lingering(lingering) => lingering.until.min(lingering.quiet),
        }
    }

    /// Has it flushed at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, key: Key, common: &mut Common) {
        if !std::mem::replace(&mut self.dirty, true) {
            common.dirty.push(key);
        }
    }

    pub(crate) fn unmark_dirty(&mut self) {
        self.dirty = false;
    }

    /// Has it served in this turn, or in the next if this one has passed that point.
    pub(crate) fn queue(&mut self, key: Key, common: &mut Common) {
        if !std::mem::replace(&mut self.queued, true) {
            common.ready.push(key);
        }
    }

    pub(crate) fn unqueue(&mut self) {
        self.queued = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(
            size_of::<Conn<crate::driver::Socket>>() <= 248,
            "{}",
            size_of::<Conn<crate::driver::Socket>>()
        );
    }
}
