//! The flags of the server commands, and of `explain`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, value_parser};
use sockeye::engine::{Config, ListenAddr};
use sockeye::http_core::{AllowedHosts, ws};
use sockeye::tls::HTTP_ALPN;
use sockeye::{http_core, message::protocol as message};
use tracing_subscriber::filter::LevelFilter;

use super::acme::Acme;
use super::folders::{FolderArgs, origin};
use super::listen::{self, LISTEN, LISTEN_LONG};
use super::tls::{Https, Tls};
use crate::access::Format;
use crate::log::level;
use crate::proxies::TrustedProxy;
use crate::quantity::{Size, Span, above_zero};

/// The default port of `sockeye http`.
const SITE_PORT: u16 = 8000;
/// The default port of `sockeye echo` and `sockeye message`.
const ECHO_PORT: u16 = 65432;

const HTTP_EXAMPLES: &str = "\
Examples:
  # Serve the current folder at http://127.0.0.1:8000.
  sockeye http
  # Serve a site on all addresses, with an access log.
  sockeye http /srv/www --listen :80 --access-log /var/log/sockeye/access.log
  # The same over HTTPS; http:// URLs are redirected.
  sockeye http /srv/www --tls fullchain.pem,key.pem --listen :443 --https-redirect
  # Try a site over HTTPS on this machine.
  sockeye http ./site --tls self-signed
  # Share a folder on the local network, with listings.
  sockeye http ~/Shared --listen :8000 --listing
  # Serve a single-page app, and its documentation at /docs.
  sockeye http ./dist /docs=./docs --spa";

const EXPLAIN_EXAMPLES: &str = "\
Exit codes: 0 the URL can be served, 1 an error or no response, 2 wrong command line.

Examples:
  # Which file does /about lead to?
  sockeye explain /about ./site
  # The same for a server with these folders and flags.
  sockeye explain https://example.org/docs/setup /srv/www /docs=/srv/docs --listen :80";

const ECHO_EXAMPLES: &str = "\
Examples:
  # Echo at 127.0.0.1:65432, and try it.
  sockeye echo
  sockeye send tcp://127.0.0.1:65432 hello
  # Close connections after ten idle seconds.
  sockeye echo --listen :7 --idle-timeout 10s
  # Echo the messages of WebSockets, at every path.
  sockeye echo --websocket
  sockeye send ws://127.0.0.1:65432/ hello";

const MESSAGE_EXAMPLES: &str = "\
Examples:
  # Answer messages at 127.0.0.1:65432, and try it. Or open http://127.0.0.1:65432 in a browser.
  sockeye message
  sockeye send message://127.0.0.1:65432 '{\"action\": \"search\", \"value\": \"ring\"}'
  # Use a dictionary of your own, and allow pages of one site to search.
  sockeye message --answers answers.json --origin https://example.org";

/// Converts a default limit of the library, which is never 0.
fn nonzero(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN)
}

/// Serve folders, or single files, over HTTP.
///
/// Read-only. Hidden files (dotfiles) and files outside the folder can't be requested.
#[derive(Args, Debug)]
#[command(after_help = HTTP_EXAMPLES)]
pub(crate) struct Http {
    #[command(flatten)]
    pub(crate) folders: FolderArgs,

    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    #[arg(help = LISTEN, long_help = LISTEN_LONG)]
    #[arg(value_parser = |text: &str| listen::parse(text, &["http"], SITE_PORT))]
    pub(crate) listen: Vec<ListenAddr>,

    /// Port to listen on, at the default host or at --listen HOST. 0 picks a free one.
    ///
    /// The default host is 127.0.0.1; with --acme, all addresses.
    #[arg(short, long, value_name = "PORT", value_parser = listen::parse_port)]
    pub(super) port: Option<u16>,

    #[command(flatten)]
    pub(crate) http2: Http2,

    #[command(flatten)]
    pub(crate) tls: Tls,

    #[command(flatten)]
    pub(crate) acme: Acme,

    #[command(flatten)]
    pub(crate) https: Https,

    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Log each finished request to this file, or to standard error with -.
    ///
    /// SIGHUP reopens the file, for log rotation. Lines for a FIFO that nobody reads, or that is
    /// read too slowly, are dropped and counted. Default: no file, but if standard output is a
    /// terminal, it shows a line for each request: method, path, status, size and time, and how the
    /// request ended unless it is complete. The value off turns these lines off, and so does --log
    /// warn. The environment variable NO_COLOR turns off their colours.
    #[arg(long, value_name = "FILE", help_heading = "Access log")]
    pub(crate) access_log: Option<PathBuf>,

    /// Format of the access log: combined or json.
    ///
    /// combined is the format of Apache and nginx, with two more columns: the duration in seconds,
    /// and how the request ended. json writes one JSON object per line.
    #[arg(long, value_name = "FORMAT", help_heading = "Access log", default_value = "combined")]
    #[arg(hide_possible_values = true)]
    pub(crate) access_log_format: Format,

    /// A proxy in front of this server: its address, its network (10.0.0.0/8), or unix.
    ///
    /// unix trusts all clients of Unix sockets. The client's address is taken from the proxy's
    /// X-Forwarded-For header, or else Forwarded. Connections of the proxy don't count towards
    /// --max-connections-per-address. Can be given several times. Default: none, so that clients
    /// can't set their address by these headers.
    #[arg(long, value_name = "CIDR", help_heading = "Behind a proxy")]
    pub(crate) trusted_proxy: Vec<TrustedProxy>,

    #[command(flatten)]
    pub(crate) hosts: Hosts,

    /// Maximum length of a request line. Longer ones get 414.
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    #[arg(default_value_t = http_core::Limits::default().request_line.into())]
    pub(crate) max_request_line: Size,

    /// Maximum size of a request's line and headers. Larger ones get 431.
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    #[arg(default_value_t = http_core::Limits::default().head.into())]
    pub(crate) max_header: Size,

    /// Maximum number of a request's headers. Requests with more get 431.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[arg(value_parser = above_zero::<NonZeroUsize>, default_value_t = nonzero(http_core::Limits::default().fields))]
    pub(crate) max_header_fields: NonZeroUsize,

    /// Maximum time to receive a request's headers, from their first byte.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(http_core::Limits::default().head_timeout))]
    pub(crate) head_timeout: Span,

    /// Close connections that have no request for this long.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(http_core::Limits::default().idle_timeout))]
    pub(crate) idle_timeout: Span,
}

/// Explain how sockeye http answers a URL: with which file and headers, or why not.
///
/// Starts no server. Takes the folders and flags of sockeye http; flags that don't change the
/// response are ignored. With --tls, it also says which certificate is sent for the host of an
/// https:// URL, and where an http:// URL is redirected to. If sockeye http would not start with
/// these certificates, that is an error.
#[derive(Args, Debug)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct Explain {
    /// A URL, or its path: http://localhost:8000/about or /about.
    pub(crate) url: String,

    #[command(flatten)]
    pub(crate) http: Http,
}

/// Send back everything that clients send (RFC 862).
///
/// With --websocket, the port is an HTTP server that opens a WebSocket at every path, and sends
/// each message back.
#[derive(Args, Debug)]
#[command(after_help = ECHO_EXAMPLES)]
pub(crate) struct Echo {
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:65432")]
    #[arg(help = LISTEN, long_help = LISTEN_LONG)]
    #[arg(value_parser = |text: &str| listen::parse(text, &["tcp", "ws"], ECHO_PORT))]
    pub(crate) listen: Vec<ListenAddr>,

    /// Port to listen on, at the default host or at --listen HOST. 0 picks a free one.
    #[arg(short, long, value_name = "PORT", value_parser = listen::parse_port)]
    pub(super) port: Option<u16>,

    #[command(flatten)]
    pub(crate) websocket: WebSocket,

    #[command(flatten)]
    pub(crate) tls: Tls,

    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Close connections that send nothing for this long.
    ///
    /// With --websocket, an open WebSocket is kept: --ping-after finds out whether its client is
    /// there.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts", default_value = "60s")]
    pub(crate) idle_timeout: Span,
}

/// The WebSockets of an echo server.
#[derive(Args, Debug)]
pub(crate) struct WebSocket {
    /// Echo the messages of WebSockets, at every path.
    ///
    /// Text comes back as text, and bytes as bytes. Other HTTP requests get 400.
    #[arg(id = "websocket", long = "websocket")]
    pub(crate) is_on: bool,

    /// Compress messages with clients that can (permessage-deflate).
    ///
    /// It costs time, and memory for each WebSocket while it sends or receives. Each message is
    /// compressed on its own, if it has 512 bytes or more.
    #[arg(long, requires = "websocket")]
    pub(crate) deflate: bool,

    /// Maximum size of a message. A larger one closes the WebSocket with 1009.
    #[arg(long, value_name = "BYTES", requires = "websocket", help_heading = "Limits")]
    #[arg(default_value_t = ws::Limits::default().message.into())]
    pub(crate) max_message: Size,

    /// Maximum fragments of a message. More close the WebSocket with 1008.
    #[arg(long, value_name = "N", requires = "websocket", help_heading = "Limits")]
    #[arg(value_parser = value_parser!(u32).range(1..), default_value_t = ws::Limits::default().fragments)]
    pub(crate) max_fragments: u32,

    /// Ping clients that send nothing for this long. Without an answer, the connection is closed.
    ///
    /// A client has 20s to answer a ping.
    #[arg(long, value_name = "TIME", requires = "websocket", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(ws::Limits::default().ping_after.unwrap_or_default()))]
    pub(crate) ping_after: Span,

    // `--host` is for HTTP requests. Without `--websocket`, it is an error.
    #[command(flatten)]
    pub(crate) hosts: Hosts,

    /// Allow web pages of this origin, such as https://example.org, to open WebSockets.
    ///
    /// Requests that a browser sends for a page of another origin get 403. Pages of this server's
    /// own origin are always allowed, and so are programs that send no Origin header. Can be given
    /// several times, or as a list with commas. Default: none.
    #[arg(long, value_name = "URL", requires = "websocket", help_heading = "Browsers")]
    #[arg(value_delimiter = ',', value_parser = origin)]
    pub(crate) origin: Vec<String>,
}

/// Answer messages in frames (a length, a JSON header, content), HTTP requests or WebSockets.
///
/// A JSON search is looked up in a dictionary; for any other message, the response is its first ten
/// bytes. Over HTTP, POST / sends a message: the Content-Type header is the message's type and
/// encoding, and the body its content. Over WebSocket, text is JSON, and a binary message is a
/// frame. In a browser, GET / is a page that sends messages.
#[derive(Args, Debug)]
#[command(after_help = MESSAGE_EXAMPLES)]
pub(crate) struct Message {
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1:65432")]
    #[arg(help = LISTEN, long_help = LISTEN_LONG)]
    #[arg(value_parser = |text: &str| listen::parse(text, &["message", "http", "ws"], ECHO_PORT))]
    pub(crate) listen: Vec<ListenAddr>,

    /// Port to listen on, at the default host or at --listen HOST. 0 picks a free one.
    #[arg(short, long, value_name = "PORT", value_parser = listen::parse_port)]
    pub(super) port: Option<u16>,

    /// Dictionary for searches: a file with a JSON object of strings.
    ///
    /// SIGHUP reads it again; if it is invalid then, the old answers are kept. Default: three
    /// built-in answers.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) answers: Option<PathBuf>,

    /// Accept only frames. Otherwise a connection's first bytes select frames or HTTP.
    ///
    /// A WebSocket begins as HTTP.
    #[arg(long)]
    pub(crate) frames_only: bool,

    #[command(flatten)]
    pub(crate) http2: Http2,

    #[command(flatten)]
    pub(crate) hosts: Hosts,

    /// Allow web pages of this origin, such as https://example.org, to send messages.
    ///
    /// They can send them over HTTP (CORS) and over WebSocket. Requests and WebSockets that a
    /// browser opens for a page of another origin get 403. Pages of this server's own origin are
    /// always allowed, and so are programs that send no Origin header, such as curl. Can be given
    /// several times, or as a list with commas. Default: none.
    #[arg(long, value_name = "URL", help_heading = "Browsers", value_delimiter = ',')]
    #[arg(value_parser = origin)]
    pub(crate) origin: Vec<String>,

    #[command(flatten)]
    pub(crate) tls: Tls,

    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Maximum size of a message's content. Larger messages get an error.
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    #[arg(default_value_t = message::Limits::default().content.into())]
    pub(crate) max_content: Size,

    /// Maximum fragments of a WebSocket message. More close it with 1008.
    #[arg(long, value_name = "N", help_heading = "Limits", conflicts_with = "frames_only")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    #[arg(default_value_t = ws::Limits::default().fragments)]
    pub(crate) max_fragments: u32,

    /// Maximum time to receive a message's header, from its first byte.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(message::Limits::default().header_timeout))]
    pub(crate) header_timeout: Span,

    /// Close connections that send nothing for this long within a message's content.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(message::Limits::default().content_timeout))]
    pub(crate) content_timeout: Span,

    /// Close connections that have no message for this long.
    ///
    /// A WebSocket may be idle: see --ping-after.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(message::Limits::default().idle_timeout))]
    pub(crate) idle_timeout: Span,

    /// Ping WebSockets that send nothing for this long. Without an answer, they are closed.
    ///
    /// A client has 20s to answer a ping.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts", conflicts_with = "frames_only")]
    #[arg(default_value_t = Span(ws::Limits::default().ping_after.unwrap_or_default()))]
    pub(crate) ping_after: Span,
}

/// The versions of HTTP.
#[derive(Args, Debug)]
pub(crate) struct Http2 {
    /// Turn off HTTP/2: answer only HTTP/1.1.
    ///
    /// Without this flag, clients with TLS choose HTTP/2 by ALPN (h2), and clients without TLS by
    /// beginning with the preface of HTTP/2 (prior knowledge). With the flag, such a preface gets
    /// 505.
    #[arg(long)]
    no_http2: bool,
}

impl Http2 {
    pub(crate) fn is_on(&self) -> bool {
        !self.no_http2
    }

    /// The application protocols that the server accepts in a TLS handshake (ALPN), the preferred
    /// one first.
    pub(crate) fn alpn(&self) -> &'static [&'static [u8]] {
        if self.no_http2 { &[b"http/1.1"] } else { &HTTP_ALPN }
    }
}

/// The host names of HTTP requests.
#[derive(Args, Debug)]
pub(crate) struct Hosts {
    /// Allow HTTP requests for this host name at loopback addresses.
    ///
    /// At an address such as 127.0.0.1, requests must be for localhost, *.localhost, an IP address,
    /// a name of a certificate (self-signed ones don't count) or one of these names; others get
    /// 421. Otherwise a website could use this server through a browser, by a name of its own that
    /// resolves to 127.0.0.1 (DNS rebinding). Requests from Unix sockets and trusted proxies are
    /// not checked. Can be given several times, or as a list with commas. Default: none.
    #[arg(long, value_name = "NAME", help_heading = "Browsers", value_delimiter = ',')]
    #[arg(value_parser = |name: &str| AllowedHosts::default().allow(name).map(|_| name.to_owned()))]
    pub(crate) host: Vec<String>,
}

/// The flags of every server.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Worker threads, each with its own event loop. Default: the available cores.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// Lowest level to log: off, error, warn, info, debug or trace.
    ///
    /// At info and more severe levels, at most ten lines of a kind are logged per client and
    /// minute, and then a line that says how many were left out. Lines of debug and trace are never
    /// left out. On a terminal, the lines for HTTP requests and connections are shown at info and
    /// more verbose levels, without this limit.
    #[arg(long, value_name = "LEVEL", default_value = "info", hide_possible_values = true)]
    #[arg(value_parser = level())]
    pub(crate) log: LevelFilter,

    /// Maximum number of connections.
    ///
    /// Above this, a new connection replaces the one that was idle longest, or waits if none is
    /// idle.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[arg(value_parser = above_zero::<NonZeroUsize>, default_value_t = nonzero(Config::default().max_connections))]
    pub(crate) max_connections: NonZeroUsize,

    /// Maximum number of connections per client address (IPv6: per /64).
    ///
    /// At most a quarter of --max-connections. Loopback, Unix sockets and trusted proxies are
    /// exempt.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    #[arg(value_parser = above_zero::<NonZeroUsize>, default_value_t = nonzero(Config::default().max_connections_per_address))]
    pub(crate) max_connections_per_address: NonZeroUsize,

    /// Maximum output buffered per connection.
    ///
    /// Above this, Sockeye stops reading from that client.
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    #[arg(default_value_t = Config::default().max_buffered_output.into())]
    pub(crate) max_buffered: Size,

    /// Close connections whose client reads nothing of a response for this long.
    ///
    /// The first check is after an eighth of this time. Further checks follow at intervals of this
    /// time. So a client that stops reading is usually cut after this time and an eighth, and after
    /// twice this time at the latest.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(Config::default().write_timeout))]
    pub(crate) write_timeout: Span,

    /// After a signal to stop, keep accepting connections for this long.
    ///
    /// Meanwhile each response closes its connection, so that clients and load balancers move to
    /// other servers before this one stops listening. --drain-timeout starts after this time.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts", value_parser = Span::parse_with_zero)]
    #[arg(default_value_t = Span(Config::default().lame_duck))]
    pub(crate) lame_duck: Span,

    /// After a signal to stop, wait this long for requests in flight to finish.
    ///
    /// Connections that are still open then are cut.
    #[arg(long, value_name = "TIME", help_heading = "Timeouts")]
    #[arg(default_value_t = Span(Config::default().drain_timeout))]
    pub(crate) drain_timeout: Span,
}
