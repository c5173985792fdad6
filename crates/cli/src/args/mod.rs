//! The command line: flags with their defaults and help. This module checks the value of each flag,
//! and some flags against each other; [`crate::plan`] checks everything else.

mod acme;
mod cache_control;
mod client_tls;
mod environment;
mod folders;
mod generate;
mod habits;
mod health;
mod help;
mod listen;
mod load;
mod send;
mod serve;
mod tls;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::acme::Acme;
pub(crate) use self::client_tls::ClientTls;
pub(crate) use self::environment::Variables;
pub(crate) use self::folders::{FolderArgs, HeaderRule};
pub(crate) use self::generate::{Completions, Man, Shell};
pub(crate) use self::health::Health;
pub(crate) use self::load::{Load, RequestFlags};
pub(crate) use self::send::Send;
pub(crate) use self::serve::{Echo, Explain, Http, Message, Serve};
pub(crate) use self::tls::{Https, Redirect, Tls, UnknownName};
use tracing_subscriber::filter::LevelFilter;

/// The commands whose flags can be set by environment variables.
const SERVERS: [&str; 4] = ["http", "explain", "echo", "message"];

/// Serve a folder over HTTP, run message and echo servers, send to servers, and load-test them.
#[derive(Debug, Parser)]
#[command(
    name = "sockeye",
    version,
    override_usage = help::USAGE,
    after_help = help::EXAMPLES,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Lines to print before the command runs, for example that the user may have meant a folder.
    #[arg(skip)]
    pub(crate) notes: Vec<String>,

    /// The environment variables that set flags.
    #[arg(skip)]
    pub(crate) variables: Variables,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Http(Box<Http>),
    Explain(Box<Explain>),
    Echo(Echo),
    Message(Message),
    Send(Send),
    Load(Box<Load>),
    Health(Health),
    Completions(Completions),
    Man(Man),
}

impl CommandLine {
    /// Parses the process's arguments. On an error, prints the error with the usage and exits with
    /// code 2. For `--help`, `--help-all` and `--version`, prints the text and exits with code 0.
    pub(crate) fn get() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Parses `line`, and checks flags against each other.
    pub(crate) fn read(
        line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
        let definition = Self::definition();
        let tip = habits::folder_named_like_command(&line, &definition);
        // Arguments in the style of other programs are translated, or refused with a hint.
        let line = habits::translate(line, &definition).map_err(|refusal| {
            Self::command_named(&refusal.command).error(ErrorKind::UnknownArgument, refusal.text)
        })?;
        let shows_all = line.iter().any(|arg| help::is_all(arg));
        let command = if shows_all { definition } else { help::shorten(definition) };
        let matches = command.try_get_matches_from(&line);
        let program = Self::definition();
        let matches = matches.map_err(|error| {
            let error = environment::name_variable(error, &line, &program);
            habits::with_tips(error, &line, tip.clone(), &program)
        })?;
        let mut parsed = Self::from_arg_matches(&matches)?;
        let Some((name, matches)) = matches.subcommand() else { return Ok(parsed) };
        let mut command = Self::command_named(name);
        parsed
            .command
            .check(&command, matches)
            .map_err(|reason| command.error(ErrorKind::ArgumentConflict, reason))?;
        parsed.notes.extend(tip.map(|tip| format!("note: {tip}")));
        parsed.notes.extend(parsed.command.insecure_note());
        if SERVERS.contains(&name) {
            let warnings = environment::warnings(std::env::vars_os(), name, &program)
                .map_err(|reason| command.error(ErrorKind::ArgumentConflict, reason))?;
            parsed.notes.extend(warnings);
            parsed.variables = Variables::of(&command, matches);
        }
        Ok(parsed)
    }

    /// The definition of a command, or of the program if there is no such command. In errors made
    /// from it, the usage says `sockeye send` instead of `send`.
    fn command_named(name: &str) -> clap::Command {
        let mut program = Self::definition();
        program.build();
        program.find_subcommand(name).cloned().unwrap_or(program)
    }

    /// The command line for clap: what clap derives from [`CommandLine`], with defaults in the help
    /// of all flags, and environment variables for the flags of [`SERVERS`].
    pub(crate) fn definition() -> clap::Command {
        let command = Self::command().mut_subcommands(|command| command.mut_args(show_default));
        let command = SERVERS.into_iter().fold(command, |command, name| {
            command.mut_subcommand(name, |subcommand| subcommand.mut_args(environment::read))
        });
        help::add_flags(command.mut_subcommands(help::add_flags))
    }
}

/// The flags under this heading of the help that were given on the command line, as `--flag`.
fn typed_flags(command: &clap::Command, matches: &ArgMatches, heading: &str) -> Vec<String> {
    let is_typed = |arg: &&Arg| {
        arg.get_help_heading() == Some(heading)
            && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let typed = command.get_arguments().filter(is_typed);
    typed.filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect()
}

/// Appends the default of a flag to its help.
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

impl Command {
    /// Checks flags against each other, and applies flags that set others, such as `--acme` and
    /// `--port`, which set `--listen`.
    fn check(&mut self, command: &clap::Command, matches: &ArgMatches) -> Result<(), String> {
        let (listen, port) = match self {
            Self::Http(http) => {
                http.folders.resolve_listing(matches)?;
                let Http { acme, listen, https, port, .. } = &mut **http;
                acme::listen(acme, listen, &mut https.https_redirect, *port, matches);
                (&mut http.listen, http.port)
            }
            Self::Explain(explain) => {
                explain.http.folders.resolve_listing(matches)?;
                let Http { acme, listen, https, port, .. } = &mut explain.http;
                acme::listen(acme, listen, &mut https.https_redirect, *port, matches);
                (&mut explain.http.listen, explain.http.port)
            }
            Self::Echo(echo) => (&mut echo.listen, echo.port),
            Self::Message(message) => (&mut message.listen, message.port),
            Self::Send(send) => {
                let typed = |heading| typed_flags(command, matches, heading);
                return send.check([typed(send::MESSAGES), typed(send::WEBSOCKETS)]);
            }
            Self::Load(load) => return load.check(),
            Self::Health(health) => return health.check(),
            Self::Completions(_) | Self::Man(_) => return Ok(()),
        };
        listen::apply_port(listen, port, matches)
    }

    /// The warning to print if `--insecure` is given.
    fn insecure_note(&self) -> Option<String> {
        let (tls, target) = match self {
            Self::Send(send) => (&send.tls, &send.target),
            Self::Load(load) => (&load.tls, load.targets.first()?),
            Self::Health(health) => (&health.tls, &health.target),
            _ => return None,
        };
        tls.note(target)
    }

    /// The value of `--log`, or a fixed level for commands without that flag.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match self {
            Self::Http(http) => http.serve.log,
            Self::Explain(explain) => explain.http.serve.log,
            Self::Echo(echo) => echo.serve.log,
            Self::Message(message) => message.serve.log,
            Self::Send(send) => send.log,
            Self::Load(load) => load.log,
            Self::Health(_) => LevelFilter::OFF,
            Self::Completions(_) | Self::Man(_) => LevelFilter::INFO,
        }
    }
}

#[cfg(test)]
mod tests;
