//! Jobs on threads.

use std::sync::mpsc;

use sockeye_proto::Waiter;

use super::*;

fn other(run: impl FnOnce() + Send + 'static) -> Job {
    Job::new(JobKind::Other, Client::Unix, run)
}

/// A job that waits until the sender sends or is dropped.
fn blocking_job(kind: JobKind, client: Client) -> (Job, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (start, has_started) = mpsc::channel();
    let (end, may_end) = mpsc::channel();
    let job = Job::new(kind, client, move || {
        let _ = start.send(());
        let _ = may_end.recv();
    });
    (job, has_started, end)
}

#[test]
fn jobs_run_on_other_threads_and_a_panic_is_caught() {
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
fn lookups_of_one_group_or_root_leave_threads_for_others_on_any_number_of_cores() {
    for workers in [1, 10, 11, 16, 63, 64, 128, 1000] {
        let limits = lookup_limits(workers, 2 * workers + 1);
        assert!(limits.per_group < limits.per_root, "{workers} workers");
        assert!(limits.per_root < limits.threads, "{workers} workers");
    }
    let limits = lookup_limits(2, 5);
    assert_eq!((limits.per_group, limits.per_root, limits.threads), (5, 32, 256));
}

#[test]
fn jobs_are_counted_and_cancelled_ones_are_not_run() {
    let pool = Pool::new(NonZeroUsize::MIN);
    // This client may run one long job at a time.
    let client = Client::V4([192, 0, 2, 1]);
    let (first, has_started, end) = blocking_job(JobKind::Listing, client);
    pool.spawn(first).unwrap();
    has_started.recv().unwrap();
    let (waiter, cancel) = Waiter::new();
    let cancelled = Job::new(JobKind::Listing, client, || panic!("cancelled")).cancel_with(cancel);
    pool.spawn(cancelled).unwrap();
    let (last, last_started, _end) = blocking_job(JobKind::Listing, client);
    pool.spawn(last).unwrap();
    drop(waiter);
    drop(end);
    last_started.recv().unwrap();
    let jobs = pool.jobs();
    assert_eq!((jobs.run, jobs.dropped, jobs.cancelled), (2, 0, 1));
    assert!(jobs.waited >= jobs.longest_wait, "{jobs:?}");
}

#[test]
fn a_lookup_does_not_wait_for_other_kinds_of_jobs() {
    let pool = Pool::new(NonZeroUsize::MIN);
    let mut ends = Vec::new();
    for kind in [JobKind::Listing, JobKind::Compress, JobKind::ReadWhole, JobKind::Other] {
        for _ in 0..20 {
            let (job, _, end) = blocking_job(kind, Client::Unix);
            pool.spawn(job).unwrap();
            ends.push(end);
        }
    }
    let (lookup, has_started, _end) = blocking_job(JobKind::Lookup, Client::Unix);
    pool.spawn(lookup).unwrap();
    has_started.recv().unwrap();
}

#[test]
fn a_client_with_many_jobs_does_not_delay_another() {
    let pool = Pool::new(NonZeroUsize::MIN);
    let mut ends = Vec::new();
    for _ in 0..100 {
        let (job, _, end) = blocking_job(JobKind::Listing, Client::Unix);
        pool.spawn(job).unwrap();
        ends.push(end);
    }
    let (job, has_started, _end) = blocking_job(JobKind::Listing, Client::V4([192, 0, 2, 1]));
    pool.spawn(job.in_group(sockeye_proto::JobGroup { root: 1, part: 0 })).unwrap();
    has_started.recv().unwrap();
}

#[test]
fn cancelled_jobs_make_room_even_if_every_thread_hangs() {
    /// Locks its pool when it is dropped.
    struct LocksPool(std::sync::Weak<Pool>);
    impl Drop for LocksPool {
        fn drop(&mut self) {
            let _ = self.0.upgrade().map(|pool| pool.jobs());
        }
    }
    let pool = Arc::new(Pool::new(NonZeroUsize::MIN));
    let client = Client::V4([192, 0, 2, 1]);
    let (hanging, has_started, _end) = blocking_job(JobKind::Listing, client);
    pool.spawn(hanging).unwrap();
    has_started.recv().unwrap();
    let share = client.share(MAX_WAITING_LONG as u64);
    for _ in 0..3 * share {
        let (_waiter, cancel) = Waiter::new();
        let locks = LocksPool(Arc::downgrade(&pool));
        let job = Job::new(JobKind::Listing, client, move || drop(locks));
        pool.spawn(job.cancel_with(cancel)).expect("there is room");
    }
    let jobs = pool.jobs();
    assert_eq!((jobs.run, jobs.dropped, jobs.cancelled), (1, 0, 2 * share));
}

#[test]
fn the_end_of_a_job_starts_a_thread_for_each_job_that_may_run_now() {
    let pool = Pool::new(NonZeroUsize::MIN);
    let group = |part| sockeye_proto::JobGroup { root: 0, part };
    let client = |number| Client::V4([192, 0, 2, number]);
    let begin = |number, part| {
        let (job, has_started, end) = blocking_job(JobKind::Listing, client(number));
        pool.spawn(job.in_group(group(part))).unwrap();
        (has_started, end)
    };
    // One job of a client at a time, and two of a group.
    let (first, end) = begin(1, 0);
    first.recv().unwrap();
    let (second, _end) = begin(2, 0);
    second.recv().unwrap();
    let (same_client, _end) = begin(1, 1);
    let (same_group, _end) = begin(3, 0);
    drop(end);
    same_client.recv().unwrap();
    same_group.recv().unwrap();
}

#[test]
fn a_refused_job_is_returned() {
    let pool = Pool::new(NonZeroUsize::MIN);
    let client = Client::V4([192, 0, 2, 1]);
    let (first, has_started, end) = blocking_job(JobKind::Listing, client);
    pool.spawn(first).unwrap();
    has_started.recv().unwrap();
    let share = client.share(MAX_WAITING_LONG as u64);
    for _ in 0..share {
        pool.spawn(Job::new(JobKind::Listing, client, || {})).unwrap();
    }
    assert!(pool.spawn(Job::new(JobKind::Listing, client, || {})).is_err());
    assert!(pool.spawn(Job::new(JobKind::Lookup, client, || {})).is_ok());
    assert_eq!(pool.jobs().dropped, 1);
    drop(end);
}

/// Panics when it is dropped.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("on purpose, in the destructor of a job");
    }
}

/// Spawns a long job that waits for a thread, is cancelled, and panics when it is dropped.
fn spawn_cancelled(pool: &Pool, client: Client) {
    let (_waiter, cancel) = Waiter::new();
    let held = PanicsWhenDropped;
    let job = Job::new(JobKind::Listing, client, move || drop(held));
    pool.spawn(job.cancel_with(cancel)).expect("there is room");
}

#[test]
fn a_panic_in_the_destructor_of_a_cancelled_job_ends_no_thread() {
    let pool = Pool::new(NonZeroUsize::MIN);
    let client = Client::V4([192, 0, 2, 1]);
    let (first, has_started, end) = blocking_job(JobKind::Listing, client);
    pool.spawn(first).unwrap();
    has_started.recv().unwrap();
    // The thread drops the job when its turn comes.
    spawn_cancelled(&pool, client);
    let (last, last_started, _end) = blocking_job(JobKind::Listing, client);
    pool.spawn(last).unwrap();
    drop(end);
    last_started.recv().unwrap();
    // A push drops the jobs when the queue is full.
    for _ in 0..=client.share(MAX_WAITING_LONG as u64) {
        spawn_cancelled(&pool, client);
    }
    assert_eq!(pool.jobs().dropped, 0);
}
