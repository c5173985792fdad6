//! Budgets: how much of a resource may be held at a time, in total and by each client.
//!
//! Code that holds a resource takes a [`Permit`] and keeps it beside the resource; dropping the
//! permit returns its amount to the budget. When a budget is exhausted, requests get a cheaper
//! response (uncompressed, or a 503), or wait until permits are dropped ([`Budget::wait`]).
//!
//! A resource that clients share, such as a compressed file, is counted once in total while it
//! exists ([`Budget::take_shared`]), and for each client that uses it ([`Budget::charge`]). A
//! resource that several requests of a client use is counted once: [`Budget::take_once`].
//!
//! All event loops and job threads share a budget, so it has a mutex. The mutex is locked only to
//! take, check or return something large or scarce, and no thread blocks while it holds the lock.

use std::collections::VecDeque;
use std::num::NonZeroU32;
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
    /// Limits how often the log reports requests that found the budget exhausted.
    reports: ReportLimiter,
}

#[derive(Debug)]
struct State {
    total: u64,
    used: u64,
    /// How much each client holds.
    by_client: Counts<Client>,
    /// How many permits of [`Budget::take_once`] a client has for a resource.
    uses: Counts<(Client, NonZeroU32)>,
    /// The clients that wait for a permit of amount 1 ([`Budget::wait`]), in the order of their
    /// arrival.
    waiting: VecDeque<(Client, Promise)>,
}

/// Maximum number of requests that wait for one budget. A client may have its share of them:
/// [`Client::share`].
const MAX_WAITING: u64 = 1024;

/// Part of a budget. Dropping the permit returns it.
#[derive(Debug)]
#[must_use = "dropping it returns it"]
pub struct Permit {
    budget: Arc<Budget>,
    /// The client that is charged, if one is.
    client: Option<Client>,
    /// Whether the amount counts in the budget's total.
    in_total: bool,
    /// The number of a resource: all permits of the client with this number count once.
    resource: Option<NonZeroU32>,
    amount: u64,
}

impl Budget {
    /// A budget of `total`, in a unit that its users choose. `name` is for the log, such as
    /// "compressed bytes".
    #[must_use]
    pub fn new(name: &'static str, total: u64) -> Arc<Self> {
        let (by_client, uses, waiting) = Default::default();
        let state = Mutex::new(State { total, used: 0, by_client, uses, waiting });
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

    /// Takes 1 for the resource with this number, if the budget allows it. While `client` has such
    /// a permit, further permits for the same resource cost nothing. `granted` is a permit of
    /// amount 1 that the client already has, from [`Budget::wait`]. It becomes the new permit, or
    /// is dropped if the new one costs nothing.
    pub fn take_once(
        self: &Arc<Self>,
        client: Client,
        resource: NonZeroU32,
        granted: Option<Permit>,
    ) -> Option<Permit> {
        let (is_allowed, counts_already) = self.change(|state| {
            let counts_already = state.uses.get((client, resource)) > 0;
            let is_allowed =
                counts_already || granted.is_some() || state.add(Some(client), true, 1);
            state.uses.add((client, resource), u64::from(is_allowed));
            (is_allowed, counts_already)
        });
        if !is_allowed {
            return None;
        }
        let granted = granted.filter(|_| !counts_already);
        let mut permit = granted.unwrap_or_else(|| self.permit_for_1(client));
        permit.resource = Some(resource);
        Some(permit)
    }

    /// A permit of amount 1 that [`State::used`] already includes.
    fn permit_for_1(self: &Arc<Self>, client: Client) -> Permit {
        let (budget, client) = (Arc::clone(self), Some(client));
        Permit { budget, client, in_total: true, resource: None, amount: 1 }
    }

    /// Queues `client` for a permit of amount 1. The promise delivers the permit to the waiting
    /// protocol, in an [`Event::Message`](crate::Event::Message) with the returned ticket. Returns
    /// `None` if too many requests wait already, or if the total is 0.
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
        // A permit may have been dropped before this client was in the queue.
        self.serve_waiting();
        Some(ticket)
    }

    /// Gives permits to waiting clients, as long as the budget allows it.
    fn serve_waiting(self: &Arc<Self>) {
        while let Some((client, promise)) = self.change(State::next_waiting) {
            // If the client's request has ended meanwhile, the permit is dropped, which serves the
            // next client.
            promise.fulfill(Box::new(self.permit_for_1(client)));
        }
    }

    /// Returns `less` to the budget. `resource` is set if a permit of [`Budget::take_once`] is
    /// dropped. In that case, nothing is returned while the client has another permit for the same
    /// resource.
    fn give_back(
        self: &Arc<Self>,
        client: Option<Client>,
        in_total: bool,
        resource: Option<NonZeroU32>,
        less: u64,
    ) {
        let is_waited_for = self.change(|state| {
            if !state.release_use(client, resource) {
                state.give_back(client, in_total, less);
            }
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

    /// Takes `amount` for `client`, if the total allows it, in one of these cases: the client's
    /// share allows it, the client has nothing yet, or at least `spare` is left for other clients
    /// afterwards. For resources so large that a single one may exceed a client's share.
    pub fn take_sparing(
        self: &Arc<Self>,
        client: Client,
        amount: u64,
        spare: u64,
    ) -> Option<Permit> {
        let is_allowed = self.change(|state| {
            let left = state.total.saturating_sub(state.used).checked_sub(amount);
            let is_allowed = left.is_some_and(|left| {
                let is_first = state.by_client.get(client) == 0;
                is_first || left >= spare || state.allows(Some(client), true, amount)
            });
            if is_allowed {
                state.count(Some(client), true, amount);
            }
            is_allowed
        });
        is_allowed.then(|| {
            let (budget, client) = (Arc::clone(self), Some(client));
            Permit { budget, client, in_total: true, resource: None, amount }
        })
    }

    /// Charges `client` with `amount` of something that is in the total already, if the client's
    /// share allows it.
    pub fn charge(self: &Arc<Self>, client: Client, amount: u64) -> Option<Permit> {
        self.permit(Some(client), false, amount)
    }

    /// A permit of amount 0 for `client`, to be changed by [`Permit::set`] or [`Permit::resize`].
    pub fn empty_permit(self: &Arc<Self>, client: Client) -> Permit {
        let (budget, client) = (Arc::clone(self), Some(client));
        Permit { budget, client, in_total: true, resource: None, amount: 0 }
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
        let budget = Arc::clone(self);
        let mut permit = Permit { budget, client, in_total, resource: None, amount: 0 };
        permit.resize(amount).then_some(permit)
    }

    /// Counts a request that found the budget exhausted. Returns the number of such requests since
    /// the last report, if a report is due: see [`ReportLimiter::report`].
    pub fn report(&self, now: Time) -> Option<u64> {
        self.reports.report(now)
    }

    /// The limiter that [`Budget::report`] uses.
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

    /// Chooses which waiting client gets the next permit of amount 1: the client that holds least,
    /// among those for which the budget allows 1 more. Counts the amount, and returns the first
    /// promise of this client.
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

    /// Removes one of the client's permits for the resource from the count. Returns whether the
    /// client still has another one.
    fn release_use(&mut self, client: Option<Client>, resource: Option<NonZeroU32>) -> bool {
        let Some(key) = client.zip(resource) else { return false };
        self.uses.subtract(key, 1);
        self.uses.get(key) > 0
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
    /// How much of the budget this permit holds.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Changes the amount, even if the budget is exceeded: for resources that are held already.
    pub fn set(&mut self, amount: u64) {
        let Self { ref budget, client, in_total, amount: has, .. } = *self;
        budget.change(|state| state.count(client, in_total, amount));
        budget.give_back(client, in_total, None, has);
        self.amount = amount;
    }

    /// Changes the amount, if the budget allows it. Returns whether it did.
    #[must_use]
    pub fn resize(&mut self, amount: u64) -> bool {
        let Self { ref budget, client, in_total, amount: has, .. } = *self;
        let resized = match amount.checked_sub(has) {
            Some(more) => budget.change(|state| state.add(client, in_total, more)),
            None => {
                budget.give_back(client, in_total, None, has - amount);
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
        let Self { ref budget, client, in_total, resource, amount } = *self;
        // A permit of amount 0 has nothing to return, so the lock is not needed.
        if amount > 0 {
            budget.give_back(client, in_total, resource, amount);
        }
    }
}

#[cfg(test)]
mod tests;
