//! Jobs of connections: run later, on the same thread, when their virtual time has come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sockeye_proto::{Job, Spawn};

/// Collects what connections want done, for the world to schedule.
#[derive(Default)]
pub(crate) struct Jobs {
    spawned: Mutex<Vec<Job>>,
    /// Whether there is no room for more.
    pub(crate) full: AtomicBool,
}

impl Jobs {
    /// What was spawned since the last call.
    pub(crate) fn take(&self) -> Vec<Job> {
        std::mem::take(&mut *self.spawned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Spawn for Jobs {
    fn spawn(&self, job: Job) -> Result<(), Job> {
        if self.full.load(Ordering::Relaxed) {
            return Err(job);
        }
        self.spawned.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        Ok(())
    }
}
