//! Accepting connections from listeners, and opening outgoing connections.

use std::io::{self, ErrorKind};

use rustix::io::Errno;
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Peer, Protocol, Reason, Time};
use tracing::{debug, warn};

use super::state::{
    ACCEPT_BATCH, ACCEPT_PAUSE, AcceptPause, Phase, Shortage, Slot, Worker, find, key_of, slot_of,
};
use crate::conn::{Conn, Stage, catch_panic};
use crate::driver::{BACKLOG, Driver, Target};
use crate::mailbox::Accepted;
use crate::tls::TlsConnector;

impl<D: Driver> Worker<D> {
    /// Whether accepting is not paused and a listener may have a connection.
    pub(super) fn may_accept(&self) -> bool {
        let is_paused =
            self.accept_pause.as_ref().is_some_and(|pause| pause.until > self.resources.now);
        !is_paused && self.listeners.iter().any(|state| state.ready)
    }

    /// Accepts waiting connections in a turn (pass) of the event loop: a
    /// [`Batch`](super::state::Batch) from each listener. After a pause, accepts at most
    /// [`ACCEPT_BATCH`] from each listener in a turn, until none is left.
    pub(super) fn accept(&mut self) {
        if self.may_accept() {
            self.accept_from_each(self.accept_pause.map(|_| ACCEPT_BATCH));
        } else if self.accept_pause.is_some() {
            self.unwatch_ready();
        }
    }

    /// In a pause, makes the driver stop reporting the listeners whose connections wait.
    #[cold]
    fn unwatch_ready(&mut self) {
        for state in &mut self.listeners {
            if state.ready && state.watched {
                state.watched = false;
                self.driver.unwatch_listener(&mut state.listener);
            }
        }
    }

    /// Ends a pause, and makes the driver report all listeners again. If it can't, another pause
    /// begins.
    fn watch_all(&mut self) {
        for (id, state) in self.listeners.iter_mut().enumerate() {
            if state.watched {
                continue;
            }
            if let Err(error) = self.driver.watch_listener(&mut state.listener, id as u32) {
                state.ready = true;
                return self.pause_for(&error);
            }
            state.watched = true;
        }
        self.accept_pause = None;
    }

    /// While draining, accepts all waiting connections, even above the limit on connections: new
    /// clients can't connect any more.
    pub(super) fn accept_for_drain(&mut self) {
        for state in &mut self.listeners {
            // The driver may not have reported a new connection yet.
            state.ready = true;
        }
        self.accept_from_each(Some(BACKLOG as u32));
    }

    /// Tries to admit the accepted connection that waits for another one to close, if any. Then
    /// accepts from each ready listener: a batch, or up to `max` connections.
    fn accept_from_each(&mut self, max: Option<u32>) {
        if let Some(accepted) = self.waiting.take() {
            self.admit_or_wait(accepted);
        }
        for index in 0..self.listeners.len() {
            let state = &mut self.listeners[index];
            if !state.ready {
                continue;
            }
            for _ in 0..max.unwrap_or_else(|| state.batch.begin(self.turns)) {
                if self.waiting.is_some() || !self.accept_one(index) {
                    break;
                }
            }
            let state = &mut self.listeners[index];
            if max.is_none() && state.ready && self.accept_pause.is_none() {
                state.batch.end_full(self.turns);
                state.ready = false;
            }
        }
        if self.listeners.iter().all(|state| !state.ready) {
            // Below the limit, no connection has to be evicted: drop the list of idle ones.
            if self.counts.total() < self.resources.config.max_connections {
                self.clear_idle();
            }
            self.watch_all();
        }
    }

    /// Accepts one connection. Returns false if the kernel returns none: none is waiting, or there
    /// is no descriptor or memory for it.
    fn accept_one(&mut self, index: usize) -> bool {
        let state = &mut self.listeners[index];
        match self.driver.accept(&mut state.listener) {
            Ok((socket, address)) => {
                let listener_index = state.via;
                self.admit_or_wait(Accepted { socket, address, via: listener_index });
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                state.ready = false;
                false
            }
            Err(error) if is_connection_error(&error) => true,
            Err(error) => {
                self.pause_for(&error);
                false
            }
        }
    }

    /// Admits an accepted connection. At the limit on connections, unless this worker is draining,
    /// closes an idle one of this worker. If this worker has none, the new one waits, and accepting
    /// pauses. If the new one's address is at the limit per address, closes no idle connection:
    /// `admit` refuses the new one.
    fn admit_or_wait(&mut self, accepted: Accepted<D::Socket>) {
        let config = &self.resources.config;
        let max = config.max_connections_of(accepted.address);
        let is_full = !self.is_draining() && self.counts.total() >= config.max_connections;
        if is_full && self.counts.is_below_limit(accepted.address, max) && !self.evict() {
            self.waiting = Some(accepted);
            self.pause_accepting(Shortage::Connections);
            return;
        }
        self.admit(accepted);
    }

    /// Begins a pause because of an error of the kernel. Logs a shortage once, not at every
    /// attempt.
    fn pause_for(&mut self, error: &io::Error) {
        if self.accept_pause.map(|pause| pause.shortage) != Some(Shortage::Resources) {
            log_shortage(error);
        }
        self.pause_accepting(Shortage::Resources);
    }

    fn pause_accepting(&mut self, shortage: Shortage) {
        self.accept_pause =
            Some(AcceptPause { until: self.resources.now + ACCEPT_PAUSE, shortage });
    }

    /// Ends a pause that the limit on connections caused. To be called when a connection has
    /// closed.
    pub(super) fn resume_accepting(&mut self) {
        if let Some(pause) = &mut self.accept_pause
            && pause.shortage == Shortage::Connections
        {
            pause.until = Time::ZERO;
        }
    }

    /// Counts an accepted connection, and opens it here or hands it to another worker (event loop).
    /// Closes it if its address is at the limit per address.
    fn admit(&mut self, mut accepted: Accepted<D::Socket>) {
        let address = accepted.address;
        let max = self.resources.config.max_connections_of(address);
        if !self.counts.add(address, max) {
            debug!(
                target: "sockeye", peer = %address, max,
                "refused: too many connections from this address"
            );
            self.resources.stats.count_closed(&Reason::OverAddressLimit);
            self.driver.close(accepted.socket);
            return;
        }
        if let Some(handover) = &mut self.handover {
            let to = handover.next;
            handover.next = (to + 1) % handover.inboxes.len();
            if to != handover.own {
                match handover.inboxes[to].put(accepted) {
                    Ok(()) => return,
                    // The other worker is draining, and may have ended.
                    Err(returned) => accepted = returned,
                }
            }
        }
        self.open(accepted);
    }

    /// Opens a connection that `admit` has counted.
    pub(super) fn open(&mut self, accepted: Accepted<D::Socket>) {
        let Accepted { mut socket, address, via: listener_index } = accepted;
        let peer = Peer::new(address, listener_index);
        let key = self.next_key();
        self.driver.set_key(&mut socket, key);
        self.resources.stats.accepted += 1;
        if let Some(Some(tls)) = self.tls.get_mut(listener_index as usize) {
            let tls = tls.accept();
            return self.accept_tls(socket, key, peer, tls);
        }
        let service = &mut self.service;
        match catch_panic(|| service.open(&peer)) {
            Some(protocol) => {
                debug!(target: "sockeye", peer = %address, "accepted");
                let mut conn =
                    Conn::new(socket, key, peer, Stage::Established, protocol, self.resources.now);
                conn.counted = true;
                conn.notifies_service = true;
                self.insert(key, conn);
                self.unwatched.push(key);
                self.start_session(key);
            }
            None => {
                let reason = Reason::Panicked;
                warn!(target: "sockeye", peer = %address, %reason, "could not open a connection");
                self.resources.stats.count_closed(&reason);
                self.counts.remove(address);
                self.driver.close(socket);
            }
        }
    }

    /// If several accepted connections are not registered with the driver yet, queues them for
    /// reading in this turn. Several new connections mean that this worker is behind, so most of
    /// their requests have arrived. A connection that is answered and closed within the turn need
    /// not be registered. The request of a single new connection has rarely arrived: a receive
    /// would be wasted.
    pub(super) fn queue_accepted(&mut self) {
        if self.unwatched.len() < 2 {
            return;
        }
        for key in &self.unwatched {
            let Some(conn) = find(&mut self.conns, *key) else { continue };
            conn.readable = true;
            conn.queue_read(&mut self.resources);
        }
    }

    /// Registers accepted connections with the driver if they are new and still open. The driver
    /// also reports input that arrived before.
    pub(super) fn watch_accepted(&mut self) {
        let mut keys = std::mem::take(&mut self.unwatched);
        for key in keys.drain(..) {
            let Some(conn) = find(&mut self.conns, key) else { continue };
            if let Err(error) = self.driver.watch(&mut conn.socket) {
                self.close(key, Reason::NotWatched(error));
            }
        }
        self.unwatched = keys;
    }

    /// Connects to `target` and runs `protocol` on the connection. If connecting fails, the
    /// protocol gets only [`Event::Closed`](sockeye_proto::Event::Closed). `via` becomes
    /// [`Peer::via`]: a number by which a protocol can tell its connections apart.
    pub fn connect(&mut self, target: &Target, protocol: Box<dyn Protocol>, via: u32) {
        self.connect_with(target, None, protocol, via);
    }

    /// As [`Worker::connect`], with TLS.
    pub fn connect_tls(
        &mut self,
        target: &Target,
        tls: &TlsConnector,
        protocol: Box<dyn Protocol>,
        via: u32,
    ) {
        self.connect_with(target, Some(tls), protocol, via);
    }

    fn connect_with(
        &mut self,
        target: &Target,
        tls: Option<&TlsConnector>,
        protocol: Box<dyn Protocol>,
        via: u32,
    ) {
        let address = match target {
            Target::Ip(address) => Address::Ip(*address),
            Target::Unix(_) => Address::Unix,
        };
        let peer = Peer::new(address, via);
        let key = self.next_key();
        self.resources.now = self.driver.now();
        let now = self.resources.now;
        match self.driver.connect(target, key) {
            Ok(socket) => {
                let stage =
                    Stage::Connecting { until: now + self.resources.config.connect_timeout };
                let mut conn = Conn::new(socket, key, peer, stage, protocol, now);
                if let Some(tls) = tls {
                    conn.set_tls(tls.connect(self.driver.wall()), false);
                }
                self.insert(key, conn);
                // Arms the timer of the connection attempt.
                self.serve(key, |_| Ok(()));
            }
            Err(error) => {
                let reason = Reason::ConnectFailed(error);
                self.resources.stats.count_closed(&reason);
                self.notify_not_connected(protocol, peer, &reason);
            }
        }
    }

    /// Checks whether an outgoing connection is established or has failed.
    pub(super) fn check_connecting(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        match self.driver.connected(&mut conn.socket) {
            Ok(()) => {
                self.resources.stats.connected += 1;
                if conn.secure.is_some() {
                    return self.begin_handshake(key);
                }
                conn.stage = Stage::Established;
                self.start_session(key);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.close(key, Reason::ConnectFailed(error)),
        }
    }

    /// Opens the session of an established connection: its protocol gets the first event.
    pub(super) fn start_session(&mut self, key: Key) {
        self.serve(key, |active| {
            active.conn.session.open(active.resources);
            if active.conn.readable {
                active.conn.queue_read(active.resources);
            }
            Ok(())
        });
        self.catch_up(key);
    }

    /// If the server is stopping, notifies a connection that was just accepted or established.
    #[inline]
    pub(super) fn catch_up(&mut self, key: Key) {
        if self.phase != Phase::Serving {
            self.notify_phase(key);
        }
    }

    /// The key for the next connection that is inserted.
    fn next_key(&mut self) -> Key {
        let slot = self.conns.vacant_key();
        if slot == self.slots.len() {
            self.slots.push(Slot { generation: 0, timer: Time::NEVER });
        }
        key_of(slot, self.slots[slot].generation)
    }

    /// Inserts a connection. `key` is what [`Worker::next_key`] has just returned.
    pub(super) fn insert(&mut self, key: Key, conn: Conn<D::Socket>) {
        let slot = self.conns.insert(conn);
        debug_assert_eq!(slot, slot_of(key), "the key was made for the vacant slot");
    }
}

/// Logs that connections can't be accepted, and what to do about it.
fn log_shortage(error: &io::Error) {
    let advice = match Errno::from_io_error(error) {
        Some(Errno::MFILE) => {
            ": raise this process's limit on open files (ulimit -Hn, or LimitNOFILE= in a systemd \
             unit)"
        }
        Some(Errno::NFILE) => ": raise the system's limit on open files (sysctl fs.file-max)",
        _ => "",
    };
    warn!(target: "sockeye", %error, "cannot accept connections: new ones wait{advice}");
}

/// Whether this error of accept(2) concerns one connection only, not the listener.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::PERM
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NONET
                | Errno::OPNOTSUPP
                | Errno::TIMEDOUT
        )
    ) || error.kind() == ErrorKind::ConnectionAborted
}
