//! Measures the rows of the table of results. A row is one kind of load. It is measured for every
//! server in turn, in several rounds (memory: in one).

use std::{
    io::Write,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sockeye_engine::driver::Target;
use sockeye_load::{Share, Worker};

use crate::{
    Result,
    args::Args,
    broadcast,
    cpu::{self, Busy, Threads},
    http2,
    kind::Kind,
    memory::{self, Memory},
    probe::{self, Response},
    rows::{FOUND, ROWS, Row, Shape, content},
    servers::{self, Server, Setup},
    tls::{self, Handshakes, Stream},
    websocket,
};

/// The pause before a disturbed run is repeated for the first time. Each further pause is longer by
/// this much, because the work that disturbs, such as a build, may take a while.
const PAUSE: Duration = Duration::from_secs(2);
/// A run without a complete response is extended to at most this many times its length. Some
/// servers interleave all streams of a connection, so that all large files are complete only at
/// about the same time, after several lengths.
const MAX_LENGTHS: usize = 20;
/// A run is disturbed if [`Run::others`] is more than this share of a core.
const DISTURBED: f64 = 0.10;
/// A server or client that used at least this share of its core was saturated.
const SATURATED: f64 = 0.95;

/// The results.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rounds: usize,
    /// The duration of a run.
    pub(crate) length: Duration,
    /// Number of connections in rows that measure memory.
    pub(crate) idle: usize,
    /// The servers that are measured.
    pub(crate) kinds: Vec<Kind>,
    /// The versions of the servers other than Sockeye.
    pub(crate) versions: Vec<String>,
    /// Whether the servers and the client share a core.
    pub(crate) same_core: bool,
    pub(crate) rows: Vec<RowResult>,
    /// Which server failed, in which row, and why. All other figures are valid.
    pub(crate) failures: Vec<String>,
}

/// The figures of a row: `runs` of all its servers, or `memory` if the row measures memory.
#[derive(Debug)]
pub(crate) struct RowResult {
    pub(crate) row: &'static Row,
    pub(crate) runs: Vec<Run>,
    pub(crate) memory: Vec<(Kind, Memory)>,
}

impl RowResult {
    /// The undisturbed runs of a server, or all of its runs if each was disturbed.
    pub(crate) fn of(&self, kind: Kind) -> Vec<&Run> {
        let all = || self.runs.iter().filter(|run| run.kind == kind);
        let quiet: Vec<&Run> = all().filter(|run| !run.disturbed()).collect();
        if quiet.is_empty() { all().collect() } else { quiet }
    }
}

/// The figures of one run of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) kind: Kind,
    pub(crate) round: usize,
    pub(crate) responses: u64,
    pub(crate) seconds: f64,
    /// Server CPU time per request, in microseconds.
    pub(crate) micros: f64,
    /// The shares of one core that the server and the client used.
    pub(crate) server: f64,
    pub(crate) client: f64,
    /// How much other work disturbed the run, as a share of one core: see [`cpu::disturbance`].
    pub(crate) others: f64,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        self.responses as f64 / self.seconds
    }

    pub(crate) fn saturated(&self) -> bool {
        self.server >= SATURATED
    }

    /// Whether the client was saturated but the server was not, so that the server could have
    /// answered more requests.
    pub(crate) fn limited_by_client(&self) -> bool {
        !self.saturated() && self.client >= SATURATED
    }

    pub(crate) fn disturbed(&self) -> bool {
        self.others > DISTURBED
    }
}

/// Measures the requested rows.
pub(crate) fn run(args: &Args) -> Result<Report> {
    let descriptors = memory::raise_descriptors()?;
    let idle = args.idle.min(usize::try_from(descriptors)?);
    if idle < args.idle {
        eprintln!("only {idle} idle connections: the descriptor limit allows no more");
    }
    let setup = Setup::new(args)?;
    cpu::pin(setup.cores.client)?;
    let kinds = setup.kinds(&args.servers);
    if kinds.is_empty() {
        return Err("none of these servers is available".into());
    }
    let mut report = Report {
        rounds: args.rounds,
        length: args.length,
        idle,
        versions: setup.versions(),
        same_core: setup.cores.server == setup.cores.client,
        rows: Vec::new(),
        failures: Vec::new(),
        kinds,
    };
    for row in ROWS.iter().filter(|row| args.rows.contains(&row.name)) {
        eprintln!("{}", row.title);
        let measured = measure(&setup, row, &mut report);
        report.rows.push(measured);
    }
    Ok(report)
}

fn measure(setup: &Setup, row: &'static Row, report: &mut Report) -> RowResult {
    let mut measured = RowResult { row, runs: Vec::new(), memory: Vec::new() };
    let memory = row.load.is_idle();
    let rounds = if memory { 1 } else { report.rounds };
    let mut kinds = report.kinds.clone();
    for round in 0..rounds {
        kinds.retain(|kind| {
            let server_row = ServerRow { setup, row, kind: *kind, all: &report.kinds };
            let result = if memory {
                server_row.memory(report.idle).map(|found| measured.memory.extend(found))
            } else {
                server_row.time(round, report.length).map(|found| measured.runs.extend(found))
            };
            // A server that has failed would fail in every round. So it is left out of later
            // rounds, and its failure is reported once.
            if let Err(error) = &result {
                report.failures.push(format!("{}, {}: {error}", kind.name(), row.title));
            }
            result.is_ok()
        });
    }
    measured
}

/// One server in one row, ready to be measured.
struct ServerRow<'a> {
    setup: &'a Setup,
    row: &'static Row,
    kind: Kind,
    /// All servers that are measured, this one included.
    all: &'a [Kind],
}

impl ServerRow<'_> {
    /// Measures the memory of the server with `idle` connections. `None` if it can't serve the row.
    fn memory(&self, idle: usize) -> Result<Option<(Kind, Memory)>> {
        let Some((server, _)) = self.start()? else { return Ok(None) };
        let tls = self.tls()?;
        let load = self.row.load;
        let memory = memory::measure(server.pid(), server.address, tls.as_ref(), load, idle)?;
        Ok(Some((self.kind, memory)))
    }

    /// Measures the server's CPU time in one run, which is repeated if other work disturbs it.
    /// `None` if the server can't serve the row.
    fn time(&self, round: usize, length: Duration) -> Result<Option<Run>> {
        for attempt in 1.. {
            let Some(run) = self.time_once(round, length)? else { return Ok(None) };
            let again = run.disturbed() && attempt < self.setup.tries;
            eprintln!(
                "  {:>17}  {:8.2} µs  {:9.0}/s  server {:3.0} %, client {:3.0} %, others {:.0} %{}",
                self.kind.name(),
                run.micros,
                run.per_second(),
                run.server * 100.0,
                run.client * 100.0,
                run.others * 100.0,
                if again { ": disturbed, so repeated" } else { "" },
            );
            if !again {
                return Ok(Some(run));
            }
            thread::sleep(PAUSE * attempt);
        }
        Ok(None)
    }

    fn time_once(&self, round: usize, length: Duration) -> Result<Option<Run>> {
        let Some((server, exchanges)) = self.start()? else { return Ok(None) };
        let tls = self.tls()?;
        let requests = self.row.load.http2_requests();
        let mut client = if self.row.load.is_http2() {
            // The client expects contents of the lengths that were checked.
            let lengths = exchanges.iter().map(|(_, response)| response.body.len() as u32);
            let load = http2::Load {
                requests: &requests,
                lengths: lengths.collect(),
                connections: self.row.connections,
                streams: self.row.load.depth(),
                max_requests: u64::MAX,
            };
            Client::Http2(http2::Client::new(load, server.address, tls.as_ref())?)
        } else if self.row.load == Shape::Broadcast {
            Client::Broadcast(broadcast::Client::new(server.address, self.row.connections)?)
        } else {
            Client::Http1(Box::new(self.worker(server.address, tls.as_ref())?))
        };
        // This run is not counted: after it, connections are open and caches are warm.
        client.run(length / 8)?;

        // The time used so far by the server, the client, and everything on their cores.
        let account = || -> Result<_> {
            let (server, client) = (Threads::of(server.pid())?, Threads::of(std::process::id())?);
            Ok((server, client, Busy::of(self.setup.cores)?))
        };
        let begin = Instant::now();
        let missed = || tls.as_ref().map_or(0, tls::Client::missed);
        let (before, missed_before) = (account()?, missed());
        let mut responses = 0;
        for _ in 0..MAX_LENGTHS {
            responses += client.run(length)?;
            if responses > 0 {
                break;
            }
        }
        let after = account()?;
        if (missed() - missed_before) * 100 > responses {
            return Err("more than 1 % of the connections had no ticket".into());
        }
        let seconds = begin.elapsed().as_secs_f64();
        if responses == 0 {
            return Err("there was no response".into());
        }

        let server = after.0.since(&before.0);
        let client = after.1.since(&before.1);
        let machine = after.2.since(before.2);
        let others = cpu::disturbance(self.setup.cores, machine, server, client);
        Ok(Some(Run {
            kind: self.kind,
            round,
            responses,
            seconds,
            micros: server.cpu_time.as_secs_f64() * 1e6 / responses as f64,
            server: server.cpu_time.as_secs_f64() / seconds,
            client: client.cpu_time.as_secs_f64() / seconds,
            others: others.as_secs_f64() / seconds,
        }))
    }

    /// The load client of rows with neither HTTP/2 nor broadcasts.
    fn worker(&self, server: SocketAddr, tls: Option<&tls::Client>) -> Result<Worker> {
        let plan = self.row.plan(tls)?;
        // The client expects the responses of this probe, and reports any that differ.
        let probe = sockeye_load::probe(&plan, &[Target::Ip(server)])?;
        let share = Share::all(&plan);
        Ok(Worker::new(Arc::new(plan), &probe, share)?)
    }

    /// Starts the server, and checks its responses. `None` if the server can't serve the row.
    fn start(&self) -> Result<Option<(Server, Vec<servers::ExpectedExchange>)>> {
        let load = self.row.load;
        let exchanges = if self.kind == Kind::Limit { self.limit_responses()? } else { Vec::new() };
        let Some(server) = self.setup.start(self.kind, load, &exchanges)? else { return Ok(None) };
        let exchanges = self.check(server.address)?;
        Ok(Some((server, exchanges)))
    }

    /// A TLS client without a session to resume, or `None` if the row doesn't use TLS.
    fn tls(&self) -> Result<Option<tls::Client>> {
        let load = self.row.load;
        self.setup.certificate.client_for(load.tls(), load.is_http2())
    }

    /// Connects to the server, and makes the TLS handshake if the row uses TLS.
    fn stream(&self, tls: Option<&tls::Client>, address: SocketAddr) -> Result<Box<dyn Stream>> {
        let socket = probe::connect(address)?;
        Ok(match tls {
            None => Box::new(socket),
            Some(client) => {
                let mut connection = client.connect(socket)?;
                // Completes the TLS handshake.
                connection.flush()?;
                tls::check(&connection.conn, Handshakes::Full, self.row.load.is_http2())?;
                Box::new(connection)
            }
        })
    }

    /// Checks that the server resumes sessions.
    fn check_resumption(&self, address: SocketAddr) -> Result<()> {
        let Some(client) = self.tls()? else { return Ok(()) };
        let prepared = self.row.load.prepared()?;
        let request = prepared.first().ok_or("the row has no request")?.last();
        for wanted in [Handshakes::Full, Handshakes::Resumed, Handshakes::Resumed] {
            let mut connection = client.connect(probe::connect(address)?)?;
            probe::exchange(&mut connection, request)?;
            tls::check(&connection.conn, wanted, false)?;
        }
        Ok(())
    }

    /// The responses that the bare server ([`Kind::Limit`]) sends. They are copied from the
    /// first other server that is measured and can serve the row; Sockeye is the first in the list.
    /// If there is no such server, each response is the row's file with a minimal head. An echo of
    /// bytes needs no responses, and those of an echo over WebSocket are known beforehand.
    fn limit_responses(&self) -> Result<Vec<servers::ExpectedExchange>> {
        let load = self.row.load;
        if load == Shape::Echo {
            return Ok(Vec::new());
        }
        if let Some(size) = load.websocket_size() {
            return Ok(websocket_exchange(size));
        }
        for kind in self.all.iter().filter(|kind| **kind != Kind::Limit) {
            if let Some(server) = self.setup.start(*kind, load, &[])? {
                return self.check(server.address);
            }
        }
        let Some(file) = load.file() else {
            return Err("the limit has no response to copy".into());
        };
        if load.is_http2() {
            // HPACK's index of the static field `:status: 200`.
            let response = Response { head: vec![0x88], body: content(file.size) };
            return Ok(vec![(0, response)]);
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.size);
        let response = Response { head: head.into_bytes(), body: content(file.size) };
        let prepared = load.prepared()?;
        Ok(prepared.iter().map(|request| (request.keep_alive().len(), response.clone())).collect())
    }

    /// Sends each request once, or twice over HTTP/2, and checks the responses. An echo of bytes is
    /// not checked.
    fn check(&self, address: SocketAddr) -> Result<Vec<servers::ExpectedExchange>> {
        let load = self.row.load;
        if load.is_http2() {
            return self.check_http2(address);
        }
        if let Some(size) = load.websocket_size() {
            websocket::Echo::of(size).exchange(&mut probe::connect(address)?)?;
            return Ok(websocket_exchange(size));
        }
        let last = load.max_requests() == Some(1);
        let mut exchanges = Vec::new();
        if load.tls() == Some(Handshakes::Resumed) {
            self.check_resumption(address)?;
        }
        let tls = self.tls()?;
        let mut socket = self.stream(tls.as_ref(), address)?;
        for (at, prepared) in load.prepared()?.iter().enumerate() {
            let request = prepared.to_send(last);
            let response = match load {
                Shape::Echo => continue,
                Shape::Message { .. } => {
                    let frame = probe::exchange_frame(address, request)?;
                    Response { head: Vec::new(), body: frame }
                }
                _ => probe::exchange(&mut socket, request)?,
            };
            let right = match (load, load.file()) {
                (_, Some(file)) => response.body == content(file.size),
                // The numbers in the query add up to 55. All requests but the first have a body,
                // whose numbers add 20.
                (Shape::Mix, _) => response.body == if at == 0 { b"55" } else { b"75" },
                (Shape::Message { .. }, _) => response.body.ends_with(FOUND),
                _ => !response.body.is_empty(),
            };
            if !right {
                return Err("the response has unexpected content".into());
            }
            exchanges.push((request.len(), response));
        }
        Ok(exchanges)
    }

    /// Makes each request twice, and checks the second response. The first one may add fields to
    /// HPACK's dynamic table, so that the server's later responses differ from it.
    fn check_http2(&self, address: SocketAddr) -> Result<Vec<servers::ExpectedExchange>> {
        let load = self.row.load;
        let requests = load.http2_requests();
        let tls = self.tls()?;
        let mut probe = http2::Probe::new(self.stream(tls.as_ref(), address)?, &requests);
        for _ in 0..requests.count() {
            probe.exchange()?;
        }
        let mut exchanges = Vec::new();
        for _ in 0..requests.count() {
            let response = probe.exchange()?;
            let right = match load.file() {
                Some(file) => response.body == content(file.size),
                None => !response.body.is_empty(),
            };
            if !right {
                return Err("the response has unexpected content".into());
            }
            // Over HTTP/2, the bare server needs no lengths of requests.
            exchanges.push((0, response));
        }
        Ok(exchanges)
    }
}

/// The length of the frame that a client sends, and the frame that answers it.
fn websocket_exchange(size: usize) -> Vec<servers::ExpectedExchange> {
    let websocket::Echo { request, response } = websocket::Echo::of(size);
    let response = Response { head: Vec::new(), body: response };
    vec![(request.keep_alive().len(), response)]
}

/// A load client.
enum Client<'a> {
    Http1(Box<Worker>),
    Http2(http2::Client<'a>),
    Broadcast(broadcast::Client),
}

impl Client<'_> {
    /// Runs for a time. Returns the number of responses.
    fn run(&mut self, time: Duration) -> Result<u64> {
        let worker = match self {
            Self::Http1(worker) => worker,
            Self::Http2(client) => return client.run(Some(time)),
            Self::Broadcast(client) => return client.run(time),
        };
        let before = worker.responses();
        worker.run(Some(time), |_, failures| failures == 0)?;
        match worker.failures().iter().next() {
            Some((_, _, message)) => Err(message.into()),
            None => Ok(worker.responses() - before),
        }
    }
}
