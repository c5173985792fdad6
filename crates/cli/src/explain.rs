//! `sockeye explain`: how a URL is answered, and why.

use std::io::{self, Write};
use std::process::ExitCode;

use sockeye::http_core::Status;

use crate::plan::RefusedHost;
use crate::{plan, text};

/// Says it on standard output. Whether there is an answer is the exit code.
pub(crate) fn run(plan: &plan::Explain) -> ExitCode {
    let target = text::escape_controls(&plan.target);
    // Who doesn't read to the end knows what they wanted to.
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "GET {target}");
    if let Some(refused) = plan.refused.as_ref().filter(|refused| refused.always) {
        let _ = write!(out, "{}", refusal(refused));
        return ExitCode::FAILURE;
    }
    let explanation = plan.mounts.explain(&plan.target);
    let _ = write!(out, "{explanation}");
    if let Some(refused) = &plan.refused {
        let _ = write!(out, "Not for everybody: {}", refusal(refused));
    }
    if explanation.status.code() < 400 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why a host is refused, and what to do about it.
fn refusal(refused: &RefusedHost) -> String {
    let RefusedHost { host, at, .. } = refused;
    let host = text::escape_controls(host);
    let at: Vec<String> = at.iter().map(ToString::to_string).collect();
    format!(
        "{}: the host {host} is not allowed at a loopback address\n  at: {}\n  \
         fix: allow it by --host, or give --listen and --trusted-proxy as the server has them\n",
        Status::MISDIRECTED_REQUEST,
        text::escape_controls(&at.join(", "))
    )
}
