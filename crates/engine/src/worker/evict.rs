//! Eviction: at the limit on connections, a worker (event loop) closes a connection for each new
//! one. It closes the one of its connections that has been idle longest.
//!
//! Below the limit this costs nothing. The first new connection above it makes the worker scan its
//! connections once and list those that are idle. Each new connection above the limit closes the
//! listed connection that has been idle longest. When the list is empty, the worker scans again,
//! after a pause. A worker without an idle connection asks the other workers, one after the other,
//! through their mailboxes.

use std::cmp::Reverse;
use std::time::Duration;

use sockeye_proto::driver::Key;
use sockeye_proto::{Reason, Time};
use tracing::warn;

use super::state::{ACCEPT_PAUSE, Active, Worker, find};
use crate::driver::Driver;
use crate::mailbox::Command;

/// Only connections that have been idle for this long are evicted. A client that has just received
/// a response often sends its next request at once.
const MIN_IDLE: Duration = Duration::from_secs(1);

impl<D: Driver> Worker<D> {
    /// Evicts a connection of this worker, or asks another worker to evict one. Returns whether a
    /// connection of this worker was closed.
    pub(super) fn evict(&mut self) -> bool {
        if !std::mem::replace(&mut self.eviction.is_logged, true) {
            warn!(
                target: "sockeye",
                max = self.resources.config.max_connections,
                "connection limit reached: each new connection closes the one that has been idle \
                 longest; if none is idle, new connections wait"
            );
        }
        let evicted = self.close_idle();
        if !evicted && !self.eviction.is_asking && !self.is_draining() {
            // Asks the next worker to evict a connection for this worker.
            self.eviction.is_asking = self.counts.ask_next_worker(self.index, self.index);
        }
        evicted
    }

    /// Drops the list of idle connections, and makes the next eviction log the warning again.
    /// Called when the number of connections is below the limit, and all connections that are known
    /// to wait were accepted.
    pub(super) fn clear_idle(&mut self) {
        self.eviction.is_logged = false;
        self.eviction.idle = Vec::new();
    }

    /// Evicts a connection for the worker with the index `asker`, and tells that worker. Without an
    /// idle connection, asks the next worker instead.
    pub(super) fn evict_for(&mut self, asker: usize) {
        if self.close_idle() {
            self.counts.send_command(asker, Command::Evicted);
        } else if !self.counts.ask_next_worker(self.index, asker) {
            self.counts.send_command(asker, Command::NothingToEvict);
        }
    }

    /// Handles the answer of the other workers: whether one of them has closed a connection.
    pub(super) fn handle_eviction_answer(&mut self, evicted: bool) {
        self.eviction.is_asking = false;
        if evicted {
            self.resume_accepting();
        }
    }

    /// Closes the connection of this worker that has been idle longest, if there is one.
    fn close_idle(&mut self) -> bool {
        // While draining, idle connections close anyway.
        if self.is_draining() {
            return false;
        }
        loop {
            while let Some(&(since, key)) = self.eviction.idle.last() {
                if self.resources.now.since(since) < MIN_IDLE {
                    return false;
                }
                self.eviction.idle.pop();
                if self.close_if_idle(key, since) {
                    return true;
                }
            }
            if self.resources.now < self.eviction.next_scan {
                return false;
            }
            self.scan();
            if self.eviction.idle.is_empty() {
                return false;
            }
        }
    }

    /// Lists the connections that are idle. The one that has been idle longest is last.
    fn scan(&mut self) {
        self.eviction.next_scan = self.resources.now + ACCEPT_PAUSE;
        let idle = self
            .conns
            .iter()
            .filter_map(|(_, conn)| conn.idle_since().map(|since| (since, conn.session.key())));
        self.eviction.idle.clear();
        self.eviction.idle.extend(idle);
        self.eviction.idle.sort_unstable_by_key(|(since, _)| Reverse(*since));
    }

    /// Closes a connection if it has been idle since `since`. Returns whether it is closed.
    #[cold]
    fn close_if_idle(&mut self, key: Key, since: Time) -> bool {
        if !self.is_idle_since(key, since) {
            return false;
        }
        // A request may have arrived that the driver has not reported yet. If so, it is served.
        self.read_now(key);
        if self.is_idle_since(key, since) {
            self.serve(key, |active| match active.is_acknowledged() {
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

impl<D: Driver> Active<'_, D> {
    /// Whether the peer has acknowledged everything that was sent. If not, it may still be
    /// receiving the last response, and the connection isn't idle.
    fn is_acknowledged(&self) -> bool {
        self.driver.unacknowledged(&self.conn.socket).unwrap_or(0) == 0
    }
}
