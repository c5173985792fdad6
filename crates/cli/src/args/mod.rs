//! The command line: flags with their defaults and help. Parsing a flag checks only its own text;
//! [`crate::plan`] checks everything else.

mod folders;
mod generate;
mod load;
mod send;
mod serve;

use std::ffi::OsString;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::folders::FolderArgs;
pub(crate) use self::generate::{Completions, Man, Shell};
pub(crate) use self::load::{Load, RequestFlags};
pub(crate) use self::send::Send;
pub(crate) use self::serve::{Echo, Explain, Http, Message, Serve};
use tracing_subscriber::filter::LevelFilter;

const AFTER_HELP: &str = "\
Examples:
  # Serve a folder at http://127.0.0.1:8000.
  sockeye http ./site
  # Show all flags of a subcommand, with details and examples.
  sockeye http --help

Exit codes:
  0  success, or a clean shutdown
  1  failure: an address in use, a refused connection, no permission, an error response
  2  wrong command line or environment variable: a bad value, conflicting flags, a missing folder
     or file. Running the same command again fails again.
  130, 131, 143  a second Ctrl-C, SIGQUIT or SIGTERM stopped the server at once

Environment variables set the flags of servers: SOCKEYE_IDLE_TIMEOUT sets --idle-timeout.";

/// Serve a folder over HTTP, run message and echo servers, send to servers, and load-test them.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Http(Box<Http>),
    Explain(Box<Explain>),
    Echo(Echo),
    Message(Message),
    Send(Send),
    Load(Box<Load>),
    Completions(Completions),
    Man(Man),
}

impl CommandLine {
    /// Parses the process's arguments. On an error, prints it with the usage and exits with 2.
    pub(crate) fn get() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Parses `line`, and checks flags against each other.
    pub(crate) fn read(
        line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let matches = Self::definition().try_get_matches_from(line)?;
        let parsed = Self::from_arg_matches(&matches)?;
        let Some((name @ ("send" | "load"), matches)) = matches.subcommand() else {
            return Ok(parsed);
        };
        let mut command = Self::definition();
        // Makes the usage in errors say `sockeye send` instead of `send`.
        command.build();
        let mut command = command.find_subcommand(name).cloned().unwrap_or(command);
        let checked = match &parsed.command {
            Command::Send(send) => send.check(&typed_flags(&command, matches, send::MESSAGES)),
            Command::Load(load) => load.check(),
            _ => Ok(()),
        };
        checked.map_err(|reason| command.error(ErrorKind::ArgumentConflict, reason))?;
        Ok(parsed)
    }

    /// The command line for clap: the derived one, with defaults in the help of all flags, and
    /// environment variables for the flags of servers and of `explain`.
    pub(crate) fn definition() -> clap::Command {
        let command = Self::command().mut_subcommands(|command| command.mut_args(show_default));
        ["http", "explain", "echo", "message"].into_iter().fold(command, |command, name| {
            command.mut_subcommand(name, |subcommand| subcommand.mut_args(read_environment))
        })
    }
}

/// The flags under this heading of the help that the command line sets, as typed: `--flag`.
fn typed_flags(command: &clap::Command, matches: &ArgMatches, heading: &str) -> Vec<String> {
    let is_typed = |arg: &&Arg| {
        arg.get_help_heading() == Some(heading)
            && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let typed = command.get_arguments().filter(is_typed);
    typed.filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect()
}

/// Ends the help of a flag with its default.
fn show_default(arg: Arg) -> Arg {
    let defaults = arg.get_default_values();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let Some(help) = arg.get_help() else { return arg };
    if is_switch || defaults.is_empty() || arg.is_hide_default_value_set() {
        return arg;
    }
    let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
    let default = format!("Default: {}", defaults.join(", "));
    let help = format!("{help}. {default}");
    let long_help = arg.get_long_help().map(|details| format!("{details} {default}."));
    let arg = arg.hide_default_value(true).help(help);
    if let Some(long_help) = long_help { arg.long_help(long_help) } else { arg }
}

/// Lets an environment variable set a flag: `SOCKEYE_IDLE_TIMEOUT` sets `--idle-timeout`.
fn read_environment(arg: Arg) -> Arg {
    let Some(flag) = arg.get_long() else { return arg };
    let name = format!("SOCKEYE_{}", flag.to_uppercase().replace('-', "_"));
    let arg = arg.env(name).hide_env(true);
    // `SOCKEYE_SPA=no` leaves the flag off.
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    if is_switch { arg.value_parser(BoolishValueParser::new()) } else { arg }
}

impl Command {
    /// The value of `--log`.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match self {
            Self::Http(http) => http.serve.log,
            Self::Explain(explain) => explain.http.serve.log,
            Self::Echo(echo) => echo.serve.log,
            Self::Message(message) => message.serve.log,
            Self::Send(send) => send.log,
            Self::Load(load) => load.log,
            Self::Completions(_) | Self::Man(_) => LevelFilter::INFO,
        }
    }
}

#[cfg(test)]
mod tests;
