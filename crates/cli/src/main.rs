//! The `sockeye` program: what was typed ([`args`]) becomes what will run ([`plan`]), with every
//! check done, and runs ([`serve`], [`send`], [`load`]).

#![forbid(unsafe_code)]

mod access;
mod answers;
mod args;
mod error;
mod explain;
mod hosts;
mod load;
mod log;
mod plan;
mod proxies;
mod quantity;
mod send;
mod serve;
mod signals;
mod start_screen;
mod target;
mod text;
mod who_listens;
mod writer;

use std::process::ExitCode;

use anyhow::Context;
use sockeye::engine::driver::return_freed_memory;

use crate::args::Typed;
use crate::error::{Error, OrExit};
use crate::log::Log;
use crate::plan::Plan;

fn main() -> ExitCode {
    return_freed_memory();
    let typed = Typed::get();
    let Ok(log) = Log::to_stderr() else { return ExitCode::FAILURE };
    log.take_events(typed.command.level());
    log.take_panics();
    let result = signals::outlive_file_size_limit()
        .context("cannot take signals")
        .or_failure()
        .and_then(|()| Plan::of(typed.command))
        .and_then(|plan| run(plan, &log));
    let code = result.unwrap_or_else(|error| {
        log.say(format!("sockeye: {error}"));
        error.exit_code()
    });
    log.flush();
    code
}

fn run(plan: Plan, log: &Log) -> Result<ExitCode, Error> {
    match plan {
        Plan::Http(plan) => serve::http(*plan, log),
        Plan::Explain(plan) => Ok(explain::run(&plan)),
        Plan::Echo(plan) => serve::echo(plan, log),
        Plan::Message(plan) => serve::message(plan, log),
        Plan::Send(plan) => send::run(&plan, log).or_failure(),
        Plan::Load(plan) => load::run(plan, log).or_failure(),
        Plan::SendMessages(plan) => send::message::run(plan, log).or_failure(),
    }
}
