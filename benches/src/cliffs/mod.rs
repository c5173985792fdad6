//! Where it could fall off a cliff: what must not make a request dearer, and whether it does.
//!
//! ```text
//! sockeye-benches cliffs                      # all of them
//! sockeye-benches cliffs idle readers         # only these
//! sockeye-benches cliffs --rounds 20 --seconds 2
//! ```
//!
//! Each cliff is one or more pairs of states of our server ([`cases`]): a plain one, and one that is
//! strained by something that should cost nobody else anything. They take turns within a round, each
//! on a server of its own, so that a slow minute of the machine meets both ([`mod@run`]). The figure to
//! look at is the server's CPU time per request, strained divided by plain, of the same round;
//! beside it stand calls to the kernel where they can be counted exactly ([`trace`]), memory, and how
//! long 99 % of the requests took. What connections cost that only wait is looked at by itself
//! ([`waiting`]), and so is what each kind of response is on the wire ([`wire`]).
//!
//! What it leaves out: other servers, and files that the kernel has to fetch from a disk: "cold" is
//! our cache.

mod args;
mod beside;
mod cases;
mod change;
mod ground;
mod run;
mod scene;
mod streams;
mod table;
mod trace;
mod waiting;
mod wire;

use std::process::ExitCode;

use self::args::HELP;
use crate::Result;

/// Looks for them, and prints what it has seen.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    if words.iter().map(String::as_str).eq(["streams"]) {
        streams::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(args) = args::parse(words)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    if cfg!(debug_assertions) {
        return Err("without optimisation the figures mean nothing: add --release".into());
    }
    let report = run::run(&args)?;
    print!("{}", table::markdown(&report));
    for failure in &report.failures {
        eprintln!("failed: {failure}");
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
