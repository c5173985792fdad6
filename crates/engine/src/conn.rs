//! One connection: its session, and what its socket adds to that.
//!
//! The shard reads and writes; the [`Session`] calls the protocol. Most connections are idle most of the
//! time, so state that few have at a time is behind a pointer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::driver::{Context, Key, Owner, Session, ShardHandles};
use sockeye_proto::{Client, Output, Peer, Protocol, Time, WallTime};

use crate::Config;
use crate::buffered::{Buffered, FREE};
use crate::outputs::Outputs;
use crate::reads::Reads;
use crate::stats::Stats;
use crate::timers::Timers;

/// What the connections of a shard share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: Arc<Config>,
    pub(crate) handles: ShardHandles,
    /// The clocks, read once a turn.
    pub(crate) now: Time,
    pub(crate) wall: WallTime,
    pub(crate) outputs: Outputs,
    /// Charges clients for output in memory.
    pub(crate) buffered: Buffered,
    /// Reads of files in progress.
    pub(crate) reads: Reads,
    pub(crate) timers: Timers,
    pub(crate) stats: Stats,
    /// Connections to flush at the end of the turn: something to send, to tell or to end.
    pub(crate) dirty: Vec<Key>,
    /// Connections to serve without waiting for an edge: there is something to read already.
    pub(crate) ready: Vec<Key>,
}

/// What a connection expects next.
#[derive(Debug)]
pub(crate) enum Stage {
    /// To be established, by then.
    Connecting { until: Time },
    /// Input, and the end of the session.
    Established,
    /// The peer's end: our side has ended, and the FIN is out.
    Finished,
    /// As `Finished`, while input is discarded.
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

/// What the next send waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendState {
    /// For nothing but something to send.
    Ready,
    /// The kernel takes no more until it says so.
    Blocked,
    /// A thread reads the file at the front of the output; the write deadline is the read's.
    Reading,
}

#[derive(Debug)]
pub(crate) struct Conn<S> {
    pub(crate) socket: S,
    pub(crate) session: Session,
    pub(crate) stage: Stage,
    pub(crate) write_deadline: Time,
    /// What was unacknowledged when the write deadline was set.
    pub(crate) unacknowledged: u64,
    pub(crate) opened: Time,
    pub(crate) received: u64,
    pub(crate) send: SendState,
    /// It is in the connection counts: it was accepted, not opened by us.
    pub(crate) counted: bool,
    /// There may be something to receive.
    pub(crate) readable: bool,
    /// It failed, though we may not have received everything before that.
    pub(crate) failed: bool,
    /// Charged for the output that it holds.
    pub(crate) charged: bool,
    /// In `Common::dirty`.
    dirty: bool,
    /// In `Common::ready`.
    queued: bool,
}

impl<S> Conn<S> {
    pub(crate) fn new(
        socket: S,
        key: Key,
        peer: Peer,
        stage: Stage,
        protocol: Box<dyn Protocol>,
        now: Time,
    ) -> Self {
        Self {
            socket,
            session: Session::new(protocol, key, peer),
            stage,
            write_deadline: Time::NEVER,
            unacknowledged: 0,
            opened: now,
            received: 0,
            send: SendState::Ready,
            counted: false,
            readable: false,
            failed: false,
            charged: false,
            dirty: false,
            queued: false,
        }
    }

    /// After calls into the session: sees to what was written or asked for.
    #[inline(always)] // Runs for each request.
    pub(crate) fn follow_up(&mut self, common: &mut Common) {
        if !self.session.take_changed() {
            return;
        }
        self.mark_dirty(common);
        if self.session.output().is_some_and(|output| output.held() > FREE) {
            self.charge(common);
        }
        self.read_on(common);
    }

    /// Queues it for reading if it wants input that is there: it may have been paused, or its output full.
    #[inline]
    pub(crate) fn read_on(&mut self, common: &mut Common) {
        if self.readable && self.wants_input(&common.config) {
            self.queue(common);
        }
    }

    /// Whether to read from it.
    #[inline]
    pub(crate) fn wants_input(&self, config: &Config) -> bool {
        self.session.wants_input(config.max_buffered_output)
            || (self.lingers() && !self.session.is_at_end_of_input())
    }

    #[cold] // Few ever do, and none for long.
    fn lingers(&self) -> bool {
        matches!(self.stage, Stage::Lingering(_))
    }

    /// Charges its client for the output that it holds.
    #[cold]
    pub(crate) fn charge(&mut self, common: &mut Common) {
        let (key, held) = (self.session.key(), self.session.held());
        self.charged = held > FREE;
        if self.charged {
            common.buffered.charge(key, self.client(), held, common.now);
        } else {
            common.buffered.release(key);
        }
    }

    /// Who is charged for what it holds.
    pub(crate) fn client(&self) -> Client {
        Client::of(self.session.peer().address)
    }

    /// Since when it has been idle: as the session says, with nothing to receive. `None` also for
    /// connections that we opened: closing them makes no room for others.
    pub(crate) fn idle_since(&self) -> Option<Time> {
        if !self.counted || self.readable || self.queued {
            return None;
        }
        contain(|| self.session.idle_since()).flatten()
    }

    /// When to look at it again.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Time {
        if self.session.is_open() {
            return self.session.deadline().min(self.write_deadline);
        }
        self.other_deadline()
    }

    #[cold]
    fn other_deadline(&self) -> Time {
        match &self.stage {
            Stage::Established | Stage::Finished => self.write_deadline,
            Stage::Connecting { until } => *until,
            Stage::Lingering(lingering) => lingering.until.min(lingering.quiet),
        }
    }

    /// Has it flushed at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, common: &mut Common) {
        if !std::mem::replace(&mut self.dirty, true) {
            common.dirty.push(self.session.key());
        }
    }

    pub(crate) fn unmark_dirty(&mut self) {
        self.dirty = false;
    }

    /// Has it served in this turn, or in the next if this one has passed that point.
    pub(crate) fn queue(&mut self, common: &mut Common) {
        if !std::mem::replace(&mut self.queued, true) {
            common.ready.push(self.session.key());
        }
    }

    pub(crate) fn unqueue(&mut self) {
        self.queued = false;
    }
}

impl Owner for Common {
    #[inline]
    fn context(&self, peer: &Peer) -> Context<'_> {
        let Self { now, wall, handles, buffered, config, .. } = self;
        let is_spent = buffered.is_tight() && is_spent(buffered, peer);
        let room = if is_spent { 1 } else { config.max_buffered_output };
        Context { now: *now, wall: *wall, handles, room }
    }

    #[inline]
    fn high_water(&self) -> usize {
        self.config.max_buffered_output
    }

    #[inline]
    fn max_unused_input(&self) -> usize {
        self.config.max_unused_input
    }

    #[inline]
    fn lend_output(&mut self) -> Box<Output> {
        self.outputs.lend()
    }

    #[inline(always)]
    fn take_back_output(&mut self, output: Box<Output>) {
        self.outputs.take_back(output);
    }

    #[inline]
    fn contain<T>(call: impl FnOnce() -> T) -> Option<T> {
        contain(call)
    }
}

/// Whether the client of `peer` holds as much as it may: its connections that hold anything count as
/// full then.
#[cold]
fn is_spent(buffered: &Buffered, peer: &Peer) -> bool {
    buffered.is_spent(Client::of(peer.address))
}

/// Runs code that may panic. `None` if it did: a panic closes one connection, not the shard.
#[inline]
pub(crate) fn contain<T>(code: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(code)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        let size = size_of::<Conn<crate::driver::Socket>>();
        assert!(size <= 248, "{size}");
    }
}
