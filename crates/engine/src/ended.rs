//! The end of a server, for those who wait for it without a thread of their own, in any executor.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::Handle;

/// How many workers have not ended, and who is told when none is left.
#[derive(Debug)]
pub(crate) struct Ended {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    workers: usize,
    /// One for each [`Stopped`] that waits.
    wakers: Slab<Waker>,
}

/// A worker that has not ended: held by its thread, to the last.
#[derive(Debug)]
pub(crate) struct Alive {
    ended: Arc<Ended>,
    handle: Handle,
}

impl Ended {
    /// The end of so many workers.
    pub(crate) fn of(workers: usize, handle: &Handle) -> (Arc<Self>, Vec<Alive>) {
        let state = State { workers, wakers: Slab::new() };
        let ended = Arc::new(Self { state: Mutex::new(state) });
        let alive = || Alive { ended: Arc::clone(&ended), handle: handle.clone() };
        let all = (0..workers).map(|_| alive()).collect();
        (ended, all)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // The others would go on without it, and leave its connections unanswered.
        if std::thread::panicking() {
            self.handle.stop();
        }
        let mut state = self.ended.lock();
        state.workers -= 1;
        if state.workers > 0 {
            return;
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Is ready when a server has been drained or stopped and its last worker has ended.
///
/// A future for any executor. It takes no thread and no part in the server: it may outlive it, be
/// dropped, and be made as often as needed.
#[must_use = "a future does nothing unless it is polled"]
pub struct Stopped {
    ended: Arc<Ended>,
    /// Its place among the wakers.
    slot: Option<usize>,
}

impl Stopped {
    pub(crate) fn new(ended: &Arc<Ended>) -> Self {
        Self { ended: Arc::clone(ended), slot: None }
    }
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.ended.lock();
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
            let waker = self.ended.lock().wakers.try_remove(slot);
            // What it holds is dropped outside of the lock.
            drop(waker);
        }
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").field("waits", &self.slot.is_some()).finish_non_exhaustive()
    }
}
