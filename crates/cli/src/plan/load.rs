//! The plans of `sockeye load` and `sockeye health`.

use std::num::{NonZeroU64, NonZeroUsize};

use anyhow::Context;
use bytes::Bytes;
use sockeye::engine::driver;
use sockeye_load::{HttpRequest, LoadKind, PreparedRequest, Until, WebSocketOpening};

use super::client_tls::{client_tls, health_tls, of_load};
use super::messages::{self, TypeFlags};
use super::send::{addresses, reserve_descriptors};
use super::websocket::{OwnedMessage, UpgradeRequest};
use crate::args;
use crate::client_tls::HttpVersions;
use crate::error::{Error, OrUsage};
use crate::target::Target;

/// File descriptors per thread, besides those of connections, with a margin.
const DESCRIPTORS_PER_THREAD: u64 = 8;
/// Other file descriptors of the process, with a margin.
const OTHER_DESCRIPTORS: u64 = 64;

/// The bytes to send by default to an echo server, or in a message to a WebSocket.
const ECHO: [u8; 64] = [b'.'; 64];

/// The message to send to a message server by default. `sockeye message` can answer it.
const SEARCH: &str = r#"{"action": "search", "value": "ring"}"#;

/// The plan of `sockeye load`.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) plan: sockeye_load::Plan,
    /// The server's addresses, in the order to try them.
    pub(crate) addresses: Vec<driver::Target>,
    /// The targets of the plan's requests, in the same order.
    pub(crate) targets: Vec<Target>,
    /// Whether to print the report as JSON.
    pub(crate) json: bool,
}

/// The plan of `sockeye health`.
#[derive(Debug)]
pub(crate) struct Health {
    /// One request on one connection.
    pub(crate) plan: sockeye_load::Plan,
    /// The server's addresses, in the order to try them.
    pub(crate) addresses: Vec<driver::Target>,
    pub(crate) target: Target,
}

pub(crate) fn health(flags: args::Health) -> Result<Health, Error> {
    let args::Health { target, timeout, unix_socket, connect_to, tls } = flags;
    let tls = health_tls(&tls, &target)?;
    let (host, path) = match &target {
        Target::Http { path, .. } => (target.authority(), path.as_str()),
        _ => ("localhost".into(), "/"),
    };
    let (kind, request) = match &target {
        Target::Http { .. } | Target::Unix(_) => {
            let mut request = HttpRequest::get(&host, path);
            let agent = concat!("sockeye-health/", env!("CARGO_PKG_VERSION"));
            request.fields.push(("User-Agent".into(), agent.into()));
            let prepared = request.prepare();
            let prepared = prepared.with_context(|| format!("cannot request {target}"));
            (LoadKind::Http, prepared.or_usage()?)
        }
        Target::Message(..) => (LoadKind::Messages, prepared_message(SEARCH.into())?),
        Target::Tcp(..) => (LoadKind::Echo, PreparedRequest::bytes(Bytes::from_static(&ECHO))),
        Target::WebSocket { .. } => {
            let message = Bytes::from_static(&ECHO);
            (LoadKind::WebSocket, websocket(&target, &[], message)?)
        }
    };
    let addresses = addresses(unix_socket.as_ref().or(connect_to.as_ref()).unwrap_or(&target))?;
    let mut plan = sockeye_load::Plan::new(kind, vec![request]);
    plan.until = Until::Time(timeout.0);
    plan.tls = tls.map(of_load);
    // Twice the time limit of the whole plan, so that only the plan's limit ends the request.
    (plan.timeout, plan.connect_timeout) = (2 * timeout.0, 2 * timeout.0);
    // The request is the last one of its connection. By HTTP/1.1 and as a message it says so, and
    // the server may close the connection.
    plan.per_connection = Some(NonZeroU64::MIN);
    Ok(Health { plan, addresses, target })
}

pub(crate) fn load(flags: args::Load) -> Result<Load, Error> {
    let first = flags.targets.first().context("a target is missing").or_usage()?;
    let mut versions = flags.http_versions();
    let (kind, requests) = match first {
        Target::Http { .. } => http(&flags, &mut versions)?,
        Target::WebSocket { .. } => {
            let message = body(&flags.request)?.unwrap_or(Bytes::from_static(&ECHO));
            let request = websocket(first, &flags.request.header, message)?;
            (LoadKind::WebSocket, vec![request])
        }
        Target::Message(..) => (LoadKind::Messages, vec![message(&flags)?]),
        Target::Tcp(..) | Target::Unix(_) => (LoadKind::Echo, vec![echo(&flags)?]),
    };
    let elsewhere = flags.request.unix_socket.as_ref().or(flags.request.connect_to.as_ref());
    let tls = client_tls(&flags.tls, first, versions, flags.resume)?;
    let addresses = addresses(elsewhere.unwrap_or(first))?;
    let connections = NonZeroUsize::new(flags.connections as usize);
    let threads = NonZeroUsize::new(flags.threads.into());
    let mut plan = sockeye_load::Plan::new(kind, requests);
    plan.connections = connections.context("--connections must be at least 1").or_usage()?;
    plan.threads = threads.context("--threads must be at least 1").or_usage()?;
    plan.until = match flags.requests {
        Some(count) => Until::Requests(count.get()),
        None => Until::Time(flags.duration.0),
    };
    plan.rate = flags.rate;
    plan.pipeline = flags.pipeline.max(flags.streams);
    plan.per_connection =
        if flags.close { Some(NonZeroU64::MIN) } else { flags.requests_per_connection };
    plan.verify = flags.verify;
    plan.max_content = flags.max_content.bytes();
    plan.timeout = flags.timeout.0;
    plan.connect_timeout = flags.connect_timeout.0;
    plan.tls = tls.map(of_load);
    let others = u64::from(flags.threads) * DESCRIPTORS_PER_THREAD + OTHER_DESCRIPTORS;
    reserve_descriptors(flags.connections.into(), others)?;
    Ok(Load { plan, addresses, targets: flags.targets, json: flags.json })
}

/// The value of `--body` or the content of `--body-file`.
fn body(flags: &args::RequestFlags) -> Result<Option<Bytes>, Error> {
    match (&flags.body, &flags.body_file) {
        (Some(text), _) => Ok(Some(text.clone().into())),
        (None, Some(path)) => messages::read_file(path).map(Some),
        (None, None) => Ok(None),
    }
}

/// Prepares the requests of an HTTP load. If one of them can't be sent over HTTP/2, changes
/// `versions` from [`HttpVersions::Any`] to HTTP/1.1, or fails if only HTTP/2 is allowed.
fn http(
    flags: &args::Load,
    versions: &mut HttpVersions,
) -> Result<(LoadKind, Vec<PreparedRequest>), Error> {
    let typed = &flags.request;
    let body = body(typed)?;
    let default = if body.is_some() { "POST" } else { "GET" };
    let field = |field: &String| {
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        (name.to_owned(), value.to_owned())
    };
    let mut request = HttpRequest {
        method: typed.method.clone().unwrap_or_else(|| default.into()),
        host: String::new(),
        target: String::new(),
        fields: typed.header.iter().map(field).collect(),
        body,
        chunked: typed.chunked,
    };
    let mut requests = Vec::new();
    for target in &flags.targets {
        if let Target::Http { path, .. } = target {
            request.host = target.authority();
            request.target.clone_from(path);
            let prepared = request.prepare().with_context(|| format!("cannot request {target}"));
            requests.push(prepared.or_usage()?);
        }
    }
    let fits = requests.iter().all(PreparedRequest::fits_http2);
    match versions {
        HttpVersions::Http2 if !fits => Err(Error::usage(
            "the method CONNECT and the headers TE (except 'trailers'), Proxy-Connection and \
             HTTP2-Settings can't be sent by HTTP/2: leave them out, or use --http1",
        )),
        HttpVersions::Http2 => Ok((LoadKind::Http2, requests)),
        HttpVersions::Any if !fits => {
            *versions = HttpVersions::Http1;
            Ok((LoadKind::Http, requests))
        }
        HttpVersions::Any | HttpVersions::Http1 => Ok((LoadKind::Http, requests)),
    }
}

fn echo(flags: &args::Load) -> Result<PreparedRequest, Error> {
    let bytes = body(&flags.request)?.unwrap_or(Bytes::from_static(&ECHO));
    if bytes.is_empty() {
        return Err(Error::usage("an echo server needs at least one byte: --body or --body-file"));
    }
    Ok(PreparedRequest::bytes(bytes))
}

/// Prepares the request for a WebSocket, and its message: text if `content` is UTF-8, otherwise
/// binary.
fn websocket(
    target: &Target,
    headers: &[String],
    content: Bytes,
) -> Result<PreparedRequest, Error> {
    let UpgradeRequest { host, path, fields, protocols } = UpgradeRequest::new(target, headers)?;
    let opening = WebSocketOpening { host, target: path, fields, protocols };
    let is_text = str::from_utf8(&content).is_ok();
    let message = OwnedMessage::new(content, !is_text)?;
    Ok(PreparedRequest::websocket(opening, message.message()))
}

fn message(flags: &args::Load) -> Result<PreparedRequest, Error> {
    prepared_message(body(&flags.request)?.unwrap_or(SEARCH.into()))
}

fn prepared_message(content: Bytes) -> Result<PreparedRequest, Error> {
    let message = messages::message(TypeFlags::default(), content)?;
    PreparedRequest::message(&message).context("the message's header would be too long").or_usage()
}
