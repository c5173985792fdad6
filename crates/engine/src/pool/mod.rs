//! Threads for what blocks or takes long.
//!
//! Three teams of threads, so that none of them waits for another: lookups and reads, which are
//! short but may hang with their file system; the long jobs of serving a folder (listing, archiving,
//! compressing, hashing), which run at a lower priority; and the work of the library's users. Within
//! a team jobs are taken fairly: see [`queue`].
//!
//! A thread starts when there is work that no idle thread takes, up to the team's limit, and ends
//! when it has been idle for a while. A job that nobody waits for any more when its turn comes, or
//! when there is no room for another, is dropped. A job that panics takes nothing else down.
//!
//! How long jobs wait says whether the threads suffice, so it is counted ([`Jobs`]): two looks at
//! the clock for each job, which is no part of the loop.

mod queue;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sockeye_proto::{Client, Job, JobKind, Spawn};
use tracing::{debug, error, warn};

use crate::driver::trim_heaps;
use crate::stats::Jobs;
use queue::{Limits, Queue};

/// Lookups, or jobs of users, that may wait for a thread: every connection may have one.
const WAITING: usize = 100_000;
/// Long jobs that may wait.
const WAITING_LONG: usize = 1024;
/// Threads for lookups and reads. More than a few run only where file systems hang.
const LOOKUP_THREADS: usize = 256;
/// Of these, what the lookups in one folder may take.
const LOOKUP_THREADS_PER_ROOT: usize = 32;
/// A thread that finds no work for so long ends.
const IDLE: Duration = Duration::from_secs(10);
/// How often it is reported that jobs are refused.
const REPORT: Duration = Duration::from_secs(60);
/// How much nicer the threads of long jobs are than the loops: they get about a third of the time
/// of a thread at the usual priority where both want a core.
const NICE: i32 = 5;

/// Threads for jobs. They end when the pool is dropped and nothing waits.
#[derive(Debug)]
pub struct Pool {
    lookups: Arc<Team>,
    long: Arc<Team>,
    others: Arc<Team>,
}

/// Threads that take jobs from one queue.
#[derive(Debug)]
struct Team {
    name: &'static str,
    limits: Limits,
    nice: bool,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    threads: usize,
    /// Those that will look for a job before long: they wait to be woken, or have just been started.
    idle: usize,
    closed: bool,
    /// When refused jobs were reported last.
    reported: Option<Instant>,
    jobs: Jobs,
}

impl Pool {
    /// The pool of a server with this number of workers.
    #[must_use]
    pub fn new(workers: NonZeroUsize) -> Self {
        let workers = workers.get();
        // More than cores, for they mostly wait.
        let some = workers.saturating_mul(2).saturating_add(1);
        let lookups = Limits {
            threads: LOOKUP_THREADS.max(some),
            per_root: LOOKUP_THREADS_PER_ROOT.max(some),
            per_place: some,
            shares_threads: true,
            waiting: WAITING,
        };
        let long = Limits {
            threads: some + 1,
            per_root: some,
            per_place: workers + 1,
            shares_threads: true,
            waiting: WAITING_LONG,
        };
        let others = Limits {
            threads: some,
            per_root: some,
            per_place: some,
            shares_threads: false,
            waiting: WAITING,
        };
        Self {
            lookups: Team::new("lookups", lookups, false),
            long: Team::new("long jobs", long, true),
            others: Team::new("jobs", others, false),
        }
    }

    /// What was counted, of all teams.
    #[must_use]
    pub fn jobs(&self) -> Jobs {
        let mut jobs = Jobs::default();
        for team in self.teams() {
            jobs.add(&team.lock().jobs);
        }
        jobs
    }

    fn teams(&self) -> [&Arc<Team>; 3] {
        [&self.lookups, &self.long, &self.others]
    }

    fn team_of(&self, kind: JobKind) -> &Arc<Team> {
        match kind {
            JobKind::Lookup | JobKind::Read => &self.lookups,
            JobKind::Listing | JobKind::Archive | JobKind::Compress | JobKind::Hash => &self.long,
            JobKind::Other => &self.others,
        }
    }
}

impl Spawn for Pool {
    fn spawn(&self, job: Job) -> Result<(), Job> {
        self.team_of(job.kind()).push(job)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for team in self.teams() {
            team.lock().closed = true;
            team.work.notify_all();
        }
    }
}

impl Team {
    fn new(name: &'static str, limits: Limits, nice: bool) -> Arc<Self> {
        let state = State {
            queue: Queue::new(limits),
            threads: 0,
            idle: 0,
            closed: false,
            reported: None,
            jobs: Jobs::default(),
        };
        Arc::new(Self { name, limits, nice, state: Mutex::new(state), work: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        let now = Instant::now();
        // Before the lock, to be dropped after it: what they hold may take other locks.
        let gone;
        let mut state = self.lock();
        let client = job.client();
        let pushed = match state.queue.push(now, job) {
            Ok(may_run) => Ok(may_run),
            Err(job) => {
                gone = state.queue.sweep();
                state.jobs.cancelled += gone.len() as u64;
                if gone.is_empty() { Err(job) } else { state.queue.push(now, job) }
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
        // One that can't run yet, for what its client or place has taken, needs no thread: the next
        // that finishes looks for it.
        let short = may_run && state.idle < state.queue.waiting();
        if short && state.threads < self.limits.threads && !self.start(&mut state) {
            // Without a thread it would wait for ever.
            if state.threads == 0
                && let Some((_, job)) = state.queue.take()
            {
                state.queue.finish(job.client(), job.place());
                state.jobs.dropped += 1;
                return Err(job);
            }
        }
        drop(state);
        if may_run {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Says, once a minute, that jobs are refused.
    fn report(&self, mut state: MutexGuard<'_, State>, client: Client, now: Instant) {
        if state.reported.is_some_and(|last| now - last < REPORT) {
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

    /// Starts a thread; `false` where none is to be had.
    fn start(self: &Arc<Self>, state: &mut State) -> bool {
        let team = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sockeye-job".into());
        match thread.spawn(move || team.work()) {
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

    /// What a thread does.
    fn work(self: &Arc<Self>) {
        if self.nice {
            // It is no worse than before where this isn't allowed. Linux takes it for this thread.
            let _ = rustix::process::setpriority_process(None, NICE);
        }
        let mut state = self.lock();
        state.idle -= 1;
        while let Some(job) = self.next(state) {
            let (client, place) = (job.client(), job.place());
            debug!(target: "sockeye", kind = job.kind().as_str(), %client, "job started");
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                error!(target: "sockeye", "a job panicked");
            }
            state = self.lock();
            state.queue.finish(client, place);
        }
    }

    /// Sees to it that another thread takes the next job that may run, when this one has taken one.
    /// The end of a job may let two run that had to wait, of its client and at its place, and no
    /// thread was started for them when they came.
    fn go_on(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.queue.has_next() {
            return;
        }
        if state.idle > 0 {
            drop(state);
            self.work.notify_one();
        } else if state.threads < self.limits.threads {
            // Where that fails, this thread takes it later.
            self.start(&mut state);
        }
    }

    /// Waits for a job; `None` when this thread isn't needed any more.
    fn next<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> Option<Job> {
        loop {
            while let Some((since, job)) = state.queue.take() {
                if !job.is_cancelled() {
                    state.jobs.begin(since.elapsed());
                    self.go_on(state);
                    return Some(job);
                }
                state.queue.finish(job.client(), job.place());
                state.jobs.cancelled += 1;
                // What it holds is dropped outside of the lock.
                drop(state);
                drop(job);
                state = self.lock();
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, waited) =
                self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.queue.waiting() == 0 {
                state.threads -= 1;
                let is_last = state.threads == 0;
                drop(state);
                // What its jobs have left behind is not used again soon.
                if is_last {
                    trim_heaps();
                }
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use sockeye_proto::Waiter;

    use super::*;

    fn other(run: impl FnOnce() + Send + 'static) -> Job {
        Job::new(JobKind::Other, Client::Unix, run)
    }

    /// A job that waits until its sender says so, or is dropped.
    fn gate(kind: JobKind, client: Client) -> (Job, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel();
        let job = Job::new(kind, client, move || {
            let _ = begun.send(());
            let _ = may_end.recv();
        });
        (job, has_begun, end)
    }

    #[test]
    fn jobs_run_elsewhere_and_a_panic_takes_nothing_down() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let (send, receive) = mpsc::channel();
        let here = std::thread::current().id();
        pool.spawn(other(|| panic!("on purpose"))).unwrap();
        for _ in 0..3 {
            let send = send.clone();
            pool.spawn(other(move || send.send(std::thread::current().id()).unwrap())).unwrap();
        }
        drop(send);
        let threads: Vec<_> = receive.iter().collect();
        assert_eq!(threads.len(), 3);
        assert!(threads.iter().all(|thread| *thread != here));
    }

    #[test]
    fn jobs_are_counted_and_those_that_nobody_waits_for_are_not_run() {
        let pool = Pool::new(NonZeroUsize::MIN);
        // Of the long jobs this client may have one run at a time.
        let client = Client::V4([192, 0, 2, 1]);
        let (first, has_begun, end) = gate(JobKind::Listing, client);
        pool.spawn(first).unwrap();
        has_begun.recv().unwrap();
        let (waiter, cancel) = Waiter::new();
        let left = Job::new(JobKind::Listing, client, || panic!("nobody waits")).unless(cancel);
        pool.spawn(left).unwrap();
        let (last, last_begun, _end) = gate(JobKind::Listing, client);
        pool.spawn(last).unwrap();
        drop(waiter);
        drop(end);
        last_begun.recv().unwrap();
        let jobs = pool.jobs();
        assert_eq!((jobs.run, jobs.dropped, jobs.cancelled), (2, 0, 1));
        assert!(jobs.waited >= jobs.longest_wait, "{jobs:?}");
    }

    #[test]
    fn a_lookup_waits_for_no_other_kind() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let mut ends = Vec::new();
        for kind in [JobKind::Listing, JobKind::Compress, JobKind::Hash, JobKind::Other] {
            for _ in 0..20 {
                let (job, _, end) = gate(kind, Client::Unix);
                pool.spawn(job).unwrap();
                ends.push(end);
            }
        }
        let (lookup, has_begun, _end) = gate(JobKind::Lookup, Client::Unix);
        pool.spawn(lookup).unwrap();
        has_begun.recv().unwrap();
    }

    #[test]
    fn another_clients_job_is_next_however_many_one_has() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let mut ends = Vec::new();
        for _ in 0..100 {
            let (job, _, end) = gate(JobKind::Listing, Client::Unix);
            pool.spawn(job).unwrap();
            ends.push(end);
        }
        let (job, has_begun, _end) = gate(JobKind::Listing, Client::V4([192, 0, 2, 1]));
        pool.spawn(job.at(sockeye_proto::Place { root: 1, lane: 0 })).unwrap();
        has_begun.recv().unwrap();
    }

    #[test]
    fn jobs_that_nobody_waits_for_leave_their_room_where_every_thread_hangs() {
        /// Takes the lock of its pool when it is dropped.
        struct Looks(std::sync::Weak<Pool>);
        impl Drop for Looks {
            fn drop(&mut self) {
                let _ = self.0.upgrade().map(|pool| pool.jobs());
            }
        }
        let pool = Arc::new(Pool::new(NonZeroUsize::MIN));
        let client = Client::V4([192, 0, 2, 1]);
        let (hung, has_begun, _end) = gate(JobKind::Listing, client);
        pool.spawn(hung).unwrap();
        has_begun.recv().unwrap();
        let share = client.share(WAITING_LONG as u64);
        for _ in 0..3 * share {
            let (_waiter, cancel) = Waiter::new();
            let looks = Looks(Arc::downgrade(&pool));
            let job = Job::new(JobKind::Listing, client, move || drop(looks));
            pool.spawn(job.unless(cancel)).expect("there is room");
        }
        let jobs = pool.jobs();
        assert_eq!((jobs.run, jobs.dropped, jobs.cancelled), (1, 0, 2 * share));
    }

    #[test]
    fn the_end_of_a_job_starts_a_thread_for_each_that_it_lets_run() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let place = |lane| sockeye_proto::Place { root: 0, lane };
        let client = |number| Client::V4([192, 0, 2, number]);
        let begin = |number, lane| {
            let (job, has_begun, end) = gate(JobKind::Listing, client(number));
            pool.spawn(job.at(place(lane))).unwrap();
            (has_begun, end)
        };
        // One job of a client at a time, and two at a place.
        let (first, end) = begin(1, 0);
        first.recv().unwrap();
        let (second, _end) = begin(2, 0);
        second.recv().unwrap();
        let (same_client, _end) = begin(1, 1);
        let (same_place, _end) = begin(3, 0);
        drop(end);
        same_client.recv().unwrap();
        same_place.recv().unwrap();
    }

    #[test]
    fn a_refused_job_comes_back() {
        let pool = Pool::new(NonZeroUsize::MIN);
        let client = Client::V4([192, 0, 2, 1]);
        let (first, has_begun, end) = gate(JobKind::Listing, client);
        pool.spawn(first).unwrap();
        has_begun.recv().unwrap();
        let share = client.share(WAITING_LONG as u64);
        for _ in 0..share {
            pool.spawn(Job::new(JobKind::Listing, client, || {})).unwrap();
        }
        assert!(pool.spawn(Job::new(JobKind::Listing, client, || {})).is_err());
        assert!(pool.spawn(Job::new(JobKind::Lookup, client, || {})).is_ok());
        assert_eq!(pool.jobs().dropped, 1);
        drop(end);
    }
}
