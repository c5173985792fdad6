//! `sockeye load`: sends requests repeatedly, and reports how the server responded.

mod report;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sockeye_load::{Failure, Probe, ProbeError, StopHandle};

use self::report::Report;
use crate::log::Log;
use crate::plan::Load;
use crate::target::Target;
use crate::text::why_unconnected;

/// Sends requests until the plan is fulfilled or a signal stops it, then prints the report.
///
/// # Errors
///
/// If a request of the probe, which sends each request before the load, gets no valid response, or
/// is redirected to TLS at the same port. Also if the probe's request for a WebSocket is refused;
/// other error responses are only logged. Also if signals can't be handled, or if the event loop or
/// standard output fails. Failures of the load are counted in the report, and make the exit code 1.
pub(crate) fn run(load: Load, log: &Log) -> anyhow::Result<ExitCode> {
    let stop = StopHandle::default();
    stop_on_signals(&stop).context("cannot set up signals")?;
    let Load { plan, addresses, targets, json } = load;
    let probe = sockeye_load::probe(&plan, &addresses);
    let probe = probe.map_err(|error| match targets.get(error.request) {
        Some(target) => probe_failed(error, target),
        None => error.into(),
    })?;
    check_redirects(&probe, &targets)?;
    error_responses(&probe, &targets).for_each(|text| log.print(text));
    let plan = Arc::new(plan);
    let mut progress_line =
        ProgressLine { is_shown: false, is_terminal: io::stderr().is_terminal() };
    let outcome = sockeye_load::run(&plan, &probe, &stop, |progress| {
        progress_line.show(&report::progress(progress));
    });
    progress_line.clear();
    let outcome = outcome.context("the event loop failed")?;
    let report = Report { plan: &plan, targets: &targets, outcome: &outcome };
    let text = if json { report.json() } else { report.text() };
    match io::stdout().write_all(text.as_bytes()) {
        // The program that reads the output stopped early (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        result => result.context("cannot write to standard output")?,
    }
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Fails if plain HTTP is redirected to TLS at the same port, because the load would only measure
/// redirects.
pub(crate) fn check_redirects(probe: &Probe, targets: &[Target]) -> anyhow::Result<()> {
    for (index, location) in probe.redirects() {
        if let Some(target) = targets.get(index)
            && let Some(with_tls) = target.with_tls_by(location)
        {
            bail!("{target} is redirected to TLS at the same port: write {with_tls}");
        }
    }
    Ok(())
}

/// For each request of the probe whose response is an error: a text that says so.
pub(crate) fn error_responses(probe: &Probe, targets: &[Target]) -> impl Iterator<Item = String> {
    probe.errors().filter_map(|(index, text)| {
        let target = targets.get(index)?;
        let hint = if probe.may_need_tls(index) { target.tls_hint() } else { String::new() };
        Some(format!("{target} returns an error: {text}{hint}"))
    })
}

/// The error to report if a request of the probe failed.
pub(crate) fn probe_failed(error: ProbeError, target: &Target) -> anyhow::Error {
    let what = match error.failure {
        Failure::ErrorResponse => "did not accept the request",
        Failure::BadResponse | Failure::TruncatedHead | Failure::TruncatedContent => {
            "sent an invalid response"
        }
        _ => "did not respond",
    };
    let hint = match error.failure {
        Failure::Connect => {
            return anyhow::anyhow!("{target} {what}: {}", why_unconnected(&error.to_string()));
        }
        Failure::Tls | Failure::Socket => String::new(),
        _ if error.answered_without_tls => String::new(),
        _ => target.tls_hint(),
    };
    anyhow::anyhow!("{target} {what}: {error}{hint}")
}

/// Handles SIGINT and SIGTERM: the first signal stops the load, the second one ends the process.
fn stop_on_signals(stop: &StopHandle) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    let handle_signals = move || {
        let mut is_stopping = false;
        for signal in &mut signals {
            if is_stopping {
                std::process::exit(128 + signal);
            }
            is_stopping = true;
            stop.stop();
        }
    };
    thread::Builder::new().name("signals".into()).spawn(handle_signals)?;
    Ok(())
}

/// A line on standard error that each call of `show` overwrites. Prints nothing if standard error
/// is not a terminal.
struct ProgressLine {
    is_shown: bool,
    is_terminal: bool,
}

impl ProgressLine {
    fn show(&mut self, text: &str) {
        if self.is_terminal {
            self.is_shown = true;
            // A failure to show progress is ignored.
            let _ = write!(io::stderr(), "\r{text}\x1b[K");
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
