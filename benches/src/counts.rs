//! Exact costs of a request, which don't depend on how busy the machine is.
//!
//! ```text
//! sockeye-benches counts            # show the figures beside those of benches/counts.txt
//! sockeye-benches counts --check    # fail if a figure has grown by more than 5 %, or exceeds
//!                                   # its limit in benches/baseline.txt
//! sockeye-benches counts --write    # record the figures; say why in the commit
//! sockeye-benches counts profile small    # instructions per function
//! ```
//!
//! - **instructions** in user space, and **allocations**: counted by callgrind in a worker (event
//!   loop) that shares a thread with its clients ([`scene`]), so that the counts don't depend on
//!   timing.
//! - **calls**: strace counts the system calls of the whole program with one connection
//!   ([`whole`]).
//! - **bytes**: memory of the program for each of 10,000 idle connections: in the row `idle` over
//!   HTTP/1.1, in `tls-idle` with TLS, in `h2-idle` over HTTP/2, in `h2-tls-idle` with both, and in
//!   `ws-idle` with WebSockets.
//!
//! Two rows need an explanation:
//!
//! - `logged` is the row `small` plus the cost of an access log. That cost is measured in the whole
//!   program, and includes the thread that writes the log.
//! - In `browser-new`, each client sends a different head, so that a cached head doesn't help. In
//!   all other rows, the clients send equal heads: always the same one, or in `mix` three in turn.
//!
//! Instructions in the kernel, which take most of the time, are not counted.

mod baseline;
mod callgrind;
mod client;
mod record;
mod scene;
mod whole;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use baseline::Baseline;
use record::Counts;

use crate::{
    Result,
    kind::Kind,
    memory,
    rows::{ROWS, Row},
    servers::Setup,
};

/// Maximum ratio of a figure to the recorded one. Compiler releases and the names of temporary
/// folders change figures a little.
const GROWTH: f64 = 1.05;
/// Number of connections in the rows of idle connections.
const IDLE: usize = 10_000;
/// Number of functions that `profile` prints.
const PROFILE_FUNCTIONS: usize = 40;

/// Runs `counts` with the arguments `words`: see the module.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show(&measure()?, &baseline()?),
        ["--check"] => return check(&measure()?),
        ["--write"] => std::fs::write(path(), measure()?.text())?,
        ["profile", name] => {
            for (function, count) in callgrind::profile(name)?.into_iter().take(PROFILE_FUNCTIONS) {
                println!("{count:>8.0}  {function}");
            }
        }
        // This program runs itself with these arguments, under callgrind.
        ["scene", name, exchanges] => scene::run(name, exchanges.parse()?)?,
        _ => return Err("counts takes --check, --write, profile ROW, or nothing".into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt"))
}

fn recorded() -> Result<Counts> {
    Counts::read(&text(&path())?)
}

fn baseline() -> Result<Baseline> {
    Baseline::read(&text(&path().with_file_name("baseline.txt"))?)
}

fn text(path: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn measure() -> Result<Counts> {
    let mut counts = Counts::default();
    for name in scene::NAMES {
        let found = callgrind::count(name)?;
        counts.set(name, "instructions", found.instructions);
        counts.set(name, "allocations", found.allocations);
    }
    let setup = Setup::only_ours()?;
    log(&mut counts, &setup)?;
    for row in ROWS.iter().filter(|row| whole::ROWS.contains(&row.name)) {
        counts.set(row.name, "calls", whole::calls(&setup, row)?);
    }
    let max = usize::try_from(memory::raise_descriptors()?)?;
    if max < IDLE {
        let what = format!("the limit on descriptors allows {max} connections, and not {IDLE}");
        return Err(what.into());
    }
    for name in ["idle", "tls-idle", "h2-idle", "h2-tls-idle", "ws-idle"] {
        let idle = named(name)?.load;
        let server =
            setup.start(Kind::Ours, idle, &[])?.ok_or("our server does not support this row")?;
        let tls = setup.certificate.client_for(idle.tls(), idle.is_http2())?;
        let memory = memory::measure(server.pid(), server.address, tls.as_ref(), idle, IDLE)?;
        counts.set(name, "bytes", memory.per_connection);
    }
    Ok(counts)
}

/// Counts the row `logged`.
fn log(counts: &mut Counts, setup: &Setup) -> Result<()> {
    let with = whole::instructions(setup, named("logged")?)?;
    let without = whole::instructions(setup, named("small")?)?;
    let small = |what| counts.get(&format!("small.{what}")).ok_or("`small` must be counted first");
    let instructions = small("instructions")? + with.instructions - without.instructions;
    let allocations = small("allocations")? + with.allocations - without.allocations;
    counts.set("logged", "instructions", instructions);
    // The difference of two measurements can be slightly below 0.
    counts.set("logged", "allocations", allocations.max(0.0));
    Ok(())
}

fn named(name: &str) -> Result<&'static Row> {
    let row = ROWS.iter().find(|row| row.name == name);
    row.ok_or_else(|| format!("there is no row {name}").into())
}

/// Prints the figures: those counted now, those recorded in `counts.txt`, and those of the older
/// commit that `baseline.txt` records.
fn show(counts: &Counts, baseline: &Baseline) {
    let old = recorded().unwrap_or_default();
    println!("{:<24} {:>10}   {:>16}   {:>10}", "", "now", "recorded", "baseline");
    for (name, value) in counts.all() {
        let old = old.get(name).map_or_else(|| "not recorded".into(), |old| old.to_string());
        let first = baseline.get(name).map(|first| first.to_string()).unwrap_or_default();
        println!("{name:<24} {value:>10}   {old:>16}   {first:>10}");
    }
}

/// Fails if a figure has grown too much, is not recorded, or exceeds its limit in the baseline.
fn check(counts: &Counts) -> Result<ExitCode> {
    let baseline = baseline()?;
    show(counts, &baseline);
    let grown = counts.grown(&recorded()?, GROWTH);
    for line in &grown {
        eprintln!("grown: {line}");
    }
    if !grown.is_empty() {
        eprintln!(
            "A request costs more than benches/counts.txt says. If that is worth it, record it by\n  \
             cargo run --release -p sockeye-benches -- counts --write\nand say why in the commit."
        );
    }
    let exceeded = baseline.exceeded(counts);
    for line in &exceeded {
        eprintln!("baseline: {line}");
    }
    if !exceeded.is_empty() {
        eprintln!(
            "A request costs more than benches/baseline.txt allows, and --write doesn't change \
             that: see CONTRIBUTING.md."
        );
    }
    Ok(if grown.is_empty() && exceeded.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
