//! The `sockeye` program. [`args`] parses the command line. [`plan`] checks it and makes a plan,
//! which [`serve`], [`send`], [`load`] or [`health`] runs. [`explain`] and [`generate`] need no
//! plan.

#![forbid(unsafe_code)]

mod access;
mod acme;
mod answers;
mod args;
mod client_tls;
mod error;
mod explain;
mod generate;
mod health;
mod hosts;
mod listening;
mod listening_process;
mod load;
mod log;
mod plan;
mod proxies;
mod quantity;
mod random;
mod readiness;
mod send;
mod serve;
mod signals;
mod start_screen;
mod state;
mod stdout;
mod target;
mod text;
mod tls;
mod watch;
mod websocket_echo;
mod writer;

use std::process::ExitCode;

use anyhow::Context;
use sockeye::engine::driver::return_freed_memory;

use crate::args::{Command, CommandLine};
use crate::error::Error;
use crate::log::Log;
use crate::stdout::Stdout;
use crate::target::Target;

fn main() -> ExitCode {
    // This sets options of the allocator, and has to be called before the first thread starts.
    return_freed_memory();
    let CommandLine { command, notes, variables } = CommandLine::get();
    let Ok(log) = Log::to_stderr() else { return ExitCode::FAILURE };
    log.install_subscriber(command.log_level());
    log.install_panic_hook();
    for note in notes {
        log.print(format!("sockeye: {note}"));
    }
    let code = run(command, &log).unwrap_or_else(|error| {
        log.print(format!("sockeye: {}", variables.explain(&error.to_string())));
        error.exit_code()
    });
    log.flush();
    code
}

fn run(command: Command, log: &Log) -> Result<ExitCode, Error> {
    signals::ignore_file_size_signal().context("cannot set up signals")?;
    match command {
        Command::Http(flags) => serve::http(plan::http(*flags, Stdout::detect())?, log),
        Command::Explain(flags) => explain::run(*flags),
        Command::Echo(flags) => serve::echo(plan::echo(flags, Stdout::detect())?, log),
        Command::Message(flags) => serve::message(plan::message(flags, Stdout::detect())?, log),
        Command::Health(flags) => Ok(health::run(plan::health(flags)?)?),
        Command::Completions(flags) => Ok(generate::completions(&flags)),
        Command::Man(flags) => generate::man(&flags),
        Command::Load(flags) => Ok(load::run(plan::load(*flags)?, log)?),
        Command::Send(flags) => Ok(match flags.target {
            Target::Message(..) => send::messages::run(plan::send_messages(flags)?, log)?,
            Target::WebSocket { .. } => send::websocket::run(plan::send_websocket(flags)?, log)?,
            _ => send::bytes::run(&plan::send_bytes(flags)?, log)?,
        }),
    }
}
