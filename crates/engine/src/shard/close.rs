//! The end: of one connection, and of all of them.

use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::driver::{Key, Session};
use sockeye_proto::{Event, Peer, Protocol, Reason};
use tracing::{debug, error, info};

use super::{Phase, Shard, find, slot_of};
use crate::conn::{SendState, Stage};
use crate::driver::Driver;

/// So many buffers are read from a connection at the most before it is told to drain: as much as a
/// socket holds, mostly.
const MOST_READS: usize = 16;

/// How long a connection may take to be established that was begun before a listener was held off: as
/// long as a packet takes within a data center, amply. New clients hear nothing meanwhile.
const HANDSHAKE: Duration = Duration::from_millis(10);

/// The highest generation of a slot: keys leave the upper half of their range to the driver.
const LAST_GENERATION: u32 = u32::MAX >> 1;

impl<D: Driver> Shard<D> {
    /// Closes a connection. What was wrong first is the reason.
    pub(super) fn close(&mut self, key: Key, reason: Reason) {
        if find(&mut self.conns, key).is_none() {
            return;
        }
        let slot = slot_of(key);
        let mut conn = self.conns.remove(slot);
        let generation = &mut self.slots[slot].generation;
        *generation = if *generation == LAST_GENERATION { 0 } else { *generation + 1 };

        let reason = conn.session.take_reason().unwrap_or(reason);
        if conn.send == SendState::Reading {
            self.common.reads.end(key);
        }
        conn.session.close(&reason, &mut self.common);
        if conn.charged {
            self.common.buffered.release(key);
        }
        if conn.counted {
            self.counts.leave(conn.session.peer().address);
            self.has_room();
        }
        self.common.stats.close(&reason);
        let (peer, received, sent) =
            (conn.session.peer().address, conn.received, conn.session.sent());
        let ms = self.common.now.since(conn.opened).as_millis();
        match &reason {
            Reason::Panicked => {
                error!(target: "sockeye", %peer, received, sent, ms, %reason, "closed");
            }
            reason if reason.is_orderly() => {
                debug!(target: "sockeye", %peer, received, sent, ms, %reason, "closed");
            }
            reason => info!(target: "sockeye", %peer, received, sent, ms, %reason, "closed"),
        }
        self.driver.close(conn.socket);
    }

    /// Tells a protocol that its connection was never established.
    pub(super) fn tell_not_connected(
        &mut self,
        protocol: Box<dyn Protocol>,
        peer: Peer,
        reason: &Reason,
    ) {
        Session::new(protocol, Key(u64::MAX), peer).close(reason, &mut self.common);
    }

    /// Stops listening, asks every connection to finish, and cuts what has not finished in time.
    /// Before that it is a lame duck for as long as [`Config`](crate::Config) says.
    ///
    /// Nothing that has come is lost: what waits to be accepted is accepted, and what has arrived on
    /// a connection is read before the connection hears of the stop.
    pub fn drain(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        // It may be called between turns, long after the last one.
        self.common.now = self.driver.now();
        let lame_duck = self.common.config.lame_duck;
        if lame_duck.is_zero() {
            return self.begin_drain();
        }
        self.phase = Phase::LameDuck { until: self.common.now + lame_duck };
        for key in self.all_keys() {
            self.tell_phase(key);
        }
    }

    fn begin_drain(&mut self) {
        let now = self.common.now;
        let until = now + self.common.config.drain_timeout;
        self.phase = Phase::Draining { until, accepts_until: until.min(now + HANDSHAKE) };
        if let Some(handover) = &self.handover {
            let inboxes = Arc::clone(&handover.inboxes);
            for handed in inboxes[handover.own].close() {
                self.open(handed);
            }
        }
        self.hold_off();
        self.accept_to_the_end();
        for key in self.all_keys() {
            self.tell_phase(key);
        }
    }

    /// Stops listening and cuts everything now.
    pub fn stop(&mut self) {
        self.phase = Phase::Draining { until: self.common.now, accepts_until: self.common.now };
        self.close_gates();
        self.cut_all();
    }

    /// Goes on to what follows when the time of a phase is over: drains what was a lame duck, and
    /// cuts what has not finished draining in time.
    pub(super) fn end_phase(&mut self) {
        let now = self.common.now;
        match self.phase {
            Phase::LameDuck { until } if until <= now => self.begin_drain(),
            Phase::Draining { until, accepts_until } if accepts_until <= now => {
                self.accept_to_the_end();
                self.close_gates();
                if until <= now {
                    self.cut_all();
                }
            }
            _ => {}
        }
    }

    /// Tells a connection that the server is stopping. It hears of a drain when what has arrived
    /// by then was read, and once.
    pub(super) fn tell_phase(&mut self, key: Key) {
        let is_draining = self.is_draining();
        if is_draining {
            self.read_what_has_come(key);
        }
        self.visit(key, |visit| match visit.conn.stage {
            Stage::Connecting { .. } if is_draining => Err(Reason::Drained),
            _ if !is_draining => {
                visit.conn.session.event(Event::LameDuck, visit.common);
                Ok(())
            }
            _ => {
                let unread = visit.conn.readable;
                visit.conn.session.drain(unread, visit.common);
                Ok(())
            }
        });
    }

    /// Reads what has arrived on a connection, as far as it is read from. A peer that sends without
    /// an end is not read from for ever. The connection hears before the last of it that the server
    /// is stopping.
    fn read_what_has_come(&mut self, key: Key) {
        for _ in 0..MOST_READS {
            let Some(conn) = find(&mut self.conns, key) else { return };
            if conn.session.is_drained() || !conn.wants_input(&self.common.config) {
                return;
            }
            self.visit(key, |visit| {
                // Whatever was told of it.
                visit.conn.readable = true;
                visit.read_last()
            });
            if find(&mut self.conns, key).is_some_and(|conn| !conn.readable) {
                return;
            }
        }
    }

    fn cut_all(&mut self) {
        for key in self.all_keys() {
            self.visit(key, |visit| match visit.conn.stage {
                // It has been served.
                Stage::Lingering(_) => Err(visit.conn.session.conclusion()),
                _ => Err(Reason::Cut),
            });
        }
    }

    fn close_gates(&mut self) {
        for gate in self.gates.drain(..) {
            self.driver.close_listener(gate.into_listener());
        }
        // As those that still wait in the kernel's queue; a drain has let it in.
        if let Some(newcomer) = self.newcomer.take() {
            self.common.stats.close(&Reason::Cut);
            self.driver.close(newcomer.socket);
        }
        // Its time would be waited for, and nothing would come of it.
        self.accept_pause = None;
    }

    fn all_keys(&self) -> Vec<Key> {
        self.conns.iter().map(|(_, conn)| conn.session.key()).collect()
    }
}
