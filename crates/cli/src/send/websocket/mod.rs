//! `sockeye send ws://…` and `wss://…`: opens WebSockets, sends messages on each, and prints the
//! messages that it receives.
//!
//! Each argument and each file is a text message. Without arguments and files, each line of
//! standard input is one. With `--binary`, messages are binary, and all of standard input is one
//! message. A connection closes its WebSocket when it has sent all messages and received as many.
//! If the messages are lines typed on a terminal, the WebSocket stays open until the input ends
//! (Ctrl-D), or until the server closes it.

mod connection;
mod handler;
mod lines;
mod refusal;
mod show;
mod source;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use sockeye::engine::{Config, driver};
use sockeye::http_core::ws::{self, DeflateOptions};

use self::connection::Connection;
use self::handler::Settings;
use self::show::Style;
use self::source::Source;
use super::input;
use super::printer::Printer;
use super::report::{Report, Summary};
use crate::log::Log;
use crate::plan::SendWebSocket;

/// Maximum number of fragments of a received message. Many, because some servers send long messages
/// in small fragments.
const MAX_FRAGMENTS: u32 = 1 << 20;

/// Tries the addresses in order until one accepts a connection, and runs until all connections have
/// ended.
///
/// # Errors
///
/// The event loop failed, a thread could not start, or the output could not be written. Failed
/// connections are no error: a warning is printed for each, and the exit code is 1.
pub(crate) fn run(plan: SendWebSocket, log: &Log) -> anyhow::Result<ExitCode> {
    let (path, file) = plan.output.as_ref().map(|(path, file)| (path, file.try_clone())).unzip();
    let is_labelled = plan.client.connections > 1;
    let (printer, style) = match file.transpose().context("cannot write the output")? {
        Some(file) => (Printer::start(file, false), Style::Unchanged),
        None if is_labelled => (Printer::start(io::stdout(), false), Style::Labelled),
        None if io::stdout().is_terminal() => {
            (Printer::start(io::stdout(), false), Style::Terminal)
        }
        None => (Printer::start(io::stdout(), false), Style::Text),
    };
    let printer = printer.context("cannot start a thread")?;
    let started = Instant::now();
    let mut summary = Summary::default();
    for (at, address) in plan.client.addresses.iter().enumerate() {
        let warn = {
            let log = log.clone();
            move |warning: String| log.print(warning)
        };
        let report = Rc::new(RefCell::new(Report::new(warn)));
        let is_interactive = plan.messages.is_none() && io::stdin().is_terminal();
        let settings = Settings {
            style,
            is_interactive,
            has_hint: is_interactive && io::stderr().is_terminal(),
            with_tls: plan.client.with_tls.as_ref().map(ToString::to_string),
            target: plan.target.clone(),
            request: plan.request.clone(),
            timeout: plan.client.timeout,
            printer: printer.clone(),
            report: Rc::clone(&report),
        };
        run_connections(&plan, address, &Rc::new(settings))?;
        let mut report = report.borrow_mut();
        let is_last = at + 1 == plan.client.addresses.len();
        if report.is_unconnected() && !is_last {
            tracing::info!(?address, "could not connect; trying the next address");
            continue;
        }
        summary = report.finish(started.elapsed());
        break;
    }
    super::finish(&printer, path.map(std::path::PathBuf::as_path))?;
    log.print(summary.to_string());
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all connections to `address` until they have ended.
fn run_connections(
    plan: &SendWebSocket,
    address: &driver::Target,
    settings: &Rc<Settings>,
) -> anyhow::Result<()> {
    let count = plan.client.connections;
    let sources: Vec<Source> = match &plan.messages {
        Some(messages) => (0..count).map(|_| Source::of(messages, plan.count)).collect(),
        None => {
            let inputs = input::share(io::stdin(), count).context("cannot start a thread")?;
            inputs.into_iter().map(Source::lines).collect()
        }
    };
    let config = ws::Config::new(ws::Limits {
        message: plan.max_content,
        fragments: MAX_FRAGMENTS,
        ..ws::Limits::default()
    });
    let config = if plan.deflate { config.deflating(DeflateOptions::new()) } else { config };
    let config = Rc::new(config);
    let connections = sources.into_iter().enumerate().map(|(at, source)| {
        Connection::new(at + 1, source, Rc::clone(settings), Rc::clone(&config))
    });
    let client = &plan.client;
    // No limit on output: if its output were full, this client would stop reading. Then an echo
    // server couldn't send, so it would stop reading, too, and neither side would continue. The
    // client would also miss a close frame. The messages are in memory anyway, or are read from
    // standard input only when the output is almost empty.
    let unlimited = usize::MAX;
    let engine = Config {
        max_buffered_output: unlimited,
        max_buffered_total: unlimited,
        ..client.config.clone()
    };
    super::run_connections(engine, client.tls.as_ref(), address, connections)
}
