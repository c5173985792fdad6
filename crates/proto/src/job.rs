//! Jobs: work for other threads, with its kind, its client, and whether anybody still waits for it.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::Client;

/// Work for another thread.
///
/// Its kind, client and place decide when a thread takes it. A job that nobody waits for any more is
/// dropped without being run.
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
    /// Finding a file: a few system calls. Has threads of its own, shared with `Read` only.
    Lookup,
    /// Reading part of a file whose file system may block.
    Read,
    /// Reading a folder.
    Listing,
    /// Listing a folder for an archive, or making the next part of one.
    Archive,
    /// Compressing a file.
    Compress,
    /// Reading a whole file, for its ETag or to compare it with its compressed forms.
    Hash,
    /// Work of a user of the library.
    Other,
}

/// What a job may block on. Jobs at one place leave threads to those at others, so that a file system
/// that hangs doesn't delay lookups in another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// A folder that is served, or a file system.
    pub root: u32,
    /// A part of it.
    pub lane: u32,
}

/// Waits for a job. When the last waiter is dropped, the job is cancelled.
#[derive(Clone, Debug)]
pub struct Waiter {
    _alive: Arc<()>,
}

/// Whether anybody still waits for a job.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Option<Weak<()>>);

impl Waiter {
    /// The first waiter, and the job's side of it.
    #[must_use]
    pub fn new() -> (Self, Cancel) {
        let alive = Arc::new(());
        let cancel = Cancel(Some(Arc::downgrade(&alive)));
        (Self { _alive: alive }, cancel)
    }
}

impl Cancel {
    /// Whether nobody waits any more. Long jobs check this between their steps.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|alive| alive.strong_count() == 0)
    }

    /// Another waiter; `None` if the job is cancelled.
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
    /// Work for `client`, which is never cancelled.
    pub fn new(kind: JobKind, client: Client, run: impl FnOnce() + Send + 'static) -> Self {
        let (place, cancel) = (Place::default(), Cancel::default());
        Self { kind, client, place, cancel, run: Box::new(run) }
    }

    /// As this job, at `place`.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// As this job, cancelled by `cancel`.
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

    /// Whether nobody waits for it any more.
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
    /// Returns the job if too many wait, in all or of its client.
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
        assert!(!Job::new(JobKind::Other, Client::Unix, || {}).is_cancelled(), "nobody need wait");
    }
}
