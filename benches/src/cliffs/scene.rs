//! One side of a cliff: a server under a load, with what strains it, and what that costs.

use std::{
    thread,
    time::{Duration, Instant},
};

use sockeye_load::Worker;

use super::{
    beside::{Counts, Strain},
    ground::Ground,
    trace::{self, Calls},
};
use crate::{
    Result,
    cpu::{Busy, Cores, Spent},
    memory,
    servers::Server,
};

/// Requests that are traced, over one connection.
const REQUESTS: u64 = 1_000;

/// Which side of a cliff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Plain,
    Strained,
}

/// A server under a load. What is here goes in this order.
pub(super) struct Scene {
    pub(super) strain: Strain,
    pub(super) client: Worker,
    pub(super) server: Server,
    /// The load ends by itself, and its first request counts.
    pub(super) once: bool,
}

impl Scene {
    /// A load and nothing else.
    pub(super) fn new(server: Server, client: Worker) -> Self {
        Self { strain: Strain::default(), client, server, once: false }
    }

    pub(super) fn beside(self, strain: Strain) -> Self {
        Self { strain, ..self }
    }
}

/// A pair of states.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// Which cliff it looks for: what one types.
    pub(super) cliff: &'static str,
    /// As the table says it.
    pub(super) title: &'static str,
    pub(super) make: fn(&Ground, Side) -> Result<Scene>,
    pub(super) shows: Shows,
}

/// What can be said of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// What a request costs, in time and in calls to the kernel.
    CostAndCalls,
    /// In time alone: what is beside the load makes calls at its own pace.
    Cost,
    /// How long requests take. They are made at a rate that leaves the server time to spare; what it
    /// costs it can't be told apart from what others ask for.
    Latency,
}

/// What was seen in one stretch.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) round: usize,
    pub(super) replies: u64,
    pub(super) seconds: f64,
    /// The server's time of one core.
    pub(super) ran: Duration,
    /// Of one core, what others used or the hypervisor took.
    pub(super) others: f64,
    /// The server's, at the end.
    pub(super) resident: u64,
    /// What 99 % of the requests took at the most.
    pub(super) latency: Duration,
    pub(super) counts: Counts,
}

impl Sample {
    /// Microseconds of the server for each request.
    pub(super) fn micros(&self) -> f64 {
        self.ran.as_secs_f64() * 1e6 / self.replies as f64
    }

    pub(super) fn per_second(&self) -> f64 {
        self.replies as f64 / self.seconds
    }
}

/// Makes the load for so long, or to its end, and looks at the server meanwhile.
pub(super) fn measure(
    scene: Scene,
    cores: Cores,
    length: Duration,
    round: usize,
) -> Result<Sample> {
    let Scene { strain, mut client, server, once } = scene;
    if !once {
        stretch(&mut client, Some(length / 8))?;
    }
    let account = || -> Result<_> {
        let (server, client) = (Spent::of(server.pid())?, Spent::of(std::process::id())?);
        Ok((server, client, Busy::of(cores)?))
    };
    let begin = Instant::now();
    let before = account()?;
    let replies = stretch(&mut client, (!once).then_some(length))?;
    let after = account()?;
    let seconds = begin.elapsed().as_secs_f64();
    if replies == 0 {
        return Err("not one reply".into());
    }
    let own = after.0.since(before.0);
    let machine = after.2.since(before.2);
    let known = own.ran + after.1.since(before.1).ran;
    // Three views of the same thing; each misses what another sees.
    let others = machine.busy.saturating_sub(known).max(own.waited).max(machine.stolen);
    let resident = memory::field(server.pid(), "Rss:")?;
    let (stats, _) = client.finish(|_, _| true)?;
    Ok(Sample {
        round,
        replies,
        seconds,
        ran: own.ran,
        others: others.as_secs_f64() / seconds,
        resident,
        latency: stats.percentile(99.0),
        counts: strain.end()?,
    })
}

/// Counts what a request costs over one connection of a scene.
pub(super) fn count_calls(
    ground: &mut Ground,
    make: impl Fn(&Ground) -> Result<Scene>,
) -> Result<Calls> {
    ground.traced(REQUESTS, |ground| {
        let Scene { strain, mut client, server, .. } = make(ground)?;
        settle(&server)?;
        let begin = trace::now();
        let replies = stretch(&mut client, None)?;
        let end = trace::now();
        strain.end()?;
        server.end()?;
        if replies != REQUESTS {
            return Err(format!("{replies} of {REQUESTS} replies").into());
        }
        Ok(begin..end)
    })
}

/// Waits until a server has come to rest: what was begun has filled the kernel's buffers.
pub(super) fn settle(server: &Server) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(100);
    const AT_REST: Duration = Duration::from_millis(1);
    const MOST: u32 = 50;
    let mut before = Spent::of(server.pid())?;
    for _ in 0..MOST {
        thread::sleep(LOOK);
        let now = Spent::of(server.pid())?;
        if now.since(before).ran < AT_REST {
            return Ok(());
        }
        before = now;
    }
    Err("the server does not come to rest".into())
}

/// Goes on for so long, or to the end, and says how many responses came.
pub(super) fn stretch(client: &mut Worker, length: Option<Duration>) -> Result<u64> {
    let before = client.responses();
    client.run(length, |_, failures| failures == 0)?;
    match client.failures().iter().next() {
        Some((_, _, says)) => Err(says.into()),
        None => Ok(client.responses() - before),
    }
}
