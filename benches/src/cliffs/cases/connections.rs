//! Cases of [`cliffs`](crate::cliffs) about many connections and requests. Each compares what a
//! request costs (CPU time, in some cases also system calls) on two servers under the same load.
//! The plain server has only the connections of the load. The strained server has many other
//! connections, or had many connections or requests before.

use std::num::{NonZeroU64, NonZeroUsize};

use sockeye_load::Until;

use super::plans::{get, load};
use crate::{
    Result,
    cliffs::{
        fixture::Fixture,
        scene::{Case, Figures, Scene, Side, run_client, settle},
        strain::{Reads, idle, readers},
    },
};

/// Number of connections of the load.
const BUSY: usize = 100;
/// Number of further connections that are idle.
const IDLE: usize = 9_900;
/// Number of further connections that read slowly, or not at all.
const READERS: usize = 1_000;
/// Number of requests that the strained server has answered before the measurement.
const REQUESTS_BEFORE: u64 = 3_000_000;
/// Number of connections to the strained server that were opened and closed before the measurement.
const CLOSED_BEFORE: u64 = 100_000;

pub(super) const CASES: &[Case] = &[
    Case {
        cliff: "idle",
        title: "100 busy connections, with 9,900 idle ones",
        make: with_idle,
        figures: Figures::CpuTimeAndSyscalls,
    },
    Case {
        cliff: "readers",
        title: "100 busy connections, with 1,000 that request 1 GiB and read nothing",
        make: |fixture, side| with_readers(fixture, side, Reads::Nothing),
        figures: Figures::CpuTimeAndSyscalls,
    },
    Case {
        cliff: "readers",
        title: "the same, but they read 16 KiB each second",
        make: |fixture, side| with_readers(fixture, side, Reads::Some(16 << 10)),
        figures: Figures::CpuTime,
    },
    Case {
        cliff: "uptime",
        title: "100 busy connections, after 3 million requests",
        make: after_requests,
        figures: Figures::CpuTime,
    },
    Case {
        cliff: "uptime",
        title: "100 busy connections, after 100,000 were opened and closed",
        make: after_connections,
        figures: Figures::CpuTime,
    },
];

fn with_idle(fixture: &Fixture, side: Side) -> Result<Scene> {
    let server = fixture.serve("site", &[])?;
    let client = fixture.client(&server, load(BUSY, get("/small.txt")?)?)?;
    let count = if side == Side::Strained { IDLE } else { 0 };
    let strain = idle(server.address, count)?;
    Ok(Scene::new(server, client).with_strain(strain))
}

fn with_readers(fixture: &Fixture, side: Side, reads: Reads) -> Result<Scene> {
    let server = fixture.serve("site", &[])?;
    let client = fixture.client(&server, load(BUSY, get("/small.txt")?)?)?;
    let count = if side == Side::Strained { READERS } else { 0 };
    let strain = readers(server.address, count, reads)?;
    // Clients that read keep the server sending, so there is no idle state to wait for.
    if reads == Reads::Nothing {
        settle(&server)?;
    }
    Ok(Scene::new(server, client).with_strain(strain))
}

fn after_requests(fixture: &Fixture, side: Side) -> Result<Scene> {
    let server = fixture.serve("site", &[])?;
    if side == Side::Strained {
        let mut plan = load(BUSY, get("/small.txt")?)?;
        plan.pipeline = const { NonZeroUsize::new(16).unwrap() };
        plan.until = Until::Requests(REQUESTS_BEFORE);
        run_client(&mut fixture.client(&server, plan)?, None)?;
    }
    let client = fixture.client(&server, load(BUSY, get("/small.txt")?)?)?;
    Ok(Scene::new(server, client))
}

fn after_connections(fixture: &Fixture, side: Side) -> Result<Scene> {
    let server = fixture.serve("site", &[])?;
    if side == Side::Strained {
        let mut plan = load(BUSY, get("/small.txt")?)?;
        plan.per_connection = Some(NonZeroU64::MIN);
        plan.until = Until::Requests(CLOSED_BEFORE);
        run_client(&mut fixture.client(&server, plan)?, None)?;
    }
    let client = fixture.client(&server, load(BUSY, get("/small.txt")?)?)?;
    Ok(Scene::new(server, client))
}
