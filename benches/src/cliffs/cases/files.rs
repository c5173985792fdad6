//! Cases about large folders, changing files, and files that are not cached. Each case compares two
//! sides: a plain one, and a strained one under conditions that should not make a request more
//! expensive.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use sockeye_load::{HttpRequest, PreparedRequest, Share, Until, Worker};

use super::plans::{get, load};
use crate::{
    Result,
    cliffs::{
        change,
        fixture::{Fixture, file_name, learn, replace_file},
        scene::{Case, Figures, Scene, Side, run_client},
        strain::{Counts, Strain},
    },
};

/// Number of connections of a load whose CPU time is measured.
const BUSY: usize = 64;
/// Numbers of files in the folders.
const FEW: usize = 10;
const SOME: usize = 10_000;
const LARGE: usize = 100_000;
/// A number of files that fit into the cache.
const CACHED: usize = 4_000;
/// A number of files that don't fit into the cache.
const UNCACHED: usize = 20_000;
/// Requests per second of a load whose latency is measured while another load makes expensive
/// requests. This rate doesn't saturate the server.
const RATE: f64 = 2_000.0;

pub(super) const CASES: &[Case] = &[
    Case {
        cliff: "folder",
        title: "a hot file in a folder of 10 files, and of 100,000",
        make: hot,
        figures: Figures::CpuTimeAndSyscalls,
    },
    Case {
        cliff: "folder",
        title: "any of 10,000 files (more than are cached), in a folder of 10,000 and of 100,000",
        make: any,
        figures: Figures::CpuTimeAndSyscalls,
    },
    Case {
        cliff: "folder",
        title: "any of 4,000 files, all cached, and of 20,000, which miss",
        make: misses,
        figures: Figures::CpuTime,
    },
    Case {
        cliff: "folder",
        title: "a hot file, while a folder of 100,000 is listed repeatedly",
        make: during_listing,
        figures: Figures::Latency,
    },
    Case {
        cliff: "changing",
        title: "a hot file of 4 KiB, replaced ten times per second",
        make: |fixture, side| changing(fixture, side, 4 << 10, replace_file),
        figures: Figures::CpuTime,
    },
    Case {
        cliff: "changing",
        title: "the same, overwritten",
        make: |fixture, side| changing(fixture, side, 4 << 10, overwrite_file),
        figures: Figures::CpuTime,
    },
    Case {
        cliff: "changing",
        title: "a hot file of 100 KiB, replaced ten times per second",
        make: |fixture, side| changing(fixture, side, 100 << 10, replace_file),
        figures: Figures::CpuTime,
    },
    Case {
        cliff: "cold",
        title: "4,000 files, for the second time and for the first",
        make: first_touch,
        figures: Figures::CpuTime,
    },
    Case {
        cliff: "cold",
        title: "a hot file, while others request 20,000 files in turn",
        make: during_cold,
        figures: Figures::Latency,
    },
];

fn hot(fixture: &Fixture, side: Side) -> Result<Scene> {
    let folder = fixture.folder_of(if side == Side::Strained { LARGE } else { FEW })?;
    let server = fixture.serve(&folder, &[])?;
    let client = fixture.client(&server, load(BUSY, get(&format!("/{}", file_name(1)))?)?)?;
    Ok(Scene::new(server, client))
}

/// Requests for `count` files, spread evenly over a folder of `folder` files, in an order unrelated
/// to their names.
fn spread(folder: usize, count: usize) -> Result<Vec<PreparedRequest>> {
    // A prime, so that no file repeats before all were requested.
    const STEP: usize = 7_919;
    let request = |at| {
        let place = at * STEP % count;
        let path = format!("/{}", file_name(place * folder / count));
        Ok(HttpRequest::get("localhost", &path).prepare()?)
    };
    (0..count).map(request).collect()
}

/// A load of the requests of [`spread`]. Each connection starts with a different file.
fn spread_load(fixture: &Fixture, folder: usize, count: usize) -> Result<Scene> {
    let name = fixture.folder_of(folder)?;
    let mut plan = load(BUSY, spread(folder, count)?)?;
    plan.staggered = true;
    let server = fixture.serve(&name, &[])?;
    let client = fixture.client(&server, plan)?;
    Ok(Scene::new(server, client))
}

fn any(fixture: &Fixture, side: Side) -> Result<Scene> {
    let folder = if side == Side::Strained { LARGE } else { SOME };
    spread_load(fixture, folder, SOME)
}

fn misses(fixture: &Fixture, side: Side) -> Result<Scene> {
    spread_load(fixture, LARGE, if side == Side::Strained { UNCACHED } else { CACHED })
}

/// A strain that is a second load: it sends requests from a thread of its own, as fast as `plan`
/// allows.
fn other_load(server: &crate::servers::Server, plan: sockeye_load::Plan) -> Result<Strain> {
    let probe = learn(server, &plan)?;
    Ok(Strain::thread(move |stop| {
        let share = Share::all(&plan);
        let mut worker = Worker::new(Arc::new(plan), &probe, share)?;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            run_client(&mut worker, Some(Duration::from_millis(20)))?;
        }
        Ok(Counts::from([("other requests", worker.responses())]))
    }))
}

/// The client of a load on one file, with [`RATE`] requests per second.
fn at_a_rate(fixture: &Fixture, server: &crate::servers::Server) -> Result<Worker> {
    let mut plan = load(16, get(&format!("/{}", file_name(1)))?)?;
    plan.rate = Some(RATE);
    fixture.client(server, plan)
}

fn during_listing(fixture: &Fixture, side: Side) -> Result<Scene> {
    let folder = fixture.folder_of(LARGE)?;
    let server = fixture.serve(&folder, &["--listing"])?;
    let client = at_a_rate(fixture, &server)?;
    let strain = match side {
        Side::Plain => Strain::default(),
        Side::Strained => other_load(&server, load(1, get("/?format=json")?)?)?,
    };
    Ok(Scene::new(server, client).with_strain(strain))
}

fn during_cold(fixture: &Fixture, side: Side) -> Result<Scene> {
    let folder = fixture.folder_of(LARGE)?;
    let server = fixture.serve(&folder, &[])?;
    let client = at_a_rate(fixture, &server)?;
    let strain = match side {
        Side::Plain => Strain::default(),
        Side::Strained => {
            let mut plan = load(16, spread(LARGE, UNCACHED)?)?;
            plan.staggered = true;
            plan.rate = Some(4.0 * RATE);
            other_load(&server, plan)?
        }
    };
    Ok(Scene::new(server, client).with_strain(strain))
}

/// Measures one request for each file. On the strained side, these are the server's first requests,
/// so that no file is cached: the client learns from another server which responses to expect. On
/// the plain side, each file was requested once before.
fn first_touch(fixture: &Fixture, side: Side) -> Result<Scene> {
    let folder = fixture.folder_of(SOME)?;
    let mut plan = load(BUSY, spread(SOME, CACHED)?)?;
    plan.staggered = true;
    plan.until = Until::Requests(CACHED as u64);
    let probe = learn(&fixture.serve(&folder, &[])?, &plan)?;
    let server = fixture.serve(&folder, &[])?;
    if side == Side::Plain {
        let mut first = fixture.client_with_probe(&server, plan.clone(), probe.clone())?;
        run_client(&mut first, None)?;
    }
    let client = fixture.client_with_probe(&server, plan, probe)?;
    // `once`: measured from the first request, without a warm-up.
    Ok(Scene { once: true, ..Scene::new(server, client) })
}

/// Overwrites a file in place. For a moment, it is empty or incomplete.
fn overwrite_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    fs::write(path, content)
}

/// How a file gets new content.
type Write = fn(&Path, &[u8]) -> std::io::Result<()>;

/// A load on a file of `size` bytes. On both sides, a thread requests the file, too, and counts the
/// responses that mix two versions. On the strained side, this thread also changes the file by
/// `write` every 100 ms.
fn changing(fixture: &Fixture, side: Side, size: usize, write: Write) -> Result<Scene> {
    let path: PathBuf = fixture.path("site").join("changing.txt");
    replace_file(&path, &change::version(0, size))?;
    let server = fixture.serve("site", &[])?;
    let client = fixture.client(&server, load(BUSY, get("/changing.txt")?)?)?;
    let address = server.address;
    let period = match side {
        Side::Plain => None,
        Side::Strained => Some(Duration::from_millis(100)),
    };
    let strain = Strain::thread(move |stop: &AtomicBool| {
        let mut checks = change::Checks::new(address, size);
        let (mut number, mut last) = (0, Instant::now());
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            if period.is_some_and(|period| last.elapsed() >= period) {
                number += 1;
                last = Instant::now();
                write(&path, &change::version(number, size))?;
            }
            checks.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(checks.counts(number))
    });
    Ok(Scene::new(server, client).with_strain(strain))
}
