//! How many connections there are, in all and by address: the one thing that shards count together.
//!
//! It is touched when a connection comes and when it goes, never in between. Loopback and Unix
//! sockets are exempt from the count by address. It also knows the shards' mailboxes, so that one
//! that has no room can ask the others.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sockeye_proto::Address;

use crate::Mailbox;
use crate::mailbox::Order;

/// Counts connections over all shards.
#[derive(Debug, Default)]
pub struct Census {
    total: AtomicUsize,
    by_prefix: Mutex<HashMap<Prefix, usize>>,
    shards: Mutex<Vec<Arc<Mailbox>>>,
}

/// What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which is what one
/// customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Prefix {
    fn of(address: Address) -> Option<Self> {
        let Address::Ip(address) = address else { return None };
        match SocketAddr::ip(&address).to_canonical() {
            ip if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(Self::V4(ip.octets())),
            IpAddr::V6(ip) => {
                let mut prefix = [0; 8];
                prefix.copy_from_slice(&ip.octets()[..8]);
                Some(Self::V6(prefix))
            }
        }
    }
}

impl Census {
    /// Connections in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts a connection that came in, unless its address has `max` already.
    pub(crate) fn enter(&self, address: Address, max: usize) -> bool {
        if let Some(prefix) = Prefix::of(address) {
            let mut by_prefix = self.by_prefix.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_prefix.entry(prefix).or_default();
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
        let Some(prefix) = Prefix::of(address) else { return true };
        let by_prefix = self.by_prefix.lock().unwrap_or_else(PoisonError::into_inner);
        by_prefix.get(&prefix).copied().unwrap_or(0) < max
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
            shards[next].order(Order::MakeRoom(asker));
        }
        next != asker
    }

    /// Gives the shard with this place an order.
    pub(crate) fn order(&self, place: usize, order: Order) {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards[place].order(order);
    }

    /// Uncounts a connection that [`Census::enter`] counted.
    pub(crate) fn leave(&self, address: Address) {
        if let Some(prefix) = Prefix::of(address) {
            let mut by_prefix = self.by_prefix.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = by_prefix.get_mut(&prefix) {
                *count -= 1;
                if *count == 0 {
                    by_prefix.remove(&prefix);
                }
            }
        }
        self.total.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(ip: &str) -> Address {
        Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1))
    }

    #[test]
    fn an_address_has_its_limit_and_a_network_of_ipv6_is_one_address() {
        let census = Census::default();
        for (same, other) in [
            (["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
            (["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"], "2001:db8:0:1::1"),
        ] {
            assert!(census.enter(from(same[0]), 2));
            assert!(census.enter(from(same[1]), 2));
            assert!(!census.enter(from(same[2]), 2), "a third of the same");
            assert!(!census.has_place(from(same[2]), 2));
            assert!(census.has_place(from(other), 2));
            assert!(census.enter(from(other), 2));
            census.leave(from(same[0]));
            assert!(census.enter(from(same[2]), 2), "one has left");
        }
        assert_eq!(census.total(), 6);
    }

    #[test]
    fn loopback_and_unix_are_exempt_and_nothing_is_kept_for_who_left() {
        let census = Census::default();
        for address in [from("127.0.0.1"), from("::1"), Address::Unix] {
            assert!(census.has_place(address, 0));
            assert!(census.enter(address, 0));
            census.leave(address);
        }
        assert!(census.enter(from("192.0.2.1"), 1));
        census.leave(from("192.0.2.1"));
        assert!(census.by_prefix.lock().unwrap().is_empty());
        assert_eq!(census.total(), 0);
    }
}
