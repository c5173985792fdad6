//! Jobs: work for other threads, with a kind, a client, a place and a way to cancel it.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::Client;

/// Work for another thread.
///
/// Its kind, client and place decide when a thread runs it. If it is cancelled before that, it is
/// dropped.
pub struct Job {
    kind: JobKind,
    client: Client,
    place: Place,
    cancel: Cancel,
    run: Box<dyn FnOnce() + Send>,
}

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Finding a file: a few system calls. Only `Read` jobs use the same threads.
    Lookup,
    /// Reading part of a file whose file system may block.
    Read,
    /// Reading a folder.
    Listing,
    /// Listing a folder for an archive, or making the next part of one.
    Archive,
    /// Compressing a file.
    Compress,
    /// Reading a whole file, for its ETag or to compare it with its precompressed files.
    Hash,
    /// Work of a user of the library.
    Other,
}

/// What a job may block on. The jobs of one place can't occupy all threads, so that a file system
/// that hangs doesn't delay lookups in another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// A folder that is served, or a file system.
    pub root: u32,
    /// A part of it, such as a subfolder.
    pub lane: u32,
}

/// Keeps a job from being cancelled. When its last waiter is dropped, the job is cancelled.
#[derive(Clone, Debug)]
pub struct Waiter {
    _alive: Arc<()>,
}

/// Tells whether a job is cancelled: it had waiters, and all are dropped. Default: never cancelled.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Option<Weak<()>>);

impl Waiter {
    /// The first waiter for a job, and the [`Cancel`] to set with [`Job::unless`].
    #[must_use]
    pub fn new() -> (Self, Cancel) {
        let alive = Arc::new(());
        let cancel = Cancel(Some(Arc::downgrade(&alive)));
        (Self { _alive: alive }, cancel)
    }
}

impl Cancel {
    /// Whether all waiters are dropped. Long jobs check this between their steps.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|alive| alive.strong_count() == 0)
    }

    /// Adds a waiter. `None` if the job is cancelled, or can't be.
    #[must_use]
    pub fn join(&self) -> Option<Waiter> {
        self.0.as_ref()?.upgrade().map(|alive| Waiter { _alive: alive })
    }
}

impl JobKind {
    /// A stable name, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Read => "read",
            Self::Listing => "listing",
            Self::Archive => "archive",
            Self::Compress => "compress",
            Self::Hash => "hash",
            Self::Other => "other",
        }
    }
}

impl Job {
    /// A job for `client`. It can't be cancelled, unless [`Job::unless`] is called.
    pub fn new(kind: JobKind, client: Client, run: impl FnOnce() + Send + 'static) -> Self {
        let (place, cancel) = (Place::default(), Cancel::default());
        Self { kind, client, place, cancel, run: Box::new(run) }
    }

    /// Sets the place. Default: root 0, lane 0.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Cancels the job when the waiters of `cancel` are dropped.
    #[must_use]
    pub fn unless(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// The client that it is charged to.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client
    }

    /// What it may block on.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether it is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Runs it.
    pub fn run(self) {
        (self.run)();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("kind", &self.kind)
            .field("client", &self.client)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Runs jobs on other threads.
pub trait Spawn: Send + Sync {
    /// Queues `job`.
    ///
    /// # Errors
    ///
    /// Returns the job if too many jobs are waiting, in total or for its client.
    fn spawn(&self, job: Job) -> Result<(), Job>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_cancelled_when_the_last_waiter_is_dropped() {
        let (first, cancel) = Waiter::new();
        let second = cancel.join().unwrap();
        let job = Job::new(JobKind::Other, Client::Unix, || {}).unless(cancel.clone());
        drop(first);
        assert!(!job.is_cancelled());
        drop(second);
        assert!(job.is_cancelled() && cancel.join().is_none());
        assert!(!Job::new(JobKind::Other, Client::Unix, || {}).is_cancelled(), "it has no waiter");
    }
}
