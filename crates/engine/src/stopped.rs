//! [`Stopped`]: a future that is ready when the server has ended.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::Handle;

/// How many workers run, and which futures to wake when the last has ended.
#[derive(Debug)]
pub(crate) struct RunningWorkers {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many workers run.
    workers: usize,
    /// One for each [`Stopped`] that waits.
    wakers: Slab<Waker>,
}

/// Counts a worker as running until this guard is dropped, which is the last thing that the
/// worker's thread does.
#[derive(Debug)]
pub(crate) struct WorkerGuard {
    running_workers: Arc<RunningWorkers>,
    handle: Handle,
}

impl RunningWorkers {
    /// Counts all workers, whose number is `workers`, as running. Returns the count, and a guard
    /// for each worker.
    pub(crate) fn of(workers: usize, handle: &Handle) -> (Arc<Self>, Vec<WorkerGuard>) {
        let state = State { workers, wakers: Slab::new() };
        let running_workers = Arc::new(Self { state: Mutex::new(state) });
        let guard = || WorkerGuard {
            running_workers: Arc::clone(&running_workers),
            handle: handle.clone(),
        };
        let guards = (0..workers).map(|_| guard()).collect();
        (running_workers, guards)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        // After a panic, nobody serves this worker's share of new connections, so the server stops.
        if std::thread::panicking() {
            self.handle.stop();
        }
        let mut state = self.running_workers.lock();
        state.workers -= 1;
        if state.workers > 0 {
            return;
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// A future, for any executor, that is ready when the server's last worker has ended.
///
/// It takes no thread, and may outlive the server.
#[must_use = "a future does nothing unless it is polled"]
pub struct Stopped {
    running_workers: Arc<RunningWorkers>,
    /// The key of this future's waker in [`State::wakers`].
    slot: Option<usize>,
}

impl Stopped {
    pub(crate) fn new(running_workers: &Arc<RunningWorkers>) -> Self {
        Self { running_workers: Arc::clone(running_workers), slot: None }
    }
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.running_workers.lock();
        if state.workers == 0 {
            return Poll::Ready(());
        }
        match this.slot.and_then(|slot| state.wakers.get_mut(slot)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => this.slot = Some(state.wakers.insert(cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let waker = self.running_workers.lock().wakers.try_remove(slot);
            // Dropped outside of the lock.
            drop(waker);
        }
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").field("waits", &self.slot.is_some()).finish_non_exhaustive()
    }
}
