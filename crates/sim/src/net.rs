//! The network between the workers (event loops): one clock, one queue of scheduled events, and the
//! two endpoints of each connection.
//!
//! `delivery` moves bytes between endpoints, `driver` implements the calls of the engine, and
//! `scripted` runs the scripts of peers that have no engine.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use sockeye_engine::driver::{Sent, Target};
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Job, Time, WallTime};

use crate::endpoint::{ConnectionState, Endpoint, EndpointId, Owner};
use crate::poll::{Edge, Poller};
use crate::script::{Script, ScriptRun};
use crate::{Faults, Rng};

/// The network, shared by all drivers of a run.
pub(crate) type Shared = Rc<RefCell<Net>>;

/// The minimum latency of every delivery.
const MIN_LATENCY: Duration = Duration::from_micros(100);

/// Maximum number of connections in a listener's queue. A connection attempt that finds it full is
/// repeated a second later.
const BACKLOG: usize = 128;

/// An event at a time in the future.
pub(crate) enum ScheduledEvent {
    /// Bytes in flight from an endpoint arrive at its peer.
    Deliver(EndpointId),
    /// A connection attempt arrives at its target.
    Connect(EndpointId),
    /// A pending send is executed.
    SendDue(EndpointId),
    /// The completion of a cancelled send is reported.
    SendCancelled { poller: usize, key: Key, sent: Sent },
    /// Readiness that a fault had withheld is reported.
    ReportReady(EndpointId, Edge),
    /// A listener is reported if connections wait: a fault had withheld this report.
    ReportListener(usize),
    /// A reset arrives at an endpoint.
    Reset(EndpointId),
    /// An endpoint's connection stops delivering anything.
    BlackHole(EndpointId),
    /// A scripted peer continues.
    Script(usize),
    /// A job runs.
    Job(Job),
}

/// What accepts a listener's connections.
pub(crate) enum Acceptor {
    /// A worker. `id` is `None` while its driver doesn't watch the listener.
    Driver { poller: usize, id: Option<u32> },
    /// A scripted peer, which runs this script on each connection.
    Script(Script),
}

/// A listening socket.
pub(crate) struct ListenerState {
    pub(crate) target: Target,
    pub(crate) acceptor: Acceptor,
    /// Connections that wait to be accepted.
    pub(crate) queue: VecDeque<EndpointId>,
    pub(crate) open: bool,
}

/// Counts of open sockets, and violations of the driver's contract.
#[derive(Debug)]
pub(crate) struct Audit {
    /// Open sockets by driver.
    pub(crate) open_sockets: Vec<usize>,
    /// Maximum number of open sockets, by driver.
    pub(crate) limits: Vec<usize>,
    /// Violations of the driver's contract, which fail the test.
    pub(crate) violations: Vec<String>,
}

/// The network.
pub(crate) struct Net {
    pub(crate) now: Time,
    /// The time of day at [`Time::ZERO`].
    start: WallTime,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    /// The scheduled events, by the time at which they are due and their serial number.
    queue: BTreeMap<(Time, u64), ScheduledEvent>,
    /// The number of events scheduled so far: orders events that are due at the same time.
    serial: u64,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) listeners: Vec<ListenerState>,
    pub(crate) pollers: Vec<Poller>,
    pub(crate) scripts: Vec<ScriptRun>,
    pub(crate) audit: Audit,
    /// Counts the driver's calls that had an effect, pending sends that were executed, and jobs
    /// that ran. A worker may be spinning if this count stays the same during its turns (passes of
    /// the event loop).
    pub(crate) progress: u64,
    /// Number of injected faults.
    pub(crate) injected: u64,
    /// Number of calls of `send_before_fin`.
    pub(crate) sends_before_fin: u64,
    /// See [`Net::trace`].
    trace: u64,
}

impl Net {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            // Not zero, so that code that mistakes a time for a duration fails.
            now: Time::ZERO + Duration::from_secs(1000),
            // 2015-10-21T07:28:00Z.
            start: WallTime::from_secs(1_445_412_480),
            rng: Rng::new(seed),
            faults,
            queue: BTreeMap::new(),
            serial: 0,
            endpoints: Vec::new(),
            listeners: Vec::new(),
            pollers: Vec::new(),
            scripts: Vec::new(),
            audit: Audit { open_sockets: Vec::new(), limits: Vec::new(), violations: Vec::new() },
            progress: 0,
            injected: 0,
            sends_before_fin: 0,
            // The initial value of FNV-1a.
            trace: 0xCBF2_9CE4_8422_2325,
        }
    }

    pub(crate) fn wall(&self) -> WallTime {
        WallTime::from_secs(self.start.as_secs() + self.now.as_nanos() / 1_000_000_000)
    }

    /// A hash of the connections, deliveries, calls and endings so far. Equal runs have equal
    /// hashes.
    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    /// Adds to the hash (FNV-1a, by words) what happened now. `what` identifies its kind, `which`
    /// is the index of the endpoint, and `value` depends on the kind.
    pub(crate) fn record(&mut self, what: u64, which: usize, value: u64) {
        for word in [self.now.as_nanos(), what, which as u64, value] {
            self.trace = (self.trace ^ word).wrapping_mul(0x100_0000_01B3);
        }
    }

    pub(crate) fn report_violation(&mut self, what: String) {
        self.audit.violations.push(what);
    }

    /// Decides whether to inject a fault that has this rate, and counts it.
    pub(crate) fn inject(&mut self, per_mille: u16) -> bool {
        let injected = self.rng.chance(per_mille);
        self.injected += u64::from(injected);
        injected
    }

    // ---- time ----

    pub(crate) fn latency(&mut self) -> Duration {
        let delay = self.faults.delay;
        MIN_LATENCY + self.rng.duration(delay)
    }

    pub(crate) fn schedule(&mut self, after: Duration, event: ScheduledEvent) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), event);
    }

    pub(crate) fn next_event_time(&self) -> Option<Time> {
        self.queue.first_key_value().map(|((time, _), _)| *time)
    }

    /// Whether no event is scheduled and no connection waits to be accepted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.listeners.iter().all(|listener| listener.queue.is_empty())
    }

    pub(crate) fn advance_to(&mut self, time: Time) {
        self.now = self.now.max(time);
    }

    /// Handles the next event, if it is due. Returns `None` if no event is due. If the event is a
    /// job, returns `Some(Some(job))`: the caller must run the job while the network is not
    /// borrowed. After any other event, returns `Some(None)`.
    pub(crate) fn step(&mut self) -> Option<Option<Job>> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now)?;
        match entry.remove() {
            ScheduledEvent::Job(job) => return Some(Some(job)),
            event => self.handle(event),
        }
        Some(None)
    }

    /// May handle an event that is due soon: in a real network, events occur during turns.
    pub(crate) fn mid_turn_event(&mut self) {
        const SOON: Duration = Duration::from_millis(1);
        let mid_turn_event = self.faults.mid_turn_event;
        if !self.inject(mid_turn_event) {
            return;
        }
        let soon = self.now + SOON;
        let next = self.queue.first_entry();
        let Some(entry) =
            next.filter(|e| e.key().0 <= soon && !matches!(e.get(), ScheduledEvent::Job(_)))
        else {
            return;
        };
        let ((time, _), event) = entry.remove_entry();
        self.advance_to(time);
        self.handle(event);
    }

    fn handle(&mut self, event: ScheduledEvent) {
        match event {
            ScheduledEvent::Deliver(endpoint) => self.deliver(endpoint),
            ScheduledEvent::Connect(endpoint) => self.finish_connecting(endpoint),
            ScheduledEvent::SendDue(endpoint) => self.send_due(endpoint),
            ScheduledEvent::SendCancelled { poller, key, sent } => {
                self.pollers[poller].sent(key, sent);
            }
            ScheduledEvent::ReportReady(endpoint, edge) => self.report(endpoint, edge),
            ScheduledEvent::ReportListener(listener) => self.update_incoming(listener),
            ScheduledEvent::Reset(endpoint) => self.fail(endpoint, io::ErrorKind::ConnectionReset),
            ScheduledEvent::BlackHole(endpoint) => self.black_hole(endpoint),
            ScheduledEvent::Script(script) => self.run_script(script),
            ScheduledEvent::Job(_) => unreachable!("the caller runs jobs"),
        }
    }

    // ---- reporting to drivers and scripts ----

    /// Reports an edge to the driver or script that owns the endpoint.
    pub(crate) fn report(&mut self, endpoint: EndpointId, edge: Edge) {
        match self.endpoints[endpoint.0].owner {
            Owner::Driver { poller, key: Some(key) } => self.pollers[poller].ready(key, edge),
            Owner::Script(script) => self.schedule(Duration::ZERO, ScheduledEvent::Script(script)),
            Owner::Driver { key: None, .. } | Owner::Queue | Owner::Closed => {}
        }
    }

    /// Makes the driver of a listener report it, if a connection waits to be accepted now; if not,
    /// stops that. Called after each change of the queue.
    pub(crate) fn update_incoming(&mut self, listener: usize) {
        self.set_incoming(listener, !self.listeners[listener].queue.is_empty());
    }

    /// Sets whether the driver of a listener reports it, if it watches the listener.
    pub(crate) fn set_incoming(&mut self, listener: usize, incoming: bool) {
        if let Acceptor::Driver { poller, id: Some(id) } = self.listeners[listener].acceptor {
            self.pollers[poller].set_incoming(id, incoming);
        }
    }

    /// Makes the driver of a listener report it only after the latency, or after the next
    /// connection arrives.
    pub(crate) fn withhold_listener(&mut self, listener: usize) {
        self.set_incoming(listener, false);
        let after = self.latency();
        self.schedule(after, ScheduledEvent::ReportListener(listener));
    }

    // ---- connecting ----

    pub(crate) fn add_endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        self.endpoints.push(endpoint);
        EndpointId(self.endpoints.len() - 1)
    }

    pub(crate) fn listen(&mut self, target: Target, acceptor: Acceptor) -> usize {
        self.listeners.push(ListenerState { target, acceptor, queue: VecDeque::new(), open: true });
        self.listeners.len() - 1
    }

    /// The address of an endpoint that connects from `ip`.
    pub(crate) fn client_address(
        endpoint: EndpointId,
        ip: Option<IpAddr>,
        target: &Target,
    ) -> Address {
        match target {
            Target::Unix(_) => Address::Unix,
            Target::Ip(_) => {
                let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                Address::Ip(SocketAddr::new(ip, 10_000 + (endpoint.0 % 50_000) as u16))
            }
        }
    }

    /// Schedules the connection attempt of `endpoint`.
    pub(crate) fn start_connecting(&mut self, endpoint: EndpointId) {
        let (never, slow) = (self.faults.never_connect, self.faults.slow_connect);
        if self.inject(never) {
            return;
        }
        let mut after = self.latency();
        if self.inject(slow) {
            after += self.rng.duration(Duration::from_secs(20));
        }
        self.schedule(after, ScheduledEvent::Connect(endpoint));
    }

    /// A connection attempt arrives: connects it to a listener, or refuses it.
    fn finish_connecting(&mut self, client: EndpointId) {
        if self.endpoints[client.0].is_closed() {
            return;
        }
        let Some((target, ip)) = self.endpoints[client.0].connecting_to.clone() else { return };
        let open = |l: &ListenerState| l.open && target == l.target;
        let listening: Vec<usize> =
            (0..self.listeners.len()).filter(|at| open(&self.listeners[*at])).collect();
        let refuse = self.faults.refuse;
        if listening.is_empty() || self.inject(refuse) {
            return self.fail(client, io::ErrorKind::ConnectionRefused);
        }
        let listener = self.rng.pick(&listening);
        if self.listeners[listener].queue.len() >= BACKLOG {
            return self.schedule(Duration::from_secs(1), ScheduledEvent::Connect(client));
        }
        let address = Self::client_address(client, ip, &target);
        let server =
            self.add_endpoint(Endpoint::new(Owner::Queue, ConnectionState::Established, address));
        self.pair(client, server);
        self.record(1, client.0, server.0 as u64);
        self.enqueue(listener, server);
        self.report(client, Edge::WRITABLE);
    }

    /// Adds a connection to the queue of `listener`. If a scripted peer listens, starts its script
    /// on the connection instead.
    fn enqueue(&mut self, listener: usize, server: EndpointId) {
        match &self.listeners[listener].acceptor {
            Acceptor::Driver { .. } => {
                self.listeners[listener].queue.push_back(server);
                self.update_incoming(listener);
            }
            Acceptor::Script(script) => {
                let script = script.clone();
                self.start_script(script, server);
            }
        }
    }

    /// Connects two endpoints, and schedules the faults of the connection.
    fn pair(&mut self, client: EndpointId, server: EndpointId) {
        self.endpoints[client.0].peer = Some(server);
        self.endpoints[client.0].state = ConnectionState::Established;
        self.endpoints[server.0].peer = Some(client);
        let Faults { reset, black_hole, failure_delay, .. } = self.faults;
        if self.inject(reset) {
            let after = self.rng.duration(failure_delay);
            self.schedule(after, ScheduledEvent::Reset(client));
            self.schedule(after, ScheduledEvent::Reset(server));
        }
        if self.inject(black_hole) {
            let after = self.rng.duration(failure_delay);
            self.schedule(after, ScheduledEvent::BlackHole(client));
        }
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net")
            .field("now", &self.now)
            .field("to_come", &self.queue.len())
            .field("open_sockets", &self.audit.open_sockets)
            .finish_non_exhaustive()
    }
}
