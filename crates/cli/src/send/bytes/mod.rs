//! `sockeye send tcp://…`, `tls://…` and `unix:…`: sends bytes to an echo server, and waits until
//! the server has sent as many back. For other servers, there is `--half-close`: the command
//! half-closes after sending, and reads until the server closes its sending side.

mod connection;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use sockeye::engine::driver;

use self::connection::{Connection, Settings, Source, Style};
use super::finish;
use super::input::{self, PIECE};
use super::printer::Printer;
use super::report::{Report, Summary};
use crate::log::Log;
use crate::plan::Send;

/// Tries the addresses in order until one accepts a connection, and runs until all connections have
/// ended.
///
/// # Errors
///
/// The event loop or standard output failed, or a thread could not start. Failed connections are no
/// error: a warning is printed for each, and the exit code is 1.
pub(crate) fn run(plan: &Send, log: &Log) -> anyhow::Result<ExitCode> {
    let terminal = io::stdout().is_terminal();
    let printer = Printer::start(io::stdout(), terminal).context("cannot start a thread")?;
    let style = match plan.client.connections {
        1 if terminal => Style::Terminal,
        1 => Style::Unchanged,
        _ => Style::Labelled,
    };
    // Printed bytes may end within a line, so warnings are printed after all bytes. With
    // `Style::Labelled`, only whole lines are printed, so warnings are printed at once.
    let delayed_warnings = Rc::new(RefCell::new(Vec::new()));
    let started = Instant::now();
    let mut summary = Summary::default();
    for (at, address) in plan.client.addresses.iter().enumerate() {
        let warn = {
            let (log, delayed_warnings) = (log.clone(), Rc::clone(&delayed_warnings));
            move |warning: String| match style {
                Style::Labelled => log.print(warning),
                _ => delayed_warnings.borrow_mut().push(warning),
            }
        };
        let report = Rc::new(RefCell::new(Report::new(warn)));
        let settings = Settings {
            style,
            half_close: plan.half_close,
            with_tls: plan.client.with_tls.as_ref().map(ToString::to_string),
            timeout: plan.client.timeout,
            printer: printer.clone(),
            report: Rc::clone(&report),
        };
        run_connections(plan, address, &settings)?;
        let mut report = report.borrow_mut();
        let is_last = at + 1 == plan.client.addresses.len();
        if report.is_unconnected() && !is_last {
            tracing::info!(?address, "could not connect; trying the next address");
            continue;
        }
        summary = report.finish(started.elapsed());
        break;
    }
    finish(&printer, None)?;
    delayed_warnings.take().into_iter().for_each(|warning| log.print(warning));
    log.print(summary.to_string());
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all connections to `address` until they have ended.
fn run_connections(
    plan: &Send,
    address: &driver::Target,
    settings: &Settings,
) -> anyhow::Result<()> {
    let count = plan.client.connections;
    let sources: Vec<Source> = match &plan.contents {
        Some(contents) => {
            let pieces = pieces(contents);
            (0..count).map(|_| Source::Contents(pieces.clone())).collect()
        }
        None => {
            let inputs = input::share(io::stdin(), count);
            inputs.context("cannot start a thread")?.into_iter().map(Source::Input).collect()
        }
    };
    let connections = sources.into_iter().enumerate();
    let connections =
        connections.map(|(at, source)| Connection::new(at + 1, source, settings.clone()));
    let client = &plan.client;
    super::run_connections(client.config.clone(), client.tls.as_ref(), address, connections)
}

/// Cuts contents into pieces of at most [`PIECE`] bytes.
fn pieces(contents: &[Bytes]) -> VecDeque<Bytes> {
    let mut pieces = VecDeque::new();
    for content in contents {
        let mut rest = content.clone();
        while !rest.is_empty() {
            pieces.push_back(rest.split_to(rest.len().min(PIECE)));
        }
    }
    pieces
}
