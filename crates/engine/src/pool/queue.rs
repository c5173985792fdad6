//! Jobs that wait, and which of them is next: fair between roots, between places of a root, and
//! between clients of a place.
//!
//! Nothing here is a thread or a lock. [`Queue::push`] says whether there is room, [`Queue::take`]
//! what runs next, [`Queue::finish`] that it has.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use sockeye_proto::{Client, Job, Place};

/// How many jobs that wait [`Queue::sweep`] may look at for each that was pushed. So a full queue that
/// has none to drop costs a push no more than looking at so many, taken together.
const LOOKS_PER_PUSH: usize = 8;

/// How many jobs may wait and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Threads in all.
    pub(crate) threads: usize,
    /// Threads that jobs of one [`Place::root`] may take.
    pub(crate) per_root: usize,
    /// Threads that jobs of one [`Place`] may take.
    pub(crate) per_place: usize,
    /// Whether one client may take all threads, or only its share of them.
    pub(crate) shares_threads: bool,
    /// Jobs that may wait; a client's share of them for one client.
    pub(crate) waiting: usize,
}

/// Jobs that wait, and counts of those that run.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    /// Only roots with jobs that wait.
    roots: HashMap<u32, Root>,
    /// The roots in turn: each of `roots` once.
    turns: VecDeque<u32>,
    waiting: usize,
    /// How many came, or were refused, since the last sweep.
    pushes: usize,
    /// Only what isn't zero.
    waiting_of: HashMap<Client, usize>,
    running: usize,
    running_of: HashMap<Client, usize>,
    running_at: HashMap<Place, usize>,
    running_in: HashMap<u32, usize>,
    /// How many places were looked at for a job.
    #[cfg(test)]
    looks: std::cell::Cell<usize>,
}

/// The jobs that wait in one root. Clients choose how many places it has: they are apart from those
/// of others, so that none of them is looked at while the root has no thread free.
#[derive(Debug, Default)]
struct Root {
    /// Only places with jobs that wait.
    places: HashMap<Place, Line>,
    /// The places in turn: each of `places` once.
    turns: VecDeque<Place>,
}

/// The jobs that wait at one place.
#[derive(Debug, Default)]
struct Line {
    /// Only clients with jobs that wait.
    clients: HashMap<Client, VecDeque<(Instant, Job)>>,
    /// The clients in turn: each of `clients` once.
    turns: VecDeque<Client>,
}

/// Whose turn is next, by the indices of the turns.
struct Next {
    root: usize,
    place: usize,
    client: usize,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            roots: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            pushes: 0,
            waiting_of: HashMap::new(),
            running: 0,
            running_of: HashMap::new(),
            running_at: HashMap::new(),
            running_in: HashMap::new(),
            #[cfg(test)]
            looks: std::cell::Cell::default(),
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a job that begins to wait at `now`. Returns whether it could run at once, if there were a
    /// thread for it.
    ///
    /// # Errors
    ///
    /// The job, where too many wait already, in all or of its client.
    pub(crate) fn push(&mut self, now: Instant, job: Job) -> Result<bool, Job> {
        self.pushes = self.pushes.saturating_add(1);
        let (client, place) = (job.client(), job.place());
        let share = client.share(self.limits.waiting as u64) as usize;
        if self.waiting >= self.limits.waiting || count(&self.waiting_of, &client) >= share {
            return Err(job);
        }
        self.waiting += 1;
        *self.waiting_of.entry(client).or_default() += 1;
        if !self.roots.contains_key(&place.root) {
            self.turns.push_back(place.root);
        }
        let root = self.roots.entry(place.root).or_default();
        if !root.places.contains_key(&place) {
            root.turns.push_back(place);
        }
        let line = root.places.entry(place).or_default();
        if !line.clients.contains_key(&client) {
            line.turns.push_back(client);
        }
        line.clients.entry(client).or_default().push_back((now, job));
        Ok(self.has_thread(place) && self.may_run(client))
    }

    /// Takes out all jobs that nobody waits for any more, when one was refused for want of room: where
    /// all threads hang, their turn would never come. Looks for none where too few came since it last
    /// did. What they hold is for the caller to drop, outside of locks.
    pub(crate) fn sweep(&mut self) -> Vec<(Instant, Job)> {
        if self.pushes.saturating_mul(LOOKS_PER_PUSH) < self.waiting {
            return Vec::new();
        }
        self.pushes = 0;
        let mut gone = Vec::new();
        self.roots.retain(|_, root| {
            root.places.retain(|_, line| {
                line.sweep(&mut gone);
                !line.turns.is_empty()
            });
            root.turns.retain(|place| root.places.contains_key(place));
            !root.turns.is_empty()
        });
        self.turns.retain(|root| self.roots.contains_key(root));
        self.waiting -= gone.len();
        for (_, job) in &gone {
            less(&mut self.waiting_of, job.client());
        }
        gone
    }

    /// Takes the next job that may run now: of the roots in turn, the places of each in turn, and the
    /// clients of each in turn, the first whose limits allow it. It counts as running until
    /// [`Queue::finish`].
    pub(crate) fn take(&mut self) -> Option<(Instant, Job)> {
        let next = self.next()?;
        // Those that may not run now keep their turn.
        let number = self.turns.remove(next.root)?;
        let root = self.roots.get_mut(&number)?;
        let (since, job) = root.take(&next)?;
        if root.turns.is_empty() {
            self.roots.remove(&number);
        } else {
            self.turns.push_back(number);
        }
        self.waiting -= 1;
        less(&mut self.waiting_of, job.client());
        self.running += 1;
        *self.running_of.entry(job.client()).or_default() += 1;
        *self.running_at.entry(job.place()).or_default() += 1;
        *self.running_in.entry(number).or_default() += 1;
        Some((since, job))
    }

    /// Whether [`Queue::take`] would find a job.
    pub(crate) fn has_next(&self) -> bool {
        self.next().is_some()
    }

    /// Where the next job is that may run now.
    fn next(&self) -> Option<Next> {
        self.turns.iter().enumerate().find_map(|(at, number)| {
            let root = self.roots.get(number).filter(|_| self.has_thread_in(*number))?;
            root.turns.iter().enumerate().find_map(|(place_at, place)| {
                let line = root.places.get(place).filter(|_| self.has_thread(*place))?;
                let client = line.turns.iter().position(|client| self.may_run(*client))?;
                Some(Next { root: at, place: place_at, client })
            })
        })
    }

    /// Whether the limits leave a thread to a job at `place`.
    fn has_thread(&self, place: Place) -> bool {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        count(&self.running_at, &place) < self.limits.per_place && self.has_thread_in(place.root)
    }

    /// Whether they leave one to a job in this root, wherever it is there.
    fn has_thread_in(&self, root: u32) -> bool {
        count(&self.running_in, &root) < self.limits.per_root
    }

    /// Whether they leave one to a job of `client`.
    fn may_run(&self, client: Client) -> bool {
        let share = match self.limits.shares_threads {
            true => client.share(self.limits.threads as u64) as usize,
            false => self.limits.threads,
        };
        count(&self.running_of, &client) < share
    }

    /// A job of `client` at `place` has run.
    pub(crate) fn finish(&mut self, client: Client, place: Place) {
        self.running -= 1;
        less(&mut self.running_of, client);
        less(&mut self.running_at, place);
        less(&mut self.running_in, place.root);
    }
}

impl Root {
    fn take(&mut self, next: &Next) -> Option<(Instant, Job)> {
        let place = self.turns.remove(next.place)?;
        let line = self.places.get_mut(&place)?;
        let job = line.take(next.client);
        if line.turns.is_empty() {
            self.places.remove(&place);
        } else {
            self.turns.push_back(place);
        }
        job
    }
}

impl Line {
    /// Moves the jobs that nobody waits for any more to `gone`.
    fn sweep(&mut self, gone: &mut Vec<(Instant, Job)>) {
        self.clients.retain(|_, jobs| {
            if jobs.iter().any(|(_, job)| job.is_cancelled()) {
                let all = std::mem::take(jobs).into_iter();
                let (cancelled, left): (Vec<_>, Vec<_>) =
                    all.partition(|(_, job)| job.is_cancelled());
                gone.extend(cancelled);
                *jobs = left.into();
            }
            !jobs.is_empty()
        });
        self.turns.retain(|client| self.clients.contains_key(client));
    }

    fn take(&mut self, at: usize) -> Option<(Instant, Job)> {
        let client = self.turns.remove(at)?;
        let jobs = self.clients.get_mut(&client)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.clients.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        job
    }
}

fn count<K: Eq + std::hash::Hash>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

fn less<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sockeye_proto::{JobKind, Waiter};

    use super::*;

    const LIMITS: Limits =
        Limits { threads: 8, per_root: 4, per_place: 2, shares_threads: true, waiting: 40 };

    fn client(number: u8) -> Client {
        Client::V4([192, 0, 2, number])
    }

    fn job(number: u8, place: Place) -> Job {
        Job::new(JobKind::Other, client(number), || {}).at(place)
    }

    fn at(root: u32, lane: u32) -> Place {
        Place { root, lane }
    }

    fn taken(queue: &mut Queue) -> Vec<(Client, Place)> {
        std::iter::from_fn(|| queue.take()).map(|(_, job)| (job.client(), job.place())).collect()
    }

    #[test]
    fn clients_take_turns_however_many_jobs_each_has() {
        let limits = Limits { per_place: 8, per_root: 8, ..LIMITS };
        let mut queue = Queue::new(limits);
        for number in [1, 1, 1, 2, 3] {
            queue.push(Instant::now(), job(number, at(0, 0))).expect("there is room");
        }
        let order: Vec<_> = taken(&mut queue).iter().map(|(client, _)| *client).collect();
        // The third of the first waits: two of eight threads are its share.
        assert_eq!(order, [client(1), client(2), client(3), client(1)]);
        queue.finish(client(1), at(0, 0));
        assert_eq!(taken(&mut queue), [(client(1), at(0, 0))]);
    }

    #[test]
    fn places_that_hang_leave_threads_to_others() {
        let mut queue = Queue::new(Limits { shares_threads: false, ..LIMITS });
        for place in [at(0, 0), at(0, 1), at(0, 2), at(1, 0)] {
            for number in [1, 2, 3] {
                queue.push(Instant::now(), job(number, place)).unwrap();
            }
        }
        // None of them finishes. Two of each place, four of the first root.
        let mut places: Vec<_> = taken(&mut queue).iter().map(|(_, place)| *place).collect();
        places.sort_by_key(|place| (place.root, place.lane));
        assert_eq!(places.iter().filter(|place| place.root == 0).count(), 4);
        assert_eq!(places.iter().filter(|place| **place == at(1, 0)).count(), 2);
        assert_eq!(queue.waiting(), 6);
    }

    #[test]
    fn places_of_a_root_without_a_thread_are_not_looked_at() {
        let mut queue = Queue::new(Limits { waiting: 4000, ..LIMITS });
        for lane in 0..1000 {
            queue.push(Instant::now(), job(1 + (lane % 4) as u8, at(0, lane))).unwrap();
        }
        assert_eq!(taken(&mut queue).len(), 4, "what the root may take");
        for number in [5, 6, 7] {
            queue.push(Instant::now(), job(number, at(1, 0))).unwrap();
        }
        queue.looks.set(0);
        assert_eq!(taken(&mut queue), [(client(5), at(1, 0)), (client(6), at(1, 0))]);
        assert!(queue.looks.get() < 10, "{} places", queue.looks.get());
        queue.finish(client(1), at(0, 0));
        assert_eq!(taken(&mut queue), [(client(1), at(0, 4))], "the next in turn");
    }

    #[test]
    fn roots_take_turns_however_many_places_each_has() {
        let mut queue = Queue::new(LIMITS);
        for place in [at(0, 0), at(0, 1), at(0, 2), at(1, 0)] {
            queue.push(Instant::now(), job(1 + place.lane as u8, place)).unwrap();
        }
        let places: Vec<_> = taken(&mut queue).iter().map(|(_, place)| *place).collect();
        assert_eq!(places, [at(0, 0), at(1, 0), at(0, 1), at(0, 2)]);
    }

    #[test]
    fn a_client_may_have_its_share_of_those_that_wait() {
        let mut queue = Queue::new(LIMITS);
        for _ in 0..10 {
            queue.push(Instant::now(), job(1, at(0, 0))).unwrap();
        }
        assert!(queue.push(Instant::now(), job(1, at(0, 0))).is_err());
        for number in [2, 3, 4] {
            for _ in 0..10 {
                queue.push(Instant::now(), job(number, at(0, 0))).expect("there is room");
            }
        }
        assert!(queue.push(Instant::now(), job(5, at(0, 0))).is_err(), "40 wait");
    }

    #[test]
    fn a_sweep_takes_out_what_nobody_waits_for_and_no_more() {
        let mut queue = Queue::new(LIMITS);
        let (waiter, cancel) = Waiter::new();
        for lane in 0..10 {
            let job = job(1, at(lane % 2, lane / 4));
            let job = if lane < 7 { job.unless(cancel.clone()) } else { job };
            queue.push(Instant::now(), job).unwrap();
        }
        queue.push(Instant::now(), job(2, at(3, 0)).unless(cancel)).unwrap();
        drop(waiter);
        assert!(queue.push(Instant::now(), job(1, at(0, 0))).is_err());
        assert_eq!((queue.sweep().len(), queue.waiting()), (8, 3));
        for _ in 0..7 {
            queue.push(Instant::now(), job(1, at(2, 0))).expect("there is room again");
        }
        let mut ran = 0;
        while let Some((_, job)) = queue.take() {
            queue.finish(job.client(), job.place());
            ran += 1;
        }
        assert_eq!((ran, queue.waiting()), (10, 0));
        assert!(queue.roots.is_empty() && queue.turns.is_empty() && queue.waiting_of.is_empty());
    }

    #[test]
    fn a_sweep_is_paid_for_by_pushes() {
        let mut queue = Queue::new(LIMITS);
        let mut waiters = Vec::new();
        for number in 0..40 {
            let (waiter, cancel) = Waiter::new();
            queue.push(Instant::now(), job(number % 4, at(0, 0)).unless(cancel)).unwrap();
            waiters.push(waiter);
        }
        assert!(queue.sweep().is_empty(), "all are waited for");
        waiters.clear();
        for _ in 0..40 / LOOKS_PER_PUSH {
            assert!(queue.sweep().is_empty(), "too soon");
            assert!(queue.push(Instant::now(), job(5, at(0, 0))).is_err());
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
            let mut running: Vec<(Client, Place)> = Vec::new();
            for (number, root, lane) in pushes {
                pushed += usize::from(queue.push(Instant::now(), job(number, at(root, lane))).is_ok());
            }
            let mut finishes = finishes.into_iter();
            loop {
                while running.len() < LIMITS.threads && let Some((_, job)) = queue.take() {
                    running.push((job.client(), job.place()));
                    ran += 1;
                }
                for (client, place) in &running {
                    let of = running.iter().filter(|(other, _)| other == client).count();
                    let at = running.iter().filter(|(_, other)| other == place).count();
                    let within = running.iter().filter(|(_, other)| other.root == place.root);
                    prop_assert!(of <= 2 && at <= LIMITS.per_place);
                    prop_assert!(within.count() <= LIMITS.per_root);
                }
                if running.is_empty() {
                    break;
                }
                let done = finishes.next().map_or(0, |index| index.index(running.len()));
                let (client, place) = running.swap_remove(done);
                queue.finish(client, place);
            }
            prop_assert_eq!((ran, queue.waiting(), queue.running), (pushed, 0, 0));
            prop_assert!(queue.roots.is_empty() && queue.waiting_of.is_empty());
            prop_assert!(queue.running_of.is_empty() && queue.running_in.is_empty());
        }
    }
}
