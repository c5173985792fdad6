//! Jobs in flight: one for each name, however many requests wait for it.
//!
//! [`InFlight`] is one shard's table, to which requests are added; a [`Completer`] is the job's side of
//! an entry. Each request has a promise and holds a [`Waiter`]: when the last waiter is dropped, because
//! its connection is gone, the job is cancelled. A job that is refused or dropped says so; one that
//! panics abandons its promises.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use sockeye_proto::{Cancel, Promise, Ticket, Time, Waiter};

use super::entry::Entry;
use crate::limits::lock::lock;

/// How many entries are kept before those that are over are searched for. They hold nothing but their
/// names.
const KEPT: usize = 256;

/// What a promise brings.
#[derive(Clone, Debug)]
pub(crate) enum LookupResult {
    /// What a job found, and when it was started.
    Found { entry: Arc<Entry>, started: Time },
    /// It has to read more than it may.
    Unread,
    /// The job was refused.
    Refused,
}

#[derive(Debug)]
struct Pending {
    started: Time,
    cancel: Cancel,
    /// The promises of those who wait; `None` when it is over.
    waiting: Mutex<Option<Vec<Promise>>>,
}

impl Pending {
    fn is_over(&self) -> bool {
        lock(&self.waiting).is_none()
    }

    /// Sends the result to all who wait, outside of the lock: each of these wakes a shard.
    fn end(&self, result: &LookupResult) {
        let waiting = mem::take(&mut *lock(&self.waiting));
        for promise in waiting.into_iter().flatten() {
            promise.keep(Box::new(result.clone()));
        }
    }
}

/// The job's side: it sends the result. Dropped without one, it sends [`LookupResult::Refused`].
#[derive(Debug)]
pub(crate) struct Completer {
    pending: Arc<Pending>,
}

impl Completer {
    pub(crate) fn complete(self, entry: Arc<Entry>) {
        self.pending.end(&LookupResult::Found { entry, started: self.pending.started });
    }

    pub(crate) fn leave_unread(self) {
        self.pending.end(&LookupResult::Unread);
    }

    /// Whether somebody still waits.
    pub(crate) fn cancel(&self) -> Cancel {
        self.pending.cancel.clone()
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if thread::panicking() {
            // Promises that are dropped are abandoned. They are dropped outside of the lock.
            let waiting = mem::take(&mut *lock(&self.pending.waiting));
            drop(waiting);
        } else {
            self.pending.end(&LookupResult::Refused);
        }
    }
}

/// The jobs that requests of one shard wait for.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    pending: HashMap<Rc<[u8]>, Arc<Pending>>,
    /// How many there were after the last search for those that are over.
    left: usize,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_pending(&self, name: &[u8]) -> bool {
        self.pending.get(name).is_some_and(|pending| !pending.is_over())
    }

    /// Waits for the job `name` with `promise`. With a completer, the job is to be started; otherwise it
    /// is in flight.
    pub(crate) fn join(
        &mut self,
        name: &[u8],
        now: Time,
        promise: Promise,
    ) -> (Ticket, Waiter, Option<Completer>) {
        let ticket = promise.ticket();
        if let Some(pending) = self.pending.get(name)
            && let Some(waiting) = &mut *lock(&pending.waiting)
            && let Some(waiter) = pending.cancel.join()
        {
            waiting.push(promise);
            return (ticket, waiter, None);
        }
        self.make_room();
        let (waiter, cancel) = Waiter::new();
        let waiting = Mutex::new(Some(vec![promise]));
        let pending = Arc::new(Pending { started: now, cancel, waiting });
        self.pending.insert(Rc::from(name), Arc::clone(&pending));
        (ticket, waiter, Some(Completer { pending }))
    }

    /// Removes the job `name` if it is over.
    pub(crate) fn forget(&mut self, name: &[u8]) {
        if self.pending.get(name).is_some_and(|pending| pending.is_over()) {
            self.pending.remove(name);
        }
    }

    /// Removes the jobs that are over, once there are many. They are searched only when their number
    /// may have doubled, so that each costs little.
    fn make_room(&mut self) {
        if self.pending.len() >= KEPT.max(2 * self.left) {
            self.pending.retain(|_, pending| !pending.is_over());
            self.left = self.pending.len();
        }
    }
}
