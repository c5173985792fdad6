//! Memory for listings and archives: charged to the client, and counted in all.

use std::sync::Arc;

use sockeye_proto::{Budget, Client, Permit};

/// Memory for what is being made for one client, given back when it is dropped.
///
/// The result may be shared: then it counts in all ([`Lease::share`]), and each client that reads it is
/// charged.
#[derive(Debug)]
pub(crate) struct Lease {
    held: Permit,
    charged: Permit,
}

impl Lease {
    /// A lease of nothing yet.
    pub(crate) fn new(budget: &Arc<Budget>, client: Client) -> Option<Self> {
        Some(Self { held: budget.hold(0)?, charged: budget.charge(client, 0)? })
    }

    /// Makes it a lease of `bytes`. Returns false and changes nothing if the budget has less.
    #[must_use]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let (before, bytes) = (self.charged.amount(), bytes as u64);
        if !self.charged.resize(bytes) {
            return false;
        }
        let is_held = self.held.resize(bytes);
        if !is_held {
            // It can always be made smaller.
            let _ = self.charged.resize(before);
        }
        is_held
    }

    /// Charges the client for `bytes` that are held already. Returns false if its share has less.
    #[must_use]
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        self.charged.resize(bytes as u64)
    }

    /// Stops charging the client; what is left counts in all.
    pub(crate) fn share(self) -> Permit {
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
        let other = budget.hold(70).unwrap();
        let mut second = Lease::new(&budget, Client::Unix).unwrap();
        assert!(!second.resize(6), "there are 5 left in all");
        assert!(second.resize(5));
        let shared = lease.share();
        assert!(budget.charge(client, 25).is_some());
        drop((other, second, shared));
        assert_eq!(budget.used(), 0);
    }
}
