//! Jobs of connections. They run on the simulation's only thread, at a later virtual time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use sockeye_proto::{Job, JobKind, Spawn};

/// Collects the jobs that connections spawn. The [`World`](crate::World) takes the jobs and
/// schedules them.
#[derive(Default)]
pub(crate) struct Jobs {
    spawned: Mutex<Vec<Job>>,
    /// Whether further jobs are rejected.
    pub(crate) full: AtomicBool,
    /// How many jobs of [`JobKind::Handshake`] were spawned.
    pub(crate) handshakes: AtomicUsize,
}

impl Jobs {
    /// Returns the jobs spawned since the last call.
    pub(crate) fn take(&self) -> Vec<Job> {
        std::mem::take(&mut *self.spawned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Spawn for Jobs {
    fn spawn(&self, job: Job) -> Result<(), Job> {
        if self.full.load(Ordering::Relaxed) {
            return Err(job);
        }
        if job.kind() == JobKind::Handshake {
            self.handshakes.fetch_add(1, Ordering::Relaxed);
        }
        self.spawned.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        Ok(())
    }
}
