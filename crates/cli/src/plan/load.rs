//! What will be asked.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use sockeye::engine::driver;
use sockeye_load::{HttpRequest, LoadKind, PreparedRequest, Until};

use super::contents::{self, Kind};
use super::send::{addresses, reserve_descriptors};
use crate::args;
use crate::error::{Error, OrExit};
use crate::target::{LoadTarget, SocketTarget};

/// Descriptors that a load needs besides its connections, for each thread and in all.
const OTHER_DESCRIPTORS: u64 = 64;

/// What an echo is asked to send back.
const DOTS: [u8; 64] = [b'.'; 64];

/// What a service of messages is asked: what every one of ours can find.
const SEARCH: &str = r#"{"action": "search", "value": "ring"}"#;

/// A load, with the addresses to try.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) plan: sockeye_load::Plan,
    pub(crate) addresses: Vec<driver::Target>,
    /// The targets, in the order of the plan's requests.
    pub(crate) targets: Vec<LoadTarget>,
    pub(crate) json: bool,
}

pub(super) fn load(typed: args::Load) -> Result<Load, Error> {
    let first = typed.targets.first().context("there is nothing to load").or_usage()?;
    let (kind, requests) = match first {
        LoadTarget::Http { .. } => (LoadKind::Http, http(&typed)?),
        LoadTarget::Other(SocketTarget::Message(..)) => {
            (LoadKind::Messages, vec![message(&typed)?])
        }
        LoadTarget::Other(_) => (LoadKind::Echo, vec![echo(&typed)?]),
    };
    let server = match &typed.request.unix_socket {
        Some(socket) => socket.clone(),
        None => first.server(),
    };
    let addresses = addresses(&server).or_failure()?;
    let mut plan = sockeye_load::Plan::new(kind, requests);
    let connections = NonZeroUsize::new(typed.connections as usize).context("no connection");
    plan.connections = connections.or_usage()?;
    plan.threads = NonZeroUsize::new(typed.threads.into()).context("no thread").or_usage()?;
    plan.until = match typed.requests {
        Some(count) => Until::Requests(count.get()),
        None => Until::Time(typed.duration.0),
    };
    plan.rate = typed.rate.map(|rate| rate.0);
    plan.pipeline = typed.pipeline;
    plan.per_connection =
        if typed.close { Some(NonZeroU64::MIN) } else { typed.requests_per_connection };
    plan.verify = typed.verify;
    plan.max_content = typed.max_content.0 as u64;
    plan.timeout = typed.timeout.0;
    plan.connect_timeout = typed.connect_timeout.0;
    let others = u64::from(typed.threads) * 8 + OTHER_DESCRIPTORS;
    reserve_descriptors(typed.connections.into(), others).or_failure()?;
    Ok(Load { plan, addresses, targets: typed.targets, json: typed.json })
}

/// What was given to send.
fn body(typed: &args::RequestFlags) -> Result<Option<Bytes>, Error> {
    match (&typed.body, &typed.body_file) {
        (Some(text), _) => Ok(Some(text.clone().into())),
        (None, Some(path)) => contents::read_file(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn http(typed: &args::Load) -> Result<Vec<PreparedRequest>, Error> {
    let flags = &typed.request;
    let body = body(flags)?;
    let default = if body.is_some() { "POST" } else { "GET" };
    let field = |field: &String| {
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        (name.to_owned(), value.to_owned())
    };
    let mut request = HttpRequest {
        method: flags.method.clone().unwrap_or_else(|| default.into()),
        host: String::new(),
        target: String::new(),
        fields: flags.header.iter().map(field).collect(),
        body,
        chunked: flags.chunked,
    };
    let mut asks = Vec::new();
    for target in &typed.targets {
        if let LoadTarget::Http { path, .. } = target {
            request.host = target.authority();
            request.target.clone_from(path);
            let ask = request.prepare().with_context(|| format!("cannot ask {target}"));
            asks.push(ask.or_usage()?);
        }
    }
    Ok(asks)
}

fn echo(typed: &args::Load) -> Result<PreparedRequest, Error> {
    let bytes = body(&typed.request)?.unwrap_or(Bytes::from_static(&DOTS));
    if bytes.is_empty() {
        return Err(Error::Usage(anyhow!(
            "nothing can't come back: give at least one byte to send"
        )));
    }
    Ok(PreparedRequest::bytes(bytes))
}

fn message(typed: &args::Load) -> Result<PreparedRequest, Error> {
    let flags = &typed.request;
    let content = match (&flags.body, &flags.body_file) {
        (Some(text), _) => vec![OsString::from(text)],
        (None, None) => vec![SEARCH.into()],
        (None, Some(_)) => Vec::new(),
    };
    let files: Vec<_> = flags.body_file.iter().cloned().collect();
    let mut messages = contents::read(&content, &files, Kind::of(None, None))?;
    let message = messages.pop().context("there is nothing to send").or_usage()?;
    PreparedRequest::message(&message).context("the message's header would be too long").or_usage()
}
