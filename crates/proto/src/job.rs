//! Work for other threads: what it is, for whom, and whether anybody still waits for it.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::Client;

/// Work for another thread.
///
/// What is said of it decides which threads it gets: see [`JobKind`]. A job that nobody waits for
/// any more when its turn comes is dropped without being run.
pub struct Job {
    kind: JobKind,
    client: Client,
    place: Place,
    cancel: Cancel,
    run: Box<dyn FnOnce() + Send>,
}

/// What kind of work a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Finding a file, which is a few system calls. It has threads that no other kind takes.
    Lookup,
    /// Reading part of a file whose file system may block. It has the same threads.
    Read,
    /// Reading a folder.
    Listing,
    /// Surveying a folder for an archive, or making the next part of one.
    Archive,
    /// Compressing a file.
    Compress,
    /// Reading a whole file, for its ETag or to compare it with its compressed forms.
    Hash,
    /// What a user of the library wants done.
    Other,
}

/// Where a job may get stuck. Jobs of one place leave threads to those of others, so that a file
/// system that hangs doesn't hold up another one's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// A folder that is served, or a file system.
    pub root: u32,
    /// A part of it.
    pub lane: u32,
}

/// Somebody waits for a job. When the last of them is dropped, the job is cancelled.
#[derive(Clone, Debug)]
pub struct Waiter {
    _alive: Arc<()>,
}

/// Whether anybody still waits for a job.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Option<Weak<()>>);

impl Waiter {
    /// The first who waits, and how the job learns that nobody does any more.
    #[must_use]
    pub fn new() -> (Self, Cancel) {
        let alive = Arc::new(());
        let cancel = Cancel(Some(Arc::downgrade(&alive)));
        (Self { _alive: alive }, cancel)
    }
}

impl Cancel {
    /// Whether nobody waits any more. Long jobs ask between their steps.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|alive| alive.strong_count() == 0)
    }

    /// Waits as well; `None` if it is too late for that.
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
    /// Work for `client`, that somebody waits for until it is done.
    pub fn new(kind: JobKind, client: Client, run: impl FnOnce() + Send + 'static) -> Self {
        let (place, cancel) = (Place::default(), Cancel::default());
        Self { kind, client, place, cancel, run: Box::new(run) }
    }

    /// The same, where it may get stuck at `place`.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// The same, as long as `cancel` isn't cancelled.
    #[must_use]
    pub fn unless(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// What kind of work it is.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// For whom it is done.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client
    }

    /// Where it may get stuck.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Whether nobody waits for it any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Does it.
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
    /// Runs `job`, soon.
    ///
    /// # Errors
    ///
    /// The job comes back where too many wait, in all or of its client. Dropping it tells whoever
    /// waits for it.
    fn spawn(&self, job: Job) -> Result<(), Job>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_cancelled_when_the_last_who_waits_is_gone() {
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
