//! Output that is held in memory, of all connections together.
//!
//! Each connection has a limit of its own, but a client may have a thousand connections. So what one
//! holds beyond [`FREE`] is charged to its client, from a budget that the shards share. While the
//! budget, or the client's share of it, is spent, a connection of that client that has anything
//! unsent counts as full: it is answered further when it has read what there is.
//!
//! Nothing is looked up while little is held: see [`Buffered::is_tight`].

use std::collections::HashMap;
use std::sync::Arc;

use sockeye_proto::{Budget, Client, Key, Permit, Time};
use tracing::warn;

/// What a connection may hold without being charged for it, in bytes: a response or two.
pub(crate) const FREE: usize = 40 * 1024;

/// One shard's part in the budget.
#[derive(Debug)]
pub(crate) struct Buffered {
    budget: Arc<Budget>,
    /// Of the connections that are charged.
    permits: HashMap<Key, Permit>,
    tight: bool,
    relieved: bool,
}

impl Buffered {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, permits: HashMap::new(), tight: false, relieved: false }
    }

    /// Whether so much is held that it has to be looked up who may have more.
    pub(crate) fn is_tight(&self) -> bool {
        self.tight
    }

    /// Whether `client` may have no more.
    pub(crate) fn is_spent(&self, client: Client) -> bool {
        self.budget.is_spent(client)
    }

    /// Charges `client` with the `held` bytes that a connection of it holds.
    pub(crate) fn charge(&mut self, key: Key, client: Client, held: usize, now: Time) {
        let permit = self.permits.entry(key).or_insert_with(|| self.budget.account(client));
        permit.set(held as u64);
        self.tighten();
        if self.tight
            && self.is_spent(client)
            && let Some(times) = self.budget.report(now)
        {
            let (total, used) = (self.budget.total(), self.budget.used());
            warn!(
                target: "sockeye", budget = self.budget.name(), total, used, %client, times,
                "a budget is spent: connections that don't read wait for their next response"
            );
        }
    }

    /// A connection holds little, or is gone.
    pub(crate) fn release(&mut self, key: Key) {
        self.permits.remove(&key);
        self.tighten();
    }

    /// Whether much has been let go since this was asked last: time to give memory back.
    pub(crate) fn take_relief(&mut self) -> bool {
        std::mem::take(&mut self.relieved)
    }

    /// How many connections are charged.
    pub(crate) fn len(&self) -> usize {
        self.permits.len()
    }

    fn tighten(&mut self) {
        // Well below what one client may have.
        let was_tight =
            std::mem::replace(&mut self.tight, self.budget.used() > self.budget.total() / 8);
        self.relieved |= was_tight && !self.tight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_charged_for_all_of_its_connections() {
        let budget = Budget::new("output", 400);
        let (mut one, mut other) = (Buffered::new(budget.clone()), Buffered::new(budget));
        let (alice, bob) = (Client::V4([192, 0, 2, 1]), Client::V4([192, 0, 2, 2]));
        one.charge(Key(1), alice, 40, Time::ZERO);
        assert_eq!((one.is_tight(), one.len()), (false, 1));
        one.charge(Key(1), alice, 60, Time::ZERO);
        other.charge(Key(1), alice, 50, Time::ZERO);
        assert!(one.is_tight() && one.is_spent(alice) && !one.is_spent(bob));
        one.release(Key(1));
        assert_eq!((one.is_tight(), one.is_spent(alice), one.len()), (false, false, 0));
        assert_eq!([one.take_relief(), one.take_relief()], [true, false]);
        other.release(Key(1));
        assert_eq!((other.budget.used(), other.len()), (0, 0));
    }
}
