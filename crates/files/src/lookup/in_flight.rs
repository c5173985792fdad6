//! Results that are on their way: one job for each name, however many requests wait for it.
//!
//! [`InFlight`] is one shard's table, to which requests are added; a [`Completer`] is the job's end of
//! an entry. Each request leaves a promise of its own, and holds a [`Waiter`]: when the last of them
//! is dropped, because its connection is gone, the job is cancelled. One that was refused, or dropped
//! for another reason, says so; one that panicked abandons its promises.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use sockeye_proto::{Cancel, Promise, Ticket, Time, Waiter};

use super::entry::Entry;

/// So many entries may be kept before those that are over without having been heard of are
/// forgotten. They hold nothing but their names.
const KEPT: usize = 256;

/// What a promise brings.
#[derive(Clone, Debug)]
pub(crate) enum LookupResult {
    /// What a job found, and when it was begun.
    Found { entry: Arc<Entry>, started: Time },
    /// More has to be read than the job was allowed to.
    Unread,
    /// The job was refused.
    Refused,
}

/// One result on its way.
#[derive(Debug)]
struct Pending {
    started: Time,
    cancel: Cancel,
    /// Who waits; `None` when it is over.
    waiting: Mutex<Option<Vec<Promise>>>,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Promise>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.lock().is_none()
    }

    /// Tells everybody who waits, outside of the lock: each of these wakes a shard.
    fn end(&self, outcome: &LookupResult) {
        let waiting = mem::take(&mut *self.lock());
        for promise in waiting.into_iter().flatten() {
            promise.keep(Box::new(outcome.clone()));
        }
    }
}

/// The job's end of a result. Dropped without one, it says that there is none.
#[derive(Debug)]
pub(crate) struct Completer {
    pending: Arc<Pending>,
}

impl Completer {
    /// Tells everybody what was found.
    pub(crate) fn complete(self, entry: Arc<Entry>) {
        self.pending.end(&LookupResult::Found { entry, started: self.pending.started });
    }

    /// Tells everybody that more has to be read.
    pub(crate) fn leave_unread(self) {
        self.pending.end(&LookupResult::Unread);
    }

    /// How the job learns that nobody waits any more.
    pub(crate) fn cancel(&self) -> Cancel {
        self.pending.cancel.clone()
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if thread::panicking() {
            // Promises that are dropped say that they are abandoned.
            let waiting = mem::take(&mut *self.pending.lock());
            drop(waiting);
        } else {
            self.pending.end(&LookupResult::Refused);
        }
    }
}

/// What came of asking for a result.
#[derive(Debug)]
pub(crate) enum Join {
    /// It is on its way: it comes under this ticket.
    Joined(Ticket, Waiter),
    /// It isn't: a job is to be begun that completes it.
    Started(Ticket, Waiter, Completer),
}

/// The results that one shard waits for.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    pending: HashMap<Rc<[u8]>, Arc<Pending>>,
    /// How many there were after the last time that those which are over were forgotten.
    left: usize,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether the result of `key` is on its way.
    pub(crate) fn is_pending(&self, key: &[u8]) -> bool {
        self.pending.get(key).is_some_and(|pending| !pending.is_over())
    }

    /// Waits for the result of `key` with a promise that `promise` makes.
    pub(crate) fn join(
        &mut self,
        key: &[u8],
        now: Time,
        promise: impl FnOnce() -> Promise,
    ) -> Join {
        if let Some(pending) = self.pending.get(key)
            && let Some(waiting) = &mut *pending.lock()
            && let Some(waiter) = pending.cancel.join()
        {
            let promise = promise();
            let ticket = promise.ticket();
            waiting.push(promise);
            return Join::Joined(ticket, waiter);
        }
        self.make_room();
        let promise = promise();
        let ticket = promise.ticket();
        let (waiter, cancel) = Waiter::new();
        let waiting = Mutex::new(Some(vec![promise]));
        let pending = Arc::new(Pending { started: now, cancel, waiting });
        self.pending.insert(Rc::from(key), Arc::clone(&pending));
        Join::Started(ticket, waiter, Completer { pending })
    }

    /// Forgets the result of `key` if it has come, or never will.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        if self.pending.get(key).is_some_and(|pending| pending.is_over()) {
            self.pending.remove(key);
        }
    }

    /// Forgets those that are over and that nobody heard of, once there are many. They are looked
    /// through only when their number may have doubled, so that each costs little.
    fn make_room(&mut self) {
        if self.pending.len() >= KEPT.max(2 * self.left) {
            self.pending.retain(|_, pending| !pending.is_over());
            self.left = self.pending.len();
        }
    }
}
