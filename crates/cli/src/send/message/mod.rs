//! `sockeye send message://…`: asks, and prints what is in the responses.
//!
//! Of the connections that are open at once, each belongs to a [`Lane`], which sends all messages in
//! order. Where a connection is over and its lane has messages left, another follows when all that
//! were opened with it are over: to a peer of unknown kind every message has one of its own.

mod lane;
mod show;
mod summary;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use sockeye::engine::{Config, driver};
use sockeye::message::protocol::{Client, ClientConfig, ConnectionMode, Limits};
use sockeye::proto::Protocol;

use self::lane::{Common, Lane, Talk};
use self::show::Look;
use self::summary::Summary;
use super::printer::Printer;
use crate::log::Log;
use crate::plan::SendMessages;

/// Requests of one connection that may wait for their responses: as many as our server takes.
const IN_FLIGHT: usize = 16;

/// Runs until every lane is through, or has failed.
///
/// # Errors
///
/// When it could not begin, or the output failed. What goes wrong with one peer is told on its own,
/// and shows in the exit code.
pub(crate) fn run(plan: SendMessages, log: &Log) -> anyhow::Result<ExitCode> {
    let (output, file) = plan.output.unzip();
    let (printer, look) = open_output(file)?;
    let begun = Instant::now();
    let (connections, keep_alive) = (plan.calls.connections, plan.keep_alive);
    let caller = Caller {
        config: Config {
            // The messages are held in any case, and a peer that refuses one before it has taken
            // all of it is to be heard.
            max_buffered_output: usize::MAX,
            ..plan.calls.config
        },
        limits: limits(plan.most),
        common: Rc::new(Common {
            total: plan.messages.len().saturating_mul(plan.count),
            messages: plan.messages,
            silence: plan.calls.silence,
            look,
            labelled: connections > 1,
            printer: printer.clone(),
            summary: RefCell::new(Summary::default()),
            complain: Box::new({
                let log = log.clone();
                move |complaint| log.say(complaint)
            }),
        }),
    };
    let lane = |number| Rc::new(RefCell::new(Lane::new(number, keep_alive)));
    let lanes: Vec<_> = (1..=connections).map(lane).collect();
    caller.go_through(&lanes, &plan.calls.addresses)?;
    match printer.finish() {
        // Whoever read us has seen enough (`| head`).
        Err(error) if error.kind() == ErrorKind::BrokenPipe && output.is_none() => {}
        result => result.context(match &output {
            Some(path) => format!("cannot write to {}", path.display()),
            None => "cannot write to standard output".into(),
        })?,
    }
    let mut summary = caller.common.summary.borrow_mut();
    summary.time = begun.elapsed();
    summary.wanted = caller.common.total.saturating_mul(lanes.len()) as u64;
    log.say(summary.to_string());
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where responses go, and how they look there.
fn open_output(file: Option<File>) -> anyhow::Result<(Printer, Look)> {
    let (opened, look) = match file {
        Some(file) => (Printer::start(file, false), Look::AsItCame),
        None if io::stdout().is_terminal() => (Printer::start(io::stdout(), false), Look::Terminal),
        None => (Printer::start(io::stdout(), false), Look::Text),
    };
    Ok((opened.context("cannot start a thread")?, look))
}

fn limits(most: u64) -> Limits {
    Limits { content: most, ..Limits::default() }
}

/// Opens connections, with what all of them have in common.
struct Caller {
    config: Config,
    limits: Limits,
    common: Rc<Common>,
}

impl Caller {
    /// Until no lane has anything left to send. The first address at which a connection comes to
    /// stand is kept to.
    fn go_through(
        &self,
        lanes: &[Rc<RefCell<Lane>>],
        addresses: &[driver::Target],
    ) -> anyhow::Result<()> {
        let mut addresses = addresses;
        while let [address, others @ ..] = addresses
            && self.talk(lanes, address)?
        {
            let stood = |lane: &Rc<RefCell<Lane>>| lane.borrow().has_stood();
            if lanes.iter().any(stood) {
                addresses = &addresses[..1];
            } else if !others.is_empty() {
                tracing::info!(?address, "no connection there, trying the next address");
                addresses = others;
                lanes.iter().for_each(|lane| lane.borrow_mut().try_again());
                continue;
            }
            lanes.iter().for_each(|lane| lane.borrow_mut().settle(&self.common));
        }
        Ok(())
    }

    /// A connection to `address` for each lane that has something left to send, to their ends.
    /// Says whether there was any.
    fn talk(&self, lanes: &[Rc<RefCell<Lane>>], address: &driver::Target) -> anyhow::Result<bool> {
        let open = |lane| {
            let conversation = Box::new(self.conversation(lane)) as Box<dyn Protocol>;
            (address.clone(), conversation)
        };
        let unfinished = lanes.iter().filter(|lane| lane.borrow().wants_more(&self.common));
        let talks: Vec<_> = unfinished.map(open).collect();
        let any = !talks.is_empty();
        sockeye::engine::run_client(self.config.clone(), talks).context("the event loop failed")?;
        Ok(any)
    }

    fn conversation(&self, lane: &Rc<RefCell<Lane>>) -> Client<Talk> {
        let settings = ClientConfig {
            mode: match lane.borrow().keeps_alive() {
                true => ConnectionMode::KeepAlive { in_flight: IN_FLIGHT },
                false => ConnectionMode::Single,
            },
            limits: self.limits.clone(),
            stall_timeout: self.common.silence,
        };
        let talk = Talk::new(Rc::clone(lane), Rc::clone(&self.common));
        Client::new(settings, talk)
    }
}
