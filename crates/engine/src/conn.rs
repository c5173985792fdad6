//! One connection: its session, its socket, and their state.
//!
//! The shard reads and writes; the [`Session`] calls the protocol. Most connections are idle most
//! of the time, so state that few connections need at a time is behind a pointer.

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
    /// Connections to flush at the end of the turn: to send, to notify the protocol or to end.
    pub(crate) dirty: Vec<Key>,
    /// Connections to read from without waiting for an event: there may be input already.
    pub(crate) ready: Vec<Key>,
}

/// What a connection expects next.
#[derive(Debug)]
pub(crate) enum Stage {
    /// To be established, before `until`.
    Connecting { until: Time },
    /// Input, and the end of the session.
    Established,
    /// The end of the peer's side: our side has ended, and the FIN is sent.
    Finished,
    /// As `Finished`, while input is discarded.
    Lingering(Box<Lingering>),
}

/// The limits of lingering: the first that is reached ends it.
#[derive(Debug)]
pub(crate) struct Lingering {
    /// The end, whatever arrives.
    pub(crate) until: Time,
    /// The end if no input arrives before.
    pub(crate) quiet: Time,
    /// The bytes that may still arrive.
    pub(crate) left: u64,
    /// Input has arrived.
    pub(crate) has_come: bool,
}

/// What the next send waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendState {
    /// For output.
    Ready,
    /// For the kernel: it takes no more until it reports the socket as writable.
    Blocked,
    /// For a thread that reads the file at the front of the output. The write deadline is the
    /// deadline of the read.
    Reading,
}

#[derive(Debug)]
pub(crate) struct Conn<S> {
    pub(crate) socket: S,
    pub(crate) session: Session,
    pub(crate) stage: Stage,
    pub(crate) write_deadline: Time,
    /// Bytes that the peer had not acknowledged when the write deadline was set.
    pub(crate) unacknowledged: u64,
    pub(crate) opened: Time,
    pub(crate) received: u64,
    pub(crate) send: SendState,
    /// Included in the connection counts: it was accepted, not opened by us.
    pub(crate) counted: bool,
    /// There may be something to receive.
    pub(crate) readable: bool,
    /// The socket has failed; input from before that may still be unread.
    pub(crate) failed: bool,
    /// Its client is charged for the output that it holds.
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

    /// Call this after calls into the session: schedules a flush and reading, if there is need.
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

    /// Queues it for reading if there may be input and it wants some. It may have been paused
    /// before, or its output full.
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

    #[cold] // Few connections linger, and none for long.
    fn lingers(&self) -> bool {
        matches!(self.stage, Stage::Lingering(_))
    }

    /// Charges its client for the output that it holds, or for nothing if that is little.
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

    /// The client that is charged for the output that it holds.
    pub(crate) fn client(&self) -> Client {
        Client::of(self.session.peer().address)
    }

    /// Since when it has been idle: the session is idle, and there is nothing to receive. `None`
    /// also for connections that we opened: closing them makes no room for others.
    pub(crate) fn idle_since(&self) -> Option<Time> {
        if !self.counted || self.readable || self.queued {
            return None;
        }
        catch_panic(|| self.session.idle_since()).flatten()
    }

    /// The next time at which a timeout may have passed.
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

    /// Schedules a flush at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, common: &mut Common) {
        if !std::mem::replace(&mut self.dirty, true) {
            common.dirty.push(self.session.key());
        }
    }

    pub(crate) fn unmark_dirty(&mut self) {
        self.dirty = false;
    }

    /// Schedules reading: in this turn, or in the next if this one has passed reading.
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
        let is_exhausted = buffered.is_tight() && is_exhausted(buffered, peer);
        let room = if is_exhausted { 1 } else { config.max_buffered_output };
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
    fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
        catch_panic(call)
    }
}

/// Whether the client of `peer` holds as much output as it may. Then each of its connections that
/// holds any counts as full.
#[cold]
fn is_exhausted(buffered: &Buffered, peer: &Peer) -> bool {
    buffered.is_exhausted(Client::of(peer.address))
}

/// Runs code that may panic. `None` if it did: a panic closes one connection, not the shard.
#[inline]
pub(crate) fn catch_panic<T>(code: impl FnOnce() -> T) -> Option<T> {
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
