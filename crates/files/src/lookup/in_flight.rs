//! Jobs in flight, each of which looks a path up or compresses a file. A job has a name, and all
//! requests for that name wait for one job.
//!
//! [`InFlight`] is the table of one worker (event loop). A job holds a [`Completer`], which sends
//! the result by promises: each sends one message to the connection of one request. Each request
//! holds a [`Waiter`]: when the last waiter is dropped, because its request was cancelled, the job
//! is cancelled, too. If a job is refused or dropped, its requests receive [`JobResult::Refused`];
//! if it panics, their promises are abandoned.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use sockeye_proto::{CancelToken, Permit, Promise, Ticket, Time, Waiter};

use super::entry::Entry;
use crate::limits::lock::lock;

/// While the table has fewer entries than this, it is not searched for finished jobs. A finished
/// job holds little besides its name.
const CLEANUP_THRESHOLD: usize = 256;

/// The message with which a promise is fulfilled.
#[derive(Debug)]
pub(crate) enum JobResult {
    /// The entry, and the time at which the job was started. If the job has taken a permit for the
    /// open file, one of the requests gets it.
    Found { entry: Arc<Entry>, started: Time, permit: Option<Permit> },
    /// The job would have to read a whole file, and is not allowed to.
    NeedsFullRead,
    /// The job got no permit for an open file: the budget, or the client's share of it, is spent.
    NoPermit,
    /// The job was refused, or dropped before it had a result.
    Refused,
}

#[derive(Debug)]
struct JobInFlight {
    started: Time,
    cancel: CancelToken,
    /// The promises of the requests that wait; `None` when the job is finished.
    waiting: Mutex<Option<Vec<Promise>>>,
}

impl JobInFlight {
    fn is_finished(&self) -> bool {
        lock(&self.waiting).is_none()
    }

    /// Sends the result to all requests that wait. The lock is released before the first promise is
    /// fulfilled, because each fulfilled promise wakes a worker.
    fn send(&self, mut result: impl FnMut() -> JobResult) {
        let waiting = mem::take(&mut *lock(&self.waiting));
        for promise in waiting.into_iter().flatten() {
            promise.fulfill(Box::new(result()));
        }
    }
}

/// A job holds this to send its result. If this is dropped without a result, it sends
/// [`JobResult::Refused`]; if a panic drops it, it abandons the promises.
#[derive(Debug)]
pub(crate) struct Completer {
    job: Arc<JobInFlight>,
}

impl Completer {
    pub(crate) fn complete(self, entry: &Arc<Entry>, mut permit: Option<Permit>) {
        let started = self.job.started;
        self.job.send(|| JobResult::Found {
            entry: Arc::clone(entry),
            started,
            permit: permit.take(),
        });
    }

    pub(crate) fn no_permit(self) {
        self.job.send(|| JobResult::NoPermit);
    }

    pub(crate) fn needs_full_read(self) {
        self.job.send(|| JobResult::NeedsFullRead);
    }

    /// The token that is set when no request waits any more.
    pub(crate) fn cancel(&self) -> CancelToken {
        self.job.cancel.clone()
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if thread::panicking() {
            // Dropping the promises abandons them. The lock is released before they are dropped.
            let waiting = mem::take(&mut *lock(&self.job.waiting));
            drop(waiting);
        } else {
            self.job.send(|| JobResult::Refused);
        }
    }
}

/// The jobs that requests of one worker wait for.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    jobs: HashMap<Rc<[u8]>, Arc<JobInFlight>>,
    /// The number of entries after the last removal of finished ones.
    len_after_cleanup: usize,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn is_in_flight(&self, name: &[u8]) -> bool {
        self.jobs.get(name).is_some_and(|job| !job.is_finished())
    }

    /// Lets `promise` wait for the job `name`. If this returns a completer, the caller has to start
    /// the job; otherwise the job is in flight already.
    pub(crate) fn join(
        &mut self,
        name: &[u8],
        now: Time,
        promise: Promise,
    ) -> (Ticket, Waiter, Option<Completer>) {
        let ticket = promise.ticket();
        if let Some(job) = self.jobs.get(name)
            && let Some(waiting) = &mut *lock(&job.waiting)
            && let Some(waiter) = job.cancel.add_waiter()
        {
            waiting.push(promise);
            return (ticket, waiter, None);
        }
        self.remove_all_finished();
        let (waiter, cancel) = Waiter::new();
        let waiting = Mutex::new(Some(vec![promise]));
        let job = Arc::new(JobInFlight { started: now, cancel, waiting });
        self.jobs.insert(Rc::from(name), Arc::clone(&job));
        (ticket, waiter, Some(Completer { job }))
    }

    /// Removes the job `name`, so that later requests don't join it. Its requests still get the
    /// result.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.jobs.remove(name);
    }

    /// Removes the job `name` if it is finished.
    pub(crate) fn remove_finished(&mut self, name: &[u8]) {
        if self.jobs.get(name).is_some_and(|job| job.is_finished()) {
            self.jobs.remove(name);
        }
    }

    /// Removes finished jobs once there are many. That is done only when the number of entries has
    /// doubled, so the average cost is small.
    fn remove_all_finished(&mut self) {
        if self.jobs.len() >= CLEANUP_THRESHOLD.max(2 * self.len_after_cleanup) {
            self.jobs.retain(|_, job| !job.is_finished());
            self.len_after_cleanup = self.jobs.len();
        }
    }
}
