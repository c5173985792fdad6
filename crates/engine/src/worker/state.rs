//! The state of a worker (event loop), and how it serves one of its connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use sockeye_proto::driver::{Key, WorkerHandles};
use sockeye_proto::{Reason, Spawn, Time};

use super::slow::SlowTurns;
use crate::conn::{Conn, WorkerResources};
use crate::driver::{Driver, IoEvent};
use crate::hellos::Hellos;
use crate::mailbox::{Accepted, Inbox, Mailbox};
use crate::outputs::Outputs;
use crate::reads::Reads;
use crate::stats::Stats;
use crate::timers::Timers;
use crate::tls::{Handshakes, WorkerAcceptor};
use crate::{Config, ConnectionCounts, Service, TlsAcceptor};

/// How long accepting pauses at most: see [`AcceptPause`].
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Maximum number of connections that a turn of the event loop accepts from one listener, except in
/// a drain.
pub(super) const ACCEPT_BATCH: u32 = 64;

/// The parts of a new worker.
#[expect(missing_debug_implementations, reason = "a service has none")]
pub struct WorkerParts<D: Driver> {
    /// Makes the worker's system calls.
    pub driver: D,
    /// The listeners, each with the [`Peer::via`](sockeye_proto::Peer::via) of its peers.
    pub listeners: Vec<(u32, D::Listener)>,
    /// Makes a protocol for each connection.
    pub service: Box<dyn Service>,
    /// Limits and deadlines.
    pub config: Arc<Config>,
    /// Counts connections over all workers.
    pub counts: Arc<ConnectionCounts>,
    /// Receives messages and commands from other threads.
    pub mailbox: Arc<Mailbox>,
    /// Runs jobs.
    pub spawn: Arc<dyn Spawn>,
    /// Set on all workers if a listener has only one socket, and not one per worker: then the
    /// worker with that socket accepts for all workers.
    pub handover: Option<Handover<D::Socket>>,
    /// TLS of the listeners, by [`Peer::via`](sockeye_proto::Peer::via).
    pub tls: Arc<[Option<TlsAcceptor>]>,
}

/// Distributes the connections that this worker accepts over all workers.
#[derive(Debug)]
pub struct Handover<S> {
    /// The inboxes of all workers.
    pub inboxes: Arc<[Inbox<S>]>,
    /// The index of this worker's inbox.
    pub own: usize,
    /// The index of the inbox that gets the next connection.
    pub next: usize,
}

/// How much a worker holds now. After the last connection has closed, and the driver has returned
/// its output, the next turn leaves everything at 0 except `timers`: the timer of a closed
/// connection is dropped when it is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Connections.
    pub connections: usize,
    /// Outputs in use by connections or the driver.
    pub outputs: usize,
    /// Connections to flush.
    pub dirty: usize,
    /// Connections to read from without waiting for an event.
    pub ready: usize,
    /// Reads of files in progress.
    pub reads: usize,
    /// Connections whose memory is charged to their clients.
    pub charged: usize,
    /// TLS handshakes with clients in progress.
    pub handshakes: usize,
    /// Timers, stale ones included.
    pub timers: usize,
}

/// An event loop with its listeners and connections.
#[expect(missing_debug_implementations, reason = "a service has none")]
pub struct Worker<D: Driver> {
    pub(super) driver: D,
    pub(super) service: Box<dyn Service>,
    pub(super) service_deadline: ServiceDeadline,
    pub(super) counts: Arc<ConnectionCounts>,
    /// This worker's index in `counts`.
    pub(super) index: usize,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) handover: Option<Handover<D::Socket>>,
    /// By [`Peer::via`](sockeye_proto::Peer::via).
    pub(super) tls: Vec<Option<WorkerAcceptor>>,
    pub(super) listeners: Vec<ListenerState<D::Listener>>,
    /// The number of turns so far.
    pub(super) turns: u64,
    pub(super) accept_pause: Option<AcceptPause>,
    /// An accepted connection that waits because there are too many connections. Nothing else is
    /// accepted meanwhile, and its listener stays ready.
    pub(super) waiting: Option<Accepted<D::Socket>>,
    pub(super) eviction: Eviction,
    pub(super) slow_turns: SlowTurns,
    pub(super) conns: Slab<Conn<D::Socket>>,
    /// Accepted connections whose events the driver doesn't report yet.
    pub(super) unwatched: Vec<Key>,
    /// The slots of `conns`, by index.
    pub(super) slots: Vec<Slot>,
    pub(super) resources: WorkerResources,
    pub(super) phase: Phase,
    /// `events` and `keys` are empty between turns. They are kept to reuse their memory.
    pub(super) events: Vec<IoEvent>,
    pub(super) keys: Vec<Key>,
}

/// A listener, and whether it may have a connection to accept.
#[derive(Debug)]
pub(super) struct ListenerState<L> {
    pub(super) listener: L,
    /// The [`Peer::via`](sockeye_proto::Peer::via) of its connections.
    pub(super) via: u32,
    pub(super) ready: bool,
    /// Whether the driver reports that the listener has connections to accept. It would repeat the
    /// report at each wait for events, so reports are turned off during a pause.
    pub(super) watched: bool,
    pub(super) batch: Batch,
}

/// How many connections a turn accepts from a listener, unless it ends a pause or a drain begins.
///
/// An accept(2) that finds no connection is wasted. So a turn accepts only as many as are likely to
/// wait: one, or twice as many as in the last turn if more waited after it. If still more wait, the
/// driver reports the listener again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    size: u32,
    /// The last turn that accepted a whole batch.
    full_in: Option<u64>,
}

impl Batch {
    /// The size of the batch in the turn `turn`, in which the driver has reported the listener.
    pub(super) fn begin(&mut self, turn: u64) -> u32 {
        let more_waited = self.full_in.is_some_and(|last| last + 1 == turn);
        self.size = if more_waited { ACCEPT_BATCH.min(self.size * 2) } else { 1 };
        self.size
    }

    /// Notes that the whole batch was accepted in the turn `turn`.
    pub(super) fn end_full(&mut self, turn: u64) {
        self.full_in = Some(turn);
    }
}

/// A pause in accepting. It ends at `until` at the latest, because no event reports that there is a
/// descriptor or memory again. At the limit on connections, it also ends when a connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AcceptPause {
    pub(super) until: Time,
    pub(super) shortage: Shortage,
}

/// Why accepting pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// Our own limit on connections is reached.
    Connections,
    /// The kernel has no descriptor or memory.
    Resources,
}

/// How a worker evicts idle connections for new ones at the limit on connections.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    /// The connections that were idle at the last scan and have not been checked since, each with
    /// the time when it became idle. The longest idle is last.
    pub(super) idle: Vec<(Time, Key)>,
    /// No scan before this time.
    pub(super) next_scan: Time,
    /// Another worker was asked to evict a connection, and has not answered.
    pub(super) is_asking: bool,
    /// It was logged that the limit is reached. Cleared when the number of connections is below the
    /// limit again.
    pub(super) is_logged: bool,
}

/// The deadline of the service. The service is called once for each deadline: if it returns the
/// same time again, that is ignored.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceDeadline {
    /// When the service is to be called. [`Time::NEVER`]: no deadline.
    pub(super) next: Time,
    /// The last deadline for which the service was called.
    pub(super) last: Time,
}

/// State of a slot of the slab, kept when its connection closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The generation of the connection that uses this slot; if the slot is free, of the next
    /// connection in it. The generation is a part of the key, so that the key of a closed
    /// connection doesn't find the next connection in its slot.
    pub(super) generation: u32,
    /// When the slot's timer is due. [`Time::NEVER`]: it isn't armed.
    pub(super) timer: Time,
}

/// Whether a worker is serving or stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Still serving; protocols ask their clients to connect elsewhere.
    LameDuck {
        until: Time,
    },
    /// Finishing what is in flight. Connections that are not finished at `until` are cut.
    Draining {
        until: Time,
        /// Until this time, the worker accepts connections whose TCP handshake started before the
        /// drain.
        accepts_until: Time,
    },
}

pub(super) fn key_of(slot: usize, generation: u32) -> Key {
    Key(u64::from(generation) << 32 | slot as u64)
}

pub(super) fn slot_of(key: Key) -> usize {
    (key.0 & u64::from(u32::MAX)) as usize
}

/// The connection with this key. `None` if it has closed: its slot may hold another one then.
pub(super) fn find<S>(conns: &mut Slab<Conn<S>>, key: Key) -> Option<&mut Conn<S>> {
    conns.get_mut(slot_of(key)).filter(|conn| conn.session.key() == key)
}

/// The connection that is being served, and what it needs from its worker.
///
/// If a method returns an error, [`Worker::serve`] closes the connection, with the error as reason.
pub(super) struct Active<'a, D: Driver> {
    pub(super) conn: &'a mut Conn<D::Socket>,
    pub(super) driver: &'a mut D,
    pub(super) resources: &'a mut WorkerResources,
}

impl<D: Driver> Worker<D> {
    /// A worker with these parts. It does nothing before its first turn.
    ///
    /// # Errors
    ///
    /// If the driver can't register a listener.
    pub fn new(parts: WorkerParts<D>) -> io::Result<Self> {
        let WorkerParts {
            mut driver,
            listeners: given,
            service,
            config,
            counts,
            mailbox,
            spawn,
            handover,
            tls,
        } = parts;
        let mut listeners = Vec::with_capacity(given.len());
        for (id, (via, mut listener)) in given.into_iter().enumerate() {
            driver.watch_listener(&mut listener, id as u32)?;
            let batch = Batch::default();
            listeners.push(ListenerState { listener, via, ready: false, watched: true, batch });
        }
        let sender = Arc::clone(&mailbox);
        let index = counts.add_worker(Arc::clone(&mailbox));
        let output_budget = counts.output_budget(config.max_buffered_total);
        let hellos = Hellos::new(Arc::clone(&spawn), Arc::clone(&mailbox));
        let resources = WorkerResources {
            output_budget,
            config,
            handles: WorkerHandles::new(sender, Arc::clone(&spawn)),
            reads: Reads::new(spawn, Arc::clone(&mailbox)),
            now: driver.now(),
            wall: driver.wall(),
            outputs: Outputs::default(),
            timers: Timers::default(),
            stats: Stats::default(),
            dirty: Vec::new(),
            ready: Vec::new(),
            handshakes: Handshakes::default(),
            hellos,
            chores: Vec::new(),
            sealing_buffer: Vec::new(),
        };
        let mut worker = Self {
            driver,
            service,
            service_deadline: ServiceDeadline { next: Time::NEVER, last: Time::NEVER },
            counts,
            index,
            mailbox,
            handover,
            tls: tls.iter().map(|tls| tls.clone().map(WorkerAcceptor::new)).collect(),
            listeners,
            turns: 0,
            accept_pause: None,
            waiting: None,
            eviction: Eviction::default(),
            slow_turns: SlowTurns::default(),
            conns: Slab::new(),
            unwatched: Vec::new(),
            slots: Vec::new(),
            resources,
            phase: Phase::Serving,
            events: Vec::new(),
            keys: Vec::new(),
        };
        // The first wait for events must end by this deadline.
        worker.update_service_deadline();
        Ok(worker)
    }

    /// Stops logging slow turns. Called for the event loop of a client, where a protocol that
    /// prepares much output delays nobody else.
    pub(crate) fn ignore_slow_turns(&mut self) {
        self.slow_turns.ignore();
    }

    /// How many connections are open, lingering ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Whether the worker has ended: it has no listener and no connection, no other worker can hand
    /// a connection over, and the driver holds no output of a closed connection.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let may_be_handed = self.handover.is_some() && !self.is_draining();
        let may_send = D::KEEPS_OUTPUT && self.resources.outputs.lent() > 0;
        self.listeners.is_empty() && self.conns.is_empty() && !may_be_handed && !may_send
    }

    /// Whether the worker has started to drain.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.resources.stats
    }

    /// How much the worker holds now.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint {
            connections: self.conns.len(),
            outputs: self.resources.outputs.lent(),
            dirty: self.resources.dirty.len(),
            ready: self.resources.ready.len(),
            reads: self.resources.reads.len(),
            charged: self.resources.output_budget.len(),
            handshakes: self.resources.handshakes.in_progress(),
            timers: self.resources.timers.len(),
        }
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Serves the connection with this key, if it is open. Then closes it if it has ended, or arms
    /// its timer. Returns whether it has a large output: see [`Conn::schedule`].
    pub(super) fn serve(
        &mut self,
        key: Key,
        serve: impl FnOnce(&mut Active<'_, D>) -> Result<(), Reason>,
    ) -> bool {
        let Some(conn) = find(&mut self.conns, key) else { return false };
        let (driver, resources) = (&mut self.driver, &mut self.resources);
        let served = serve(&mut Active { conn, driver, resources });
        let reason = match served {
            Ok(()) if !conn.session.has_panicked() => {
                let has_large_output = conn.schedule(resources);
                let timer = &mut self.slots[slot_of(key)].timer;
                resources.timers.arm(slot_of(key) as u32, conn.next_deadline(), timer);
                return has_large_output;
            }
            Ok(()) => Reason::Panicked,
            Err(reason) => reason,
        };
        self.close(key, reason);
        false
    }
}
