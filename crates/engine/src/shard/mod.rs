//! One core's loop.
//!
//! A shard owns its driver, its listeners and its connections, and shares nothing with other
//! shards but the [`ConnectionCounts`], which it touches when a connection comes or goes. Its life is a
//! sequence of turns:
//!
//! ```text
//! wait ─▶ now ─▶ events ─▶ mailbox ─▶ accept ─▶ read ─▶ timers ─▶ flush ─▶ watch
//!  ▲      (the clocks,            (each ready connection  (each dirty connection │
//!  │       read once)              once, one buffer)       once, one quantum)    │
//!  └─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! What stopped for a budget gets no new edge: it stands in the ready list or among the dirty
//! ones, and the next wait doesn't wait. The parts: `accept` (who comes in, who goes out to
//! connect), `room` (an idle connection closes for a new one), `input` (reading), `output` (flushing,
//! and ending when all is flushed), `read` (files that threads read), `close` (the end of a
//! connection, and draining), `slow` (turns that take too long).

mod accept;
mod close;
mod input;
mod output;
mod read;
mod room;
mod slow;

use std::io;
use std::sync::Arc;

use slab::Slab;
use sockeye_proto::driver::{Envelope, Key, ShardHandles};
use sockeye_proto::{Client, Job, JobKind, Reason, Spawn, Time};
use tracing::error;

use crate::conn::{Common, Conn, SendState, Stage, contain};
use crate::driver::{Driver, IoEvent, trim_heaps};
use crate::mailbox::{InTurn, Inbox, Mailbox, Order};
use crate::outputs::Outputs;
use crate::reads::Reads;
use crate::stats::Stats;
use crate::timers::Timers;
use crate::{Config, ConnectionCounts, Service};
use accept::{AcceptPause, Gate, Newcomer};
use room::Room;
use slow::SlowTurns;

/// What a shard is made of.
#[expect(missing_debug_implementations, reason = "a service has none")]
pub struct ShardParts<D: Driver> {
    /// The seam to the kernel.
    pub driver: D,
    /// What connections come in by, each with the number that its peers are to carry as
    /// [`Peer::via`](sockeye_proto::Peer::via).
    pub listeners: Vec<(u32, D::Listener)>,
    /// Who answers.
    pub service: Box<dyn Service>,
    /// Limits and deadlines.
    pub config: Arc<Config>,
    /// Counts connections over all shards.
    pub counts: Arc<ConnectionCounts>,
    /// What reaches this shard from other threads.
    pub mailbox: Arc<Mailbox>,
    /// Runs what blocks.
    pub spawn: Arc<dyn Spawn>,
    /// Where connections of listeners that only one shard has are spread to.
    pub handover: Option<Handover<D::Socket>>,
}

/// Spreads the connections of a listener that only one shard has over all shards.
#[derive(Debug)]
pub struct Handover<S> {
    /// The inboxes of all shards.
    pub inboxes: Arc<[Inbox<S>]>,
    /// Which of them is this shard's.
    pub own: usize,
    /// Which of them is next.
    pub next: usize,
}

/// What a shard holds at a moment. After the last connection has gone everything is zero but
/// `timers`: those that short connections left behind go when they come up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Connections.
    pub connections: usize,
    /// Outputs that connections or the driver have.
    pub outputs: usize,
    /// Connections to flush.
    pub dirty: usize,
    /// Connections to serve without waiting.
    pub ready: usize,
    /// Reads of files that are under way.
    pub reads: usize,
    /// Connections that are charged for the output that they hold.
    pub charged: usize,
    /// Timers, stale ones included.
    pub timers: usize,
}

/// One core's loop.
#[expect(missing_debug_implementations, reason = "a service has none")]
pub struct Shard<D: Driver> {
    driver: D,
    service: Box<dyn Service>,
    service_deadline: ServiceDeadline,
    counts: Arc<ConnectionCounts>,
    /// Its own, among the shards of the census.
    place: usize,
    mailbox: Arc<Mailbox>,
    handover: Option<Handover<D::Socket>>,
    gates: Vec<Gate<D::Listener>>,
    accept_pause: Option<AcceptPause>,
    /// An accepted connection that waits for a slot. Nothing is accepted meanwhile, and its
    /// listener stays ready.
    newcomer: Option<Newcomer<D::Socket>>,
    room: Room,
    slow_turns: SlowTurns,
    conns: Slab<Conn<D::Socket>>,
    /// Connections that came in this turn: the driver is to report on those that outlive it.
    fresh: Vec<Key>,
    slots: Vec<Slot>,
    common: Common,
    phase: Phase,
    /// Kept between turns for their memory; empty then.
    happenings: Vec<IoEvent>,
    keys: Vec<Key>,
}

/// When a service's deadline comes. One that the service names again has come, and is not told again.
#[derive(Clone, Copy, Debug)]
struct ServiceDeadline {
    /// [`Time::NEVER`]: not at all.
    next: Time,
    /// The last one that came.
    last: Time,
}

/// What outlives the connections that use a place of the slab.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Of the connection that is there, or that will be there next.
    generation: u32,
    /// When its timer comes up.
    armed: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Serving until then, and asking clients to come again elsewhere.
    LameDuck {
        until: Time,
    },
    /// Finishing what is under way. What isn't finished by then is cut.
    Draining {
        until: Time,
        /// Until then it accepts whoever has begun to connect before.
        accepts_until: Time,
    },
}

fn key_of(slot: usize, generation: u32) -> Key {
    Key(u64::from(generation) << 32 | slot as u64)
}

fn slot_of(key: Key) -> usize {
    (key.0 & u64::from(u32::MAX)) as usize
}

/// A connection that is being served, and what of its shard that takes.
///
/// What serves it says as an error for which reason it is over. Only the shard can close it then:
/// see [`Shard::visit`].
struct Visit<'a, D: Driver> {
    conn: &'a mut Conn<D::Socket>,
    driver: &'a mut D,
    common: &'a mut Common,
}

/// The connection that `key` means, unless it has gone and another is in its place.
fn find<S>(conns: &mut Slab<Conn<S>>, key: Key) -> Option<&mut Conn<S>> {
    conns.get_mut(slot_of(key)).filter(|conn| conn.session.key() == key)
}

impl<D: Driver> Shard<D> {
    /// A shard that listens, and waits for its first turn.
    ///
    /// # Errors
    ///
    /// When the driver has no room for a listener.
    pub fn new(parts: ShardParts<D>) -> io::Result<Self> {
        let ShardParts { mut driver, listeners, service, config, counts, mailbox, spawn, handover } =
            parts;
        let mut gates = Vec::with_capacity(listeners.len());
        for (id, (via, mut listener)) in listeners.into_iter().enumerate() {
            driver.attach_listener(&mut listener, id as u32)?;
            gates.push(Gate::new(listener, via));
        }
        let sender = Arc::clone(&mailbox);
        let place = counts.join(Arc::clone(&mailbox));
        let buffered = counts.buffered(config.max_buffered_in_all);
        let common = Common {
            buffered,
            config,
            handles: ShardHandles::new(sender, Arc::clone(&spawn)),
            reads: Reads::new(spawn, Arc::clone(&mailbox)),
            now: driver.now(),
            wall: driver.wall(),
            outputs: Outputs::default(),
            timers: Timers::default(),
            stats: Stats::default(),
            dirty: Vec::new(),
            ready: Vec::new(),
        };
        Ok(Self {
            driver,
            service,
            service_deadline: ServiceDeadline { next: Time::NEVER, last: Time::NEVER },
            counts,
            place,
            mailbox,
            handover,
            gates,
            accept_pause: None,
            newcomer: None,
            room: Room::default(),
            slow_turns: SlowTurns::default(),
            conns: Slab::new(),
            fresh: Vec::new(),
            slots: Vec::new(),
            common,
            phase: Phase::Serving,
            happenings: Vec::new(),
            keys: Vec::new(),
        })
    }

    /// One turn: waits until there is something to do, and does it.
    ///
    /// # Errors
    ///
    /// When the driver can't wait: the shard can't go on.
    pub fn turn(&mut self) -> io::Result<()> {
        self.turn_until(Time::NEVER)
    }

    /// As [`Shard::turn`], but waits no longer than until `time`, on the driver's clock: for who
    /// drives a shard by hand and has to do something else then.
    ///
    /// # Errors
    ///
    /// As for [`Shard::turn`].
    pub fn turn_until(&mut self, time: Time) -> io::Result<()> {
        let mut happenings = std::mem::take(&mut self.happenings);
        self.wait(time, &mut happenings)?;
        let _in_turn = InTurn::begin();
        for happening in happenings.drain(..) {
            self.take_happening(happening);
        }
        self.happenings = happenings;
        // Behind what happened: an order to drain depends on what has arrived.
        self.take_mail();
        self.accept();
        self.queue_fresh();
        self.read_ready();
        self.run_timers();
        self.flush_dirty();
        self.watch_fresh();
        self.end_phase();
        self.ask_service();
        if self.common.buffered.take_relief(self.common.now) {
            self.trim();
        }
        Ok(())
    }

    /// Waits for the turn, reads the clocks, and sees how long the last turn took.
    #[inline(always)] // It has one caller.
    fn wait(&mut self, time: Time, happenings: &mut Vec<IoEvent>) -> io::Result<()> {
        let until = match self.wait_until() {
            None if time == Time::NEVER => None,
            until => Some(until.unwrap_or(Time::NEVER).min(time)),
        };
        if until == Some(Time::ZERO) {
            self.driver.wait(Time::ZERO, until, happenings)?;
            self.common.now = self.driver.now();
            self.slow_turns.end(self.common.now);
        } else {
            let now = self.driver.now();
            self.slow_turns.end(now);
            self.driver.wait(now, until, happenings)?;
            self.common.now = self.driver.now();
        }
        self.slow_turns.begin(self.common.now);
        self.common.wall = self.driver.wall();
        Ok(())
    }

    /// Connections that are open, lingering ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Whether nothing is left to do: no listener, no connection, and no other shard that may hand
    /// one over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let may_be_handed = self.handover.is_some() && !self.is_draining();
        self.gates.is_empty() && self.conns.is_empty() && !may_be_handed
    }

    /// Whether it has begun to drain.
    fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.common.stats
    }

    /// What is held at this moment.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint {
            connections: self.conns.len(),
            outputs: self.common.outputs.lent(),
            dirty: self.common.dirty.len(),
            ready: self.common.ready.len(),
            reads: self.common.reads.len(),
            charged: self.common.buffered.len(),
            timers: self.common.timers.len(),
        }
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> &D {
        &self.driver
    }

    fn wait_until(&self) -> Option<Time> {
        let common = &self.common;
        let at_once =
            !common.ready.is_empty() || !common.dirty.is_empty() || !self.fresh.is_empty();
        if at_once || self.may_accept() {
            return Some(Time::ZERO);
        }
        let phase = match self.phase {
            Phase::Serving => None,
            Phase::Draining { accepts_until, .. } if !self.gates.is_empty() => Some(accepts_until),
            Phase::LameDuck { until } | Phase::Draining { until, .. } => Some(until),
        };
        let pause = self.accept_pause.as_ref().map(|pause| pause.until);
        let service = Some(self.service_deadline.next).filter(|next| *next != Time::NEVER);
        [common.timers.next(), pause, phase, service].into_iter().flatten().min()
    }

    fn take_mail(&mut self) {
        if let Some(handover) = &self.handover {
            let inboxes = Arc::clone(&handover.inboxes);
            for handed in inboxes[handover.own].take() {
                self.open(handed);
            }
        }
        let Some(inbound) = self.mailbox.take() else { return };
        for envelope in inbound.envelopes {
            self.deliver(envelope);
        }
        for read in inbound.reads {
            self.take_read(read);
        }
        for order in inbound.orders {
            match order {
                Order::Drain => self.drain(),
                Order::Stop => self.stop(),
                Order::MakeRoom(asker) => self.make_room_for(asker),
                Order::RoomMade => self.hear_of_room(true),
                Order::NoRoom => self.hear_of_room(false),
            }
        }
    }

    fn deliver(&mut self, envelope: Envelope) {
        self.visit(envelope.to, |visit| {
            visit.conn.session.deliver(envelope, visit.common);
            Ok(())
        });
    }

    fn take_happening(&mut self, happening: IoEvent) {
        match happening {
            IoEvent::Incoming(id) => {
                if let Some(gate) = self.gates.get_mut(id as usize) {
                    gate.ready = true;
                }
            }
            IoEvent::Sent { key, sent } => self.take_sent(key, sent),
            IoEvent::Ready { key, readable, writable, ended, failed } => {
                let Some(conn) = find(&mut self.conns, key) else { return };
                conn.readable |= readable;
                conn.failed |= failed;
                if ended {
                    conn.session.half_close();
                }
                if writable && conn.send == SendState::Blocked {
                    conn.send = SendState::Ready;
                    conn.mark_dirty(&mut self.common);
                }
                if conn.wants_input(&self.common.config) {
                    conn.queue(&mut self.common);
                } else if matches!(conn.stage, Stage::Connecting { .. }) {
                    self.check_connecting(key);
                } else if failed || ended {
                    self.check_left(key);
                }
            }
        }
    }

    /// Serves the connection that `key` means, if it is still there, and sees to it afterwards: is
    /// it over, when is it due?
    fn visit(&mut self, key: Key, serve: impl FnOnce(&mut Visit<'_, D>) -> Result<(), Reason>) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        let (driver, common) = (&mut self.driver, &mut self.common);
        let served = serve(&mut Visit { conn, driver, common });
        let over = match served {
            Ok(()) if !conn.session.has_panicked() => {
                conn.follow_up(common);
                let armed = &mut self.slots[slot_of(key)].armed;
                return common.timers.arm(slot_of(key) as u32, conn.next_deadline(), armed);
            }
            Ok(()) => Reason::Panicked,
            Err(reason) => reason,
        };
        self.close(key, over);
    }

    /// When the service is due next, as of the end of a turn. A deadline that has come is not told
    /// again.
    fn ask_service(&mut self) {
        let service = &self.service;
        let next = contain(|| service.deadline()).flatten().unwrap_or(Time::NEVER);
        let is_new = next != self.service_deadline.last;
        self.service_deadline.next = if is_new { next } else { Time::NEVER };
    }

    /// Much was let go that clients had not read: gives the memory back, off the loop.
    #[cold]
    fn trim(&self) {
        let job = Job::new(JobKind::Other, Client::Unix, trim_heaps);
        // Where too much waits, there is no time for that.
        drop(self.common.reads.spawn(job));
    }

    #[cold]
    fn tell_service(&mut self) {
        self.service_deadline.last = self.service_deadline.next;
        let (service, now) = (&mut self.service, self.common.now);
        if contain(|| service.on_deadline(now)).is_none() {
            error!(target: "sockeye", "the service panicked at its deadline");
        }
    }

    fn run_timers(&mut self) {
        if self.service_deadline.next <= self.common.now {
            self.tell_service();
        }
        while let Some((time, slot)) = self.common.timers.pop_due(self.common.now) {
            let armed = &mut self.slots[slot as usize].armed;
            if *armed != time {
                continue;
            }
            *armed = Time::NEVER;
            let Some(conn) = self.conns.get(slot as usize) else { continue };
            // It may have a later deadline by now.
            let is_due = conn.next_deadline() <= self.common.now;
            self.visit(conn.session.key(), |visit| match is_due {
                true => visit.expire(),
                false => Ok(()),
            });
        }
    }
}

impl<D: Driver> Visit<'_, D> {
    /// A deadline of the connection has come.
    fn expire(&mut self) -> Result<(), Reason> {
        match self.conn.stage {
            Stage::Connecting { .. } => Err(Reason::ConnectTimedOut),
            Stage::Lingering(_) => Err(self.conn.session.conclusion()),
            _ if self.conn.write_deadline <= self.common.now => match self.conn.send {
                SendState::Reading => Err(Reason::FileTimedOut),
                _ => self.check_stalled(),
            },
            _ => {
                // The deadline may be one of a peer that has left.
                if self.conn.session.is_half_closed() {
                    self.check_failed()?;
                }
                self.conn.session.expire(self.common);
                Ok(())
            }
        }
    }
}
