//! One simulated run: the workers (event loops), the network, and the clock, which advances when
//! all workers wait.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sockeye_engine::driver::Target;
use sockeye_engine::{
    Config, ConnectionCounts, Footprint, Mailbox, Service, TlsAcceptor, Worker, WorkerParts,
};
use sockeye_proto::{Job, Protocol, Time};

use crate::jobs::Jobs;
use crate::net::{Acceptor, Net, ScheduledEvent, Shared};
use crate::script::{PeerState, Script};
use crate::spin_check::SpinCheck;
use crate::{Faults, SimDriver};

/// Maximum virtual duration of a job.
const MAX_JOB_TIME: Duration = Duration::from_millis(50);

/// Time within which all connections must end by themselves. Longer than any deadline or transfer
/// of a test.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// The number of a scripted peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerId(usize);

/// The number of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId(usize);

/// One simulated run.
pub struct World {
    net: Shared,
    /// The jobs that workers have spawned and that aren't scheduled yet.
    jobs: Arc<Jobs>,
    /// Of 1000 jobs, how many are dropped: see [`World::drop_jobs`].
    dropped_jobs: u16,
    /// Of 1000 jobs, how many never finish: see [`World::hang_jobs`].
    hanging_jobs: u16,
    /// Jobs that never finish. They aren't run, only kept: a dropped job would count as panicked.
    hanging: Vec<Job>,
    workers: Vec<WorkerState>,
    /// The TLS of each listener of the worker that is added next. Empty if no listener has TLS.
    tls: Vec<Option<TlsAcceptor>>,
}

struct WorkerState {
    worker: Worker<SimDriver>,
    /// The index of its driver's poller in `Net::pollers`.
    poller: usize,
    /// What the worker held before its first connection.
    initial_footprint: Footprint,
    /// Panics if the worker makes too many turns (passes of its event loop) without progress.
    spin_check: SpinCheck,
    draining: bool,
}

impl World {
    /// Creates an empty world. `seed` determines all random choices.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let net = Rc::new(RefCell::new(Net::new(seed, faults)));
        let (jobs, hanging, workers) = (Arc::default(), Vec::new(), Vec::new());
        Self { net, jobs, dropped_jobs: 0, hanging_jobs: 0, hanging, workers, tls: Vec::new() }
    }

    /// From now on, drops this number of every thousand jobs, as if they had panicked.
    pub fn drop_jobs(&mut self, per_mille: u16) {
        self.dropped_jobs = per_mille;
    }

    /// From now on, this number of every thousand jobs never finishes.
    pub fn hang_jobs(&mut self, per_mille: u16) {
        self.hanging_jobs = per_mille;
    }

    /// From now on, rejects all new jobs, or accepts them again.
    pub fn refuse_jobs(&mut self, refuse: bool) {
        self.jobs.full.store(refuse, Ordering::Relaxed);
    }

    /// Number of jobs that workers have spawned to answer a TLS client hello.
    #[must_use]
    pub fn handshake_jobs(&self) -> usize {
        self.jobs.handshakes.load(Ordering::Relaxed)
    }

    /// Changes the faults. [`Faults::read_size`] applies only to workers that are added later.
    pub fn set_faults(&mut self, faults: Faults) {
        self.net.borrow_mut().faults = faults;
    }

    // ---- workers and peers ----

    /// Adds a worker with listeners.
    pub fn server(
        &mut self,
        targets: &[Target],
        config: Config,
        service: impl Service + 'static,
    ) -> WorkerId {
        self.add_worker(targets, config, Arc::default(), Box::new(service), None, usize::MAX)
    }

    /// Like [`World::server`], with TLS on all its listeners.
    pub fn server_with_tls(
        &mut self,
        targets: &[Target],
        tls: &TlsAcceptor,
        config: Config,
        service: impl Service + 'static,
    ) -> WorkerId {
        self.tls = vec![Some(tls.clone()); targets.len()];
        let server = self.server(targets, config, service);
        self.tls.clear();
        server
    }

    /// Like [`World::server`], with a limit on the worker's open descriptors. Listeners count, too.
    pub fn server_with_descriptors(
        &mut self,
        targets: &[Target],
        config: Config,
        service: impl Service + 'static,
        descriptors: usize,
    ) -> WorkerId {
        self.add_worker(targets, config, Arc::default(), Box::new(service), None, descriptors)
    }

    /// Like [`World::server`], with connection counts that several workers share.
    pub fn server_with_counts(
        &mut self,
        counts: &Arc<ConnectionCounts>,
        targets: &[Target],
        config: Config,
        service: impl Service + 'static,
    ) -> WorkerId {
        self.add_worker(targets, config, Arc::clone(counts), Box::new(service), None, usize::MAX)
    }

    /// Adds a worker without listeners, for outgoing connections. They come from `ip`, or from a
    /// loopback address if it is `None`.
    pub fn client(&mut self, config: Config, ip: Option<IpAddr>) -> WorkerId {
        let nobody = |_: &sockeye_proto::Peer| -> Box<dyn Protocol> {
            unreachable!("nobody connects to a worker without listeners")
        };
        self.add_worker(&[], config, Arc::default(), Box::new(nobody), ip, usize::MAX)
    }

    /// Adds a worker, with a listener for each of `targets`. `ip`: the address from which it
    /// connects. `descriptors`: how many it may have open.
    fn add_worker(
        &mut self,
        targets: &[Target],
        config: Config,
        counts: Arc<ConnectionCounts>,
        service: Box<dyn Service>,
        ip: Option<IpAddr>,
        descriptors: usize,
    ) -> WorkerId {
        use sockeye_engine::driver::Driver;
        let driver = SimDriver::new(&self.net, ip, descriptors);
        let poller = driver.poller();
        let listeners =
            (0..).zip(targets.iter().map(|target| driver.listen(target.clone()))).collect();
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        let worker = Worker::new(WorkerParts {
            driver,
            listeners,
            handover: None,
            tls: self.tls.clone().into(),
            service,
            config: Arc::new(config),
            counts,
            mailbox,
            spawn: self.jobs.clone(),
        });
        let worker = worker.expect("the simulated poller takes any listener");
        let initial_footprint = worker.footprint();
        self.workers.push(WorkerState {
            worker,
            poller,
            initial_footprint,
            spin_check: SpinCheck::default(),
            draining: false,
        });
        WorkerId(self.workers.len() - 1)
    }

    /// Adds a scripted peer, which connects now.
    pub fn peer(&mut self, target: &Target, script: Script) -> PeerId {
        PeerId(self.net.borrow_mut().script_connects(script, target.clone()))
    }

    /// Adds a listener that runs `script` on each of its connections.
    pub fn scripted_server(&mut self, target: &Target, script: Script) {
        self.net.borrow_mut().listen(target.clone(), Acceptor::Script(script));
    }

    /// The state of a scripted peer, such as the bytes that it has received.
    #[must_use]
    pub fn peer_state(&self, peer: PeerId) -> PeerState {
        self.net.borrow().scripts[peer.0].state.clone()
    }

    /// The state of the peer whose script began last. That is how tests see a connection of a
    /// [`World::scripted_server`], which has no [`PeerId`].
    ///
    /// # Panics
    ///
    /// If no script has begun.
    #[must_use]
    pub fn last_script(&self) -> PeerState {
        self.net.borrow().scripts.last().expect("a script has begun").state.clone()
    }

    /// The number of bytes from a scripted peer that have arrived at the other side.
    #[must_use]
    pub fn arrived(&self, peer: PeerId) -> usize {
        let net = self.net.borrow();
        let script = &net.scripts[peer.0];
        script.state.sent - net.endpoints[script.endpoint.0].in_flight.len()
    }

    /// A worker.
    #[must_use]
    pub fn worker(&self, id: WorkerId) -> &Worker<SimDriver> {
        &self.workers[id.0].worker
    }

    /// Mutable access to a worker. The worker gets a turn afterwards, because the caller may have
    /// changed it.
    pub fn worker_mut(&mut self, id: WorkerId) -> &mut Worker<SimDriver> {
        self.workers[id.0].spin_check.expect_turn();
        &mut self.workers[id.0].worker
    }

    /// Gives a worker a turn, in which it reads its clock, and then tells it to drain: to finish
    /// what is in flight, and to stop. A real worker does the same when it takes the message to
    /// drain from its mailbox.
    pub fn drain(&mut self, id: WorkerId) {
        self.workers[id.0].drain();
    }

    /// Drains a worker without giving it a turn first. So [`Worker::drain`] itself has to read the
    /// clock.
    pub fn drain_between_turns(&mut self, id: WorkerId) {
        self.workers[id.0].drain_now();
    }

    // ---- time ----

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.net.borrow().now
    }

    /// Number of injected faults so far.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.net.borrow().injected
    }

    /// How often workers have called `Driver::send_before_fin`, for output that is most likely the
    /// last before a FIN.
    #[must_use]
    pub fn sends_before_fin(&self) -> u64 {
        self.net.borrow().sends_before_fin
    }

    /// A hash of what has happened on the network so far, and when: connections that began or
    /// ended, and bytes that were sent, delivered or received. Equal runs have equal hashes.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.net.borrow().trace()
    }

    /// Runs for `time` on the virtual clock.
    pub fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        self.run_until(time, |_| false);
        self.net.borrow_mut().advance_to(end);
        self.run_due();
    }

    /// Runs until `done` returns true, until no event is left, or until `within` has passed.
    /// Returns whether `done` has returned true.
    pub fn run_until(&mut self, within: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now() + within;
        loop {
            self.run_due();
            if done(self) {
                return true;
            }
            match self.next_time() {
                Some(time) if time <= end => self.net.borrow_mut().advance_to(time),
                _ => return false,
            }
        }
    }

    /// The time of the next event of the network, or of the next timeout of a worker's wait.
    fn next_time(&self) -> Option<Time> {
        let net = self.net.borrow();
        let wanted = self
            .workers
            .iter()
            .filter(|worker| !worker.is_over())
            .filter_map(|worker| net.pollers[worker.poller].summary.until);
        wanted.chain(net.next_event_time()).min()
    }

    /// Handles all events that are due, and gives the workers their turns.
    fn run_due(&mut self) {
        loop {
            let mut woken = self.run_events();
            for worker in &mut self.workers {
                woken |= worker.turn(&self.net);
            }
            self.schedule_jobs();
            if !woken {
                return;
            }
        }
    }

    /// Handles the network's events that are due. Returns whether there was one.
    fn run_events(&self) -> bool {
        let mut any = false;
        loop {
            // `None`: no event is due. `Some(None)`: the network has handled an event.
            // `Some(Some(job))`: the event is a job. The network is not borrowed while a job runs,
            // because the job may use it.
            let event = self.net.borrow_mut().step();
            match event {
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

    /// Schedules the jobs that workers have spawned, except those that are to be dropped or to
    /// hang.
    fn schedule_jobs(&mut self) {
        for job in self.jobs.take() {
            let mut net = self.net.borrow_mut();
            if net.rng.chance(self.dropped_jobs) {
                drop(net);
                drop(job);
                continue;
            }
            if net.rng.chance(self.hanging_jobs) {
                self.hanging.push(job);
                continue;
            }
            let after = net.rng.duration(MAX_JOB_TIME);
            net.schedule(after, ScheduledEvent::Job(job));
        }
    }

    // ---- the end ----

    /// Runs until every connection of a worker has ended by itself, and no event of the network is
    /// left. A script that waits for something that never happens doesn't count.
    ///
    /// # Panics
    ///
    /// If this takes more than four hours of virtual time, or never happens.
    pub fn settle(&mut self) {
        let quiet = |world: &Self| {
            world.net.borrow().is_quiet()
                && world.workers.iter().all(|worker| worker.worker.connections() == 0)
        };
        let settled = self.run_until(SETTLE_TIMEOUT, quiet);
        assert!(settled, "a connection or an event doesn't end: {:?}", self.net.borrow());
        // Lets the timers of closed connections fire: `finish` checks that no timer is left. All
        // default timeouts are shorter than this.
        self.run(Duration::from_secs(200));
    }

    /// Runs until every connection has ended, stops the workers, and checks the invariants of every
    /// run.
    ///
    /// # Panics
    ///
    /// If an invariant is violated.
    pub fn finish(mut self) {
        self.settle();
        for worker in &mut self.workers {
            let mut footprint = worker.worker.footprint();
            if worker.is_over() {
                // A drained worker keeps expired timers, and keeps closed connections in its list
                // of ready connections.
                footprint.timers = worker.initial_footprint.timers;
                footprint.ready = worker.initial_footprint.ready;
            }
            assert_eq!(footprint, worker.initial_footprint, "the worker has leaked memory");
            if !worker.is_over() {
                worker.drain();
            }
        }
        let done = |world: &Self| world.workers.iter().all(WorkerState::is_over);
        assert!(self.run_until(SETTLE_TIMEOUT, done), "an idle worker doesn't stop");
        drop(std::mem::take(&mut self.workers));
        let net = self.net.borrow();
        assert!(net.audit.violations.is_empty(), "{:#?}", net.audit.violations);
        assert!(
            net.audit.open_sockets.iter().all(|open| *open == 0),
            "open: {:?}",
            net.audit.open_sockets
        );
    }
}

impl WorkerState {
    /// Whether the worker has drained. A real worker's thread would have ended.
    fn is_over(&self) -> bool {
        self.draining && self.worker.is_done()
    }

    /// See [`World::drain`].
    fn drain(&mut self) {
        // In this turn, the worker reads its clock.
        self.worker.turn().expect("the simulated poller doesn't fail");
        self.drain_now();
    }

    /// See [`World::drain_between_turns`].
    fn drain_now(&mut self) {
        self.worker.drain();
        self.draining = true;
        self.spin_check.expect_turn();
    }

    /// Gives the worker a turn, if it may have something to do. Returns whether it got one.
    fn turn(&mut self, net: &Shared) -> bool {
        let wants =
            self.spin_check.wants_turn(&net.borrow().pollers[self.poller], net.borrow().now);
        if self.is_over() || !wants {
            return false;
        }
        let before = net.borrow().progress;
        self.worker.turn().expect("the simulated poller doesn't fail");
        let net = net.borrow();
        let progressed = net.progress != before;
        let (summary, connections) = (net.pollers[self.poller].summary, self.worker.connections());
        self.spin_check.record_turn(summary, net.now, progressed, connections);
        true
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("net", &self.net).finish_non_exhaustive()
    }
}
