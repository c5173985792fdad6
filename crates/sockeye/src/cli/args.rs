//! What was typed: the flags, their defaults and their help. Nothing is checked here that needs
//! more than the text itself; [`crate::plan`] does the rest.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, value_parser};
use sockeye_engine::{Config, ListenAddr};
use sockeye_proto::http1::Limits;

use crate::log::Level;
use crate::quantity::{Size, Span};
use crate::send::target::Target;

/// The engine's defaults, which are stated there and shown here.
static ENGINE: LazyLock<Config> = LazyLock::new(Config::default);
/// Those of HTTP.
static HTTP: LazyLock<Limits> = LazyLock::new(Limits::default);

const EXIT_CODES: &str = "\
Exit codes:
  0  it did what was asked; a server was told to stop, and has
  1  it failed: an address is taken, a file can't be read, a connection failed
  2  the command line is wrong: starting it again in the same way won't help
  130, 143  a second Ctrl-C or SIGTERM stopped it at once

Every flag of a server can be set by an environment variable: --idle-timeout by
SOCKEYE_IDLE_TIMEOUT.";

const LISTEN: &str = "\
Where to listen: HOST:PORT, [::1]:PORT, unix:PATH; :PORT or PORT for every address. Port 0 takes a \
free one. May be given several times";

/// Serves a folder over HTTP, echoes, and talks to servers over TCP.
#[derive(Debug, Parser)]
#[command(name = "sockeye", version, after_help = EXIT_CODES)]
pub(crate) struct Typed {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Http(Http),
    Echo(Echo),
    Send(Send),
}

impl Command {
    /// From which level on events are logged.
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Http(http) => http.serve.log,
            Self::Echo(echo) => echo.serve.log,
            Self::Send(send) => send.log,
        }
    }
}

/// Serves a folder, or one file, over HTTP.
///
/// Read-only. Dotfiles stay hidden, and nothing outside of the folder can be reached.
#[derive(Args, Debug)]
pub(crate) struct Http {
    /// What to serve: a folder, or a single file.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,

    #[arg(help = LISTEN)]
    #[arg(long, value_name = "ADDR", env = "SOCKEYE_LISTEN", default_value = "127.0.0.1:8000")]
    #[arg(hide_env = true)]
    pub(crate) listen: Vec<ListenAddr>,

    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Bytes of a request line; a longer one is answered with 414.
    #[arg(long, value_name = "BYTES", env = "SOCKEYE_MAX_REQUEST_LINE")]
    #[arg(hide_env = true, help_heading = "Limits", default_value_t = Size(HTTP.request_line))]
    pub(crate) max_request_line: Size,

    /// Bytes of a request's head; a larger one is answered with 431.
    #[arg(long, value_name = "BYTES", env = "SOCKEYE_MAX_HEADER")]
    #[arg(hide_env = true, help_heading = "Limits", default_value_t = Size(HTTP.head))]
    pub(crate) max_header: Size,

    /// Fields of a request's head; more are answered with 431.
    #[arg(long, value_name = "N", env = "SOCKEYE_MAX_HEADER_FIELDS")]
    #[arg(hide_env = true, help_heading = "Limits", default_value_t = nonzero(HTTP.fields))]
    pub(crate) max_header_fields: NonZeroUsize,

    /// How long a request's head may take, from its first byte.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_HEAD_TIMEOUT")]
    #[arg(hide_env = true, help_heading = "Deadlines", default_value_t = Span(HTTP.head_timeout))]
    pub(crate) head_timeout: Span,

    /// How long a connection may be without a request.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_IDLE_TIMEOUT")]
    #[arg(hide_env = true, help_heading = "Deadlines", default_value_t = Span(HTTP.idle_timeout))]
    pub(crate) idle_timeout: Span,
}

/// Sends back whatever comes (RFC 862).
#[derive(Args, Debug)]
pub(crate) struct Echo {
    #[arg(help = LISTEN)]
    #[arg(long, value_name = "ADDR", env = "SOCKEYE_LISTEN", default_value = "127.0.0.1:65432")]
    #[arg(hide_env = true)]
    pub(crate) listen: Vec<ListenAddr>,

    #[command(flatten)]
    pub(crate) serve: Serve,

    /// How long a connection may be without input.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_IDLE_TIMEOUT", default_value = "60s")]
    #[arg(hide_env = true, help_heading = "Deadlines")]
    pub(crate) idle_timeout: Span,
}

/// What every server has.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Workers, each with a thread and an event loop of its own [default: the cores that this
    /// process may use]
    #[arg(long, value_name = "N", env = "SOCKEYE_WORKERS", hide_env = true)]
    #[arg(value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// From which level on to log, to standard error.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "SOCKEYE_LOG",
        hide_env = true,
        default_value = "info"
    )]
    pub(crate) log: Level,

    /// Connections in all; above it, new ones wait.
    #[arg(long, value_name = "N", env = "SOCKEYE_MAX_CONNECTIONS", hide_env = true)]
    #[arg(help_heading = "Limits", default_value_t = nonzero(ENGINE.max_connections))]
    pub(crate) max_connections: NonZeroUsize,

    /// Connections of one address (IPv6: of one /64); loopback and Unix sockets are exempt.
    #[arg(long, value_name = "N", env = "SOCKEYE_MAX_CONNECTIONS_PER_ADDRESS", hide_env = true)]
    #[arg(help_heading = "Limits", default_value_t = nonzero(ENGINE.max_connections_per_address))]
    pub(crate) max_connections_per_address: NonZeroUsize,

    /// Bytes held for a peer that is slow to read; above it, it isn't read from.
    #[arg(long, value_name = "BYTES", env = "SOCKEYE_MAX_BUFFERED", hide_env = true)]
    #[arg(help_heading = "Limits", default_value_t = Size(ENGINE.max_buffered_output))]
    pub(crate) max_buffered: Size,

    /// How long a peer may take nothing of what is sent to it.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_WRITE_TIMEOUT", hide_env = true)]
    #[arg(help_heading = "Deadlines", default_value_t = Span(ENGINE.write_timeout))]
    pub(crate) write_timeout: Span,

    /// How long stopping waits for what is under way before it is cut.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_DRAIN_TIMEOUT", hide_env = true)]
    #[arg(help_heading = "Deadlines", default_value_t = Span(ENGINE.drain_timeout))]
    pub(crate) drain_timeout: Span,
}

/// Sends messages to a server, and prints what comes back.
///
/// A connection sends the messages one after the other, and closes when as many bytes have come
/// back as were sent. Of one connection, the bytes are printed as they came; of several, a line for
/// each piece says whose it is. Without a message, sends what standard input has, as it comes.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// tcp://HOST:PORT or unix:PATH.
    pub(crate) target: Target,

    /// What to send. Standard input if there is none.
    #[arg(value_name = "MESSAGE")]
    pub(crate) messages: Vec<OsString>,

    /// How many connections to open at once; each sends the same.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) connections: u16,

    /// How long the peer may be silent, and not read either, while it owes us something.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: Span,

    /// How long connecting may take.
    #[arg(long, value_name = "TIME", default_value_t = Span(ENGINE.connect_timeout))]
    pub(crate) connect_timeout: Span,

    /// From which level on to log, to standard error.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: Level,
}

/// A default limit. None of them is 0, which a test holds.
fn nonzero(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

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
            ("echo", &["127.0.0.1:65432", "60s"]),
            ("send", &["[default: 1]", "60s", "10s", "warn"]),
        ] {
            let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            for default in defaults {
                assert!(help.contains(default), "{name} --help doesn't say {default}:\n{help}");
            }
        }
        for limit in [ENGINE.max_connections, ENGINE.max_connections_per_address, HTTP.fields] {
            assert_ne!(limit, 0);
        }
    }

    #[test]
    fn every_flag_of_a_server_has_its_environment_variable() {
        let command = Typed::command();
        for name in ["http", "echo"] {
            for flag in command.find_subcommand(name).unwrap().get_arguments() {
                let Some(long) = flag.get_long().filter(|long| *long != "help") else { continue };
                let variable = format!("SOCKEYE_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(flag.get_env(), Some(variable.as_ref()), "--{long}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_hint() {
        let table: [(&[&str], ErrorKind, &str); 8] = [
            (&["htpp"], ErrorKind::InvalidSubcommand, "http"),
            (&["http", "--worker", "2"], ErrorKind::UnknownArgument, "--workers"),
            (&["http", "--workers", "0"], ErrorKind::ValueValidation, "1..=1024"),
            (&["http", "--listen", "localhost"], ErrorKind::ValueValidation, "HOST:PORT"),
            (&["http", "--idle-timeout", "10"], ErrorKind::ValueValidation, "10s"),
            (&["http", "--max-header", "8KB"], ErrorKind::ValueValidation, "64KiB"),
            (&["http", "--log", "inf"], ErrorKind::InvalidValue, "info"),
            (&["send", "localhost:80"], ErrorKind::ValueValidation, "tcp://localhost:80"),
        ];
        for (line, kind, hint) in table {
            let error = Typed::try_parse_from([&["sockeye"], line].concat()).unwrap_err();
            assert_eq!(error.kind(), kind, "{line:?}");
            assert_eq!(error.exit_code(), 2, "{line:?}");
            assert!(error.to_string().contains(hint), "{line:?}: {error}");
        }
    }
}
