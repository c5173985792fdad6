//! Jobs: work for other threads, with a kind, a client, a group and a way to cancel it.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::Client;

/// Work for another thread.
///
/// Its kind, client and group decide when a thread runs it. If it is cancelled before that, it is
/// dropped.
pub struct Job {
    kind: JobKind,
    client: Client,
    group: JobGroup,
    cancel_token: CancelToken,
    run: Box<dyn FnOnce() + Send>,
}

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Finding a file: a few system calls. Only [`JobKind::ReadPart`] uses the same threads.
    Lookup,
    /// Reading part of a file whose file system may block.
    ReadPart,
    /// Reading a folder for a listing, or a Markdown file for a page.
    Listing,
    /// Listing a folder for an archive, or making the next part of an archive.
    Archive,
    /// Compressing a file.
    Compress,
    /// Reading a whole file, to compute its ETag, to compare it with its precompressed files, or to
    /// find out whether it has changed while it was sent.
    ReadWhole,
    /// Answering a TLS client hello, which needs a signature with the server's key.
    Handshake,
    /// Any other work, such as that of a user of the library.
    Other,
}

/// A group of jobs that may block on the same thing, such as a file system. The jobs of one group
/// can't occupy all threads for lookups, or all for long jobs such as listings, so that a file
/// system that hangs doesn't delay lookups in another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobGroup {
    /// The number of a folder that is served, or of a file system.
    pub root: u32,
    /// The number of a part of the root, such as a subfolder.
    pub part: u32,
}

/// Keeps a job from being cancelled. When its last waiter is dropped, the job is cancelled.
#[derive(Clone, Debug)]
pub struct Waiter {
    _alive: Arc<()>,
}

/// Says whether a job is cancelled: whether it had waiters, and all are dropped. The default token
/// is never cancelled.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Option<Weak<()>>);

impl Waiter {
    /// The first waiter for a job, and the [`CancelToken`] to set with [`Job::cancel_with`].
    #[must_use]
    pub fn new() -> (Self, CancelToken) {
        let alive = Arc::new(());
        let token = CancelToken(Some(Arc::downgrade(&alive)));
        (Self { _alive: alive }, token)
    }
}

impl CancelToken {
    /// Whether all waiters are dropped. Long jobs check this between their steps.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|alive| alive.strong_count() == 0)
    }

    /// Adds a waiter. `None` if the job is cancelled already, or can't be cancelled.
    #[must_use]
    pub fn add_waiter(&self) -> Option<Waiter> {
        self.0.as_ref()?.upgrade().map(|alive| Waiter { _alive: alive })
    }
}

impl JobKind {
    /// A stable name for logs, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::ReadPart => "read",
            Self::Listing => "listing",
            Self::Archive => "archive",
            Self::Compress => "compress",
            Self::ReadWhole => "hash",
            Self::Handshake => "handshake",
            Self::Other => "other",
        }
    }
}

impl Job {
    /// A job for `client`. It can't be cancelled, unless [`Job::cancel_with`] sets a token.
    pub fn new(kind: JobKind, client: Client, run: impl FnOnce() + Send + 'static) -> Self {
        let (group, cancel_token) = (JobGroup::default(), CancelToken::default());
        Self { kind, client, group, cancel_token, run: Box::new(run) }
    }

    /// Sets the group. Default: root 0, part 0.
    #[must_use]
    pub fn in_group(self, group: JobGroup) -> Self {
        Self { group, ..self }
    }

    /// Cancels the job when the last waiter of `token` is dropped.
    #[must_use]
    pub fn cancel_with(self, token: CancelToken) -> Self {
        Self { cancel_token: token, ..self }
    }

    /// Keeps `value` until the job has run, or is dropped: for example a permit for what the job
    /// uses.
    #[must_use]
    pub fn holding(self, value: impl Send + 'static) -> Self {
        let run = self.run;
        let run = Box::new(move || {
            run();
            drop(value);
        });
        Self { run, ..self }
    }

    /// The kind of the job.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// The client that the job is charged to.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client
    }

    /// The group of the job.
    #[must_use]
    pub fn group(&self) -> JobGroup {
        self.group
    }

    /// Whether the job is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel_token.is_cancelled()
    }

    /// Runs the job.
    pub fn run(self) {
        (self.run)();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("kind", &self.kind)
            .field("client", &self.client)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// Runs jobs on other threads.
pub trait Spawn: Send + Sync {
    /// Queues `job`.
    ///
    /// # Errors
    ///
    /// Returns the job if too many jobs are waiting, in total or for its client, or if no thread
    /// can be started for it.
    fn spawn(&self, job: Job) -> Result<(), Job>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_cancelled_when_the_last_waiter_is_dropped() {
        let (first, token) = Waiter::new();
        let second = token.add_waiter().unwrap();
        let job = Job::new(JobKind::Other, Client::Unix, || {}).cancel_with(token.clone());
        drop(first);
        assert!(!job.is_cancelled());
        drop(second);
        assert!(job.is_cancelled() && token.add_waiter().is_none());
        assert!(!Job::new(JobKind::Other, Client::Unix, || {}).is_cancelled(), "it has no waiter");
    }

    #[test]
    fn a_job_holds_a_value_until_it_has_run_or_is_dropped() {
        for runs in [true, false] {
            let value = Arc::new(());
            let held = Arc::downgrade(&value);
            let of_job = Weak::clone(&held);
            let run = move || assert_eq!(of_job.strong_count(), 1);
            let job = Job::new(JobKind::Compress, Client::Unix, run).holding(value);
            assert_eq!((job.kind(), held.strong_count()), (JobKind::Compress, 1));
            if runs {
                job.run();
            } else {
                drop(job);
            }
            assert_eq!(held.strong_count(), 0);
        }
    }
}
