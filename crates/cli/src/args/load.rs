//! What was typed to load a server.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, value_parser};

use super::defaults::ENGINE;
use crate::log::Level;
use crate::quantity::{Size, Span};
use crate::target::{LoadTarget, Rate, SocketTarget};

/// Asks a server again and again, and says how fast it answers.
///
/// http://HOST[:PORT]/PATH is asked by HTTP/1.1; of several, each connection asks one after the
/// other. To tcp://HOST:PORT and unix:PATH, bytes are sent for a server that sends them back; to
/// message://HOST:PORT, messages.
///
/// First each request is made once, which isn't counted, to see what its response looks like; later ones
/// are known by that. A status from 400 on, an error message, and whatever ends a connection before
/// its response, is an error. Latencies are those of the responses that are no errors; a percentile is shown
/// where there are enough of them.
///
/// --duration counts from the first request on. What has no response then is waited for, for at most 1s
/// more, and counted as unanswered. Where a response ends its connection, the server has 100ms to close it
/// before we do, and no time once it has left that to us.
///
/// --requests ends with the last response or failure: the time and the rates include the wait for requests
/// that fail.
///
/// Without --rate a request follows when the response is there, and latencies say nothing about what a
/// stalled server kept from being asked. With --rate they count from when a request was meant to be
/// made.
#[derive(Args, Debug)]
pub(crate) struct Load {
    /// http://HOST[:PORT]/PATH, tcp://HOST:PORT, unix:PATH or message://HOST:PORT.
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<LoadTarget>,

    /// Connections in all.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..))]
    pub(crate) connections: u32,

    /// Threads, each with its share of the connections.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) threads: u16,

    /// How long to ask.
    #[arg(long, value_name = "TIME", default_value = "10s", conflicts_with = "requests")]
    pub(crate) duration: Span,

    /// How many requests to make, instead of how long.
    #[arg(long, value_name = "N")]
    pub(crate) requests: Option<NonZeroU64>,

    /// Requests of one connection that may be without their responses.
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub(crate) pipeline: NonZeroUsize,

    /// A connection for each request.
    #[arg(long, conflicts_with = "requests_per_connection")]
    pub(crate) close: bool,

    /// A new connection after so many requests [default: as many as the server takes]
    #[arg(long, value_name = "N")]
    pub(crate) requests_per_connection: Option<NonZeroU64>,

    /// Requests per second in all [default: as fast as they are answered]
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<Rate>,

    /// Hold every byte of every response against the first one.
    #[arg(long)]
    pub(crate) verify: bool,

    /// Bytes of a response's content; a larger one is an error.
    ///
    /// With --verify at most 256MiB, which are kept.
    #[arg(long, value_name = "BYTES", default_value = "1GiB")]
    pub(crate) max_content: Size,

    /// How long the server may be silent while it owes a response.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Span,

    /// How long connecting may take.
    #[arg(long, value_name = "TIME", default_value_t = Span(ENGINE.connect_timeout))]
    pub(crate) connect_timeout: Span,

    /// Print the results as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// From which level on to log, to standard error.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: Level,

    #[command(flatten)]
    pub(crate) request: RequestFlags,
}

/// A path or name, as it stands behind `unix:`.
fn socket(text: &str) -> Result<SocketTarget, String> {
    format!("unix:{text}").parse()
}

/// What is asked.
#[derive(Args, Debug)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestFlags {
    /// HTTP's method [default: POST with a body, else GET]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) method: Option<String>,

    /// A field of the request's head, as 'Name: value'. May be given several times.
    #[arg(short = 'H', long, value_name = "FIELD")]
    pub(crate) header: Vec<String>,

    /// What to send: a request's content; the bytes that come back [default: 64]; a message's
    /// content [default: a search]
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    pub(crate) body: Option<String>,

    /// The same, from a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,

    /// Send HTTP's content by the chunked coding.
    #[arg(long)]
    pub(crate) chunked: bool,

    /// Connect to this Unix domain socket, whatever host the target names: its path, or @NAME for an
    /// abstract one.
    #[arg(long, value_name = "PATH", value_parser = socket)]
    pub(crate) unix_socket: Option<SocketTarget>,
}

impl Load {
    /// Refuses flags that the targets' scheme has no use for, and targets of several servers.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some((first, others)) = self.targets.split_first() else { return Ok(()) };
        if let Some(other) = others.iter().find(|other| !other.is_of(first)) {
            return Err(format!(
                "{first} and {other} are two servers; several paths of one can be asked"
            ));
        }
        let flags = &self.request;
        let given = [
            ("--method", flags.method.is_some()),
            ("--header", !flags.header.is_empty()),
            ("--chunked", flags.chunked),
        ];
        for (flag, given) in given {
            if given && !matches!(first, LoadTarget::Http { .. }) {
                return Err(format!("{flag} is for http://HOST[:PORT]/PATH"));
            }
        }
        if flags.chunked && flags.body.is_none() && flags.body_file.is_none() {
            return Err("--chunked wants something to send: --body or --body-file".into());
        }
        if let Some(field) = flags.header.iter().find(|field| !field.contains(':')) {
            return Err(format!("--header '{field}' has no colon: 'Name: value'"));
        }
        Ok(())
    }
}
