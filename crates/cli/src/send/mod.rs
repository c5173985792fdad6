//! `sockeye send`: opens connections, sends messages on each, prints what comes back.
//!
//! All connections run on this thread. Standard input and output, which block, have a thread
//! each: [`input`], [`printer`].

mod conversation;
mod input;
pub(crate) mod message;
mod printer;
mod report;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IsTerminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use sockeye::engine::driver;
use sockeye::proto::Protocol;

use self::conversation::{Conversation, Look, Setting, Source};
use self::input::PIECE;
use self::printer::Printer;
use self::report::{Board, Summary};
use crate::log::Log;
use crate::plan::Send;

/// Runs to the end of all connections.
///
/// # Errors
///
/// When it could not begin, or standard output failed. A connection that fails is told on its own,
/// and shows in the exit code.
pub(crate) fn run(plan: &Send, log: &Log) -> anyhow::Result<ExitCode> {
    let terminal = io::stdout().is_terminal();
    let printer = Printer::start(io::stdout(), terminal).context("cannot start a thread")?;
    let look = match plan.calls.connections {
        1 if terminal => Look::Terminal,
        1 => Look::AsItCame,
        _ => Look::Labelled,
    };
    // What is printed of one connection may end in the middle of a line, which is ended first.
    let held_back = Rc::new(RefCell::new(Vec::new()));
    let begun = Instant::now();
    let mut summary = Summary::default();
    for (at, address) in plan.calls.addresses.iter().enumerate() {
        let board = Rc::new(RefCell::new(Board::new(at + 1 < plan.calls.addresses.len(), {
            let (log, held_back) = (log.clone(), Rc::clone(&held_back));
            move |complaint| match look {
                Look::Labelled => log.say(complaint),
                _ => held_back.borrow_mut().push(complaint.to_owned()),
            }
        })));
        let setting = Setting {
            look,
            half_close: plan.half_close,
            silence: plan.calls.silence,
            printer: printer.clone(),
            board: Rc::clone(&board),
        };
        talk(plan, address, &setting)?;
        let try_again = board.borrow().should_try_again();
        if try_again {
            tracing::info!(?address, "no connection there, trying the next address");
            continue;
        }
        summary = board.borrow_mut().sum_up(begun.elapsed());
        break;
    }
    match printer.finish() {
        // Whoever read us has seen enough (`| head`).
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        result => result.context("cannot write to standard output")?,
    }
    held_back.take().into_iter().for_each(|complaint| log.say(complaint));
    log.say(summary.to_string());
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Holds all connections with one address.
fn talk(plan: &Send, address: &driver::Target, setting: &Setting) -> anyhow::Result<()> {
    let sources: Vec<Source> = match &plan.messages {
        Some(messages) => {
            let pieces = cut(messages);
            (0..plan.calls.connections).map(|_| Source::Messages(pieces.clone())).collect()
        }
        None => {
            let seats = input::share(io::stdin(), plan.calls.connections);
            seats.context("cannot start a thread")?.into_iter().map(Source::Input).collect()
        }
    };
    let targets = sources.into_iter().enumerate().map(|(at, source)| {
        let conversation = Conversation::new(at + 1, source, setting.clone());
        (address.clone(), Box::new(conversation) as Box<dyn Protocol>)
    });
    sockeye::engine::run_client(plan.calls.config.clone(), targets)
        .context("the event loop failed")?;
    Ok(())
}

/// The messages in pieces of at most [`PIECE`] bytes.
fn cut(messages: &[Bytes]) -> VecDeque<Bytes> {
    let mut pieces = VecDeque::new();
    for message in messages {
        let mut rest = message.clone();
        while !rest.is_empty() {
            pieces.push_back(rest.split_to(rest.len().min(PIECE)));
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
