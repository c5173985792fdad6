//! Connections that come: in by a listener, or opened by us.

use std::io::{self, ErrorKind};
use std::time::Duration;

use rustix::io::Errno;
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Peer, Protocol, Reason, Time};
use tracing::{debug, warn};

use super::{Phase, Shard, Slot, find, key_of, slot_of};
use crate::conn::{Conn, Stage, contain};
use crate::driver::{BACKLOG, Driver, Target};
use crate::mailbox::Handed;

/// One listener gives at most so many connections a turn.
const BATCH: i32 = 64;
/// How long accepting rests when there is no room.
pub(super) const REST: Duration = Duration::from_millis(100);

/// A listener, and whether something may wait there.
#[derive(Debug)]
pub(super) struct Gate<L> {
    listener: L,
    via: u32,
    pub(super) ready: bool,
}

impl<L> Gate<L> {
    pub(super) fn new(listener: L, via: u32) -> Self {
        // What came before it was attached may be no edge.
        Self { listener, via, ready: true }
    }

    pub(super) fn listener(&mut self) -> &mut L {
        &mut self.listener
    }

    pub(super) fn into_listener(self) -> L {
        self.listener
    }
}

/// A connection that was accepted and is not counted yet.
#[derive(Debug)]
pub(super) struct Newcomer<S> {
    pub(super) socket: S,
    address: Address,
    via: u32,
}

/// Accepting rests: what waits in the queues gives no new edge, so a time to look again is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AcceptPause {
    pub(super) until: Time,
    pub(super) why: Shortage,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// Our own limit on connections.
    Connections,
    /// The kernel's descriptors or memory.
    Resources,
}

impl<D: Driver> Shard<D> {
    /// Whether there may be something to accept now.
    pub(super) fn may_accept(&self) -> bool {
        let rests = self.accept_pause.as_ref().is_some_and(|pause| pause.until > self.common.now);
        !rests && self.gates.iter().any(|gate| gate.ready)
    }

    /// Accepts what has come in.
    pub(super) fn accept(&mut self) {
        if !self.may_accept() {
            return;
        }
        self.accept_from_each(BATCH);
    }

    /// Lets nobody begin to connect any more.
    pub(super) fn hold_off(&mut self) {
        for gate in &mut self.gates {
            self.driver.hold_off(gate.listener());
        }
    }

    /// Accepts all that waits: the listeners are about to close. It has its place even where all
    /// slots are taken, since nothing comes after it.
    pub(super) fn accept_to_the_end(&mut self) {
        for gate in &mut self.gates {
            // An edge that tells of somebody may not have been reported yet.
            gate.ready = true;
        }
        self.accept_from_each(BACKLOG);
    }

    /// Accepts what waits: the one that waits for a slot, then at most so many of each listener.
    fn accept_from_each(&mut self, most: i32) {
        if let Some(newcomer) = self.newcomer.take() {
            self.take_in(newcomer);
        }
        for id in 0..self.gates.len() {
            for _ in 0..most {
                if self.newcomer.is_some() || !self.gates[id].ready || !self.accept_one(id) {
                    break;
                }
            }
        }
    }

    /// Accepts one connection; `false` when there is none, or no descriptor for it.
    fn accept_one(&mut self, id: usize) -> bool {
        let gate = &mut self.gates[id];
        match self.driver.accept(&mut gate.listener) {
            Ok((socket, address)) => {
                let via = gate.via;
                self.take_in(Newcomer { socket, address, via });
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                gate.ready = false;
                self.accept_pause = None;
                if self.counts.total() < self.common.config.max_connections {
                    self.forget_room();
                }
                false
            }
            // This one has gone again.
            Err(error) if is_of_the_connection(&error) => true,
            Err(error) => {
                // One line for each time that there is too little.
                if self.accept_pause.as_ref().map(|pause| pause.why) != Some(Shortage::Resources) {
                    say_shortage(&error);
                }
                self.rest(Shortage::Resources);
                false
            }
        }
    }

    /// Takes an accepted connection in. When all slots are taken, an idle connection closes for it,
    /// or it waits here, and all others behind it. It was accepted first: whoever comes from an
    /// address that has its share already gets no other connection closed.
    fn take_in(&mut self, newcomer: Newcomer<D::Socket>) {
        let config = &self.common.config;
        let most = config.max_connections_of(newcomer.address);
        let is_full = !self.is_draining() && self.counts.total() >= config.max_connections;
        if is_full && self.counts.has_place(newcomer.address, most) && !self.make_room() {
            self.newcomer = Some(newcomer);
            self.rest(Shortage::Connections);
            return;
        }
        self.admit(newcomer);
    }

    /// Lets accepting rest.
    fn rest(&mut self, why: Shortage) {
        self.accept_pause = Some(AcceptPause { until: self.common.now + REST, why });
    }

    /// A connection has gone: there is room for one that waits.
    pub(super) fn has_room(&mut self) {
        if let Some(pause) = &mut self.accept_pause
            && pause.why == Shortage::Connections
        {
            pause.until = Time::ZERO;
        }
    }

    /// Counts a connection that came in, and opens it here or hands it to another shard.
    fn admit(&mut self, newcomer: Newcomer<D::Socket>) {
        let Newcomer { socket, address, via } = newcomer;
        let max = self.common.config.max_connections_of(address);
        if !self.counts.enter(address, max) {
            debug!(target: "sockeye", peer = %address, max, "refused: its address has as many connections as it may");
            self.common.stats.close(&Reason::OverAddressLimit);
            self.driver.close(socket);
            return;
        }
        let mut handed = Handed { socket, address, via };
        if let Some(handover) = &mut self.handover {
            let to = handover.next;
            handover.next = (to + 1) % handover.inboxes.len();
            if to != handover.own {
                match handover.inboxes[to].put(handed) {
                    Ok(()) => return,
                    // That shard has begun to drain, and may be gone.
                    Err(back) => handed = back,
                }
            }
        }
        self.open(handed);
    }

    /// Opens a connection on a connection that is in the census.
    pub(super) fn open(&mut self, handed: Handed<D::Socket>) {
        let Handed { mut socket, address, via } = handed;
        let peer = Peer { address, via };
        let key = self.next_key();
        self.driver.attach(&mut socket, key);
        let service = &mut self.service;
        self.common.stats.accepted += 1;
        match contain(|| service.open(&peer)) {
            Some(protocol) => {
                debug!(target: "sockeye", peer = %address, "accepted");
                let mut conn =
                    Conn::new(socket, key, peer, Stage::Established, protocol, self.common.now);
                conn.counted = true;
                self.insert(key, conn);
                self.fresh.push(key);
                self.begin(key);
            }
            None => {
                let reason = Reason::Panicked;
                warn!(target: "sockeye", peer = %address, %reason, "a connection could not be opened");
                self.common.stats.close(&reason);
                self.counts.leave(address);
                self.driver.close(socket);
            }
        }
    }

    /// Has the connections that came in this turn read from in it, if there are several. Then we are
    /// behind, and their peers have sent their requests by now, as a rule; one that is answered and
    /// over within the turn need not be registered. One that comes alone has just come: to read from
    /// it would be a call for nothing.
    pub(super) fn queue_fresh(&mut self) {
        if self.fresh.len() < 2 {
            return;
        }
        for key in &self.fresh {
            let Some(conn) = find(&mut self.conns, *key) else { continue };
            conn.readable = true;
            conn.queue(&mut self.common);
        }
    }

    /// Has the driver report on the connections that came in this turn and are still there: also on
    /// what came meanwhile.
    pub(super) fn watch_fresh(&mut self) {
        let mut keys = std::mem::take(&mut self.fresh);
        for key in keys.drain(..) {
            let Some(conn) = find(&mut self.conns, key) else { continue };
            if let Err(error) = self.driver.watch(&mut conn.socket) {
                self.close(key, Reason::NotWatched(error));
            }
        }
        self.fresh = keys;
    }

    /// Opens a connection to `target` and drives `protocol` on it. Whatever goes wrong, the protocol
    /// hears of it as [`Event::Closed`](sockeye_proto::Event::Closed). Its peer carries `via`.
    pub fn connect(&mut self, target: &Target, protocol: Box<dyn Protocol>, via: u32) {
        let address = match target {
            Target::Ip(address) => Address::Ip(*address),
            Target::Unix(_) => Address::Unix,
        };
        let peer = Peer { address, via };
        let key = self.next_key();
        self.common.now = self.driver.now();
        let now = self.common.now;
        match self.driver.connect(target, key) {
            Ok(socket) => {
                let stage = Stage::Connecting { until: now + self.common.config.connect_timeout };
                self.insert(key, Conn::new(socket, key, peer, stage, protocol, now));
                self.visit(key, |_| Ok(()));
            }
            Err(error) => {
                let reason = Reason::ConnectFailed(error);
                self.common.stats.close(&reason);
                self.tell_not_connected(protocol, peer, &reason);
            }
        }
    }

    /// A connection that we open may be established by now, or have failed.
    pub(super) fn check_connecting(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        match self.driver.connected(&mut conn.socket) {
            Ok(()) => {
                conn.stage = Stage::Established;
                self.common.stats.connected += 1;
                self.begin(key);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.close(key, Reason::ConnectFailed(error)),
        }
    }

    /// The connection is established: opens its session.
    fn begin(&mut self, key: Key) {
        self.visit(key, |visit| {
            visit.conn.session.open(visit.common);
            if visit.conn.readable {
                visit.conn.queue(visit.common);
            }
            Ok(())
        });
        if self.phase != Phase::Serving {
            self.tell_phase(key);
        }
    }

    fn next_key(&mut self) -> Key {
        let slot = self.conns.vacant_key();
        if slot == self.slots.len() {
            self.slots.push(Slot { generation: 0, armed: Time::NEVER });
        }
        key_of(slot, self.slots[slot].generation)
    }

    fn insert(&mut self, key: Key, conn: Conn<D::Socket>) {
        let slot = self.conns.insert(conn);
        debug_assert_eq!(slot, slot_of(key), "the vacant place was promised");
    }
}

/// Says that connections can't be accepted, and what to do about it.
fn say_shortage(error: &io::Error) {
    let advice = match Errno::from_io_error(error) {
        Some(Errno::MFILE) => {
            ": raise this process's limit on open files (ulimit -Hn, or LimitNOFILE= in a systemd unit)"
        }
        Some(Errno::NFILE) => ": raise the system's limit on open files (sysctl fs.file-max)",
        _ => "",
    };
    warn!(target: "sockeye", %error, "new connections can't be accepted and wait{advice}");
}

/// Whether accept(2) passes on what happened to one connection, and not to the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
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
