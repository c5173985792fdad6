//! Everything in one run, and the clock that moves when nobody has anything left to do.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sockeye_engine::driver::Target;
use sockeye_engine::{Config, ConnectionCounts, Footprint, Mailbox, Service, Shard, ShardParts};
use sockeye_proto::{Job, Protocol, Time};

use crate::jobs::Jobs;
use crate::net::{Host, Incident, Net, Shared};
use crate::script::{Heard, Script};
use crate::vigil::Vigil;
use crate::{Faults, SimDriver};

/// How long a job takes at the most.
const JOB_TIME: Duration = Duration::from_millis(50);

/// Within this time everything must have ended on its own. Longer than any deadline, and
/// than the slowest transfer of a test.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// Which scripted peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerId(usize);

/// Which shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardId(usize);

/// One run.
pub struct World {
    net: Shared,
    jobs: Arc<Jobs>,
    lost_jobs: u16,
    hanging_jobs: u16,
    /// Jobs that began and never end.
    hung: Vec<Job>,
    seats: Vec<Seat>,
}

struct Seat {
    shard: Shard<SimDriver>,
    poller: usize,
    at_first: Footprint,
    vigil: Vigil,
    draining: bool,
}

impl World {
    /// The world of `seed`, where this goes wrong.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let net = Rc::new(RefCell::new(Net::new(seed, faults)));
        let (jobs, hung, seats) = (Arc::default(), Vec::new(), Vec::new());
        Self { net, jobs, lost_jobs: 0, hanging_jobs: 0, hung, seats }
    }

    /// From now on this many jobs in a thousand panic, that is, are dropped.
    pub fn lose_jobs(&mut self, per_mille: u16) {
        self.lost_jobs = per_mille;
    }

    /// From now on this many jobs in a thousand never end.
    pub fn hang_jobs(&mut self, per_mille: u16) {
        self.hanging_jobs = per_mille;
    }

    /// From now on there is no room for jobs, or there is again.
    pub fn refuse_jobs(&mut self, refuse: bool) {
        self.jobs.full.store(refuse, Ordering::Relaxed);
    }

    /// From now on this goes wrong. Buffers of drivers that are there already stay as they are.
    pub fn set_faults(&mut self, faults: Faults) {
        self.net.borrow_mut().faults = faults;
    }

    // ---- who is there ----

    /// A shard that listens.
    pub fn server(
        &mut self,
        targets: &[Target],
        config: Config,
        service: impl Service + 'static,
    ) -> ShardId {
        self.seat(targets, config, Arc::default(), Box::new(service), None, usize::MAX)
    }

    /// As [`World::server`], with at most this many descriptors, listeners included.
    pub fn poor_server(
        &mut self,
        targets: &[Target],
        config: Config,
        service: impl Service + 'static,
        descriptors: usize,
    ) -> ShardId {
        self.seat(targets, config, Arc::default(), Box::new(service), None, descriptors)
    }

    /// As [`World::server`], as one shard of several that count their connections together.
    pub fn shard_of(
        &mut self,
        counts: &Arc<ConnectionCounts>,
        targets: &[Target],
        config: Config,
        service: impl Service + 'static,
    ) -> ShardId {
        self.seat(targets, config, Arc::clone(counts), Box::new(service), None, usize::MAX)
    }

    /// A shard that only connects, from `ip` (otherwise a loopback address).
    pub fn client(&mut self, config: Config, ip: Option<IpAddr>) -> ShardId {
        let nobody = |_: &sockeye_proto::Peer| -> Box<dyn Protocol> {
            unreachable!("nobody connects to a shard without listeners")
        };
        self.seat(&[], config, Arc::default(), Box::new(nobody), ip, usize::MAX)
    }

    fn seat(
        &mut self,
        targets: &[Target],
        config: Config,
        counts: Arc<ConnectionCounts>,
        service: Box<dyn Service>,
        ip: Option<IpAddr>,
        descriptors: usize,
    ) -> ShardId {
        use sockeye_engine::driver::Driver;
        let driver = SimDriver::new(&self.net, ip, descriptors);
        let poller = driver.poller();
        let listeners =
            (0..).zip(targets.iter().map(|target| driver.listen(target.clone()))).collect();
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        let shard = Shard::new(ShardParts {
            driver,
            listeners,
            handover: None,
            service,
            config: Arc::new(config),
            counts,
            mailbox,
            spawn: self.jobs.clone(),
        });
        let shard = shard.expect("the simulated poller takes any listener");
        let at_first = shard.footprint();
        self.seats.push(Seat { shard, poller, at_first, vigil: Vigil::default(), draining: false });
        ShardId(self.seats.len() - 1)
    }

    /// A scripted peer that connects now.
    pub fn peer(&mut self, target: &Target, script: Script) -> PeerId {
        PeerId(self.net.borrow_mut().script_connects(script, target.clone()))
    }

    /// A listener each of whose connections gets a scripted peer.
    pub fn scripted_server(&mut self, target: &Target, script: Script) {
        self.net.borrow_mut().listen(target.clone(), Host::Script(script));
    }

    /// What a scripted peer has heard so far.
    #[must_use]
    pub fn heard(&self, peer: PeerId) -> Heard {
        self.net.borrow().scripts[peer.0].heard.clone()
    }

    /// How many bytes of what a scripted peer has sent have arrived at the other side.
    #[must_use]
    pub fn arrived(&self, peer: PeerId) -> usize {
        let net = self.net.borrow();
        let script = &net.scripts[peer.0];
        script.heard.sent - net.ends[script.end.0].wire.len()
    }

    /// A shard, to look at it.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> &Shard<SimDriver> {
        &self.seats[id.0].shard
    }

    /// A shard, to tell it something.
    pub fn shard_mut(&mut self, id: ShardId) -> &mut Shard<SimDriver> {
        self.seats[id.0].vigil.stir();
        &mut self.seats[id.0].shard
    }

    /// Tells a shard to drain, in its turn.
    pub fn drain(&mut self, id: ShardId) {
        self.seats[id.0].drain();
    }

    /// Tells a shard to drain between its turns, by a call, without a look at the clock before.
    pub fn drain_between_turns(&mut self, id: ShardId) {
        self.seats[id.0].drain_now();
    }

    // ---- time ----

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.net.borrow().now
    }

    /// How many faults were injected so far.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.net.borrow().injected
    }

    /// A number that stands for everything that has happened, call by call.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.net.borrow().trace()
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        self.run_until(time, |_| false);
        self.net.borrow_mut().advance_to(end);
        self.stir();
    }

    /// Lets time pass until `done`, or nothing more happens, or `within` is over. Returns whether
    /// it is done.
    pub fn run_until(&mut self, within: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now() + within;
        loop {
            self.stir();
            if done(self) {
                return true;
            }
            match self.next_time() {
                Some(time) if time <= end => self.net.borrow_mut().advance_to(time),
                _ => return false,
            }
        }
    }

    /// When something happens next.
    fn next_time(&self) -> Option<Time> {
        let net = self.net.borrow();
        let wanted = self
            .seats
            .iter()
            .filter(|seat| !seat.is_over())
            .filter_map(|seat| net.pollers[seat.poller].note.until);
        wanted.chain(net.next_incident()).min()
    }

    /// Lets everything happen that happens now.
    fn stir(&mut self) {
        loop {
            let mut stirred = self.let_happen();
            for seat in &mut self.seats {
                stirred |= seat.turn(&self.net);
            }
            self.schedule_jobs();
            if !stirred {
                return;
            }
        }
    }

    fn let_happen(&self) -> bool {
        let mut any = false;
        loop {
            // The network is let go of before a job runs: what the job does may lead back here.
            let happened = self.net.borrow_mut().step();
            match happened {
                None => return any,
                Some(None) => any = true,
                Some(Some(job)) if job.is_cancelled() => any = true,
                Some(Some(job)) => {
                    any = true;
                    self.net.borrow_mut().progress += 1;
                    job.run();
                }
            }
        }
    }

    fn schedule_jobs(&mut self) {
        for job in self.jobs.take() {
            let mut net = self.net.borrow_mut();
            if net.rng.chance(self.lost_jobs) {
                drop(net);
                drop(job);
                continue;
            }
            if net.rng.chance(self.hanging_jobs) {
                self.hung.push(job);
                continue;
            }
            let after = net.rng.duration(JOB_TIME);
            net.schedule(after, Incident::Job(job));
        }
    }

    // ---- the end ----

    /// Waits until every connection has ended on its own and every peer has done what it
    /// had to.
    ///
    /// # Panics
    ///
    /// When one never does.
    pub fn settle(&mut self) {
        let quiet = |world: &Self| {
            world.net.borrow().is_quiet()
                && world.seats.iter().all(|seat| seat.shard.connections() == 0)
        };
        let settled = self.run_until(PATIENCE, quiet);
        assert!(settled, "something is owed for ever: {:?}", self.net.borrow());
        // Timers of connections that are gone come up.
        self.run(Duration::from_secs(200));
    }

    /// Lets everything come to its end, stops the shards, and checks what must hold after every
    /// run.
    ///
    /// # Panics
    ///
    /// When it doesn't hold.
    pub fn finish(mut self) {
        self.settle();
        for seat in &mut self.seats {
            let mut footprint = seat.shard.footprint();
            if seat.is_over() {
                // It has stopped looking at its clock.
                footprint.timers = seat.at_first.timers;
            }
            assert_eq!(footprint, seat.at_first, "memory is not back to the start");
            if !seat.is_over() {
                seat.drain();
            }
        }
        let done = |world: &Self| world.seats.iter().all(Seat::is_over);
        assert!(self.run_until(PATIENCE, done), "a shard with nothing to do doesn't stop");
        drop(std::mem::take(&mut self.seats));
        let net = self.net.borrow();
        assert!(net.books.complaints.is_empty(), "{:#?}", net.books.complaints);
        assert!(net.books.open.iter().all(|open| *open == 0), "open: {:?}", net.books.open);
    }
}

impl Seat {
    /// Whether the shard has drained: its thread would have ended.
    fn is_over(&self) -> bool {
        self.draining && self.shard.is_done()
    }

    fn drain(&mut self) {
        // As its mailbox would: after it has looked at the clock.
        self.shard.turn().expect("the simulated poller doesn't fail");
        self.drain_now();
    }

    fn drain_now(&mut self) {
        self.shard.drain();
        self.draining = true;
        self.vigil.stir();
    }

    /// Gives the shard a turn, if it has anything to do.
    fn turn(&mut self, net: &Shared) -> bool {
        let wants = self.vigil.wants_turn(&net.borrow().pollers[self.poller], net.borrow().now);
        if self.is_over() || !wants {
            return false;
        }
        let before = net.borrow().progress;
        self.shard.turn().expect("the simulated poller doesn't fail");
        let net = net.borrow();
        let got_on = net.progress != before;
        let room = self.shard.connections();
        self.vigil.turned(net.pollers[self.poller].note, net.now, got_on, room);
        true
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("net", &self.net).finish_non_exhaustive()
    }
}
