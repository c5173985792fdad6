//! Jobs in flight: one for each name, however many requests wait for it.
//!
//! [`InFlight`] is the table of one shard. A job holds a [`Completer`], which sends its result. Each request
//! has a promise and holds a [`Waiter`]: when the last waiter is dropped, because its connection is closed,
//! the job is cancelled. If a job is refused or dropped, its requests receive [`LookupResult::Refused`]; if
//! it panics, their promises are abandoned.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use sockeye_proto::{Cancel, Promise, Ticket, Time, Waiter};

use super::entry::Entry;
use crate::limits::lock::lock;

/// The number of entries from which on finished ones are removed. They hold only their names.
const KEPT: usize = 256;

/// The message with which a promise is fulfilled.
#[derive(Clone, Debug)]
pub(crate) enum LookupResult {
    /// The result of a job, and when it was started.
    Found { entry: Arc<Entry>, started: Time },
    /// The job has to read more than it may.
    Unread,
    /// The job was refused.
    Refused,
}

#[derive(Debug)]
struct Pending {
    started: Time,
    cancel: Cancel,
    /// The promises of the requests that wait; `None` when the job is finished.
    waiting: Mutex<Option<Vec<Promise>>>,
}

impl Pending {
    fn is_finished(&self) -> bool {
        lock(&self.waiting).is_none()
    }

    /// Sends the result to all requests that wait, without the lock: each message wakes a shard.
    fn end(&self, result: &LookupResult) {
        let waiting = mem::take(&mut *lock(&self.waiting));
        for promise in waiting.into_iter().flatten() {
            promise.fulfill(Box::new(result.clone()));
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

    /// Set when no request waits any more.
    pub(crate) fn cancel(&self) -> Cancel {
        self.pending.cancel.clone()
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if thread::panicking() {
            // Dropping a promise abandons it. It is done without the lock.
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
    /// The number of entries after the last removal of finished ones.
    left: usize,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_pending(&self, name: &[u8]) -> bool {
        self.pending.get(name).is_some_and(|pending| !pending.is_finished())
    }

    /// Lets `promise` wait for the job `name`. If this returns a completer, the caller has to start the job;
    /// otherwise it is in flight.
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

    /// Removes the job `name` if it is finished.
    pub(crate) fn forget(&mut self, name: &[u8]) {
        if self.pending.get(name).is_some_and(|pending| pending.is_finished()) {
            self.pending.remove(name);
        }
    }

    /// Removes finished jobs once there are many. That is done only when the number of entries has doubled,
    /// so the average cost is small.
    fn make_room(&mut self) {
        if self.pending.len() >= KEPT.max(2 * self.left) {
            self.pending.retain(|_, pending| !pending.is_finished());
            self.left = self.pending.len();
        }
    }
}
