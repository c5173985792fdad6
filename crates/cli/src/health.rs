//! `sockeye health`: sends one request, and says whether the server's response is complete and no
//! error.

use std::io::{self, Write};
use std::process::ExitCode;
use std::slice;

use anyhow::bail;

use crate::plan::Health;
use crate::{load, text};

/// Prints one line if the server is healthy.
///
/// # Errors
///
/// No complete response arrives in time, or the response is an error or a redirect to TLS at the
/// same port.
pub(crate) fn run(health: Health) -> anyhow::Result<ExitCode> {
    let Health { plan, addresses, target } = health;
    let probe = sockeye_load::probe(&plan, &addresses);
    let probe = probe.map_err(|error| load::probe_failed(error, &target))?;
    load::check_redirects(&probe, slice::from_ref(&target))?;
    if let Some(text) = load::error_responses(&probe, slice::from_ref(&target)).next() {
        bail!(text);
    }
    // Standard output may be closed, which doesn't make the server unhealthy.
    let _ = writeln!(io::stdout(), "{target} is healthy ({})", text::time(probe.time));
    Ok(ExitCode::SUCCESS)
}
