//! `sockeye send message://…`: sends messages, and prints the content of their responses.
//!
//! `--connections` sets the number of [`Sender`]s. Each of them sends all messages in order, and
//! uses one connection at a time. By default, it opens a new connection for each message. With
//! `--keep-alive`, it sends many messages on one connection, if the server keeps the connection
//! alive. Senders open connections in rounds: when all connections of a round have ended, each
//! sender that has messages left opens its next connection.

mod sender;
mod show;
mod summary;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use sockeye::engine::{Config, driver};
use sockeye::message::protocol::{Client, ClientConfig, ConnectionMode, Limits};

use self::sender::{Connection, Run, Sender};
use self::show::Style;
use self::summary::Summary;
use super::printer::Printer;
use super::{finish, run_connections};
use crate::log::Log;
use crate::plan::SendMessages;

/// Maximum number of requests in flight on a connection: as many as `sockeye message` accepts.
const IN_FLIGHT: usize = 16;

/// Runs until every sender is done or has failed.
///
/// # Errors
///
/// The event loop could not start, or the output failed. Failed connections are no error: a warning
/// is printed for each, and the exit code is 1.
pub(crate) fn run(plan: SendMessages, log: &Log) -> anyhow::Result<ExitCode> {
    let (path, file) = plan.output.unzip();
    let (printer, style) = match file {
        Some(file) => (Printer::start(file, false), Style::Unchanged),
        None if io::stdout().is_terminal() => {
            (Printer::start(io::stdout(), false), Style::Terminal)
        }
        None => (Printer::start(io::stdout(), false), Style::Text),
    };
    let printer = printer.context("cannot start a thread")?;
    let started = Instant::now();
    let run = Rc::new(Run {
        config: Config {
            // No limit: at a limit, the engine would stop reading, and an error response that the
            // server sends early would be missed. The messages are in memory anyway.
            max_buffered_output: usize::MAX,
            ..plan.client.config
        },
        tls: plan.client.tls,
        limits: Limits { content: plan.max_content, ..Limits::default() },
        total: plan.messages.len().saturating_mul(plan.count),
        messages: plan.messages,
        timeout: plan.client.timeout,
        style,
        labelled: plan.client.connections > 1,
        printer: printer.clone(),
        summary: RefCell::new(Summary::default()),
        warn: Box::new({
            let log = log.clone();
            move |warning| log.print(warning)
        }),
    });
    let sender = |number| Rc::new(RefCell::new(Sender::new(number, plan.keep_alive)));
    let senders: Vec<_> = (1..=plan.client.connections).map(sender).collect();
    send_all(&run, &senders, &plan.client.addresses)?;
    finish(&printer, path.as_deref())?;
    let mut summary = run.summary.borrow_mut();
    summary.time = started.elapsed();
    summary.total = run.total.saturating_mul(senders.len()) as u64;
    log.print(summary.to_string());
    Ok(if summary.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opens connections until no sender has messages left. Tries the addresses in order, and then uses
/// only the first one at which a connection was established.
fn send_all(
    run: &Rc<Run>,
    senders: &[Rc<RefCell<Sender>>],
    mut addresses: &[driver::Target],
) -> anyhow::Result<()> {
    while let [address, others @ ..] = addresses {
        let unfinished = senders.iter().filter(|sender| sender.borrow().has_more(run));
        let connections: Vec<_> = unfinished.map(|sender| open(run, sender)).collect();
        if connections.is_empty() {
            break;
        }
        run_connections(run.config.clone(), run.tls.as_ref(), address, connections)?;
        if senders.iter().any(|sender| sender.borrow().connected) {
            addresses = &addresses[..1];
        } else if !others.is_empty() {
            tracing::info!(?address, "could not connect; trying the next address");
            addresses = others;
            senders.iter().for_each(|sender| sender.borrow_mut().try_again());
            continue;
        }
        senders.iter().for_each(|sender| sender.borrow_mut().fail_if_unconnected(run));
    }
    Ok(())
}

/// Creates the next connection of a sender.
fn open(run: &Rc<Run>, sender: &Rc<RefCell<Sender>>) -> Client<Connection> {
    let settings = ClientConfig {
        mode: match sender.borrow().keep_alive {
            true => ConnectionMode::KeepAlive { in_flight: IN_FLIGHT },
            false => ConnectionMode::Single,
        },
        limits: run.limits.clone(),
        stall_timeout: run.timeout,
    };
    Client::new(settings, Connection::new(Rc::clone(sender), Rc::clone(run)))
}
