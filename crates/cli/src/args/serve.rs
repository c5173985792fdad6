//! What was typed for a server.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, value_parser};
use sockeye::engine::{BadListenAddr, ListenAddr};

use super::content::{Content, Origin};
use super::defaults::{ENGINE, HTTP, MESSAGE, nonzero, size};
use crate::access::Format;
use crate::hosts::HostName;
use crate::log::Level;
use crate::proxies::Trusted;
use crate::quantity::{Size, Span};

const LISTEN: &str = "\
Where to listen: HOST:PORT, [::1]:PORT; :PORT, *:PORT or PORT for every address; unix:PATH, or \
unix:@NAME for an abstract socket. Port 0 takes a free one. May be given several times";

/// An address as the start screen shows it, with the scheme of what is spoken, or without one.
fn listen(text: &str, schemes: &[&str]) -> Result<ListenAddr, BadListenAddr> {
    match text.split_once("://") {
        Some((scheme, address)) if schemes.iter().any(|own| own.eq_ignore_ascii_case(scheme)) => {
            address.strip_suffix('/').unwrap_or(address).parse()
        }
        _ => text.parse(),
    }
}

fn listen_http(text: &str) -> Result<ListenAddr, BadListenAddr> {
    listen(text, &["http"])
}

fn listen_message(text: &str) -> Result<ListenAddr, BadListenAddr> {
    listen(text, &["message", "http"])
}

/// Serves folders, or single files, over HTTP.
///
/// Read-only. Dotfiles stay hidden, and nothing outside of the folder can be reached.
#[derive(Args, Debug)]
pub(crate) struct Http {
    #[command(flatten)]
    pub(crate) content: Content,

    #[arg(help = LISTEN)]
    #[arg(long, value_name = "ADDR", env = "SOCKEYE_LISTEN", default_value = "127.0.0.1:8000")]
    #[arg(hide_env = true, value_parser = listen_http)]
    pub(crate) listen: Vec<ListenAddr>,

    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Writes a line for each request, when it is over, to a file, or with - to standard error.
    /// SIGHUP opens the file again, for a rotated log. A pipe (FIFO) that nobody reads, or not fast
    /// enough, loses lines, which are counted [default: none]
    #[arg(long, value_name = "FILE", env = "SOCKEYE_ACCESS_LOG", hide_env = true)]
    #[arg(help_heading = "Access log")]
    pub(crate) access_log: Option<PathBuf>,

    #[arg(long, value_name = "FORMAT", env = "SOCKEYE_ACCESS_LOG_FORMAT", hide_env = true)]
    #[arg(help_heading = "Access log", default_value = "combined", hide_possible_values = true)]
    #[arg(
        help = "What a line looks like: combined, as other servers have it, with the seconds that \
        the request took and how it ended behind; or json"
    )]
    pub(crate) access_log_format: Format,

    /// A proxy in front, by its address or network (10.0.0.0/8), or unix for those that come by a
    /// Unix socket. Takes the client's address for the log from its X-Forwarded-For, or else
    /// Forwarded, and doesn't count it among --max-connections-per-address. May be given several
    /// times [default: none; these headers mean nothing]
    #[arg(long, value_name = "CIDR", env = "SOCKEYE_TRUSTED_PROXY", hide_env = true)]
    #[arg(help_heading = "Behind a proxy")]
    pub(crate) trusted_proxy: Vec<Trusted>,

    /// Allow requests for this host name at loopback addresses.
    ///
    /// At an address such as 127.0.0.1, requests must be for localhost, *.localhost, an IP address or
    /// one of these names; others are refused with 421. Otherwise a website could read what is
    /// served, by a name of its own that leads to 127.0.0.1 (DNS rebinding). Requests from a Unix
    /// socket or a --trusted-proxy are not checked. May be given several times, or as a list with
    /// commas [default: none]
    #[arg(long, value_name = "NAME", env = "SOCKEYE_HOST", hide_env = true)]
    #[arg(help_heading = "Browsers", value_delimiter = ',')]
    pub(crate) host: Vec<HostName>,

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

/// Says how a URL is answered: which folder, rule and file, with which headers; or why it isn't.
///
/// Serves nothing. The folders and flags are those of `sockeye http`; the flags that don't change
/// the answer are allowed, too. Ends with 0 where there is an answer, with 1 where that is an error,
/// and with 2 where the command line is wrong.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// A URL as it is typed into a browser, or its path: http://localhost:8000/about, /about.
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) http: Http,
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

/// Answers messages: frames of a JSON header and content, or requests of HTTP.
///
/// A search in JSON is answered from a dictionary, and anything else with its first ten bytes. Over
/// HTTP, POST / sends a message: its Content-Type is the message's type and encoding, its body the
/// content.
#[derive(Args, Debug)]
pub(crate) struct Message {
    #[arg(help = LISTEN)]
    #[arg(long, value_name = "ADDR", env = "SOCKEYE_LISTEN", default_value = "127.0.0.1:65432")]
    #[arg(hide_env = true, value_parser = listen_message)]
    pub(crate) listen: Vec<ListenAddr>,

    /// What a search finds: a JSON object of strings. Read again on SIGHUP; a file that is broken
    /// then leaves the answers as they were [default: the three of the reference service]
    #[arg(long, value_name = "FILE.json", env = "SOCKEYE_ANSWERS", hide_env = true)]
    pub(crate) answers: Option<PathBuf>,

    /// Speak frames alone. Otherwise the first bytes of a connection tell whether it speaks HTTP.
    #[arg(long, env = "SOCKEYE_FRAMES_ONLY", hide_env = true)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) frames_only: bool,

    /// Allow HTTP requests for this host name at loopback addresses.
    ///
    /// At an address such as 127.0.0.1, requests must be for localhost, *.localhost, an IP address or
    /// one of these names; others are refused with 421. Otherwise a website could use the service,
    /// by a name of its own that leads to 127.0.0.1 (DNS rebinding). Unix sockets are not checked.
    /// May be given several times, or as a list with commas [default: none]
    #[arg(long, value_name = "NAME", env = "SOCKEYE_HOST", hide_env = true)]
    #[arg(help_heading = "Browsers", value_delimiter = ',')]
    pub(crate) host: Vec<HostName>,

    /// Allow web pages of this origin, such as https://example.org, to send messages over HTTP.
    ///
    /// Requests that a browser sends for a page of another origin are refused with 403; pages of
    /// this server's own origin are always allowed, and so are programs that send no Origin header,
    /// such as curl. May be given several times, or as a list with commas [default: none]
    #[arg(long, value_name = "URL", env = "SOCKEYE_ORIGIN", hide_env = true)]
    #[arg(help_heading = "Browsers", value_delimiter = ',')]
    pub(crate) origin: Vec<Origin>,

    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Bytes of a message's content; a larger one is answered with an error.
    #[arg(long, value_name = "BYTES", env = "SOCKEYE_MAX_CONTENT")]
    #[arg(hide_env = true, help_heading = "Limits", default_value_t = size(MESSAGE.content))]
    pub(crate) max_content: Size,

    /// How long a message's header may take, from its first byte.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_HEADER_TIMEOUT", hide_env = true)]
    #[arg(help_heading = "Deadlines", default_value_t = Span(MESSAGE.header_timeout))]
    pub(crate) header_timeout: Span,

    /// How long a message's content may make no progress.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_CONTENT_TIMEOUT", hide_env = true)]
    #[arg(help_heading = "Deadlines", default_value_t = Span(MESSAGE.content_timeout))]
    pub(crate) content_timeout: Span,

    /// How long a connection may be without a message.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_IDLE_TIMEOUT", hide_env = true)]
    #[arg(help_heading = "Deadlines", default_value_t = Span(MESSAGE.idle_timeout))]
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
    ///
    /// Of one kind and client, ten lines a minute are written, and one more says how many were left
    /// out. The levels debug and trace leave nothing out.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "SOCKEYE_LOG",
        hide_env = true,
        default_value = "info"
    )]
    pub(crate) log: Level,

    /// Connections in all; above it, a new one replaces the longest idle one, or waits.
    #[arg(long, value_name = "N", env = "SOCKEYE_MAX_CONNECTIONS", hide_env = true)]
    #[arg(help_heading = "Limits", default_value_t = nonzero(ENGINE.max_connections))]
    pub(crate) max_connections: NonZeroUsize,

    /// Connections of one address (IPv6: of one /64), at most a quarter of --max-connections.
    ///
    /// Loopback, Unix sockets and trusted proxies are exempt.
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

    /// Keep accepting connections for this long after a signal to stop.
    ///
    /// Meanwhile each response closes its connection, so that clients and load balancers turn to other
    /// servers before this one stops listening. --drain-timeout counts from the end of this time.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_LAME_DUCK", hide_env = true)]
    #[arg(help_heading = "Deadlines", default_value_t = Span(ENGINE.lame_duck))]
    #[arg(value_parser = Span::or_zero)]
    pub(crate) lame_duck: Span,

    /// How long stopping waits for what is under way before it is cut.
    #[arg(long, value_name = "TIME", env = "SOCKEYE_DRAIN_TIMEOUT", hide_env = true)]
    #[arg(help_heading = "Deadlines", default_value_t = Span(ENGINE.drain_timeout))]
    pub(crate) drain_timeout: Span,
}
