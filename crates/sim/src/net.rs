//! The world between the shards: one clock, one queue of what is to come, every connection's ends.
//!
//! What happens between the ends is in `carry`, what a driver calls in `driver`, what peers without
//! an engine do in `scripted`.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use sockeye_engine::driver::{Sent, Target};
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Job, Time, WallTime};

use crate::link::{End, EndId, Owner, Stage};
use crate::poll::{Edge, Poller};
use crate::script::{Script, ScriptRun};
use crate::{Faults, Rng};

/// The network, as everything in one run shares it.
pub(crate) type Shared = Rc<RefCell<Net>>;

/// What takes no time otherwise takes this long.
const HOP: Duration = Duration::from_micros(100);

/// Connections that wait at one listener. More are told to try again a second later.
const BACKLOG: usize = 128;

/// Something that is to come.
pub(crate) enum Incident {
    /// What is on an end's wire arrives at the other.
    Deliver(EndId),
    /// An attempt to connect meets its listener.
    Connect(EndId),
    /// A send that was put off is worked on.
    SendDue(EndId),
    /// A send that was abandoned comes back.
    GivenUp { poller: usize, key: Key, sent: Sent },
    /// Readiness that was held back, or that is without reason.
    Nudge(EndId, Edge),
    /// As above, of a listener.
    NudgeListener(usize),
    /// A reset arrives at an end.
    Reset(EndId),
    /// The link of an end goes dead.
    Vanish(EndId),
    /// A scripted peer goes on.
    Script(usize),
    /// A job runs.
    Job(Job),
}

/// Who takes a listener's connections.
pub(crate) enum Host {
    Driver { poller: usize, id: Option<u32> },
    Script(Script),
}

/// A socket that connections come in by.
pub(crate) struct ListenerState {
    pub(crate) target: Target,
    pub(crate) host: Host,
    pub(crate) queue: VecDeque<EndId>,
    pub(crate) open: bool,
}

/// Who has how many descriptors.
#[derive(Debug)]
pub(crate) struct Books {
    /// Open sockets by driver.
    pub(crate) open: Vec<usize>,
    /// How many each may have.
    pub(crate) limits: Vec<usize>,
    /// What was done wrong.
    pub(crate) complaints: Vec<String>,
}

/// The network.
pub(crate) struct Net {
    pub(crate) now: Time,
    start: WallTime,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    queue: BTreeMap<(Time, u64), Incident>,
    serial: u64,
    pub(crate) ends: Vec<End>,
    pub(crate) listeners: Vec<ListenerState>,
    pub(crate) pollers: Vec<Poller>,
    pub(crate) scripts: Vec<ScriptRun>,
    pub(crate) books: Books,
    /// Goes up with everything that gets somebody anywhere.
    pub(crate) progress: u64,
    /// How many faults were injected.
    pub(crate) injected: u64,
    trace: u64,
}

impl Net {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            // Not at the origin: nothing may take a time for a duration.
            now: Time::ZERO + Duration::from_secs(1000),
            start: WallTime::from_secs(1_445_412_480),
            rng: Rng::new(seed),
            faults,
            queue: BTreeMap::new(),
            serial: 0,
            ends: Vec::new(),
            listeners: Vec::new(),
            pollers: Vec::new(),
            scripts: Vec::new(),
            books: Books { open: Vec::new(), limits: Vec::new(), complaints: Vec::new() },
            progress: 0,
            injected: 0,
            trace: 0xCBF2_9CE4_8422_2325,
        }
    }

    pub(crate) fn wall(&self) -> WallTime {
        WallTime::from_secs(self.start.as_secs() + self.now.as_nanos() / 1_000_000_000)
    }

    /// A number that stands for everything that has happened: equal for equal runs.
    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    /// Adds to the trace (FNV-1a, by words).
    pub(crate) fn record(&mut self, what: u64, which: usize, value: u64) {
        for word in [self.now.as_nanos(), what, which as u64, value] {
            self.trace = (self.trace ^ word).wrapping_mul(0x100_0000_01B3);
        }
    }

    pub(crate) fn complain(&mut self, what: String) {
        self.books.complaints.push(what);
    }

    /// Whether a fault comes now.
    pub(crate) fn strikes(&mut self, per_mille: u16) -> bool {
        let strikes = self.rng.chance(per_mille);
        self.injected += u64::from(strikes);
        strikes
    }

    // ---- time ----

    pub(crate) fn latency(&mut self) -> Duration {
        let delay = self.faults.delay;
        HOP + self.rng.duration(delay)
    }

    pub(crate) fn schedule(&mut self, after: Duration, incident: Incident) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), incident);
    }

    pub(crate) fn next_incident(&self) -> Option<Time> {
        self.queue.first_key_value().map(|((time, _), _)| *time)
    }

    /// Whether nothing is to come on its own, and nobody waits to be accepted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.listeners.iter().all(|listener| listener.queue.is_empty())
    }

    pub(crate) fn advance_to(&mut self, time: Time) {
        self.now = self.now.max(time);
    }

    /// Lets the next incident happen, if it is due by now. A job is handed to the caller: it must
    /// run while nobody holds the network.
    pub(crate) fn step(&mut self) -> Option<Option<Job>> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now)?;
        match entry.remove() {
            Incident::Job(job) => return Some(Some(job)),
            incident => self.happen(incident),
        }
        Some(None)
    }

    /// In the middle of a turn, what would soon happen may happen now.
    pub(crate) fn jostle(&mut self) {
        const SOON: Duration = Duration::from_millis(1);
        let jostle = self.faults.jostle;
        if !self.strikes(jostle) {
            return;
        }
        let soon = self.now + SOON;
        let next = self.queue.first_entry();
        let Some(entry) =
            next.filter(|e| e.key().0 <= soon && !matches!(e.get(), Incident::Job(_)))
        else {
            return;
        };
        let ((time, _), incident) = entry.remove_entry();
        self.advance_to(time);
        self.happen(incident);
    }

    fn happen(&mut self, incident: Incident) {
        match incident {
            Incident::Deliver(end) => self.deliver(end),
            Incident::Connect(end) => self.meet(end),
            Incident::SendDue(end) => self.send_due(end),
            Incident::GivenUp { poller, key, sent } => self.pollers[poller].sent(key, sent),
            Incident::Nudge(end, edge) => self.tell(end, edge),
            Incident::NudgeListener(listener) => self.tell_listener(listener),
            Incident::Reset(end) => self.fail(end, io::ErrorKind::ConnectionReset),
            Incident::Vanish(end) => self.vanish(end),
            Incident::Script(script) => self.run_script(script),
            Incident::Job(_) => unreachable!("jobs are handed to the world"),
        }
    }

    // ---- telling ----

    /// Reports an edge to whoever holds the end.
    pub(crate) fn tell(&mut self, end: EndId, edge: Edge) {
        match self.ends[end.0].owner {
            Owner::Driver { poller, key: Some(key) } => self.pollers[poller].ready(key, edge),
            Owner::Script(script) => self.schedule(Duration::ZERO, Incident::Script(script)),
            Owner::Driver { key: None, .. } | Owner::Queue | Owner::Nobody => {}
        }
    }

    pub(crate) fn tell_listener(&mut self, listener: usize) {
        if let ListenerState { host: Host::Driver { poller, id: Some(id) }, open: true, .. } =
            self.listeners[listener]
        {
            self.pollers[poller].incoming(id);
        }
    }

    // ---- connecting ----

    pub(crate) fn add_end(&mut self, end: End) -> EndId {
        self.ends.push(end);
        EndId(self.ends.len() - 1)
    }

    pub(crate) fn listen(&mut self, target: Target, host: Host) -> usize {
        self.listeners.push(ListenerState { target, host, queue: VecDeque::new(), open: true });
        self.listeners.len() - 1
    }

    /// Where the `end`th end is said to be when it connects from `ip`.
    pub(crate) fn name(end: EndId, ip: Option<IpAddr>, target: &Target) -> Address {
        match target {
            Target::Unix(_) => Address::Unix,
            Target::Ip(_) => {
                let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                Address::Ip(SocketAddr::new(ip, 10_000 + (end.0 % 50_000) as u16))
            }
        }
    }

    /// Sends `end` on its way to what it is bound for.
    pub(crate) fn set_out(&mut self, end: EndId) {
        let (never, slow) = (self.faults.never_connect, self.faults.slow_connect);
        if self.strikes(never) {
            return;
        }
        let mut after = self.latency();
        if self.strikes(slow) {
            after += self.rng.duration(Duration::from_secs(20));
        }
        self.schedule(after, Incident::Connect(end));
    }

    /// An attempt arrives where somebody may be listening.
    fn meet(&mut self, client: EndId) {
        if self.ends[client.0].is_closed() {
            return;
        }
        let Some((target, ip)) = self.ends[client.0].bound_for.clone() else { return };
        let open = |l: &ListenerState| l.open && target == l.target;
        let listening: Vec<usize> =
            (0..self.listeners.len()).filter(|at| open(&self.listeners[*at])).collect();
        let refuse = self.faults.refuse;
        if listening.is_empty() || self.strikes(refuse) {
            return self.fail(client, io::ErrorKind::ConnectionRefused);
        }
        let listener = self.rng.pick(&listening);
        if self.listeners[listener].queue.len() >= BACKLOG {
            return self.schedule(Duration::from_secs(1), Incident::Connect(client));
        }
        let address = Self::name(client, ip, &target);
        let server = self.add_end(End::new(Owner::Queue, Stage::Standing, address));
        self.join(client, server);
        self.record(1, client.0, server.0 as u64);
        self.arrive(listener, server);
        self.tell(client, Edge::WRITABLE);
    }

    /// A connection has come to `listener`.
    fn arrive(&mut self, listener: usize, server: EndId) {
        match &self.listeners[listener].host {
            Host::Driver { .. } => {
                self.listeners[listener].queue.push_back(server);
                self.tell_listener(listener);
            }
            Host::Script(script) => {
                let script = script.clone();
                self.start_script(script, server);
            }
        }
    }

    /// Makes two ends one connection, and decides what will befall it.
    fn join(&mut self, client: EndId, server: EndId) {
        self.ends[client.0].peer = Some(server);
        self.ends[client.0].stage = Stage::Standing;
        self.ends[server.0].peer = Some(client);
        let Faults { reset, vanish, trouble_time, .. } = self.faults;
        if self.strikes(reset) {
            let after = self.rng.duration(trouble_time);
            self.schedule(after, Incident::Reset(client));
            self.schedule(after, Incident::Reset(server));
        }
        if self.strikes(vanish) {
            let after = self.rng.duration(trouble_time);
            self.schedule(after, Incident::Vanish(client));
        }
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net")
            .field("now", &self.now)
            .field("to_come", &self.queue.len())
            .field("open", &self.books.open)
            .finish_non_exhaustive()
    }
}
