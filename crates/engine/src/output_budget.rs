//! The budget for output and incomplete input in memory, shared by all connections.
//!
//! Each connection has a limit of its own, but a client may have a thousand connections. So if a
//! connection holds more than [`UNCHARGED_BYTES`], its client is charged for all the bytes that the
//! connection holds, from a budget that the workers (event loops) share. While the budget, or the
//! client's share of it, is exhausted, each connection of that client counts as full if it has any
//! unsent output: its next request is answered only after the peer has taken that output.
//!
//! While at most an eighth of the budget is charged, no client's share is checked: see
//! [`OutputBudget::must_check_clients`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sockeye_proto::driver::Key;
use sockeye_proto::{Budget, Client, Permit, Time};
use tracing::warn;

/// In bytes. A connection that holds at most this much (a response or two) is not charged.
pub(crate) const UNCHARGED_BYTES: usize = 40 * 1024;

/// The minimum time between two trims. A trim returns freed memory to the kernel. It takes a thread
/// many milliseconds, and clients decide how often memory is freed.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Decides when to trim the heaps. The workers share this value: one worker may have to trim
/// because another has freed memory.
#[derive(Debug, Default)]
pub(crate) struct HeapTrimmer {
    /// At some time since the last trim, more than an eighth of the budget was charged.
    is_needed: AtomicBool,
    /// No trim before this time, in nanoseconds of the event loops' clock.
    not_before: AtomicU64,
}

impl HeapTrimmer {
    /// Returns whether the caller is to trim the heaps now. If so, counts the trim as done, so that
    /// no other worker trims before [`TRIM_INTERVAL`] has passed.
    fn take(&self, now: Time) -> bool {
        let (now, next) = (now.as_nanos(), (now + TRIM_INTERVAL).as_nanos());
        let may = |not_before| (now >= not_before).then_some(next);
        let taken = self.not_before.fetch_update(Ordering::Relaxed, Ordering::Relaxed, may).is_ok();
        if taken {
            self.is_needed.store(false, Ordering::Relaxed);
        }
        taken
    }
}

/// One worker's access to the budget.
#[derive(Debug)]
pub(crate) struct OutputBudget {
    budget: Arc<Budget>,
    /// The total of the budget, which doesn't change.
    total: u64,
    /// Whether the clients' shares must be checked, because more than an eighth of the budget is
    /// charged. Updated when this worker charges or releases something, and at the end of a turn (a
    /// pass of the event loop) while `may_trim` is set. Charges and releases by other workers take
    /// effect here at the next update.
    must_check_clients: bool,
    /// Whether a trim may become due. Set when this worker charges a client. Cleared at the end of
    /// a turn if at most a 32nd of the budget is charged. But if a trim is needed, and the last one
    /// was less than [`TRIM_INTERVAL`] ago, this stays set.
    may_trim: bool,
    /// By connection: what its client is charged.
    permits: HashMap<Key, Permit>,
    trimmer: Arc<HeapTrimmer>,
}

impl OutputBudget {
    pub(crate) fn new(budget: Arc<Budget>, trimmer: Arc<HeapTrimmer>) -> Self {
        let total = budget.total();
        let permits = HashMap::new();
        Self { budget, total, must_check_clients: false, may_trim: false, permits, trimmer }
    }

    /// Whether the clients' shares must be checked: more than an eighth of the budget is charged.
    pub(crate) fn must_check_clients(&self) -> bool {
        self.must_check_clients
    }

    /// Whether the budget or the share of `client` is exhausted.
    pub(crate) fn is_exhausted(&self, client: Client) -> bool {
        self.budget.is_exhausted(client)
    }

    /// Charges `client` for the `held` bytes of memory that one of its connections holds.
    pub(crate) fn charge(&mut self, key: Key, client: Client, held: usize, now: Time) {
        let permit = self.permits.entry(key).or_insert_with(|| self.budget.empty_permit(client));
        permit.set(held as u64);
        self.may_trim = true;
        if !self.update() {
            return;
        }
        self.trimmer.is_needed.store(true, Ordering::Relaxed);
        if self.is_exhausted(client)
            && let Some(times) = self.budget.report(now)
        {
            let (total, used) = (self.budget.total(), self.budget.used());
            warn!(
                target: "sockeye", budget = self.budget.name(), total, used, %client, times,
                "a budget is spent: the client gets no more responses until it reads, and its large \
                 incomplete messages are refused. Let it read its responses, or send fewer or \
                 smaller messages at a time"
            );
        }
    }

    /// Ends the charge of a connection: it holds little, or is closed.
    pub(crate) fn release(&mut self, key: Key) {
        self.permits.remove(&key);
        self.update();
    }

    /// Whether to trim the heaps, because most of what clients were charged for in all workers has
    /// been released. To be called at the end of a turn. After this has returned true to one
    /// worker, it returns false to all workers until [`TRIM_INTERVAL`] has passed.
    pub(crate) fn take_due_trim(&mut self, now: Time) -> bool {
        self.may_trim && self.check_trim(now)
    }

    #[cold]
    fn check_trim(&mut self, now: Time) -> bool {
        // A 32nd is far below the eighth of `update`: an amount that rises above the eighth and
        // falls just below it, again and again, causes no trims.
        if self.update() || self.budget.used() > self.total / 32 {
            return false;
        }
        let is_needed = self.trimmer.is_needed.load(Ordering::Relaxed);
        let is_due = is_needed && self.trimmer.take(now);
        self.may_trim = is_needed && !is_due;
        is_due
    }

    /// Updates `must_check_clients` from what is charged by all workers, and returns it.
    fn update(&mut self) -> bool {
        // An eighth of the total: well below one client's share, which is at least a quarter.
        self.must_check_clients = self.budget.used() > self.total / 8;
        self.must_check_clients
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

    fn two_workers(total: u64) -> [OutputBudget; 2] {
        let (budget, trimmer) = (Budget::new("output", total), Arc::<HeapTrimmer>::default());
        [(); 2].map(|()| OutputBudget::new(Arc::clone(&budget), Arc::clone(&trimmer)))
    }

    #[test]
    fn a_client_is_charged_for_all_of_its_connections() {
        let [mut one, mut other] = two_workers(400);
        let bob = Client::V4([192, 0, 2, 2]);
        one.charge(Key(1), ALICE, 40, Time::ZERO);
        assert_eq!((one.must_check_clients(), one.len()), (false, 1));
        one.charge(Key(1), ALICE, 60, Time::ZERO);
        other.charge(Key(1), ALICE, 50, Time::ZERO);
        assert!(one.must_check_clients() && one.is_exhausted(ALICE) && !one.is_exhausted(bob));
        one.release(Key(1));
        assert_eq!(
            (one.must_check_clients(), one.is_exhausted(ALICE), one.len()),
            (false, false, 0)
        );
        other.release(Key(1));
        assert_eq!((other.budget.used(), other.len()), (0, 0));
    }

    #[test]
    fn what_one_worker_releases_counts_for_the_other() {
        let [mut one, mut other] = two_workers(320);
        one.charge(Key(1), ALICE, 50, Time::ZERO);
        other.charge(Key(1), ALICE, 50, Time::ZERO);
        assert!(one.must_check_clients() && other.must_check_clients());
        one.release(Key(1));
        other.release(Key(1));
        assert!(one.must_check_clients(), "updated only once a turn");
        let trims = [&mut one, &mut other].map(|worker| worker.take_due_trim(Time::ZERO));
        assert_eq!(trims, [true, false]);
        assert!(!one.must_check_clients() && !other.must_check_clients());
    }

    #[test]
    fn heaps_are_trimmed_when_little_is_left_and_at_most_every_10_seconds() {
        let [mut worker, _] = two_workers(320);
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        let mut hold = |held, secs| {
            worker.charge(Key(1), ALICE, held, at(secs));
            worker.take_due_trim(at(secs))
        };
        assert!(!hold(40, 1) && !hold(10, 1), "not much was held");
        assert!(
            !hold(41, 2) && !hold(39, 2) && !hold(41, 2) && !hold(11, 2),
            "it hovers around the threshold"
        );
        assert!(hold(10, 2) && !hold(0, 2));
        assert!(!hold(41, 3) && !hold(0, 3) && !hold(0, 11), "the last trim is too recent");
        assert!(hold(0, 12) && !hold(0, 30), "it is done later, once");
    }
}
