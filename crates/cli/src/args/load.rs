//! The flags of `sockeye load`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, value_parser};
use sockeye::engine::Config;
use tracing_subscriber::filter::LevelFilter;

use super::client_tls::{ClientTls, check_tls};
use crate::client_tls::HttpVersions;
use crate::log::level;
use crate::quantity::{Size, Span, above_zero, rate};
use crate::target::{Target, address, any_target, unix_socket};

const EXAMPLES: &str = "\
Examples:
  # Request a page as fast as possible for ten seconds, on 64 connections.
  sockeye load http://127.0.0.1:8000/
  # 20,000 requests per second, for latencies under a steady load.
  sockeye load http://127.0.0.1:8000/ --rate 20k --duration 30s
  # HTTP/2 without TLS, with 32 requests in flight on each connection.
  sockeye load http://127.0.0.1:8000/ --http2 --streams 32
  # An echo server, by WebSocket.
  sockeye load ws://127.0.0.1:65432/ --body hello";

/// Send requests to a server over and over, and report how fast it responds.
///
/// http:// is requested by HTTP/1.1, https://HOST[:PORT]/PATH by HTTP/2 if the server chooses it
/// (ALPN), else by HTTP/1.1. With several paths of one server, each connection requests them in
/// turn. Servers at tcp:// and tls://HOST:PORT and unix:PATH must be echo servers. Servers at
/// message:// and message+tls://HOST:PORT get messages. Servers at ws:// and
/// wss://HOST[:PORT]/PATH must send back each message: every byte is compared.
///
/// First, each request is sent once to learn its response; this isn't counted. A status of 400 or
/// above, a message that reports an error, and a connection that ends before its response are
/// errors. Only responses without errors have latencies. A percentile is shown if there are enough
/// latencies.
///
/// With TLS, every connection makes a full handshake, unless --resume is given. A response that
/// ends with the connection must end with TLS's close_notify, else it counts as truncated.
///
/// --duration starts with the first request. At its end, requests in flight have 1s more, and are
/// then counted as unanswered. If a response ends its connection, the server has 100ms to close it
/// before sockeye does.
///
/// With --requests, the load ends with the last response or failure, so time and rates include
/// waiting for failed requests.
///
/// Without --rate, a request is sent when the response before it has arrived, so a server that
/// stalls gets fewer requests, and latencies hide the stall. With --rate, latencies count from when
/// a request was due.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Load {
    /// http[s]|ws[s]://HOST[:PORT]/PATH, tcp|tls|message[+tls]://HOST:PORT or unix:PATH.
    #[arg(required = true, value_name = "TARGET", value_parser = any_target)]
    pub(crate) targets: Vec<Target>,

    /// Number of connections.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..))]
    pub(crate) connections: u32,

    /// Threads that the connections are divided among.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) threads: u16,

    /// How long to send requests.
    #[arg(long, value_name = "TIME", default_value = "10s", conflicts_with = "requests")]
    pub(crate) duration: Span,

    /// Number of requests, in place of --duration.
    #[arg(long, value_name = "N", value_parser = above_zero::<NonZeroU64>)]
    pub(crate) requests: Option<NonZeroU64>,

    /// Maximum number of requests in flight per connection, in order.
    ///
    /// For HTTP/1.1, echo servers, WebSockets and messages. On https://, only HTTP/1.1 is offered
    /// with it.
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    #[arg(value_parser = above_zero::<NonZeroUsize>)]
    pub(crate) pipeline: NonZeroUsize,

    /// Maximum number of HTTP/2 requests in flight per connection.
    ///
    /// A server may allow fewer. On https://, only HTTP/2 is offered with more than 1; on http://,
    /// it needs --http2.
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    #[arg(value_parser = above_zero::<NonZeroUsize>)]
    #[arg(conflicts_with_all = ["pipeline", "chunked", "http1"])]
    pub(crate) streams: NonZeroUsize,

    /// Use HTTP/2, on http:// without asking first.
    ///
    /// Without it, http:// is requested by HTTP/1.1, and https:// by what the server chooses.
    #[arg(long, conflicts_with_all = ["pipeline", "chunked", "http1"])]
    pub(crate) http2: bool,

    /// Use HTTP/1.1 on https://, even if the server supports HTTP/2.
    #[arg(long)]
    pub(crate) http1: bool,

    /// Open a new connection for each request.
    #[arg(long, conflicts_with = "requests_per_connection")]
    pub(crate) close: bool,

    /// Open a new connection after this number of requests. Default: no limit.
    #[arg(long, value_name = "N", value_parser = above_zero::<NonZeroU64>)]
    pub(crate) requests_per_connection: Option<NonZeroU64>,

    /// Requests per second, of all connections. Default: as fast as possible.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Compare every byte of every response with the first response.
    #[arg(long)]
    pub(crate) verify: bool,

    /// Maximum size of a response's content. A larger response is an error.
    ///
    /// With --verify, at most 256MiB, which are kept in memory.
    #[arg(long, value_name = "BYTES", default_value = "1GiB")]
    pub(crate) max_content: Size,

    /// How long the server may be silent while a response is due.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) timeout: Span,

    /// Maximum time to connect, and then for the TLS handshake.
    #[arg(long, value_name = "TIME", default_value_t = Span(Config::default().connect_timeout))]
    pub(crate) connect_timeout: Span,

    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// Lowest level to log: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "warn", hide_possible_values = true)]
    #[arg(value_parser = level())]
    pub(crate) log: LevelFilter,

    #[command(flatten)]
    pub(crate) tls: ClientTls,

    /// Resume sessions of earlier connections with the server's tickets.
    #[arg(long, help_heading = "TLS")]
    pub(crate) resume: bool,

    #[command(flatten)]
    pub(crate) request: RequestFlags,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestFlags {
    /// HTTP method. Default: POST with a body, otherwise GET.
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) method: Option<String>,

    /// HTTP header, as 'Name: value'. Can be given several times.
    ///
    /// On ws:// and wss://, it is sent in the request that opens the WebSocket.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Content of the request or message, or the bytes for an echo server.
    ///
    /// On a WebSocket, it is text if it is UTF-8. Default: no content for HTTP,
    /// {"action": "search", "value": "ring"} for message://, and 64 bytes for an echo server and a
    /// WebSocket.
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    pub(crate) body: Option<String>,

    /// Send a file's content, in place of --body.
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,

    /// Send the HTTP request's content with Transfer-Encoding: chunked, by HTTP/1.1.
    #[arg(long)]
    pub(crate) chunked: bool,

    /// Connect to a Unix socket, not the target's host: a path, or @NAME if abstract.
    #[arg(long, value_name = "PATH", value_parser = unix_socket)]
    pub(crate) unix_socket: Option<Target>,

    /// Connect to this address. Names and certificates stay those of the target.
    #[arg(long, value_name = "HOST:PORT", value_parser = address, conflicts_with = "unix_socket")]
    pub(crate) connect_to: Option<Target>,
}

impl Load {
    /// The HTTP versions to offer to the server.
    pub(crate) fn http_versions(&self) -> HttpVersions {
        let one = NonZeroUsize::MIN;
        if self.http2 || self.streams > one {
            HttpVersions::Http2
        } else if self.http1 || self.pipeline > one || self.request.chunked {
            HttpVersions::Http1
        } else {
            HttpVersions::Any
        }
    }

    /// Refuses flags that don't apply to the targets, and targets on different servers.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some((first, others)) = self.targets.split_first() else { return Ok(()) };
        if let (Target::WebSocket { .. }, Some(other)) = (first, others.first()) {
            return Err(format!(
                "a WebSocket has one path: give {first} or {other}, and run sockeye load twice for both"
            ));
        }
        if let Some(other) = others.iter().find(|other| !other.has_server_of(first)) {
            return Err(format!("{first} and {other} are two servers; give paths of one server"));
        }
        if !others.is_empty() && !matches!(first, Target::Http { .. }) {
            return Err(format!("give {first} once: only http[s]:// can have several paths"));
        }
        self.tls.check(first)?;
        check_tls(&[("--resume", self.resume)], first)?;
        let flags = &self.request;
        let given = [
            ("--method", flags.method.is_some()),
            ("--header", !flags.header.is_empty()),
            ("--chunked", flags.chunked),
            ("--http1", self.http1),
            ("--http2", self.http2),
            ("--streams", self.streams > NonZeroUsize::MIN),
        ];
        for (flag, given) in given {
            let is_fit = match first {
                Target::Http { .. } => true,
                Target::WebSocket { .. } => flag == "--header",
                _ => false,
            };
            if given && !is_fit {
                let schemes = if flag == "--header" { "http[s]:// and ws[s]" } else { "http[s]" };
                return Err(format!("{flag} is for {schemes}://HOST[:PORT]/PATH, not {first}"));
            }
        }
        if self.streams > NonZeroUsize::MIN && !self.http2 && first.tls_host().is_none() {
            return Err("--streams is for HTTP/2: add --http2, or load https://".into());
        }
        if flags.chunked && flags.body.is_none() && flags.body_file.is_none() {
            return Err("--chunked needs content: add --body or --body-file".into());
        }
        if let Some(field) = flags.header.iter().find(|field| !field.contains(':')) {
            return Err(format!("--header '{field}' has no colon: write 'Name: value'"));
        }
        Ok(())
    }
}
