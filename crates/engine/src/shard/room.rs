//! Making room: when all connection slots are taken, the connection that has been idle longest
//! closes for a new one.
//!
//! Nothing is kept for this while there is room. When the first new connection finds none, the
//! shard's connections are scanned once, and those that are idle are listed by since when. New
//! connections use the list up from its oldest entry; only then is there another scan. A shard
//! that has no idle connection asks the others, one after the other, through their mailboxes.

use std::cmp::Reverse;
use std::time::Duration;

use sockeye_proto::driver::Key;
use sockeye_proto::{Reason, Time};
use tracing::warn;

use super::accept::REST;
use super::{Shard, Visit, find};
use crate::driver::Driver;
use crate::mailbox::Order;

/// A connection is closed to make room once it has been idle for this long. A client that has just
/// received a response often sends its next request at once.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// What a shard knows while all connection slots are taken.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The connections that were idle at the last scan and have not been looked at since, and since
    /// when. The longest idle comes last.
    idle: Vec<(Time, Key)>,
    /// No scan before this time.
    next_scan: Time,
    /// Another shard was asked for room, and has not answered.
    asked: bool,
    /// The log says that all slots are taken.
    logged: bool,
}

impl<D: Driver> Shard<D> {
    /// All slots are taken, and a connection has come in. Closes the connection of this shard that
    /// has been idle longest, or asks another shard to close one. Returns whether there is room now.
    pub(super) fn make_room(&mut self) -> bool {
        if !std::mem::replace(&mut self.room.logged, true) {
            warn!(
                target: "sockeye",
                max = self.common.config.max_connections,
                "all connection slots are taken: for each new connection the one that has been idle \
                 longest is closed; without an idle one, new connections wait"
            );
        }
        let made = self.close_idle();
        if !made && !self.room.asked && !self.is_draining() {
            self.room.asked = self.counts.ask_next(self.place, self.place);
        }
        made
    }

    /// There is room, and nobody waits for it.
    pub(super) fn forget_room(&mut self) {
        self.room.logged = false;
        self.room.idle = Vec::new();
    }

    /// The shard with this place asks for room. It gets an answer, or the next shard the question.
    pub(super) fn make_room_for(&mut self, asker: usize) {
        if self.close_idle() {
            self.counts.order(asker, Order::RoomMade);
        } else if !self.counts.ask_next(self.place, asker) {
            self.counts.order(asker, Order::NoRoom);
        }
    }

    /// The other shards have answered.
    pub(super) fn hear_of_room(&mut self, made: bool) {
        self.room.asked = false;
        if made {
            self.has_room();
        }
    }

    /// Closes the connection of this shard that has been idle longest, if there is one.
    fn close_idle(&mut self) -> bool {
        // Those that drain have their own time.
        if self.is_draining() {
            return false;
        }
        loop {
            while let Some(&(since, key)) = self.room.idle.last() {
                if self.common.now.since(since) < MIN_IDLE {
                    return false;
                }
                self.room.idle.pop();
                if self.close_if_idle(key, since) {
                    return true;
                }
            }
            if self.common.now < self.room.next_scan {
                return false;
            }
            self.scan();
            if self.room.idle.is_empty() {
                return false;
            }
        }
    }

    /// Lists the connections that are idle.
    fn scan(&mut self) {
        self.room.next_scan = self.common.now + REST;
        let idle = self
            .conns
            .iter()
            .filter_map(|(_, conn)| conn.idle_since().map(|since| (since, conn.session.key())));
        self.room.idle.clear();
        self.room.idle.extend(idle);
        self.room.idle.sort_unstable_by_key(|(since, _)| Reverse(*since));
    }

    /// Closes a connection if it is still idle since the same time. Returns whether it has gone.
    #[cold]
    fn close_if_idle(&mut self, key: Key, since: Time) -> bool {
        if !self.is_idle_since(key, since) {
            return false;
        }
        // A request may have arrived that no event has told of yet. If so, it is served.
        self.read_now(key);
        if self.is_idle_since(key, since) {
            self.visit(key, |visit| match visit.is_acknowledged() {
                true => Err(Reason::MadeRoom),
                false => Ok(()),
            });
        }
        find(&mut self.conns, key).is_none()
    }

    fn is_idle_since(&mut self, key: Key, since: Time) -> bool {
        find(&mut self.conns, key).is_some_and(|conn| conn.idle_since() == Some(since))
    }
}

impl<D: Driver> Visit<'_, D> {
    /// Whether the peer has received everything that was sent. One that is still receiving the
    /// last response isn't idle.
    fn is_acknowledged(&self) -> bool {
        self.driver.unacknowledged(&self.conn.socket).unwrap_or(0) == 0
    }
}
