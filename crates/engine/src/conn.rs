//! One connection: its session, its socket, and their state.
//!
//! The worker (event loop) reads and writes; the [`Session`] (a protocol with its unused input and
//! its output) calls the protocol. Most connections are idle most of the time, so state that few
//! connections need at a time is behind a pointer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::driver::{Context, Key, Owner, Session, WorkerHandles};
use sockeye_proto::{Client, Output, Peer, Protocol, Time, Waiter, WallTime};

use crate::Config;
use crate::driver::QUANTUM;
use crate::hellos::Hellos;
use crate::output_budget::{OutputBudget, UNCHARGED_BYTES};
use crate::outputs::Outputs;
use crate::reads::Reads;
use crate::stats::Stats;
use crate::timers::Timers;
use crate::tls::{Handshakes, Secure};

/// The result of [`WorkerResources::max_read`] while the output budget, or the client's share of
/// it, is exhausted: no more than a connection may hold without being charged.
const SMALL_READ: u64 = 32 * 1024;

/// An output that holds more than this many bytes in memory is large. Without TLS, the worker tries
/// to send a large output of plain bytes before it reads from another connection, while the bytes
/// are still in the cache of the core. Other outputs are sent at the end of the turn (pass of the
/// event loop): 64 that are not large fit into a core's second-level cache of 1 MiB.
const LARGE_OUTPUT: usize = 16 * 1024;
// `Conn::schedule` charges clients for large outputs only.
const _: () = assert!(LARGE_OUTPUT <= UNCHARGED_BYTES, "no charge is missed");

/// The resources of a worker that its connections use.
#[derive(Debug)]
pub(crate) struct WorkerResources {
    pub(crate) config: Arc<Config>,
    /// The mailbox and the job threads, for sessions.
    pub(crate) handles: WorkerHandles,
    /// The monotonic clock, read once a turn.
    pub(crate) now: Time,
    /// The wall clock, read once a turn.
    pub(crate) wall: WallTime,
    pub(crate) outputs: Outputs,
    /// Charges clients for output in memory.
    pub(crate) output_budget: OutputBudget,
    /// Reads of files in progress.
    pub(crate) reads: Reads,
    pub(crate) timers: Timers,
    pub(crate) stats: Stats,
    /// Connections to flush at the end of the turn: to send, to notify the protocol or to end.
    pub(crate) dirty: Vec<Key>,
    /// Connections to read from without waiting for an event: there may be input already.
    pub(crate) ready: Vec<Key>,
    pub(crate) handshakes: Handshakes,
    pub(crate) hellos: Hellos,
    /// Work for connections that was requested while one connection was handled, but needs parts of
    /// the worker that can't be reached meanwhile. The worker does it after reading.
    pub(crate) chores: Vec<(Key, Chore)>,
    /// Gathers parts of outputs that are encrypted together. Empty until it is first used.
    pub(crate) sealing_buffer: Vec<u8>,
}

/// What a connection does now. `until` is a time: if the stage lasts until then, the connection
/// fails.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It is being established.
    Connecting { until: Time },
    /// Its TLS handshake is in progress. The session is not open yet.
    Handshaking { until: Time },
    /// A thread answers its client hello, and owns the value of [`Conn::secure`] meanwhile.
    AnsweringHello(Box<AnsweringHello>),
    /// The session is running.
    Established,
    /// We have sent the FIN, and wait for the peer's.
    Finished,
    /// As `Finished`, but input is discarded meanwhile.
    Lingering(Box<Lingering>),
}

/// A client hello that a thread answers. Dropping this cancels the job, unless it has started.
#[derive(Debug)]
pub(crate) struct AnsweringHello {
    /// The handshake fails at this time.
    pub(crate) until: Time,
    pub(crate) _waiter: Waiter,
}

/// The limits of lingering. The limit that is reached first closes the connection.
#[derive(Debug)]
pub(crate) struct Lingering {
    /// Lingering ends at this time at the latest.
    pub(crate) until: Time,
    /// Lingering ends at this time if no input arrives before.
    pub(crate) quiet_until: Time,
    /// How many bytes may still arrive.
    pub(crate) bytes_left: u64,
    /// Data for the protocol has arrived since lingering began.
    pub(crate) got_data: bool,
}

/// Work that a worker is to do for a connection: see [`WorkerResources::chores`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chore {
    /// Its TLS handshake is complete, or its client doesn't speak TLS: its session is to be opened.
    OpenSession,
    /// What is charged to its client has changed.
    Charge,
    /// The kernel is to hold at most this many unsent bytes.
    LimitUnsent(u32),
}

/// What the next send waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendState {
    /// Nothing but output.
    Ready,
    /// The kernel: it takes no more until it reports the socket as writable.
    Blocked,
    /// A thread that reads the file at the front of the output. The write deadline is the deadline
    /// of the read.
    Reading,
}

/// The value of [`Conn::unacknowledged`] if the driver was not asked. The driver's answers are
/// always less than this.
pub(crate) const NOT_ASKED: u64 = u64::MAX;

/// A connection of a worker.
#[derive(Debug)]
pub(crate) struct Conn<S> {
    pub(crate) socket: S,
    pub(crate) session: Session,
    /// The TLS state, if this is a TLS connection. `None` also in [`Stage::AnsweringHello`].
    pub(crate) secure: Option<Box<Secure>>,
    pub(crate) stage: Stage,
    /// When the connection closes if the peer has made no progress by then, or if a read of a file
    /// is still in progress. The first check of progress only records `unacknowledged`, and sets a
    /// new deadline. [`Time::NEVER`]: there is no such deadline.
    pub(crate) write_deadline: Time,
    /// Bytes that the peer had not acknowledged when the write deadline was set, or [`NOT_ASKED`].
    pub(crate) unacknowledged: u64,
    pub(crate) opened: Time,
    /// How many bytes were received from the socket. With TLS, bytes of ciphertext.
    pub(crate) received: u64,
    pub(crate) send: SendState,
    /// Included in [`ConnectionCounts`](crate::ConnectionCounts): the connection was accepted, not
    /// opened by us.
    pub(crate) counted: bool,
    /// The service has made the protocol of this connection, and is told when the connection has
    /// closed. Not set during a TLS handshake, when the protocol is a placeholder, nor on
    /// connections that we opened.
    pub(crate) notifies_service: bool,
    /// There may be something to receive.
    pub(crate) readable: bool,
    /// The socket may have failed; input that arrived before may still be unread.
    pub(crate) failed: bool,
    /// The client is charged for the memory that this connection holds: for output, and for what
    /// the protocol has reported by [`Turn::set_held`](sockeye_proto::Turn::set_held).
    pub(crate) charged: bool,
    /// In `WorkerResources::dirty`.
    dirty: bool,
    /// In `WorkerResources::ready`.
    read_queued: bool,
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
            secure: None,
            stage,
            write_deadline: Time::NEVER,
            unacknowledged: 0,
            opened: now,
            received: 0,
            send: SendState::Ready,
            counted: false,
            notifies_service: false,
            readable: false,
            failed: false,
            charged: false,
            dirty: false,
            read_queued: false,
        }
    }

    /// Schedules a flush and a read if the session needs them. Call this after each call into the
    /// session. Returns whether the session has changed and its output is large.
    #[inline(always)] // Runs for each request.
    pub(crate) fn schedule(&mut self, resources: &mut WorkerResources) -> bool {
        if !self.session.take_needs_flush() {
            return false;
        }
        self.mark_dirty(resources);
        let is_large = self.session.output().is_some_and(|output| output.held() > LARGE_OUTPUT);
        if is_large {
            self.charge_if_due(resources);
        }
        self.queue_if_readable(resources);
        is_large
    }

    /// Charges the client if the output is too large to be held without a charge.
    #[cold]
    fn charge_if_due(&mut self, resources: &mut WorkerResources) {
        if self.session.output().is_some_and(|output| output.held() > UNCHARGED_BYTES) {
            self.charge(resources);
        }
    }

    /// Whether the output is one piece of memory, to be sent without TLS.
    pub(crate) fn has_plain_output(&self) -> bool {
        self.secure.is_none() && self.session.output().is_some_and(|out| out.plain().is_some())
    }

    /// Queues the connection for reading if it wants input and there may be some. Input may have
    /// arrived earlier, while the session was paused or its output was full.
    #[inline]
    pub(crate) fn queue_if_readable(&mut self, resources: &mut WorkerResources) {
        if self.readable && self.wants_input(&resources.config) {
            self.queue_read(resources);
        }
    }

    /// Whether to read from the connection.
    #[inline]
    pub(crate) fn wants_input(&self, config: &Config) -> bool {
        self.session.wants_input(config.max_buffered_output)
            || (self.reads_for_itself() && !self.session.is_at_end_of_input())
    }

    /// Whether the engine needs the input itself: for a handshake, or to discard it.
    #[cold] // Few connections linger or shake hands, and none for long.
    fn reads_for_itself(&self) -> bool {
        match self.stage {
            // After the handshake is complete, nothing is read until the session is open.
            Stage::Handshaking { .. } => {
                self.secure.as_ref().is_some_and(|secure| secure.is_shaking_hands())
            }
            Stage::Lingering(_) => true,
            _ => false,
        }
    }

    /// Whether there may be input that was not offered to the session.
    pub(crate) fn has_unread(&self) -> bool {
        self.readable || self.secure.as_ref().is_some_and(|secure| secure.tls.unused() > 0)
    }

    /// Charges the client for the memory that this connection holds (see [`Conn::charged`]), or
    /// ends the charge if this is at most [`UNCHARGED_BYTES`].
    #[cold]
    pub(crate) fn charge(&mut self, resources: &mut WorkerResources) {
        let (key, held) = (self.session.key(), self.session.charged());
        self.charged = held > UNCHARGED_BYTES;
        if self.charged {
            resources.output_budget.charge(key, self.client(), held, resources.now);
        } else {
            resources.output_budget.release(key);
        }
    }

    /// The client that is charged for the memory that this connection holds.
    pub(crate) fn client(&self) -> Client {
        Client::of(self.session.peer().address)
    }

    /// Since when the connection has been idle: the session is idle, and there is nothing to
    /// receive. `None` if the connection isn't idle, or if we opened it. Idle connections are
    /// closed to make room for new ones at the limit on connections, which counts only accepted
    /// ones.
    pub(crate) fn idle_since(&self) -> Option<Time> {
        if !self.counted || self.readable || self.read_queued {
            return None;
        }
        if self.is_shaking_hands() {
            // A handshake that has begun ends soon, or at its deadline.
            return (!self.has_begun_handshake()).then_some(self.opened);
        }
        // Over TLS, a part of a record may have arrived.
        if self.has_unread() {
            return None;
        }
        catch_panic(|| self.session.idle_since()).flatten()
    }

    /// The next time at which a timeout may end.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Time {
        if self.session.is_open() {
            return self.session.deadline().min(self.write_deadline);
        }
        self.stage_deadline()
    }

    #[cold]
    fn stage_deadline(&self) -> Time {
        match &self.stage {
            Stage::Established | Stage::Finished => self.write_deadline,
            Stage::Connecting { until } | Stage::Handshaking { until } => *until,
            Stage::AnsweringHello(signing) => signing.until,
            Stage::Lingering(lingering) => lingering.until.min(lingering.quiet_until),
        }
    }

    /// Whether its TLS handshake is in progress.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        matches!(self.stage, Stage::Handshaking { .. } | Stage::AnsweringHello(_))
    }

    /// Whether the TLS handshake has begun. On accepted connections, this is when the client has
    /// sent something, even if that is plain text.
    pub(crate) fn has_begun_handshake(&self) -> bool {
        self.secure.as_ref().is_none_or(|secure| !secure.is_silent())
    }

    /// Schedules a flush at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, resources: &mut WorkerResources) {
        if !std::mem::replace(&mut self.dirty, true) {
            resources.dirty.push(self.session.key());
        }
    }

    pub(crate) fn unmark_dirty(&mut self) {
        self.dirty = false;
    }

    /// Schedules a read: in this turn, or in the next one if this turn has finished its reads.
    pub(crate) fn queue_read(&mut self, resources: &mut WorkerResources) {
        if !std::mem::replace(&mut self.read_queued, true) {
            resources.ready.push(self.session.key());
        }
    }

    pub(crate) fn unqueue_read(&mut self) {
        self.read_queued = false;
    }
}

impl WorkerResources {
    /// How many bytes of files, or of output to be encrypted, to read into memory for a connection
    /// of `client` at a time.
    pub(crate) fn max_read(&self, client: Client) -> u64 {
        let budget = &self.output_budget;
        let is_exhausted = budget.must_check_clients() && budget.is_exhausted(client);
        if is_exhausted { SMALL_READ } else { QUANTUM }
    }

    /// Whether a thread, not the event loop, is to answer a client hello: because the event loop
    /// has answered one in this turn, connections wait to be flushed, or the key is likely to be
    /// RSA.
    pub(crate) fn must_answer_on_thread(&self) -> bool {
        !self.dirty.is_empty() || !self.handshakes.may_sign()
    }
}

impl Owner for WorkerResources {
    #[inline]
    fn context(&self, peer: &Peer) -> Context<'_> {
        let Self { now, wall, handles, output_budget, config, .. } = self;
        let is_exhausted = output_budget.must_check_clients() && is_exhausted(output_budget, peer);
        // If its output may hold only one byte (`room`), a connection with any output is full.
        let room = if is_exhausted { 1 } else { config.max_buffered_output };
        Context { now: *now, wall: *wall, handles, room, is_over_budget: is_exhausted }
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

    fn limit_unsent(&mut self, key: Key, bytes: u32) {
        self.chores.push((key, Chore::LimitUnsent(bytes)));
    }

    fn charge(&mut self, key: Key) {
        self.chores.push((key, Chore::Charge));
    }

    #[inline]
    fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
        catch_panic(call)
    }
}

/// Whether the output budget, or the client's share of it, is exhausted. If so, each connection of
/// the client that holds any output counts as full.
#[cold]
fn is_exhausted(budget: &OutputBudget, peer: &Peer) -> bool {
    budget.is_exhausted(Client::of(peer.address))
}

/// Runs code that may panic. `None` if it did: a panic closes one connection, not the worker.
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
