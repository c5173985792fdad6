//! A server under a load, with or without a strain (such as idle connections), and the costs of its
//! requests.

use std::{
    thread,
    time::{Duration, Instant},
};

use sockeye_load::Worker;

use super::{
    fixture::Fixture,
    strain::{Counts, Strain},
    trace::{self, Calls},
};
use crate::{
    Result,
    cpu::{self, Busy, Cores, Threads},
    memory,
    servers::Server,
};

/// Number of traced requests, over one connection.
const REQUESTS: u64 = 1_000;

/// One of the two conditions of a [`Case`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Plain,
    Strained,
}

/// A server under a load. Dropping the server kills its process.
pub(super) struct Scene {
    pub(super) strain: Strain,
    pub(super) client: Worker,
    pub(super) server: Server,
    /// Whether the load ends on its own, and is measured from its first request, without a warm-up.
    pub(super) once: bool,
}

impl Scene {
    /// A load without a strain.
    pub(super) fn new(server: Server, client: Worker) -> Self {
        Self { strain: Strain::default(), client, server, once: false }
    }

    pub(super) fn with_strain(self, strain: Strain) -> Self {
        Self { strain, ..self }
    }
}

/// A pair of conditions to compare: plain and strained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// The cliff that the case belongs to (see [`cliffs`](super)), by its name on the command line.
    pub(super) cliff: &'static str,
    /// The title in the table.
    pub(super) title: &'static str,
    /// Starts the server, the load and, on the strained side, the strain.
    pub(super) make: fn(&Fixture, Side) -> Result<Scene>,
    pub(super) figures: Figures,
}

/// The figures that a case shows besides requests per second, latency and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figures {
    /// CPU time and system calls of a request.
    CpuTimeAndSyscalls,
    /// CPU time of a request. The strain causes system calls at its own rate, so that a number per
    /// request would mean nothing.
    CpuTime,
    /// None. The main figure is the latency, at a rate that doesn't saturate the server. The
    /// strain's share of the CPU time is unknown.
    Latency,
}

/// The figures of one run.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The number of the round: a plain and a strained run, which are compared.
    pub(super) round: usize,
    pub(super) responses: u64,
    pub(super) seconds: f64,
    /// The server's CPU time during the run.
    pub(super) cpu_time: Duration,
    /// The share of one core that other processes, or the hypervisor, used.
    pub(super) others: f64,
    /// The server's resident memory at the end, in bytes.
    pub(super) resident: u64,
    /// The 99th percentile of the latency.
    pub(super) latency: Duration,
    /// What the strain's thread counted.
    pub(super) counts: Counts,
}

impl Sample {
    /// The server's CPU time per request, in microseconds.
    pub(super) fn micros(&self) -> f64 {
        self.cpu_time.as_secs_f64() * 1e6 / self.responses as f64
    }

    pub(super) fn per_second(&self) -> f64 {
        self.responses as f64 / self.seconds
    }
}

/// Runs the load for `length`, or to its end, and measures the server.
pub(super) fn measure(
    scene: Scene,
    cores: Cores,
    length: Duration,
    round: usize,
) -> Result<Sample> {
    let Scene { strain, mut client, server, once } = scene;
    if !once {
        run_client(&mut client, Some(length / 8))?;
        client.reset_latencies();
    }
    let account = || -> Result<_> {
        let (server, client) = (Threads::of(server.pid())?, Threads::of(std::process::id())?);
        Ok((server, client, Busy::of(cores)?))
    };
    let begin = Instant::now();
    let before = account()?;
    let responses = run_client(&mut client, (!once).then_some(length))?;
    let after = account()?;
    let seconds = begin.elapsed().as_secs_f64();
    if responses == 0 {
        return Err("there was no response".into());
    }
    let own = after.0.since(&before.0);
    let machine = after.2.since(before.2);
    let others = cpu::disturbance(cores, machine, own, after.1.since(&before.1));
    let resident = memory::field(server.pid(), "Rss:")?;
    let (stats, _) = client.finish(|_, _| true)?;
    Ok(Sample {
        round,
        responses,
        seconds,
        cpu_time: own.cpu_time,
        others: others.as_secs_f64() / seconds,
        resident,
        latency: stats.latencies.percentile(99.0),
        counts: strain.end()?,
    })
}

/// Traces [`REQUESTS`] requests over one connection. Returns the system calls per request.
pub(super) fn count_calls(
    fixture: &mut Fixture,
    make: impl Fn(&Fixture) -> Result<Scene>,
) -> Result<Calls> {
    fixture.traced(REQUESTS, |fixture| {
        let Scene { strain, mut client, server, .. } = make(fixture)?;
        settle(&server)?;
        let begin = trace::now();
        let responses = run_client(&mut client, None)?;
        let end = trace::now();
        strain.end()?;
        server.end()?;
        if responses != REQUESTS {
            return Err(format!("{responses} of {REQUESTS} responses").into());
        }
        Ok(begin..end)
    })
}

/// Waits until a server is idle. Before that, it may still be filling the buffers of clients that
/// read slowly.
pub(super) fn settle(server: &Server) -> Result<()> {
    const INTERVAL: Duration = Duration::from_millis(100);
    const IDLE: Duration = Duration::from_millis(1);
    const ATTEMPTS: u32 = 50;
    let mut before = Threads::of(server.pid())?;
    for _ in 0..ATTEMPTS {
        thread::sleep(INTERVAL);
        let now = Threads::of(server.pid())?;
        if now.since(&before).cpu_time < IDLE {
            return Ok(());
        }
        before = now;
    }
    Err("the server does not become idle".into())
}

/// Runs the client for `length`, or to its end. Returns the number of responses.
pub(super) fn run_client(client: &mut Worker, length: Option<Duration>) -> Result<u64> {
    let before = client.responses();
    client.run(length, |_, failures| failures == 0)?;
    match client.failures().iter().next() {
        Some((_, _, message)) => Err(message.into()),
        None => Ok(client.responses() - before),
    }
}
