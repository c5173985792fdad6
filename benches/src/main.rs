//! Compares Sockeye, other servers and a limit on this machine, in one run.
//!
//! ```text
//! cargo run --release -p sockeye-benches              # every row, about an hour
//! cargo run --release -p sockeye-benches -- --quick   # does it work at all?
//! cargo run --release -p sockeye-benches -- --install --rows small,logged --servers limit,ours,nginx
//! cargo run --release -p sockeye-benches -- --svg chart.svg --json runs.json
//! cargo run --release -p sockeye-benches -- --help
//! cargo run --release -p sockeye-benches -- counts    # what is exact: see [`counts`]
//! cargo run --release -p sockeye-benches -- cliffs    # what might grow: see [`cliffs`]
//! ```
//!
//! The *limit* is a bare server of our own that parses nothing: it looks for the blank line, or
//! counts bytes where frames are all alike, and sends a constant response, byte for byte the one that
//! Sockeye sends. What a server costs above it is what its own work costs; the rest is the
//! kernel's. So the figure to look at is the server's CPU time per request divided by the limit's
//! from the same round: it survives a change of machine far better than requests per second do.
//!
//! How it measures, and why:
//!
//! - The server has one worker, pinned to one core; the client runs on another ([`cpu`]).
//! - Servers take turns within a round, so that a slow minute of the machine meets all of them
//!   ([`compare`]). A run that other work disturbed is thrown away and repeated, a bounded number
//!   of times.
//! - The client is `sockeye load`'s own. Every response is checked: its head is the first one's but for
//!   the date, and its length is exact. Content is compared once, before the many.
//! - A pair says little: the limit against itself has given 0.87 to 1.17. So rounds are many, and the
//!   ratio is the median over the rounds with the interval that its ranks give ([`stats`]).
//! - Requests per second are only shown where the server had no time to spare; elsewhere they
//!   would be the client's.
//!
//! What it leaves out: latency, several cores, and networks that lose or delay.

#![forbid(unsafe_code)]

mod args;
mod browser;
mod chart;
mod cliffs;
mod compare;
mod counts;
mod cpu;
mod json;
mod kind;
mod limit;
mod memory;
mod pages;
mod probe;
mod programs;
mod result;
mod rows;
mod servers;
mod stats;
mod sums;
mod table;

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

pub(crate) use result::Result;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "limit") {
        limit::run(&words.split_off(1))?;
        return Ok(ExitCode::SUCCESS);
    }
    if words.first().is_some_and(|word| word == "counts") {
        return counts::run(&words.split_off(1));
    }
    if words.first().is_some_and(|word| word == "cliffs") {
        return cliffs::run(&words.split_off(1));
    }
    if words.first().is_some_and(|word| word == "sums") {
        sums::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(args) = args::parse(&words)? else {
        print!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    };
    if cfg!(debug_assertions) && !args.quick {
        return Err("without optimisation the figures mean nothing: add --release".into());
    }
    // What can't be written is better known now than when everything was measured.
    let open = |path: &Option<PathBuf>| path.as_deref().map(open).transpose();
    let (json, svg) = (open(&args.json)?, open(&args.svg)?);
    let report = compare::run(&args)?;
    io::stdout().write_all(table::markdown(&report).as_bytes())?;
    for (file, text) in [(json, json::write(&report)), (svg, chart::chart(&report))] {
        if let Some(mut file) = file {
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
        }
    }
    for failure in &report.failures {
        eprintln!("failed: {failure}");
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opens a file to be written, and leaves what is in it until then.
fn open(path: &Path) -> Result<File> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    Ok(file.map_err(|error| format!("{}: {error}", path.display()))?)
}
