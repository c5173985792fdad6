//! Budgets: how much of a resource may be held at a time, in total and by each client.
//!
//! Code that holds a resource takes a [`Permit`] and keeps it beside the resource; dropping the
//! permit returns its amount to the budget. When a budget is exhausted, requests get a cheaper
//! response (uncompressed, or a 503), or wait for a permit of another ([`Budget::wait`]).
//!
//! A resource that clients share, such as a compressed file, is counted once in total while it
//! exists ([`Budget::take_shared`]), and for each client that uses it ([`Budget::charge`]).
//!
//! All event loops and job threads share a budget, so it has a mutex. It is locked only when
//! something large is held or released, and never while waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counts::Counts;
use crate::{Client, Promise, ReportLimiter, Ticket, Time};

/// How much of a resource may be held at a time.
#[derive(Debug)]
pub struct Budget {
    name: &'static str,
    state: Mutex<State>,
    /// A copy of `State::used`, to be read without the lock.
    used: AtomicU64,
    /// Limits the reports of requests that found the budget exhausted.
    reports: ReportLimiter,
}

#[derive(Debug)]
struct State {
    total: u64,
    used: u64,
    by_client: Counts<Client>,
    /// Those that wait for 1, in the order of their arrival.
    waiting: VecDeque<(Client, Promise)>,
}

/// How many may wait for a budget, a quarter of them for one client.
const MAX_WAITING: u64 = 1024;

/// Part of a budget, returned when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it returns it"]
pub struct Permit {
    budget: Arc<Budget>,
    /// The client that is charged, if one is.
    client: Option<Client>,
    /// Whether it counts in the total.
    in_total: bool,
    amount: u64,
}

impl Budget {
    /// A budget of `total`, in a unit that its users choose. `name` is for the log: "compressed
    /// bytes".
    #[must_use]
    pub fn new(name: &'static str, total: u64) -> Arc<Self> {
        let (by_client, waiting) = (Counts::default(), VecDeque::new());
        let state = Mutex::new(State { total, used: 0, by_client, waiting });
        Arc::new(Self { name, state, used: AtomicU64::new(0), reports: ReportLimiter::default() })
    }

    /// Its name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How much may be held.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lock().total
    }

    /// Changes how much may be held. Existing permits stay valid.
    pub fn set_total(self: &Arc<Self>, total: u64) {
        self.lock().total = total;
        self.serve_waiting();
    }

    /// How much is held now. Takes no lock.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `amount` for `client`, if the total and the client's share allow it.
    pub fn take(self: &Arc<Self>, client: Client, amount: u64) -> Option<Permit> {
        self.permit(Some(client), true, amount)
    }

    /// Waits until `client` may take 1. The promise is fulfilled with the [`Permit`]. Returns its
    /// ticket, or `None` if too many wait already, or there will never be any.
    pub fn wait(
        self: &Arc<Self>,
        client: Client,
        promise: impl FnOnce() -> Promise,
    ) -> Option<Ticket> {
        let mut state = self.lock();
        let of_client = state.waiting.iter().filter(|(other, _)| *other == client).count() as u64;
        let all = state.waiting.len() as u64;
        if state.total == 0 || all >= MAX_WAITING || of_client >= client.share(MAX_WAITING) {
            return None;
        }
        let promise = promise();
        let ticket = promise.ticket();
        state.waiting.push_back((client, promise));
        drop(state);
        // Something may have been returned before the lock was taken.
        self.serve_waiting();
        Some(ticket)
    }

    /// Gives permits to those that wait, as long as the budget allows it.
    fn serve_waiting(self: &Arc<Self>) {
        while let Some((client, promise)) = self.change(State::next_waiting) {
            let budget = Arc::clone(self);
            // Should nobody want it any more, the next one gets it.
            let permit = Permit { budget, client: Some(client), in_total: true, amount: 1 };
            promise.fulfill(Box::new(permit));
        }
    }

    /// Returns part of the budget.
    fn give_back(self: &Arc<Self>, client: Option<Client>, in_total: bool, less: u64) {
        let is_waited_for = self.change(|state| {
            state.give_back(client, in_total, less);
            !state.waiting.is_empty()
        });
        if is_waited_for {
            self.serve_waiting();
        }
    }

    /// Takes `amount` for something that clients share, if the total allows it.
    pub fn take_shared(self: &Arc<Self>, amount: u64) -> Option<Permit> {
        self.permit(None, true, amount)
    }

    /// Charges `client` with `amount` of something that is in the total already, if its share
    /// allows it.
    pub fn charge(self: &Arc<Self>, client: Client, amount: u64) -> Option<Permit> {
        self.permit(Some(client), false, amount)
    }

    /// A permit for 0, for `client`, to be changed by [`Permit::set`].
    pub fn empty_permit(self: &Arc<Self>, client: Client) -> Permit {
        Permit { budget: Arc::clone(self), client: Some(client), in_total: true, amount: 0 }
    }

    /// Whether `client` may take no more.
    #[must_use]
    pub fn is_exhausted(&self, client: Client) -> bool {
        let state = self.lock();
        let has = state.by_client.get(client);
        state.used >= state.total || has >= client.share(state.total)
    }

    fn permit(
        self: &Arc<Self>,
        client: Option<Client>,
        in_total: bool,
        amount: u64,
    ) -> Option<Permit> {
        let mut permit = Permit { budget: Arc::clone(self), client, in_total, amount: 0 };
        permit.resize(amount).then_some(permit)
    }

    /// Counts a request that found the budget exhausted. Returns the number of such requests since
    /// the last report, if a report is due: see [`ReportLimiter::report`].
    pub fn report(&self, now: Time) -> Option<u64> {
        self.reports.report(now)
    }

    /// The reports of [`Budget::report`].
    #[must_use]
    pub fn reports(&self) -> &ReportLimiter {
        &self.reports
    }

    /// Changes the state, and the copy of `used`.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        self.used.store(state.used, Ordering::Relaxed);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether both the total and the client's share allow `more`.
    fn allows(&self, client: Option<Client>, in_total: bool, more: u64) -> bool {
        if in_total && self.used.saturating_add(more) > self.total {
            return false;
        }
        client.is_none_or(|client| {
            let has = self.by_client.get(client);
            has.saturating_add(more) <= client.share(self.total)
        })
    }

    /// Adds `more`, if both the total and the client's share allow it.
    fn add(&mut self, client: Option<Client>, in_total: bool, more: u64) -> bool {
        let is_allowed = self.allows(client, in_total, more);
        if is_allowed {
            self.count(client, in_total, more);
        }
        is_allowed
    }

    /// Takes 1 for one that waits and may have it: of the client that holds least, the first.
    fn next_waiting(&mut self) -> Option<(Client, Promise)> {
        let clients = self.waiting.iter().map(|(client, _)| *client).enumerate();
        let may_have = clients.filter(|(_, client)| self.allows(Some(*client), true, 1));
        let (at, _) = may_have.min_by_key(|(_, client)| self.by_client.get(*client))?;
        let (client, promise) = self.waiting.remove(at)?;
        self.count(Some(client), true, 1);
        Some((client, promise))
    }

    fn count(&mut self, client: Option<Client>, in_total: bool, more: u64) {
        if in_total {
            self.used += more;
        }
        if let Some(client) = client {
            self.by_client.add(client, more);
        }
    }

    fn give_back(&mut self, client: Option<Client>, in_total: bool, less: u64) {
        if in_total {
            self.used -= less;
        }
        if let Some(client) = client {
            self.by_client.subtract(client, less);
        }
    }
}

impl Permit {
    /// How much it is for.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Changes it to `amount`, even if the budget is exceeded: for resources that are held already.
    pub fn set(&mut self, amount: u64) {
        let Self { ref budget, client, in_total, amount: has } = *self;
        budget.change(|state| state.count(client, in_total, amount));
        budget.give_back(client, in_total, has);
        self.amount = amount;
    }

    /// Changes it to `amount` if the budget allows it. Returns whether it did.
    #[must_use]
    pub fn resize(&mut self, amount: u64) -> bool {
        let Self { ref budget, client, in_total, amount: has } = *self;
        let resized = match amount.checked_sub(has) {
            Some(more) => budget.change(|state| state.add(client, in_total, more)),
            None => {
                budget.give_back(client, in_total, has - amount);
                true
            }
        };
        if resized {
            self.amount = amount;
        }
        resized
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Self { ref budget, client, in_total, amount } = *self;
        // Most hold nothing: skip the lock.
        if amount > 0 {
            budget.give_back(client, in_total, amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::remote::{Delivery, Envelope, Key, MailboxSender};

    const ALICE: Client = Client::V4([192, 0, 2, 1]);
    const BOB: Client = Client::V4([192, 0, 2, 2]);

    #[test]
    fn each_client_has_a_share_of_its_own() {
        let budget = Budget::new("things", 100);
        let alice = budget.take(ALICE, 25).unwrap();
        assert!(budget.take(ALICE, 1).is_none());
        let bob = budget.take(BOB, 25).unwrap();
        let local = budget.take(Client::Unix, 50).unwrap();
        assert!(budget.take_shared(1).is_none(), "all of it is taken");
        drop(alice);
        let mut held = budget.take_shared(20).unwrap();
        assert!(!held.resize(26) && held.resize(25) && held.resize(3));
        drop((bob, local, held));
        let state = budget.lock();
        assert_eq!((state.used, state.by_client.is_empty()), (0, true));
    }

    #[test]
    fn the_total_can_be_changed_and_permits_stay_valid() {
        let budget = Budget::new("things", 10);
        assert_eq!((budget.name(), budget.total()), ("things", 10));
        let held = budget.take_shared(8).unwrap();
        budget.set_total(4);
        assert_eq!((budget.total(), budget.used(), held.amount()), (4, 8, 8));
        assert!(budget.take_shared(1).is_none());
        drop(held);
        assert!(budget.take_shared(4).is_some());
    }

    #[test]
    fn a_shared_resource_counts_once_in_total_and_for_each_client_that_uses_it() {
        let budget = Budget::new("things", 100);
        let shared = budget.take_shared(20).unwrap();
        let readers = [ALICE, BOB].map(|client| budget.charge(client, 20).unwrap());
        assert_eq!(budget.used(), 20);
        assert!(budget.charge(ALICE, 6).is_none());
        drop(readers);
        assert!(budget.charge(ALICE, 25).is_some());
        drop(shared);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_permit_can_be_set_beyond_the_total() {
        let budget = Budget::new("things", 100);
        let mut permit = budget.empty_permit(ALICE);
        assert!(!budget.is_exhausted(ALICE));
        permit.set(500);
        assert_eq!(
            (budget.used(), budget.is_exhausted(ALICE), budget.is_exhausted(BOB)),
            (500, true, true)
        );
        permit.set(25);
        assert_eq!((budget.is_exhausted(ALICE), budget.is_exhausted(BOB)), (true, false));
        permit.set(24);
        assert!(!budget.is_exhausted(ALICE));
        drop(permit);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn exhaustion_is_reported_once_a_minute_with_the_number_of_requests() {
        let budget = Budget::new("things", 0);
        let at = |secs: u64| Time::ZERO + Duration::from_secs(secs);
        assert_eq!(budget.report(at(5)), Some(1));
        assert_eq!((budget.report(at(6)), budget.report(at(64))), (None, None));
        assert_eq!(budget.report(at(65)), Some(3));
    }

    /// Keeps the permits that are sent to those who wait.
    #[derive(Default)]
    struct Granted(Mutex<Vec<(Ticket, Permit)>>);

    impl MailboxSender for Granted {
        fn send(&self, envelope: Envelope) {
            let Delivery::Settled(ticket, Ok(message)) = envelope.content else { return };
            self.0.lock().unwrap().push((ticket, *message.downcast().unwrap()));
        }

        fn is_on_event_loop(&self) -> bool {
            true
        }
    }

    impl Granted {
        fn wait(self: &Arc<Self>, budget: &Arc<Budget>, client: Client, id: u64) -> bool {
            let promise = || Promise::new(Arc::clone(self) as _, (Key(1), 0), Ticket(id));
            budget.wait(client, promise).is_some()
        }

        /// The tickets and clients of the permits that were granted since the last call.
        fn take(&self) -> Vec<(u64, Permit)> {
            let granted = std::mem::take(&mut *self.0.lock().unwrap());
            granted.into_iter().map(|(ticket, permit)| (ticket.0, permit)).collect()
        }
    }

    #[test]
    fn what_is_returned_goes_to_the_waiting_client_that_holds_least() {
        let (budget, granted) = (Budget::new("things", 8), Arc::<Granted>::default());
        let mut alice: Vec<_> = (0..2).map(|_| budget.take(ALICE, 1).unwrap()).collect();
        let local = budget.take(Client::Unix, 4).unwrap();
        let shared = budget.take_shared(2).unwrap();
        for (client, id) in [(ALICE, 0), (ALICE, 1), (BOB, 2), (ALICE, 3)] {
            assert!(granted.wait(&budget, client, id));
        }
        assert!(granted.take().is_empty());
        // Alice has less of what others return than her share.
        drop(shared);
        let to_bob = granted.take();
        assert_eq!(to_bob.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
        assert_eq!(budget.used(), 7);
        // Alice's own permit goes to her next request, and each that is returned again to another.
        for id in [0, 1, 3] {
            drop(alice.remove(0));
            let mut next = granted.take();
            assert_eq!(next.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id]);
            alice.extend(next.pop().map(|(_, permit)| permit));
        }
        drop((alice, to_bob, local));
        assert!(granted.take().is_empty());
        let state = budget.lock();
        assert_eq!((state.used, state.by_client.is_empty()), (0, true));
    }

    #[test]
    fn those_that_wait_are_limited_and_get_what_is_there() {
        let (budget, granted) = (Budget::new("things", 0), Arc::<Granted>::default());
        assert!(!granted.wait(&budget, ALICE, 0), "there will never be any");
        budget.set_total(4);
        assert!(granted.wait(&budget, ALICE, 0));
        assert_eq!(granted.0.lock().unwrap().len(), 1, "returned before it waited");
        let of_alice = (1..).take_while(|id| granted.wait(&budget, ALICE, *id)).count() as u64;
        assert_eq!(of_alice, MAX_WAITING / 4);
        // A larger budget serves more.
        budget.set_total(8);
        assert_eq!(granted.take().len(), 2);
    }

    proptest! {
        #[test]
        fn the_counts_are_the_sums_of_the_existing_permits(
            steps in proptest::collection::vec((0..3u8, 0..2u8, 0..40u64, any::<bool>()), 0..60),
        ) {
            let budget = Budget::new("things", 100);
            let mut permits = Vec::new();
            for (kind, client, amount, drops) in steps {
                let client = [ALICE, Client::Unix][usize::from(client)];
                permits.extend(match kind {
                    0 => budget.take(client, amount),
                    1 => budget.take_shared(amount),
                    _ => budget.charge(client, amount),
                });
                if drops && !permits.is_empty() {
                    drop(permits.swap_remove(amount as usize % permits.len()));
                }
                let sum = |filter: &dyn Fn(&&Permit) -> bool| -> u64 {
                    permits.iter().filter(filter).map(|permit| permit.amount).sum()
                };
                prop_assert_eq!(budget.used(), sum(&|permit| permit.in_total));
                prop_assert!(budget.used() <= 100);
                for client in [ALICE, Client::Unix] {
                    let has = budget.lock().by_client.get(client);
                    prop_assert_eq!(has, sum(&|permit| permit.client == Some(client)));
                    prop_assert!(has <= client.share(100));
                }
            }
        }
    }
}
