//! The budget of output in memory, of all connections together.
//!
//! Each connection has a limit of its own, but a client may have a thousand connections. So what one
//! holds beyond [`FREE`] is charged to its client, from a budget that the shards share. While the
//! budget, or the client's share of it, is spent, a connection of that client that has anything
//! unsent counts as full: it is answered further when it has read what there is.
//!
//! Nothing is looked up while little is held: see [`Buffered::is_tight`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sockeye_proto::driver::Key;
use sockeye_proto::{Budget, Client, Permit, Time};
use tracing::warn;

/// What a connection may hold without being charged for it, in bytes: a response or two.
pub(crate) const FREE: usize = 40 * 1024;

/// Memory is given back no more often: it takes a thread many milliseconds, and clients decide how
/// often they let go.
const TRIM_EVERY: Duration = Duration::from_secs(10);

/// When memory is given back. The shards share it: one may have to do it for what another let go.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    /// Much was held since it was done last.
    owed: AtomicBool,
    /// When it may be done next, on the loops' clock.
    after: AtomicU64,
}

impl Relief {
    /// Whether the caller is to give memory back now.
    fn take(&self, now: Time) -> bool {
        let (now, next) = (now.as_nanos(), (now + TRIM_EVERY).as_nanos());
        let may = |after| (now >= after).then_some(next);
        let taken = self.after.fetch_update(Ordering::Relaxed, Ordering::Relaxed, may).is_ok();
        if taken {
            self.owed.store(false, Ordering::Relaxed);
        }
        taken
    }
}

/// One shard's part in the budget.
#[derive(Debug)]
pub(crate) struct Buffered {
    budget: Arc<Budget>,
    /// What the budget is in all: it stays.
    total: u64,
    /// Whether so much is held that it has to be looked up who may have more. Looked at each turn, and
    /// not for each call: what other shards let go meanwhile counts from the next turn on.
    tight: bool,
    /// Whether there is anything to look at: this shard has charged somebody, and all shards together
    /// have not let go since.
    watches: bool,
    /// Of the connections that are charged.
    permits: HashMap<Key, Permit>,
    relief: Arc<Relief>,
}

impl Buffered {
    pub(crate) fn new(budget: Arc<Budget>, relief: Arc<Relief>) -> Self {
        let total = budget.total();
        Self { budget, total, tight: false, watches: false, permits: HashMap::new(), relief }
    }

    /// Whether so much is held that it has to be looked up who may have more.
    pub(crate) fn is_tight(&self) -> bool {
        self.tight
    }

    /// Whether `client` may have no more.
    pub(crate) fn is_exhausted(&self, client: Client) -> bool {
        self.budget.is_exhausted(client)
    }

    /// Charges `client` with the `held` bytes that a connection of it holds.
    pub(crate) fn charge(&mut self, key: Key, client: Client, held: usize, now: Time) {
        let permit = self.permits.entry(key).or_insert_with(|| self.budget.empty_permit(client));
        permit.set(held as u64);
        self.watches = true;
        if !self.look() {
            return;
        }
        self.relief.owed.store(true, Ordering::Relaxed);
        if self.is_exhausted(client)
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
        self.look();
    }

    /// At the end of a turn: whether most of what was held has been let go, by whichever shard, so that
    /// it is time to give memory back. Returns true once, and not again before [`TRIM_EVERY`] is over.
    pub(crate) fn take_relief(&mut self, now: Time) -> bool {
        self.watches && self.watch(now)
    }

    #[cold]
    fn watch(&mut self, now: Time) -> bool {
        // Far below where it became tight: who hovers there has nothing given back.
        if self.look() || self.budget.used() > self.total / 32 {
            return false;
        }
        let is_owed = self.relief.owed.load(Ordering::Relaxed);
        let is_time = is_owed && self.relief.take(now);
        self.watches = is_owed && !is_time;
        is_time
    }

    /// Sees how much all shards hold.
    fn look(&mut self) -> bool {
        // Well below what one client may have.
        self.tight = self.budget.used() > self.total / 8;
        self.tight
    }

    /// How many connections are charged.
    pub(crate) fn len(&self) -> usize {
        self.permits.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Client = Client::V4([192, 0, 2, 1]);

    fn two(total: u64) -> [Buffered; 2] {
        let (budget, relief) = (Budget::new("output", total), Arc::<Relief>::default());
        [(); 2].map(|()| Buffered::new(Arc::clone(&budget), Arc::clone(&relief)))
    }

    #[test]
    fn a_client_is_charged_for_all_of_its_connections() {
        let [mut one, mut other] = two(400);
        let bob = Client::V4([192, 0, 2, 2]);
        one.charge(Key(1), ALICE, 40, Time::ZERO);
        assert_eq!((one.is_tight(), one.len()), (false, 1));
        one.charge(Key(1), ALICE, 60, Time::ZERO);
        other.charge(Key(1), ALICE, 50, Time::ZERO);
        assert!(one.is_tight() && one.is_exhausted(ALICE) && !one.is_exhausted(bob));
        one.release(Key(1));
        assert_eq!((one.is_tight(), one.is_exhausted(ALICE), one.len()), (false, false, 0));
        other.release(Key(1));
        assert_eq!((other.budget.used(), other.len()), (0, 0));
    }

    #[test]
    fn what_one_shard_lets_go_relieves_the_other() {
        let [mut one, mut other] = two(320);
        one.charge(Key(1), ALICE, 50, Time::ZERO);
        other.charge(Key(1), ALICE, 50, Time::ZERO);
        assert!(one.is_tight() && other.is_tight());
        one.release(Key(1));
        other.release(Key(1));
        assert!(one.is_tight(), "it has not looked");
        let told = [&mut one, &mut other].map(|shard| shard.take_relief(Time::ZERO));
        assert_eq!(told, [true, false]);
        assert!(!one.is_tight() && !other.is_tight());
    }

    #[test]
    fn memory_is_given_back_when_little_is_left_and_seldom() {
        let [mut shard, _] = two(320);
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        let mut hold = |held, secs| {
            shard.charge(Key(1), ALICE, held, at(secs));
            shard.take_relief(at(secs))
        };
        assert!(!hold(40, 1) && !hold(10, 1), "it was not tight");
        assert!(!hold(41, 2) && !hold(39, 2) && !hold(41, 2) && !hold(11, 2), "it hovers");
        assert!(hold(10, 2) && !hold(0, 2));
        assert!(!hold(41, 3) && !hold(0, 3) && !hold(0, 11), "it was done just now");
        assert!(hold(0, 12) && !hold(0, 30), "it is not forgotten");
    }
}
