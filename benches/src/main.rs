//! Compares Sockeye with other servers and with a bare server, `limit`, on one machine in one run.
//!
//! ```text
//! cargo run --release -p sockeye-benches              # every row, about an hour
//! cargo run --release -p sockeye-benches -- --quick   # check that it works
//! cargo run --release -p sockeye-benches -- --install --rows small,logged --servers limit,ours,nginx
//! cargo run --release -p sockeye-benches -- --svg chart.svg --json runs.json
//! cargo run --release -p sockeye-benches -- --help
//! cargo run --release -p sockeye-benches -- counts    # exact costs of a request
//! cargo run --release -p sockeye-benches -- cliffs    # what might make a request more expensive
//! ```
//!
//! The modules [`counts`] and [`cliffs`] describe the last two commands. A row is one load, such as
//! small files over HTTP, with one line in each table.
//!
//! The bare server parses almost nothing: it looks for the blank line, counts bytes if it knows the
//! requests' lengths, or reads frame headers over HTTP/2. It sends back what it receives (`echo`),
//! or else constant responses, which are copies of Sockeye's if Sockeye is measured. Nearly all of
//! its CPU time is the kernel's. The main figure is a server's CPU time per request divided by that
//! of the bare server in the same round. This ratio depends less on the machine than requests per
//! second do.
//!
//! The method:
//!
//! - The server has one worker, pinned to one core. The client runs on another ([`cpu`]).
//! - Servers take turns in each round, so that a slow minute of the machine affects all of them
//!   ([`compare`]). A run that other processes disturbed is repeated, a limited number of times.
//! - The client of most rows is that of `sockeye load`. A malformed or incomplete response, or one
//!   with an error status, fails the run. Contents are checked only before each run, in one
//!   response to each request. The rows with HTTP/2 have a client that checks statuses and lengths
//!   ([`http2`]), and `ws-broadcast` has one that compares each message ([`mod@broadcast`]).
//! - A single pair of runs says little: the bare server compared with itself has given 0.87 to
//!   1.17. So there are many rounds, and the table shows the median of their ratios with a
//!   confidence interval ([`stats`]).
//! - Requests per second have a note if the server was not saturated, because then they don't show
//!   what the server can do.
//!
//! Latency is measured only by `cliffs`. Several cores, and networks with loss or delay, are not
//! measured.

#![forbid(unsafe_code)]

mod args;
mod broadcast;
mod browser;
mod chart;
mod cliffs;
mod compare;
mod counts;
mod cpu;
mod http2;
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
mod tls;
mod websocket;

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
    // `limit`, `sums` and `broadcast` are servers, which a measurement starts as processes of their
    // own.
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
    if words.first().is_some_and(|word| word == "broadcast") {
        broadcast::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(args) = args::parse(&words)? else {
        print!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    };
    if cfg!(debug_assertions) && !args.quick {
        return Err("figures of an unoptimised build mean nothing: add --release".into());
    }
    // Open the report files before measuring, to fail early if one can't be written.
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

/// Opens a file for writing, without truncating it yet.
fn open(path: &Path) -> Result<File> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    Ok(file.map_err(|error| format!("{}: {error}", path.display()))?)
}
