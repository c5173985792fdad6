//! Threads for what blocks: opening and reading files, mostly.
//!
//! A thread starts when there is work that no idle thread takes, up to the limit, and stays. The
//! queue is bounded: a job that finds it full is dropped, which abandons the promises that it holds,
//! so that whoever waits hears of it. A job that panics takes nothing else down.
//!
//! How long jobs wait says whether the threads suffice, so it is counted ([`Jobs`]): two looks at
//! the clock for each job, which is no part of the loop.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sockeye_proto::{Job, Spawn};
use tracing::{error, warn};

use crate::tally::Jobs;

/// Jobs that may wait for a thread. Far above what a healthy disk lets pile up; below it, every
/// connection may have one.
const QUEUE: usize = 100_000;

/// A bounded pool of threads. They end when the pool is dropped and the queue is empty.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    max_threads: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Instant, Job)>,
    threads: usize,
    idle: usize,
    closed: bool,
    full: bool,
    jobs: Jobs,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread of the pool does.
    fn work(&self) {
        while let Some(job) = self.next() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                error!(target: "sockeye", "a job panicked");
            }
        }
    }

    /// Waits for a job; `None` when there will be no more.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some((since, job)) = state.queue.pop_front() {
                state.full = false;
                state.jobs.begin(since.elapsed());
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

impl Pool {
    /// A pool of at most `max_threads`.
    #[must_use]
    pub fn new(max_threads: NonZeroUsize) -> Self {
        Self { shared: Arc::default(), max_threads: max_threads.get() }
    }

    /// What was counted.
    #[must_use]
    pub fn jobs(&self) -> Jobs {
        self.shared.lock().jobs.clone()
    }
}

impl Spawn for Pool {
    fn spawn(&self, job: Job) {
        let mut state = self.shared.lock();
        if state.queue.len() >= QUEUE {
            state.jobs.dropped += 1;
            // Once for each time that it fills up.
            if !std::mem::replace(&mut state.full, true) {
                warn!(target: "sockeye", waiting = QUEUE, "too much work for the pool: jobs are dropped");
            }
            drop(state);
            drop(job);
            return;
        }
        state.queue.push_back((Instant::now(), job));
        if state.idle < state.queue.len() && state.threads < self.max_threads {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("sockeye-job".into());
            match thread.spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    error!(target: "sockeye", %error, "no thread for what blocks");
                    let jobs = std::mem::take(&mut state.queue);
                    state.jobs.dropped += jobs.len() as u64;
                    drop(state);
                    drop(jobs);
                    return;
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.work.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_elsewhere_and_a_panic_takes_nothing_down() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let (send, receive) = mpsc::channel();
        let here = std::thread::current().id();
        pool.spawn(Box::new(|| panic!("on purpose")));
        for _ in 0..3 {
            let send = send.clone();
            pool.spawn(Box::new(move || send.send(std::thread::current().id()).unwrap()));
        }
        drop(send);
        let threads: Vec<_> = receive.iter().collect();
        assert_eq!(threads.len(), 3);
        assert!(threads.iter().all(|thread| *thread != here && *thread == threads[0]));
    }

    #[test]
    fn jobs_are_counted_with_the_time_that_they_waited() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let (begin, may_begin) = mpsc::channel::<()>();
        let (send, receive) = mpsc::channel();
        pool.spawn(Box::new(move || may_begin.recv().unwrap()));
        pool.spawn(Box::new(move || send.send(()).unwrap()));
        // The one thread is taken until then, so the second job waits at least for this.
        let spawned = Instant::now();
        std::thread::yield_now();
        let at_least = spawned.elapsed();
        begin.send(()).unwrap();
        receive.recv().unwrap();
        let jobs = pool.jobs();
        assert_eq!((jobs.run, jobs.dropped), (2, 0));
        assert!(jobs.waited >= jobs.longest_wait && jobs.longest_wait >= at_least, "{jobs:?}");
    }

    #[test]
    fn a_job_that_finds_the_queue_full_is_dropped_and_counted() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let (begin, may_begin) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        pool.spawn(Box::new(move || {
            begun.send(()).unwrap();
            may_begin.recv().unwrap();
        }));
        has_begun.recv().unwrap();
        for _ in 0..QUEUE {
            pool.spawn(Box::new(|| {}));
        }
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        pool.spawn(Box::new(move || drop(held)));
        assert_eq!(Arc::strong_count(&alive), 1, "it was dropped at once");
        assert_eq!(pool.jobs().dropped, 1);
        begin.send(()).unwrap();
    }
}
