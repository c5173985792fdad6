//! Threads for jobs: work that blocks or takes long.
//!
//! Four sub-pools of threads run independently: lookups and reads, which are short but may hang
//! with their file system; the long jobs of serving a folder (listing, archiving, compressing,
//! hashing), at a lower priority; TLS handshakes, which only compute; and the work of the library's
//! users. Each sub-pool schedules its jobs fairly: see [`queue`].
//!
//! When a job can run and fewer threads are idle than jobs wait, a sub-pool starts a thread, unless
//! it has reached its limit. A thread that has been idle for [`IDLE_TIMEOUT`] ends. A cancelled job
//! is dropped when its turn comes, or when the queue is full. A panic of a job is caught.
//!
//! [`JobStats`] counts how long jobs wait, which shows whether there are enough threads. This reads
//! the clock twice per job: when it is spawned, and on its thread when it starts.

mod queue;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sockeye_proto::driver::drop_caught;
use sockeye_proto::{Client, Job, JobKind, Spawn};
use tracing::{debug, error, warn};

use crate::driver::trim_heaps;
use crate::stats::JobStats;
use queue::{Limits, Queue, WaitingJob};

/// Maximum number of waiting lookups and reads, and also of waiting jobs of users: the default
/// limit on connections.
const MAX_WAITING: usize = 100_000;
/// How many long jobs may wait.
const MAX_WAITING_LONG: usize = 1024;
/// How many handshakes may wait. Each holds its client hello, up to 16 KiB, and the other TLS state
/// of its connection, some KiB.
const MAX_WAITING_HANDSHAKES: usize = 4096;
/// Maximum number of threads for lookups and reads. With many workers (event loops), it is higher:
/// see [`lookup_limits`]. Only a few threads run, unless a file system hangs.
const MAX_LOOKUP_THREADS: usize = 256;
/// Maximum number of these threads for the jobs of one served folder, or for reads from one device.
/// With many workers, it is higher, too.
const MAX_LOOKUP_THREADS_PER_ROOT: usize = 32;
/// How long a thread waits for work before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Refused jobs are reported at most once in this time.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// The nice value of the threads of long jobs. If such a thread and an event loop compete for a
/// core, the thread gets about a quarter of the core's time.
const NICE: i32 = 5;

/// Threads for jobs. They end when the pool is dropped and no job waits.
#[derive(Debug)]
pub struct Pool {
    lookups: Arc<SubPool>,
    long_jobs: Arc<SubPool>,
    handshakes: Arc<SubPool>,
    user_jobs: Arc<SubPool>,
}

/// Threads that take jobs from one queue.
#[derive(Debug)]
struct SubPool {
    name: &'static str,
    limits: Limits,
    low_priority: bool,
    state: Mutex<State>,
    work_available: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    threads: usize,
    /// Threads that wait for a job, or have just been started.
    idle: usize,
    closed: bool,
    /// When refused jobs were reported last.
    reported: Option<Instant>,
    jobs: JobStats,
}

/// Cancelled jobs. Their destructors may panic.
#[derive(Default)]
struct Cancelled(Vec<WaitingJob>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(_, job)| drop_job(job));
    }
}

fn drop_job(job: Job) {
    if !drop_caught(job) {
        error!(target: "sockeye", "the destructor of a cancelled job panicked");
    }
}

/// The limits of the sub-pool for lookups and reads. As for long jobs, one root (a served folder or
/// a device) leaves threads for other roots, and one group (a part of a root) for other groups.
fn lookup_limits(workers: usize, per_group: usize) -> Limits {
    let per_root = MAX_LOOKUP_THREADS_PER_ROOT.max(per_group.saturating_add(workers));
    Limits {
        threads: MAX_LOOKUP_THREADS.max(per_root.saturating_add(workers)),
        per_root,
        per_group,
        limits_clients: true,
        waiting: MAX_WAITING,
    }
}

impl Pool {
    /// The pool of a server with this number of workers.
    #[must_use]
    pub fn new(workers: NonZeroUsize) -> Self {
        Self::with_job_threads(workers, None)
    }

    /// As [`Pool::new`], with [`Config::job_threads`](crate::Config::job_threads).
    pub(crate) fn with_job_threads(
        workers: NonZeroUsize,
        job_threads: Option<NonZeroUsize>,
    ) -> Self {
        let workers = workers.get();
        // More threads than cores, because jobs mostly wait for a disk.
        let base = workers.saturating_mul(2).saturating_add(1);
        // The jobs of one root (a served folder or a device) leave threads for other roots. Those
        // of one group (a part of a root) leave threads for other groups of the root.
        let long = Limits {
            threads: base + 1,
            per_root: base,
            per_group: workers + 1,
            limits_clients: true,
            waiting: MAX_WAITING_LONG,
        };
        // One thread per worker. Handshakes never block, so one client may use all threads for a
        // moment: other clients get theirs in turn.
        let handshakes = Limits {
            threads: workers,
            per_root: workers,
            per_group: workers,
            limits_clients: false,
            waiting: MAX_WAITING_HANDSHAKES,
        };
        let job_threads = job_threads.map_or(base, NonZeroUsize::get);
        let user_jobs = Limits {
            threads: job_threads,
            per_root: job_threads,
            per_group: job_threads,
            limits_clients: false,
            waiting: MAX_WAITING,
        };
        Self {
            lookups: SubPool::new("lookups", lookup_limits(workers, base), false),
            long_jobs: SubPool::new("long jobs", long, true),
            handshakes: SubPool::new("handshakes", handshakes, false),
            user_jobs: SubPool::new("jobs", user_jobs, false),
        }
    }

    /// Counts of jobs, over all sub-pools.
    #[must_use]
    pub fn jobs(&self) -> JobStats {
        let mut jobs = JobStats::default();
        for sub_pool in self.sub_pools() {
            jobs.add(&sub_pool.lock().jobs);
        }
        jobs
    }

    fn sub_pools(&self) -> [&Arc<SubPool>; 4] {
        [&self.lookups, &self.long_jobs, &self.handshakes, &self.user_jobs]
    }

    fn sub_pool_of(&self, kind: JobKind) -> &Arc<SubPool> {
        match kind {
            JobKind::Lookup | JobKind::ReadPart => &self.lookups,
            JobKind::Listing | JobKind::Archive | JobKind::Compress | JobKind::ReadWhole => {
                &self.long_jobs
            }
            JobKind::Handshake => &self.handshakes,
            JobKind::Other => &self.user_jobs,
        }
    }
}

impl Spawn for Pool {
    fn spawn(&self, job: Job) -> Result<(), Job> {
        self.sub_pool_of(job.kind()).push(job)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for sub_pool in self.sub_pools() {
            sub_pool.lock().closed = true;
            sub_pool.work_available.notify_all();
        }
    }
}

impl SubPool {
    fn new(name: &'static str, limits: Limits, low_priority: bool) -> Arc<Self> {
        let state = State {
            queue: Queue::new(limits),
            threads: 0,
            idle: 0,
            closed: false,
            reported: None,
            jobs: JobStats::default(),
        };
        Arc::new(Self {
            name,
            limits,
            low_priority,
            state: Mutex::new(state),
            work_available: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        let now = Instant::now();
        // This is declared before the lock, so it is dropped after the lock is released: what a job
        // holds may take locks in `drop`.
        let mut cancelled = Cancelled::default();
        let mut state = self.lock();
        let client = job.client();
        let pushed = match state.queue.push(now, job) {
            Ok(may_run) => Ok(may_run),
            Err(job) => {
                cancelled.0 = state.queue.sweep();
                state.jobs.cancelled += cancelled.0.len() as u64;
                if cancelled.0.is_empty() { Err(job) } else { state.queue.push(now, job) }
            }
        };
        let may_run = match pushed {
            Ok(may_run) => may_run,
            Err(job) => {
                state.jobs.dropped += 1;
                self.report(state, client, now);
                return Err(job);
            }
        };
        // A job that a limit holds back needs no thread: the thread that ends another job takes it.
        let needs_thread = may_run && state.idle < state.queue.waiting();
        if needs_thread && state.threads < self.limits.threads && !self.start(&mut state) {
            // Without a thread, the job would wait forever.
            if state.threads == 0
                && let Some((_, job)) = state.queue.take()
            {
                state.queue.finish(job.client(), job.group());
                state.jobs.dropped += 1;
                return Err(job);
            }
        }
        drop(state);
        if may_run {
            self.work_available.notify_one();
        }
        Ok(())
    }

    /// Logs that jobs are refused, at most once a minute.
    fn report(&self, mut state: MutexGuard<'_, State>, client: Client, now: Instant) {
        if state.reported.is_some_and(|last| now - last < REPORT_INTERVAL) {
            return;
        }
        state.reported = Some(now);
        let waiting = state.queue.waiting();
        drop(state);
        warn!(
            target: "sockeye", budget = self.name, %client, waiting,
            "too many jobs wait for threads: some are refused"
        );
    }

    /// Starts a thread. Returns whether that succeeded.
    fn start(self: &Arc<Self>, state: &mut State) -> bool {
        let sub_pool = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sockeye-job".into());
        match thread.spawn(move || sub_pool.work()) {
            Ok(_) => {
                state.threads += 1;
                state.idle += 1;
            }
            Err(error) => {
                error!(target: "sockeye", %error, "cannot start a thread for jobs");
                return false;
            }
        }
        true
    }

    /// Runs jobs on this thread until the thread isn't needed.
    fn work(self: &Arc<Self>) {
        if self.low_priority {
            // On Linux, this changes only the calling thread. If the call fails, the thread has
            // normal priority.
            let _ = rustix::process::setpriority_process(None, NICE);
        }
        let mut state = self.lock();
        state.idle -= 1;
        while let Some(job) = self.next(state) {
            let (client, group) = (job.client(), job.group());
            debug!(target: "sockeye", kind = job.kind().as_str(), %client, "job started");
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                error!(target: "sockeye", "a job panicked");
            }
            state = self.lock();
            state.queue.finish(client, group);
        }
    }

    /// After this thread has taken a job: if another job may run, wakes or starts a thread for it.
    /// [`SubPool::push`] starts none for jobs that a limit holds back, and the end of one job can
    /// let two such jobs run: one of its client and one of its group.
    fn start_next(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.queue.has_next() {
            return;
        }
        if state.idle > 0 {
            drop(state);
            self.work_available.notify_one();
        } else if state.threads < self.limits.threads {
            // If no thread can be started, this thread takes the other job later.
            self.start(&mut state);
        }
    }

    /// Waits for a job. `None`: this thread isn't needed any more.
    fn next<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> Option<Job> {
        loop {
            while let Some((since, job)) = state.queue.take() {
                if !job.is_cancelled() {
                    state.jobs.count_start(since.elapsed());
                    self.start_next(state);
                    return Some(job);
                }
                state.queue.finish(job.client(), job.group());
                state.jobs.cancelled += 1;
                // The job is dropped outside of the lock.
                drop(state);
                drop_job(job);
                state = self.lock();
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, waited) = self
                .work_available
                .wait_timeout(state, IDLE_TIMEOUT)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.queue.waiting() == 0 {
                state.threads -= 1;
                let is_last = state.threads == 0;
                drop(state);
                // Without threads, the free memory in their heaps is not needed soon.
                if is_last {
                    trim_heaps();
                }
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
