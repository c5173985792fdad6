//! Conditions that must not make a request more expensive (cliffs), and whether they do.
//!
//! ```text
//! sockeye-benches cliffs                      # all cliffs
//! sockeye-benches cliffs idle readers         # only these
//! sockeye-benches cliffs --rounds 20 --seconds 2
//! ```
//!
//! Most cliffs have one or more cases ([`cases`]). A case is a pair of conditions of our server: a
//! plain one, and a strained one, whose strain should not affect other requests. Both run in each
//! round, each on a server of its own, so that a slow minute of the machine affects both
//! ([`mod@run`]). The main figure of most cases is the server's CPU time per request, strained
//! divided by plain, in the same round. The main figure of the others is the 99th percentile of the
//! latency. All cases show the latency and the memory, some also the number of system calls
//! ([`trace`]). [`waiting`] measures the cost of idle connections and slow readers. The cliff
//! `corking` has no cases: [`wire`] counts the system calls and segments of each kind of response.
//!
//! Other servers are not measured. Nor are files that the kernel has to read from a disk: in the
//! cliff `cold`, files are missing from the server's cache, but not from the kernel's page cache.

mod args;
mod cases;
mod change;
mod fixture;
mod run;
mod scene;
mod strain;
mod streams;
mod table;
mod trace;
mod waiting;
mod wire;

use std::process::ExitCode;

use self::args::HELP;
use crate::Result;

/// Measures the cliffs, and prints the results.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    // Not a cliff: runs the service for the cliffs `writes` and `corking`.
    if words.iter().map(String::as_str).eq(["streams"]) {
        streams::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(args) = args::parse(words)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    if cfg!(debug_assertions) {
        return Err("figures of an unoptimised build mean nothing: add --release".into());
    }
    let report = run::run(&args)?;
    print!("{}", table::markdown(&report));
    for failure in &report.failures {
        eprintln!("failed: {failure}");
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
