//! Memory for listings and archives: charged to a client, and counted against the total of a
//! budget.

use std::sync::Arc;

use sockeye_proto::{Budget, Client, Permit};

/// Memory for the result of one client's request. Dropping the lease returns the memory to the
/// budget.
///
/// If several clients share the result, the lease counts only against the total
/// ([`Lease::stop_charging`]). Each client to which the result is sent is charged by a permit of
/// its own.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Counts against the total.
    held: Permit,
    /// The charge of the client.
    charged: Permit,
}

impl Lease {
    /// A lease of 0 bytes. `None` if more is taken already than the total allows, or than the
    /// client's share.
    pub(crate) fn new(budget: &Arc<Budget>, client: Client) -> Option<Self> {
        Some(Self { held: budget.take_shared(0)?, charged: budget.charge(client, 0)? })
    }

    /// Changes the lease to `bytes`. Returns false and changes nothing if the budget or the
    /// client's share has too little left.
    #[must_use]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let (before, bytes) = (self.charged.amount(), bytes as u64);
        if !self.charged.resize(bytes) {
            return false;
        }
        let is_held = self.held.resize(bytes);
        if !is_held {
            // The client has had this charge before, so it is restored even if the share has become
            // smaller since.
            self.charged.set(before);
        }
        is_held
    }

    /// Sets the client's charge to `bytes`, and leaves the total as it is: for memory that another
    /// permit already counts against the total. Returns false and changes nothing if the client's
    /// share has too little left.
    #[must_use]
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        self.charged.resize(bytes as u64)
    }

    /// Stops charging the client. The returned permit counts against the total.
    pub(crate) fn stop_charging(self) -> Permit {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_leases_count_in_total_but_are_not_charged() {
        let budget = Budget::new("listings", 100);
        let client = Client::V4([192, 0, 2, 1]);
        let mut lease = Lease::new(&budget, client).unwrap();
        assert!(lease.resize(20) && !lease.resize(26) && lease.resize(25));
        let other = budget.take_shared(70).unwrap();
        let mut second = Lease::new(&budget, Client::Unix).unwrap();
        assert!(!second.resize(6), "there are 5 left in all");
        assert!(second.resize(5));
        let shared = lease.stop_charging();
        assert!(budget.charge(client, 25).is_some());
        drop((other, second, shared));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_lease_that_cannot_be_resized_keeps_its_charge() {
        let budget = Budget::new("listings", 100);
        let mut lease = Lease::new(&budget, Client::V4([192, 0, 2, 1])).unwrap();
        assert!(lease.charge(20));
        let _others = budget.take_shared(95).unwrap();
        // The client's share is 10 from now on, and nothing is left in all.
        budget.set_total(40);
        assert!(!lease.resize(10));
        assert_eq!(lease.charged.amount(), 20);
    }
}
