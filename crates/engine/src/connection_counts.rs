//! How many connections there are on all shards, in total and by client.
//!
//! The counts go up when a connection is accepted, and down when it closes. Loopback and Unix
//! sockets have no limit by client. The shards' mailboxes are here, too, so that a shard at the
//! limit can ask the others to evict (close) an idle connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_proto::driver::Counts;
use sockeye_proto::{Address, Budget, Client};

use crate::Mailbox;
use crate::buffered::{Buffered, Relief};
use crate::mailbox::Order;

/// Counts connections over all shards.
#[derive(Debug)]
pub struct ConnectionCounts {
    total: AtomicUsize,
    by_client: Mutex<Counts<Client>>,
    /// The budget of output in memory, shared by all shards.
    buffered: Arc<Budget>,
    /// When freed memory is returned to the kernel.
    relief: Arc<Relief>,
    shards: Mutex<Vec<Arc<Mailbox>>>,
}

/// The client that a connection from `address` is counted for; `None` if it has no limit by client.
fn counted(address: Address) -> Option<Client> {
    let client = Client::of(address);
    (!client.is_local()).then_some(client)
}

impl Default for ConnectionCounts {
    fn default() -> Self {
        Self {
            total: AtomicUsize::new(0),
            by_client: Mutex::default(),
            buffered: Budget::new("buffered output", 0),
            relief: Arc::default(),
            shards: Mutex::default(),
        }
    }
}

impl ConnectionCounts {
    /// Sets the budget of output in memory to `total` bytes. Returns a shard's access to it.
    pub(crate) fn buffered(&self, total: usize) -> Buffered {
        self.buffered.set_total(total as u64);
        Buffered::new(Arc::clone(&self.buffered), Arc::clone(&self.relief))
    }

    /// How many connections there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts a connection. Returns `false`, and doesn't count it, if its client has `max` already.
    pub(crate) fn enter(&self, address: Address, max: usize) -> bool {
        if let Some(client) = counted(address) {
            let mut by_client = self.by_client();
            if by_client.get(client) >= max as u64 {
                return false;
            }
            by_client.add(client, 1);
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether the client at `address` has fewer connections than `max`.
    pub(crate) fn has_place(&self, address: Address, max: usize) -> bool {
        counted(address).is_none_or(|client| self.by_client().get(client) < max as u64)
    }

    /// Adds a shard. Returns its index.
    pub(crate) fn join(&self, mailbox: Arc<Mailbox>) -> usize {
        let mut shards = self.shards();
        shards.push(mailbox);
        shards.len() - 1
    }

    /// Asks the shard that follows shard `index` to evict a connection for shard `asker`. Returns
    /// `false` if the one that follows is `asker` itself: all others were asked.
    pub(crate) fn ask_next(&self, index: usize, asker: usize) -> bool {
        let shards = self.shards();
        let next = (index + 1) % shards.len();
        if next != asker {
            shards[next].order(Order::Evict(asker));
        }
        next != asker
    }

    /// Sends an order to the shard with this index.
    pub(crate) fn order(&self, index: usize, order: Order) {
        self.shards()[index].order(order);
    }

    /// Stops counting a connection that [`ConnectionCounts::enter`] counted.
    pub(crate) fn leave(&self, address: Address) {
        if let Some(client) = counted(address) {
            self.by_client().subtract(client, 1);
        }
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    fn by_client(&self) -> MutexGuard<'_, Counts<Client>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shards(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn from(ip: &str) -> Address {
        Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1))
    }

    #[test]
    fn an_address_has_its_limit_and_a_network_of_ipv6_is_one_address() {
        let counts = ConnectionCounts::default();
        for (same, other) in [
            (["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
            (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"], "2001:db8:0:1::1"),
        ] {
            assert!(counts.enter(from(same[0]), 2));
            assert!(counts.enter(from(same[1]), 2));
            assert!(!counts.enter(from(same[2]), 2), "the client has 2 connections");
            assert!(!counts.has_place(from(same[2]), 2));
            assert!(counts.has_place(from(other), 2));
            assert!(counts.enter(from(other), 2));
            counts.leave(from(same[0]));
            assert!(counts.enter(from(same[2]), 2), "the client closed a connection");
        }
        assert_eq!(counts.total(), 6);
    }

    #[test]
    fn loopback_and_unix_are_exempt_and_clients_without_connections_are_forgotten() {
        let counts = ConnectionCounts::default();
        for address in [from("127.0.0.1"), from("::1"), Address::Unix] {
            assert!(counts.has_place(address, 0));
            assert!(counts.enter(address, 0));
            counts.leave(address);
        }
        assert!(counts.enter(from("192.0.2.1"), 1));
        counts.leave(from("192.0.2.1"));
        assert!(counts.by_client().is_empty());
        assert_eq!(counts.total(), 0);
    }
}
