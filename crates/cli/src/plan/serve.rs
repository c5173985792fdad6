//! The plans of the servers: `sockeye http`, `echo` and `message`.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sockeye::engine::{Config, ListenAddr, usable_cores};
use sockeye::http_core::{self, AllowedHosts, ws};
use sockeye::message::protocol::{self, AllowedOrigins};
use sockeye::proto::Client;
use sockeye::tls::HTTP_ALPN;
use tracing_subscriber::filter::LevelFilter;

use super::acme::acme;
use super::{Folders, Listing, tls};
use crate::access::{self, Sink};
use crate::acme::Acme;
use crate::answers::Answers;
use crate::error::{Error, OrUsage};
use crate::proxies::Proxies;
use crate::quantity::Size;
use crate::stdout::Stdout;
use crate::tls::Certificates;
use crate::{args, hosts};

/// Settings that all servers share.
#[derive(Debug)]
pub(crate) struct Serve {
    pub(crate) listen: Vec<ListenAddr>,
    pub(crate) workers: NonZeroUsize,
    pub(crate) config: Config,
    /// With certificates, all addresses of `listen` use TLS, except Unix sockets.
    pub(crate) certificates: Option<Certificates>,
    /// Addresses that serve no files: their requests are redirected to HTTPS, at an address of
    /// `listen`.
    pub(crate) redirects: Vec<ListenAddr>,
    /// Whether to refuse to start if a listener is not on a loopback address.
    pub(crate) loopback_only: bool,
    /// Whether the server sends files: each open file takes a descriptor, as a connection does.
    pub(crate) sends_files: bool,
    /// The certificates of `--acme`, which a CA issues.
    pub(crate) acme: Option<Acme>,
    /// Whether the CA of `acme` is Let's Encrypt. It connects to this server from the internet, to
    /// validate names.
    pub(crate) is_public_ca: bool,
}

/// The plan of `sockeye http`.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) serve: Serve,
    pub(crate) folders: Folders,
    pub(crate) limits: http_core::Limits,
    pub(crate) access: Option<(Sink, access::Format)>,
    pub(crate) proxies: Proxies,
    pub(crate) hosts: AllowedHosts,
    pub(crate) http2: bool,
    /// The max-age of Strict-Transport-Security.
    pub(crate) hsts: Option<Duration>,
}

/// The plan of `sockeye message`.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) serve: Serve,
    /// What messages with the action `search` are answered with.
    pub(crate) answers: Answers,
    pub(crate) access: Option<(Sink, access::Format)>,
    pub(crate) limits: protocol::Limits,
    pub(crate) websocket: ws::Limits,
    pub(crate) frames_only: bool,
    pub(crate) http2: bool,
    pub(crate) hosts: AllowedHosts,
    pub(crate) origins: AllowedOrigins,
}

/// The plan of `sockeye echo`.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) serve: Serve,
    pub(crate) access: Option<(Sink, access::Format)>,
    /// How long a client may send nothing before its connection is closed.
    pub(crate) idle: Duration,
    /// `Some` with `--websocket`: messages of WebSockets are echoed. `None`: bytes of connections
    /// are echoed.
    pub(crate) websocket: Option<WebSocket>,
}

/// The settings of `sockeye echo --websocket`.
#[derive(Debug)]
pub(crate) struct WebSocket {
    /// The limits of the requests that open WebSockets.
    pub(crate) http: http_core::Limits,
    pub(crate) limits: ws::Limits,
    pub(crate) hosts: AllowedHosts,
    pub(crate) origins: AllowedOrigins,
    pub(crate) deflate: bool,
}

pub(crate) fn http(flags: args::Http, stdout: Stdout) -> Result<Http, Error> {
    let limits = http_core::Limits {
        request_line: flags.max_request_line.0,
        head: flags.max_header.0,
        fields: flags.max_header_fields.get(),
        head_timeout: flags.head_timeout.0,
        idle_timeout: flags.idle_timeout.0,
        write_timeout: flags.serve.write_timeout.0,
        ..http_core::Limits::default()
    };
    if limits.request_line > limits.head {
        return Err(Error::usage(format!(
            "--max-request-line ({}) can't be larger than --max-header ({}), which includes it",
            flags.max_request_line, flags.max_header
        )));
    }
    let listing = Listing::of(&flags, stdout);
    let hosts = hosts::allowed(&flags.hosts.host).or_usage()?;
    let names = tls::names(&flags.listen, &hosts);
    let redirects = tls::redirects(&flags)?;
    if flags.folders.no_archives && !listing.is_on() {
        warn_without_effect("--no-archives", "--listing");
    }
    let folders = Folders::of(flags.folders, listing)?;
    // Neither the state folder nor a private key may be in a served folder.
    tls::check_state(&flags.tls, &flags.acme, &folders)?;
    let acme = acme(&flags.acme, &flags.tls, !redirects.is_empty())?;
    if acme.is_none() {
        warn_of_state(&flags.tls, "--tls self-signed or --acme NAME");
    }
    let certificates = tls::certificates(&flags.tls, flags.http2.alpn(), &names, acme.as_ref())?;
    let mut keys = certificates.as_ref().map(Certificates::pairs).unwrap_or_default().to_vec();
    // The key of the ACME account has no certificate, so the first path of its pair is empty.
    keys.extend(acme.iter().map(|acme| [PathBuf::new(), acme.account_key()]));
    tls::check_keys(&keys, &folders)?;
    let proxies = Proxies::new(flags.trusted_proxy);
    let mut serve = serve(flags.listen, &flags.serve, certificates, acme)?;
    serve.redirects = redirects;
    serve.is_public_ca = serve.acme.is_some() && flags.acme.acme_directory.is_public;
    serve.config.unlimited_networks = proxies.networks.clone();
    // `Automatic` listings are on only because all addresses seem to be loopback ones. But the
    // system may resolve a name such as localhost to another address.
    serve.loopback_only = listing == Listing::Automatic;
    serve.sends_files = true;
    let access = match flags.access_log {
        Some(path) if path == Path::new("off") => None,
        Some(path) => Some((open_access_log(path)?, flags.access_log_format)),
        None => lines(stdout, flags.serve.log),
    };
    let is_logged = access.as_ref().is_some_and(|(sink, _)| !matches!(sink, Sink::Terminal));
    if flags.access_log_format == access::Format::Json && !is_logged {
        warn_without_effect("--access-log-format", "--access-log FILE");
    }
    let http2 = flags.http2.is_on();
    let hsts = flags.https.hsts.map(|span| span.0);
    Ok(Http { serve, folders, limits, access, proxies, hosts, http2, hsts })
}

fn warn_without_effect(flag: &str, needed: &str) {
    tracing::warn!(target: "sockeye", "{flag} has no effect without {needed}");
}

/// Warns if `size`, the value of `flag`, is more than a client may send over WebSocket: incomplete
/// messages are charged to the budget of buffered output.
fn warn_of_websocket_share(flag: &str, size: Size, config: &Config) {
    let total = config.max_buffered_total as u64;
    let remote = Client::V4([192, 0, 2, 1]).share(total);
    if size.0 as u64 > remote {
        let [remote, local] = [remote, Client::Unix.share(total)].map(|share| Size(share as usize));
        tracing::warn!(
            target: "sockeye",
            "{flag} {size} is more than a client may send over WebSocket: {remote} in all of its \
             incomplete messages, {local} if it is on this machine. If it sends more, its \
             WebSockets are closed with 1013"
        );
    }
}

/// Warns if `--state` is given, but no self-signed certificate needs it. Not called if certificates
/// of `--acme` need it. `needed` names the flags that would use it.
fn warn_of_state(flags: &args::Tls, needed: &str) {
    if flags.state.is_some() && !tls::uses_self_signed(flags) {
        warn_without_effect("--state", needed);
    }
}

/// The sink and format for lines about requests or connections on a terminal. `None` if standard
/// output is no terminal, or at a log level less verbose than `info`.
fn lines(stdout: Stdout, level: LevelFilter) -> Option<(Sink, access::Format)> {
    match stdout {
        Stdout::Terminal { color } if level >= LevelFilter::INFO => {
            Some((Sink::Terminal, access::Format::Terminal { color }))
        }
        Stdout::Terminal { .. } | Stdout::Other => None,
    }
}

fn open_access_log(path: PathBuf) -> Result<Sink, Error> {
    if path == Path::new("-") {
        return Ok(Sink::Stderr);
    }
    let failure = format!("--access-log: cannot write to {}", path.display());
    if path.to_string_lossy().starts_with("syslog:") {
        return Err(Error::usage(format!(
            "{failure}: it is no file; '--access-log -' writes to standard error, which a systemd unit \
             sends to the journal, and from there to syslog"
        )));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned);
    let named = path.clone();
    Sink::file(path).map_err(|error| match folder {
        Some(folder) if error.kind() == ErrorKind::NotFound && !folder.exists() => {
            let folder = folder.display();
            Error::usage(format!(
                "{failure}: there is no folder {folder}; mkdir -p {folder} creates it"
            ))
        }
        _ => match access_log_advice(error.kind(), &named) {
            Some(advice) => Error::of_path(error, failure).with_advice(&advice),
            None => Error::of_path(error, failure),
        },
    })
}

/// What to do if the access log can't be opened at `path`.
pub(super) fn access_log_advice(kind: ErrorKind, path: &Path) -> Option<String> {
    match kind {
        ErrorKind::IsADirectory => {
            let file = path.join("access.log");
            Some(format!("it is a folder: name a file in it, as {}", file.display()))
        }
        ErrorKind::PermissionDenied => Some(
            "the user that runs the server must be allowed to create and write it (a systemd unit \
             needs LogsDirectory=sockeye, for /var/log/sockeye)"
                .into(),
        ),
        _ => None,
    }
}

pub(crate) fn message(flags: args::Message, stdout: Stdout) -> Result<Message, Error> {
    let limits = protocol::Limits {
        content: flags.max_content.bytes(),
        header_timeout: flags.header_timeout.0,
        content_timeout: flags.content_timeout.0,
        idle_timeout: flags.idle_timeout.0,
        write_timeout: flags.serve.write_timeout.0,
        ..protocol::Limits::default()
    };
    let websocket = ws::Limits {
        fragments: flags.max_fragments,
        ping_after: Some(flags.ping_after.0),
        ..limits.websocket()
    };
    let frames_only = flags.frames_only;
    if frames_only && !(flags.hosts.host.is_empty() && flags.origin.is_empty()) {
        return Err(Error::usage(
            "--host and --origin are for HTTP, which --frames-only turns off",
        ));
    }
    let origins = origins(&flags.origin, "send messages")?;
    let hosts = hosts::allowed(&flags.hosts.host).or_usage()?;
    let names = tls::names(&flags.listen, &hosts);
    // Messages in frames have no protocol name for ALPN.
    let alpn = if frames_only { &[] } else { flags.http2.alpn() };
    warn_of_state(&flags.tls, "--tls self-signed");
    let certificates = tls::certificates(&flags.tls, alpn, &names, None)?;
    let serve = serve(flags.listen, &flags.serve, certificates, None)?;
    let answers = flags.answers.map(Answers::of).transpose()?.unwrap_or_default();
    if !frames_only {
        warn_of_websocket_share("--max-content", flags.max_content, &serve.config);
    }
    let access = lines(stdout, flags.serve.log);
    let http2 = flags.http2.is_on();
    Ok(Message { serve, answers, access, limits, websocket, frames_only, http2, hosts, origins })
}

pub(crate) fn echo(flags: args::Echo, stdout: Stdout) -> Result<Echo, Error> {
    let websocket = flags.websocket;
    if !websocket.is_on && !websocket.hosts.host.is_empty() {
        return Err(Error::usage("--host needs --websocket: it is for HTTP requests"));
    }
    let hosts = hosts::allowed(&websocket.hosts.host).or_usage()?;
    let names = tls::names(&flags.listen, &hosts);
    // The echo protocol (RFC 862) has no name for ALPN.
    let alpn: &[&[u8]] = if websocket.is_on { &HTTP_ALPN } else { &[] };
    warn_of_state(&flags.tls, "--tls self-signed");
    let certificates = tls::certificates(&flags.tls, alpn, &names, None)?;
    let serve = serve(flags.listen, &flags.serve, certificates, None)?;
    if websocket.is_on {
        warn_of_websocket_share("--max-message", websocket.max_message, &serve.config);
    }
    let access = lines(stdout, flags.serve.log);
    let limits = ws::Limits {
        message: websocket.max_message.0,
        fragments: websocket.max_fragments,
        ping_after: Some(websocket.ping_after.0),
        ..ws::Limits::default()
    };
    let origins = origins(&websocket.origin, "open WebSockets")?;
    let deflate = websocket.deflate;
    let idle = flags.idle_timeout.0;
    let http = http_core::Limits {
        idle_timeout: idle,
        write_timeout: flags.serve.write_timeout.0,
        ..http_core::Limits::default()
    };
    let websocket = websocket.is_on.then_some(WebSocket { http, limits, hosts, origins, deflate });
    Ok(Echo { serve, access, idle, websocket })
}

/// Converts the values of `--origin`. `what` says, for an error, what pages of an allowed origin
/// may do.
fn origins(typed: &[String], what: &str) -> Result<AllowedOrigins, Error> {
    let hint = "To allow an origin, start sockeye with --origin URL";
    let mut origins = AllowedOrigins::default().hint(hint).on_refused(|origin| {
        let origin = origin.unwrap_or("(none, or malformed)");
        tracing::warn!(
            target: "sockeye", origin,
            "a web page was refused because of its origin; allow it with --origin URL"
        );
    });
    for origin in typed {
        if origin == "*" {
            return Err(Error::usage(format!(
                "--origin * would let every website {what}; name each allowed origin",
            )));
        }
        origins = origins.allow(origin);
    }
    Ok(origins)
}

/// The settings that all servers share. `redirects`, `loopback_only`, `sends_files` and
/// `is_public_ca` are left at their defaults.
fn serve(
    listen: Vec<ListenAddr>,
    flags: &args::Serve,
    certificates: Option<Certificates>,
    acme: Option<Acme>,
) -> Result<Serve, Error> {
    for (at, address) in listen.iter().enumerate() {
        let picks_a_port = matches!(address, ListenAddr::Any(0) | ListenAddr::Host(_, 0));
        if !picks_a_port && listen[..at].contains(address) {
            return Err(Error::usage(format!("--listen {address} is given twice")));
        }
    }
    if let Some(certificates) = &certificates
        && listen.iter().all(|at| matches!(at, ListenAddr::Unix(_)))
    {
        let (flags, address) = match &acme {
            None => ("--tls", "127.0.0.1:8443"),
            Some(acme) if acme.pairs() == certificates.pairs() => ("--acme", ":443"),
            Some(_) => ("--tls and --acme", ":443"),
        };
        return Err(Error::usage(format!(
            "TLS needs an address, but --listen has only Unix sockets, which don't use TLS: add \
             --listen {address}, or remove {flags}"
        )));
    }
    let workers = match flags.workers {
        Some(count) => {
            NonZeroUsize::new(count.into()).context("--workers must be at least 1").or_usage()?
        }
        None => usable_cores(),
    };
    let config = Config {
        max_connections: flags.max_connections.get(),
        max_connections_per_address: flags.max_connections_per_address.get(),
        max_buffered_output: flags.max_buffered.0,
        write_timeout: flags.write_timeout.0,
        lame_duck: flags.lame_duck.0,
        drain_timeout: flags.drain_timeout.0,
        tls: certificates.as_ref().map(Certificates::acceptor),
        ..Config::default()
    };
    let redirects = Vec::new();
    Ok(Serve {
        listen,
        workers,
        config,
        certificates,
        redirects,
        loopback_only: false,
        sends_files: false,
        acme,
        is_public_ca: false,
    })
}
