//! How many connections there are, in all and by address: the one thing that shards count together.
//!
//! Connections are counted when they come and when they go, never in between. Loopback and Unix
//! sockets are exempt from the count by address. It also knows the shards' mailboxes, so that one
//! that has no room can ask the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sockeye_proto::{Address, Budget, Client};

use crate::Mailbox;
use crate::buffered::{Buffered, Relief};
use crate::mailbox::Order;

/// Counts connections over all shards.
#[derive(Debug)]
pub struct ConnectionCounts {
    total: AtomicUsize,
    by_client: Mutex<HashMap<Client, usize>>,
    /// Of output that is held in memory.
    buffered: Arc<Budget>,
    /// When memory is given back that it took.
    relief: Arc<Relief>,
    shards: Mutex<Vec<Arc<Mailbox>>>,
}

/// Whom a connection from `address` is counted for, if it is.
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
    /// A shard's part in the budget of output that is held in memory, which is `total` bytes.
    pub(crate) fn buffered(&self, total: usize) -> Buffered {
        self.buffered.set_total(total as u64);
        Buffered::new(Arc::clone(&self.buffered), Arc::clone(&self.relief))
    }

    /// Connections in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts a connection that came in, unless its address has `max` already.
    pub(crate) fn enter(&self, address: Address, max: usize) -> bool {
        if let Some(client) = counted(address) {
            let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_client.entry(client).or_default();
            if *count >= max {
                return false;
            }
            *count += 1;
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether `address` has fewer connections than `max`.
    pub(crate) fn has_place(&self, address: Address, max: usize) -> bool {
        let Some(client) = counted(address) else { return true };
        let by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        by_client.get(&client).copied().unwrap_or(0) < max
    }

    /// Adds a shard that counts its connections here. Returns its place among them.
    pub(crate) fn join(&self, mailbox: Arc<Mailbox>) -> usize {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.push(mailbox);
        shards.len() - 1
    }

    /// Asks the shard that comes after `place` to make room for `asker`. Returns `false` when that
    /// is the asker itself: all others were asked.
    pub(crate) fn ask_next(&self, place: usize, asker: usize) -> bool {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (place + 1) % shards.len();
        if next != asker {
            shards[next].order(Order::Evict(asker));
        }
        next != asker
    }

    /// Gives the shard with this place an order.
    pub(crate) fn order(&self, place: usize, order: Order) {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards[place].order(order);
    }

    /// Uncounts a connection that [`ConnectionCounts::enter`] counted.
    pub(crate) fn leave(&self, address: Address) {
        if let Some(client) = counted(address) {
            let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = by_client.get_mut(&client) {
                *count -= 1;
                if *count == 0 {
                    by_client.remove(&client);
                }
            }
        }
        self.total.fetch_sub(1, Ordering::Relaxed);
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
            assert!(!counts.enter(from(same[2]), 2), "a third of the same");
            assert!(!counts.has_place(from(same[2]), 2));
            assert!(counts.has_place(from(other), 2));
            assert!(counts.enter(from(other), 2));
            counts.leave(from(same[0]));
            assert!(counts.enter(from(same[2]), 2), "one has left");
        }
        assert_eq!(counts.total(), 6);
    }

    #[test]
    fn loopback_and_unix_are_exempt_and_nothing_is_kept_for_who_left() {
        let counts = ConnectionCounts::default();
        for address in [from("127.0.0.1"), from("::1"), Address::Unix] {
            assert!(counts.has_place(address, 0));
            assert!(counts.enter(address, 0));
            counts.leave(address);
        }
        assert!(counts.enter(from("192.0.2.1"), 1));
        counts.leave(from("192.0.2.1"));
        assert!(counts.by_client.lock().unwrap().is_empty());
        assert_eq!(counts.total(), 0);
    }
}
