//! Closing a connection, and draining or stopping the worker (event loop).

use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::driver::{Key, Session};
use sockeye_proto::{Blame, Event, Fault, Peer, Protocol, Reason};
use tracing::{debug, error, info};

use super::state::{Phase, Worker, find, slot_of};
use crate::conn::{Conn, SendState, Stage, catch_panic};
use crate::driver::Driver;
use crate::service::Closed;

/// Maximum number of buffers that are read from a connection before its protocol gets
/// [`Event::Drain`]. With buffers of 68 KiB, that is 1 MiB: about as much as a socket's receive
/// queue holds.
const MAX_READS: usize = 16;

/// How long a drain waits for TCP handshakes that started before [`Driver::block_new_clients`]:
/// ample for a round trip within a data center. Meanwhile, SYN packets of new clients are dropped.
const HANDSHAKE_TIME: Duration = Duration::from_millis(10);

/// The highest generation (number of a connection in its slot). The generation is the upper half of
/// a connection's key, and keys with the top bit set are reserved for the driver.
const MAX_GENERATION: u32 = u32::MAX >> 1;

impl<D: Driver> Worker<D> {
    /// Closes a connection. If its session (the protocol and its output) has failed, the failure is
    /// the reason that is logged and reported, and `reason` is ignored.
    pub(super) fn close(&mut self, key: Key, reason: Reason) {
        if find(&mut self.conns, key).is_none() {
            return;
        }
        let slot = slot_of(key);
        let mut conn = self.conns.remove(slot);
        let generation = &mut self.slots[slot].generation;
        *generation = if *generation == MAX_GENERATION { 0 } else { *generation + 1 };

        let reason = conn.session.take_reason().unwrap_or(reason);
        if conn.send == SendState::Reading {
            self.resources.reads.remove(key);
        }
        conn.session.close(&reason, &mut self.resources);
        log_late_panic(&conn.session);
        let received = received(&conn);
        if conn.notifies_service {
            self.notify_service(&conn, received, &reason);
        }
        if let Some(secure) = conn.secure.take() {
            self.close_secure(*secure, &mut conn, &reason);
        } else if matches!(conn.stage, Stage::AnsweringHello(_)) {
            self.end_handshake(&conn, &reason);
        }
        if conn.charged {
            self.resources.output_budget.release(key);
        }
        if conn.counted {
            self.counts.remove(conn.session.peer().address);
            self.resume_accepting();
        }
        self.resources.stats.count_closed(&reason);
        let (peer, sent) = (conn.session.peer().address, conn.session.sent());
        let ms = self.resources.now.since(conn.opened).as_millis();
        match &reason {
            Reason::Panicked | Reason::Fault(Fault { blame: Blame::Ours, .. }) => {
                error!(
                    target: "sockeye",
                    %peer, received, sent, ms, code = %reason.code(), %reason,
                    "closed"
                );
            }
            reason if reason.is_orderly() => {
                debug!(
                    target: "sockeye",
                    %peer, received, sent, ms, code = %reason.code(), %reason,
                    "closed"
                );
            }
            reason => {
                info!(
                    target: "sockeye",
                    %peer, received, sent, ms, code = %reason.code(), %reason,
                    "closed"
                );
            }
        }
        self.driver.close(conn.socket);
    }

    /// Tells the service that a connection has ended.
    fn notify_service(&mut self, conn: &Conn<D::Socket>, received: u64, reason: &Reason) {
        let (peer, sent) = (conn.session.peer(), conn.session.sent());
        let closed = Closed { peer, reason, received, sent };
        let service = &mut self.service;
        if catch_panic(|| service.on_closed(&closed)).is_none() {
            let peer = peer.address;
            error!(target: "sockeye", %peer, "the service panicked in Service::on_closed");
        }
    }

    /// Logs the faults that have ended streams in this turn of the event loop, and counts those for
    /// which this program is to blame.
    #[cold]
    pub(super) fn log_failed_streams(&mut self) {
        for (peer, fault) in self.resources.handles.take_reported() {
            if fault.blame == Blame::Peer {
                info!(target: "sockeye", %peer, code = %fault.code, reason = %fault, "stream failed");
                continue;
            }
            self.resources.stats.count_failed_stream(&fault);
            error!(target: "sockeye", %peer, code = %fault.code, reason = %fault, "stream failed");
        }
    }

    /// Tells a protocol that its connection was never established.
    pub(super) fn notify_not_connected(
        &mut self,
        protocol: Box<dyn Protocol>,
        peer: Peer,
        reason: &Reason,
    ) {
        // No connection has this key.
        let mut session = Session::new(protocol, Key(u64::MAX), peer);
        session.close(reason, &mut self.resources);
        log_late_panic(&session);
    }

    /// Drains this worker. For the time [`Config::lame_duck`](crate::Config::lame_duck), it still
    /// accepts connections, and protocols get [`Event::LameDuck`]. Then it stops listening and
    /// tells every protocol to finish. When [`Config::drain_timeout`](crate::Config::drain_timeout)
    /// has passed after that, it cuts the connections that are not finished.
    ///
    /// No request that has arrived is lost: waiting connections are accepted, and input that has
    /// arrived is read, before protocols get [`Event::Drain`].
    pub fn drain(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        // `drain` may be called between two turns, long after the last turn has read the clock.
        self.resources.now = self.driver.now();
        let lame_duck = self.resources.config.lame_duck;
        if lame_duck.is_zero() {
            return self.begin_drain();
        }
        self.phase = Phase::LameDuck { until: self.resources.now + lame_duck };
        for key in self.all_keys() {
            self.notify_phase(key);
        }
    }

    fn begin_drain(&mut self) {
        let now = self.resources.now;
        let until = now + self.resources.config.drain_timeout;
        self.phase = Phase::Draining { until, accepts_until: until.min(now + HANDSHAKE_TIME) };
        self.close_inbox();
        for state in &mut self.listeners {
            self.driver.block_new_clients(&mut state.listener);
        }
        self.accept_for_drain();
        for key in self.all_keys() {
            self.notify_phase(key);
        }
        // The calls above may have queued chores (see `Chore`). They are done now and not in the
        // next turn, because a turn waits for events before it does chores.
        self.do_chores();
    }

    /// Stops listening and cuts all connections now.
    pub fn stop(&mut self) {
        self.phase =
            Phase::Draining { until: self.resources.now, accepts_until: self.resources.now };
        self.close_inbox();
        self.close_listeners();
        self.cut_all();
    }

    /// Closes the inbox, into which other workers put connections that they have accepted for this
    /// worker, and opens the connections in it. From now on, the other workers keep what they
    /// accept.
    fn close_inbox(&mut self) {
        if let Some(handover) = &self.handover {
            let inboxes = Arc::clone(&handover.inboxes);
            for accepted in inboxes[handover.own].close() {
                self.open(accepted);
            }
        }
    }

    /// Advances a stopping server if the time has come: starts to drain at the end of
    /// [`Phase::LameDuck`]; while draining, accepts once more and closes the listeners at
    /// `accepts_until`, and cuts all connections at `until`.
    pub(super) fn advance_phase(&mut self) {
        let now = self.resources.now;
        match self.phase {
            Phase::LameDuck { until } if until <= now => self.begin_drain(),
            Phase::Draining { until, accepts_until } if accepts_until <= now => {
                self.accept_for_drain();
                self.close_listeners();
                if until <= now {
                    self.cut_all();
                }
            }
            _ => {}
        }
    }

    /// Tells a connection's protocol that the server is stopping: by [`Event::LameDuck`] before the
    /// drain, and by [`Event::Drain`] during it. The protocol gets [`Event::Drain`] only once,
    /// after the input that has arrived: see `read_arrived`.
    pub(super) fn notify_phase(&mut self, key: Key) {
        let is_draining = self.is_draining();
        if is_draining {
            self.read_arrived(key);
        }
        self.serve(key, |active| match active.conn.stage {
            Stage::Connecting { .. } if is_draining => Err(Reason::Drained),
            Stage::Handshaking { .. } if is_draining => {
                active.conn.drain_handshake(active.resources)
            }
            // The session gets the event when it is opened: see `catch_up`.
            Stage::Connecting { .. } | Stage::Handshaking { .. } | Stage::AnsweringHello(_) => {
                Ok(())
            }
            _ if !is_draining => {
                active.conn.session.send_event(Event::LameDuck, active.resources);
                Ok(())
            }
            _ => {
                let unread = active.conn.has_unread();
                active.conn.session.drain(unread, active.resources);
                Ok(())
            }
        });
    }

    /// Reads what has arrived on a connection, if it wants input: at most [`MAX_READS`] buffers.
    /// The protocol gets [`Event::LameDuck`] before the last buffer, so that its responses to the
    /// requests in that buffer can ask the peer to connect elsewhere.
    fn read_arrived(&mut self, key: Key) {
        for _ in 0..MAX_READS {
            let Some(conn) = find(&mut self.conns, key) else { return };
            if conn.session.is_drained() || !conn.wants_input(&self.resources.config) {
                return;
            }
            self.serve(key, |active| {
                active.conn.readable = true;
                active.read_before_drain()
            });
            if find(&mut self.conns, key).is_some_and(|conn| !conn.readable) {
                return;
            }
        }
    }

    fn cut_all(&mut self) {
        for key in self.all_keys() {
            self.serve(key, |active| match active.conn.stage {
                // Its protocol has finished.
                Stage::Lingering(_) => Err(active.conn.session.orderly_reason()),
                _ => Err(Reason::Cut),
            });
        }
    }

    fn close_listeners(&mut self) {
        for state in self.listeners.drain(..) {
            self.driver.close_listener(state.listener);
        }
        // `waiting` is an accepted connection above the limit on connections. A drain has admitted
        // it by now, so only a stop finds one here. A stop cuts it, as the kernel cuts the
        // connections that are still in the listeners' queues.
        if let Some(accepted) = self.waiting.take() {
            self.resources.stats.count_closed(&Reason::Cut);
            self.driver.close(accepted.socket);
        }
        // If accepting was paused: the event loop need not wake up at the end of the pause, since
        // nothing more is accepted.
        self.accept_pause = None;
    }

    fn all_keys(&self) -> Vec<Key> {
        self.conns.iter().map(|(_, conn)| conn.session.key()).collect()
    }
}

/// How many bytes were received. With TLS, bytes of plaintext; if the handshake was not completed,
/// bytes of the handshake.
fn received<S>(conn: &Conn<S>) -> u64 {
    match &conn.secure {
        Some(secure) if !secure.tls.is_handshaking() => secure.received,
        _ => conn.received,
    }
}

/// Logs if the protocol of `session` panicked while the session was closed.
fn log_late_panic(session: &Session) {
    if matches!(session.reason(), Some(Reason::Panicked)) {
        let peer = session.peer().address;
        error!(
            target: "sockeye",
            %peer,
            "the protocol panicked in Event::Closed or its destructor"
        );
    }
}
