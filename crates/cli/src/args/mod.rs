//! What was typed: the flags, their defaults and their help. Nothing is checked here that needs
//! more than the text itself; [`crate::plan`] does the rest.

mod content;
mod defaults;
mod load;
mod send;
mod serve;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use self::content::{Content, Origin};
pub(crate) use self::load::{Load, RequestFlags};
pub(crate) use self::send::Send;
pub(crate) use self::serve::{Echo, Explain, Http, Message, Serve};
use crate::log::Level;

const EXIT_CODES: &str = "\
Exit codes:
  0  success, or a clean shutdown
  1  failure: an address in use, a refused connection, no permission, a response that is an error
  2  wrong command line or environment variable: a bad value, flags that contradict each other, a
     folder or file that doesn't exist, answers that are no JSON. Starting it again in the same way won't help
  130, 131, 143  a second Ctrl-C, SIGQUIT or SIGTERM stopped it at once

Every flag of a server can be set by an environment variable: --idle-timeout by
SOCKEYE_IDLE_TIMEOUT.";

/// Serves a folder over HTTP, answers messages, echoes, and talks to servers over TCP.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, after_help = EXIT_CODES)]
pub(crate) struct Typed {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Typed {
    /// What was typed. Prints usage, and exits with 2, when it makes no sense.
    pub(crate) fn get() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// `line`, with its flags checked against each other.
    pub(crate) fn read(
        line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let typed = Self::try_parse_from(line)?;
        let (name, checked) = match &typed.command {
            Command::Send(send) => ("send", send.check()),
            Command::Load(load) => ("load", load.check()),
            Command::Http(_) | Command::Explain(_) | Command::Echo(_) | Command::Message(_) => {
                return Ok(typed);
            }
        };
        checked.map_err(|why| {
            let mut command = Self::command();
            // As `sockeye send`, so that its usage is shown.
            command.build();
            let send = command.find_subcommand_mut(name).cloned();
            send.unwrap_or(command).error(ErrorKind::ArgumentConflict, why)
        })?;
        Ok(typed)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Http(Box<Http>),
    Explain(Box<Explain>),
    Echo(Echo),
    Message(Message),
    Send(Send),
    Load(Box<Load>),
}

impl Command {
    /// From which level on events are logged.
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Http(http) => http.serve.log,
            Self::Explain(explain) => explain.http.serve.log,
            Self::Echo(echo) => echo.serve.log,
            Self::Message(message) => message.serve.log,
            Self::Send(send) => send.log,
            Self::Load(load) => load.log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::defaults::{ENGINE, HTTP, MESSAGE, size};
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Typed::command().debug_assert();
    }

    #[test]
    fn help_shows_every_default() {
        let mut command = Typed::command();
        for (name, defaults) in [
            ("http", &["127.0.0.1:8000", "100000", "1024", "256KiB", "8KiB", "32KiB", "128"][..]),
            ("http", &["10s", "60s", "30s", "info", "the cores"]),
            ("http", &["8MiB", "32MiB", "zstd,br,gzip", "SAMEORIGIN", "combined"]),
            ("explain", &["8MiB", "[default: .]"]),
            ("echo", &["127.0.0.1:65432", "60s"]),
            ("message", &["127.0.0.1:65432", "16MiB", "10s", "30s", "60s", "info", "HTTP"]),
            ("send", &["[default: 1]", "60s", "10s", "warn", "16MiB"]),
            ("load", &["[default: 64]", "[default: 1]", "10s", "warn"]),
        ] {
            let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            for default in defaults {
                assert!(help.contains(default), "{name} --help doesn't say {default}:\n{help}");
            }
        }
        assert_eq!(size(MESSAGE.content).to_string(), "16MiB", "as the help of send says");
        for limit in [ENGINE.max_connections, ENGINE.max_connections_per_address, HTTP.fields] {
            assert_ne!(limit, 0);
        }
    }

    /// The command lines of the program in Markdown's blocks of shell commands.
    fn commands(page: &str) -> Vec<Vec<String>> {
        let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let lines = blocks.flat_map(|block| {
            let joined = block.replace("\\\n", " ");
            joined.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        lines.filter_map(|line| line.find("sockeye ").map(|at| words(&line[at..]))).collect()
    }

    /// The words of a command, of which single quotes may hold several together.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (at, part) in line.split('\'').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(|word| word.trim_end_matches(')').into()));
            }
        }
        let end = words.iter().position(|word| word == ">" || word == "&&");
        words.truncate(end.unwrap_or(words.len()));
        words
    }

    #[test]
    fn every_command_of_the_recipes_is_one() {
        let page = include_str!("../../../../docs/recipes.md");
        let commands = commands(page);
        assert!(commands.len() >= 7, "{commands:?}");
        for words in &commands {
            Typed::read(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        }
    }

    #[test]
    fn every_flag_of_a_server_has_its_environment_variable() {
        let command = Typed::command();
        for name in ["http", "explain", "echo", "message"] {
            for flag in command.find_subcommand(name).unwrap().get_arguments() {
                let Some(long) = flag.get_long().filter(|long| *long != "help") else { continue };
                let variable = format!("SOCKEYE_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(flag.get_env(), Some(variable.as_ref()), "--{long}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_hint() {
        let table: [(&[&str], ErrorKind, &str); 17] = [
            (&["htpp"], ErrorKind::InvalidSubcommand, "http"),
            (&["http", "--worker", "2"], ErrorKind::UnknownArgument, "--workers"),
            (&["http", "--workers", "0"], ErrorKind::ValueValidation, "1..=1024"),
            (&["http", "--listen", "localhost"], ErrorKind::ValueValidation, "HOST:PORT"),
            (&["http", "--idle-timeout", "10"], ErrorKind::ValueValidation, "10s"),
            (&["http", "--max-header", "8KB"], ErrorKind::ValueValidation, "64KiB"),
            (&["http", "--log", "inf"], ErrorKind::InvalidValue, "info"),
            (&["send", "localhost:80"], ErrorKind::ValueValidation, "tcp://localhost:80"),
            (
                &["send", "tcp://h:1", "--keep-alive", "--count", "2"],
                ErrorKind::ArgumentConflict,
                "--keep-alive and --count are for message://HOST:PORT; tcp://h:1 is sent bytes",
            ),
            (
                &["send", "unix:/s", "--type", "text/json"],
                ErrorKind::ArgumentConflict,
                "--type is for message://HOST:PORT",
            ),
            (&["send", "message://h:1", "--count", "0"], ErrorKind::ValueValidation, "zero"),
            (&["message", "--max-content", "0"], ErrorKind::ValueValidation, "one byte"),
            (&["load", "localhost:80"], ErrorKind::ValueValidation, "http://localhost:80/"),
            (&["load", "http://a/", "http://b/"], ErrorKind::ArgumentConflict, "two servers"),
            (&["load", "tcp://h:1", "-X", "GET"], ErrorKind::ArgumentConflict, "--method is for"),
            (&["load", "http://h/", "--chunked"], ErrorKind::ArgumentConflict, "--body"),
            (
                &["load", "http://h/", "--requests", "1", "--duration", "1s"],
                ErrorKind::ArgumentConflict,
                "cannot be used with",
            ),
        ];
        for (line, kind, hint) in table {
            let error = Typed::read([&["sockeye"], line].concat()).unwrap_err();
            assert_eq!(error.kind(), kind, "{line:?}");
            assert_eq!(error.exit_code(), 2, "{line:?}");
            assert!(error.to_string().contains(hint), "{line:?}: {error}");
        }
    }
}
