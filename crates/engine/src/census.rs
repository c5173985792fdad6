//! How many connections there are, in all and by address: the one thing that shards count together.
//!
//! It is touched when a connection comes and when it goes, never in between. Loopback and Unix
//! sockets are exempt from the count by address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use sockeye_proto::Address;

/// Counts connections over all shards.
#[derive(Debug, Default)]
pub struct Census {
    total: AtomicUsize,
    by_prefix: Mutex<HashMap<Prefix, usize>>,
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
            assert!(census.enter(address, 0));
            census.leave(address);
        }
        assert!(census.enter(from("192.0.2.1"), 1));
        census.leave(from("192.0.2.1"));
        assert!(census.by_prefix.lock().unwrap().is_empty());
        assert_eq!(census.total(), 0);
    }
}
