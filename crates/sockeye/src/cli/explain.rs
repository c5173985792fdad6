//! `sockeye explain`: how a URL is answered, and why.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::{plan, text};

/// Says it on standard output. Whether there is an answer is the exit code.
pub(crate) fn run(plan: &plan::Explain) -> ExitCode {
    let explanation = plan.mounts.explain(&plan.target);
    let target = text::escape_controls(&plan.target);
    // Who doesn't read to the end knows what they wanted to.
    let _ = write!(io::stdout().lock(), "GET {target}\n{explanation}");
    if explanation.status.code() < 400 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
