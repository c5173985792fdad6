//! The jobs that wait for a thread, and which of them runs next. Each job belongs to a client and
//! to a [`JobGroup`](sockeye_proto::JobGroup), which is a part of a root (a served folder or a file
//! system). Roots take turns. When it is a root's turn, one of its groups has its turn, and within
//! the group one of the clients that have jobs in it.
//!
//! Threads and locks are not here. [`Queue::push`] adds a job, [`Queue::take`] starts the next one,
//! and [`Queue::finish`] counts its end.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

use sockeye_proto::driver::Counts;
use sockeye_proto::{Client, Job, JobGroup};

/// How many waiting jobs [`Queue::sweep`] may check per push. It limits what a push costs on
/// average while the queue is full and has no cancelled jobs.
const CHECKS_PER_PUSH: usize = 8;

/// How many jobs may wait and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Threads in total.
    pub(crate) threads: usize,
    /// Threads for the jobs of one [`JobGroup::root`].
    pub(crate) per_root: usize,
    /// Threads for the jobs of one [`JobGroup`].
    pub(crate) per_group: usize,
    /// Whether a client is limited to its share of the threads ([`Client::share`]).
    pub(crate) limits_clients: bool,
    /// Waiting jobs in total. A client may have at most its share of them, even if the threads of
    /// clients are not limited.
    pub(crate) waiting: usize,
}

/// The waiting jobs, and how many jobs run.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    /// By [`JobGroup::root`], then by group, then by client. Clients can cause a root to have many
    /// groups, so the groups are not checked while their root has no free thread.
    roots: RoundRobin<u32, RoundRobin<JobGroup, RoundRobin<Client, VecDeque<WaitingJob>>>>,
    waiting: usize,
    waiting_by_client: Counts<Client>,
    /// Pushes since the last sweep, refused ones included.
    pushes: usize,
    running: Running,
}

/// A job, with the time when it was pushed.
pub(crate) type WaitingJob = (Instant, Job);

/// Counts of running jobs.
#[derive(Debug, Default)]
struct Running {
    by_client: Counts<Client>,
    by_group: Counts<JobGroup>,
    by_root: Counts<u32>,
    /// How often a group was checked for a job that may run.
    #[cfg(test)]
    checks: std::cell::Cell<usize>,
}

/// Items that take turns. An item is removed when it becomes empty.
#[derive(Debug)]
struct RoundRobin<K, V> {
    items: HashMap<K, V>,
    /// Each key of `items` once.
    turns: VecDeque<K>,
}

trait IsEmpty {
    fn is_empty(&self) -> bool;
}

impl<T> IsEmpty for VecDeque<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> IsEmpty for RoundRobin<K, V> {
    fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

impl<K, V> Default for RoundRobin<K, V> {
    fn default() -> Self {
        Self { items: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default + IsEmpty> RoundRobin<K, V> {
    /// The item of `key`. If it is new, its turn comes last.
    fn entry(&mut self, key: K) -> &mut V {
        self.items.entry(key).or_insert_with(|| {
            self.turns.push_back(key);
            V::default()
        })
    }

    /// Calls `take` with the items that `may_run` allows, in the order of their turns, until `take`
    /// returns something. That item's next turn is after all others; the items before it keep their
    /// turns.
    fn take<T>(
        &mut self,
        may_run: impl Fn(K) -> bool,
        mut take: impl FnMut(&mut V) -> Option<T>,
    ) -> Option<T> {
        for (index, key) in self.turns.iter().copied().enumerate() {
            if may_run(key)
                && let Some(item) = self.items.get_mut(&key)
                && let Some(taken) = take(item)
            {
                self.turns.remove(index);
                if item.is_empty() {
                    self.items.remove(&key);
                } else {
                    self.turns.push_back(key);
                }
                return Some(taken);
            }
        }
        None
    }

    /// Calls `change` with each item.
    fn change_all(&mut self, mut change: impl FnMut(&mut V)) {
        self.items.retain(|_, item| {
            change(item);
            !item.is_empty()
        });
        self.turns.retain(|key| self.items.contains_key(key));
    }
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            roots: RoundRobin::default(),
            waiting: 0,
            waiting_by_client: Counts::default(),
            pushes: 0,
            running: Running::default(),
        }
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a job at the time `now`. Returns whether the limits of its root, its group and its
    /// client would let it run now, if a thread is free.
    ///
    /// # Errors
    ///
    /// The job, if too many jobs wait, in total or of its client.
    pub(crate) fn push(&mut self, now: Instant, job: Job) -> Result<bool, Job> {
        self.pushes = self.pushes.saturating_add(1);
        let (client, group) = (job.client(), job.group());
        let share = client.share(self.limits.waiting as u64);
        if self.waiting >= self.limits.waiting || self.waiting_by_client.get(client) >= share {
            return Err(job);
        }
        self.waiting += 1;
        self.waiting_by_client.add(client, 1);
        self.roots.entry(group.root).entry(group).entry(client).push_back((now, job));
        let Self { limits, running, .. } = self;
        Ok(running.root_may_run(limits, group.root)
            && running.group_may_run(limits, group)
            && running.client_may_run(limits, client))
    }

    /// Removes and returns the cancelled jobs, or none if there were too few pushes since the last
    /// sweep ([`CHECKS_PER_PUSH`]). Call this when a job was refused, because while all threads
    /// hang, no thread takes the cancelled jobs out of the queue. The caller must drop the returned
    /// jobs outside of locks.
    pub(crate) fn sweep(&mut self) -> Vec<WaitingJob> {
        if self.pushes.saturating_mul(CHECKS_PER_PUSH) < self.waiting {
            return Vec::new();
        }
        self.pushes = 0;
        let mut cancelled = Vec::new();
        self.roots.change_all(|groups| {
            groups.change_all(|clients| {
                clients.change_all(|jobs| {
                    if jobs.iter().any(|(_, job)| job.is_cancelled()) {
                        let (gone, left): (Vec<_>, _) = std::mem::take(jobs)
                            .into_iter()
                            .partition(|(_, job)| job.is_cancelled());
                        cancelled.extend(gone);
                        *jobs = left.into();
                    }
                });
            });
        });
        self.waiting -= cancelled.len();
        for (_, job) in &cancelled {
            self.waiting_by_client.subtract(job.client(), 1);
        }
        cancelled
    }

    /// Takes the next job that the limits let run. It counts as running until [`Queue::finish`].
    pub(crate) fn take(&mut self) -> Option<WaitingJob> {
        let Self { limits, running, roots, .. } = self;
        let (since, job) = roots.take(
            |root| running.root_may_run(limits, root),
            |groups| {
                groups.take(
                    |group| running.group_may_run(limits, group),
                    |clients| {
                        clients.take(
                            |client| running.client_may_run(limits, client),
                            VecDeque::pop_front,
                        )
                    },
                )
            },
        )?;
        self.waiting -= 1;
        self.waiting_by_client.subtract(job.client(), 1);
        self.running.by_client.add(job.client(), 1);
        self.running.by_group.add(job.group(), 1);
        self.running.by_root.add(job.group().root, 1);
        Some((since, job))
    }

    /// Whether [`Queue::take`] would find a job.
    pub(crate) fn has_next(&self) -> bool {
        let Self { limits, running, roots, .. } = self;
        roots.items.iter().any(|(root, groups)| {
            running.root_may_run(limits, *root)
                && groups.items.iter().any(|(group, clients)| {
                    running.group_may_run(limits, *group)
                        && clients.turns.iter().any(|one| running.client_may_run(limits, *one))
                })
        })
    }

    /// Counts the end of a job that [`Queue::take`] returned.
    pub(crate) fn finish(&mut self, client: Client, group: JobGroup) {
        self.running.by_client.subtract(client, 1);
        self.running.by_group.subtract(group, 1);
        self.running.by_root.subtract(group.root, 1);
    }
}

impl Running {
    fn root_may_run(&self, limits: &Limits, root: u32) -> bool {
        self.by_root.get(root) < limits.per_root as u64
    }

    fn group_may_run(&self, limits: &Limits, group: JobGroup) -> bool {
        #[cfg(test)]
        self.checks.set(self.checks.get() + 1);
        self.by_group.get(group) < limits.per_group as u64
    }

    fn client_may_run(&self, limits: &Limits, client: Client) -> bool {
        let threads = limits.threads as u64;
        let share = if limits.limits_clients { client.share(threads) } else { threads };
        self.by_client.get(client) < share
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sockeye_proto::{JobKind, Waiter};

    use super::*;

    const LIMITS: Limits =
        Limits { threads: 8, per_root: 4, per_group: 2, limits_clients: true, waiting: 40 };

    fn client(number: u8) -> Client {
        Client::V4([192, 0, 2, number])
    }

    fn job(number: u8, group: JobGroup) -> Job {
        Job::new(JobKind::Other, client(number), || {}).in_group(group)
    }

    fn group(root: u32, part: u32) -> JobGroup {
        JobGroup { root, part }
    }

    fn take_all(queue: &mut Queue) -> Vec<(Client, JobGroup)> {
        std::iter::from_fn(|| queue.take()).map(|(_, job)| (job.client(), job.group())).collect()
    }

    #[test]
    fn clients_take_turns_however_many_jobs_each_has() {
        let limits = Limits { per_group: 8, per_root: 8, ..LIMITS };
        let mut queue = Queue::new(limits);
        for number in [1, 1, 1, 2, 3] {
            queue.push(Instant::now(), job(number, group(0, 0))).expect("there is room");
        }
        let order: Vec<_> = take_all(&mut queue).iter().map(|(client, _)| *client).collect();
        // The third job of client 1 waits: its share is two of eight threads.
        assert_eq!(order, [client(1), client(2), client(3), client(1)]);
        queue.finish(client(1), group(0, 0));
        assert_eq!(take_all(&mut queue), [(client(1), group(0, 0))]);
    }

    #[test]
    fn a_group_that_hangs_leaves_threads_for_others() {
        let mut queue = Queue::new(Limits { limits_clients: false, ..LIMITS });
        for group in [group(0, 0), group(0, 1), group(0, 2), group(1, 0)] {
            for number in [1, 2, 3] {
                queue.push(Instant::now(), job(number, group)).unwrap();
            }
        }
        // None of them finishes. The limits are two per group and four per root.
        let mut groups: Vec<_> = take_all(&mut queue).iter().map(|(_, group)| *group).collect();
        groups.sort_by_key(|group| (group.root, group.part));
        assert_eq!(groups.iter().filter(|group| group.root == 0).count(), 4);
        assert_eq!(groups.iter().filter(|one| **one == group(1, 0)).count(), 2);
        assert_eq!(queue.waiting(), 6);
    }

    #[test]
    fn groups_of_a_root_without_a_free_thread_are_not_checked() {
        let mut queue = Queue::new(Limits { waiting: 4000, ..LIMITS });
        for part in 0..1000 {
            queue.push(Instant::now(), job(1 + (part % 4) as u8, group(0, part))).unwrap();
        }
        assert_eq!(take_all(&mut queue).len(), 4, "the limit of the root");
        for number in [5, 6, 7] {
            queue.push(Instant::now(), job(number, group(1, 0))).unwrap();
        }
        queue.running.checks.set(0);
        assert_eq!(take_all(&mut queue), [(client(5), group(1, 0)), (client(6), group(1, 0))]);
        assert!(queue.running.checks.get() < 10, "{} groups", queue.running.checks.get());
        queue.finish(client(1), group(0, 0));
        assert_eq!(take_all(&mut queue), [(client(1), group(0, 4))], "the next in turn");
    }

    #[test]
    fn roots_take_turns_however_many_groups_each_has() {
        let mut queue = Queue::new(LIMITS);
        for group in [group(0, 0), group(0, 1), group(0, 2), group(1, 0)] {
            queue.push(Instant::now(), job(1 + group.part as u8, group)).unwrap();
        }
        let groups: Vec<_> = take_all(&mut queue).iter().map(|(_, group)| *group).collect();
        assert_eq!(groups, [group(0, 0), group(1, 0), group(0, 1), group(0, 2)]);
    }

    #[test]
    fn a_client_may_fill_its_share_of_the_queue() {
        let mut queue = Queue::new(LIMITS);
        for _ in 0..10 {
            queue.push(Instant::now(), job(1, group(0, 0))).unwrap();
        }
        assert!(queue.push(Instant::now(), job(1, group(0, 0))).is_err());
        for number in [2, 3, 4] {
            for _ in 0..10 {
                queue.push(Instant::now(), job(number, group(0, 0))).expect("there is room");
            }
        }
        assert!(queue.push(Instant::now(), job(5, group(0, 0))).is_err(), "40 wait");
    }

    #[test]
    fn a_sweep_removes_exactly_the_cancelled_jobs() {
        let mut queue = Queue::new(LIMITS);
        let (waiter, cancel) = Waiter::new();
        for part in 0..10 {
            let job = job(1, group(part % 2, part / 4));
            let job = if part < 7 { job.cancel_with(cancel.clone()) } else { job };
            queue.push(Instant::now(), job).unwrap();
        }
        queue.push(Instant::now(), job(2, group(3, 0)).cancel_with(cancel)).unwrap();
        drop(waiter);
        assert!(queue.push(Instant::now(), job(1, group(0, 0))).is_err());
        assert_eq!((queue.sweep().len(), queue.waiting()), (8, 3));
        for _ in 0..7 {
            queue.push(Instant::now(), job(1, group(2, 0))).expect("there is room again");
        }
        let mut ran = 0;
        while let Some((_, job)) = queue.take() {
            queue.finish(job.client(), job.group());
            ran += 1;
        }
        assert_eq!((ran, queue.waiting()), (10, 0));
        assert!(queue.roots.is_empty() && queue.waiting_by_client.is_empty());
    }

    #[test]
    fn a_sweep_needs_pushes_in_proportion_to_the_waiting_jobs() {
        let mut queue = Queue::new(LIMITS);
        let mut waiters = Vec::new();
        for number in 0..40 {
            let (waiter, cancel) = Waiter::new();
            queue.push(Instant::now(), job(number % 4, group(0, 0)).cancel_with(cancel)).unwrap();
            waiters.push(waiter);
        }
        assert!(queue.sweep().is_empty(), "none is cancelled");
        waiters.clear();
        for _ in 0..40 / CHECKS_PER_PUSH {
            assert!(queue.sweep().is_empty(), "too soon");
            assert!(queue.push(Instant::now(), job(5, group(0, 0))).is_err());
        }
        assert_eq!(queue.sweep().len(), 40);
    }

    proptest! {
        #[test]
        fn every_job_runs_once_and_the_limits_hold(
            pushes in proptest::collection::vec((1..5u8, 0..2u32, 0..3u32), 0..60),
            finishes in proptest::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let mut queue = Queue::new(LIMITS);
            let (mut pushed, mut ran) = (0, 0);
            let mut running: Vec<(Client, JobGroup)> = Vec::new();
            for (number, root, part) in pushes {
                let job = job(number, group(root, part));
                pushed += usize::from(queue.push(Instant::now(), job).is_ok());
            }
            let mut finishes = finishes.into_iter();
            loop {
                while running.len() < LIMITS.threads && let Some((_, job)) = queue.take() {
                    running.push((job.client(), job.group()));
                    ran += 1;
                }
                for (client, group) in &running {
                    let of_client = running.iter().filter(|(other, _)| other == client).count();
                    let in_group = running.iter().filter(|(_, other)| other == group).count();
                    let in_root = running.iter().filter(|(_, other)| other.root == group.root);
                    prop_assert!(of_client <= 2 && in_group <= LIMITS.per_group);
                    prop_assert!(in_root.count() <= LIMITS.per_root);
                }
                if running.is_empty() {
                    break;
                }
                let done = finishes.next().map_or(0, |index| index.index(running.len()));
                let (client, group) = running.swap_remove(done);
                queue.finish(client, group);
            }
            prop_assert_eq!((ran, queue.waiting()), (pushed, 0));
            prop_assert!(queue.roots.is_empty() && queue.waiting_by_client.is_empty());
            prop_assert!(queue.running.by_client.is_empty());
            prop_assert!(queue.running.by_group.is_empty() && queue.running.by_root.is_empty());
        }
    }
}
