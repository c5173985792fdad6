//! What will run as a server.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sockeye::engine::{Config, ListenAddr, usable_cores};
use sockeye::http_core;
use sockeye::http_core::AllowedHosts;
use sockeye::message::protocol as message;
use sockeye::message::protocol::AllowedOrigins;

use super::Content;
use crate::access::{self, Target};
use crate::answers::Answers;
use crate::error::{Error, OrExit};
use crate::proxies::Proxies;
use crate::{args, hosts};

/// What a server needs, whatever it speaks.
#[derive(Debug)]
pub(crate) struct Serve {
    pub(crate) listen: Vec<ListenAddr>,
    pub(crate) workers: NonZeroUsize,
    pub(crate) config: Config,
}

#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) serve: Serve,
    pub(crate) content: Content,
    pub(crate) limits: http_core::Limits,
    pub(crate) access: Option<access::Plan>,
    pub(crate) proxies: Proxies,
    /// Those that are allowed at loopback addresses.
    pub(crate) hosts: AllowedHosts,
}

#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) serve: Serve,
    pub(crate) idle: Duration,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) serve: Serve,
    pub(crate) answers: Answers,
    pub(crate) limits: message::Limits,
    /// Not HTTP.
    pub(crate) frames_only: bool,
    /// Those that are allowed at loopback addresses, of HTTP.
    pub(crate) hosts: AllowedHosts,
    /// Blame pages may send messages over HTTP.
    pub(crate) origins: AllowedOrigins,
}

pub(super) fn http(typed: args::Http) -> Result<Http, Error> {
    let limits = http_limits(&typed).or_usage()?;
    let content = Content::of(typed.content)?;
    let proxies = Proxies::new(typed.trusted_proxy);
    let hosts = hosts::allowed(typed.host).or_usage()?;
    let mut serve = serve(typed.listen, &typed.serve).or_usage()?;
    serve.config.uncounted = proxies.networks().to_vec();
    let access = access_log(typed.access_log, typed.access_log_format)?;
    Ok(Http { serve, content, limits, access, proxies, hosts })
}

fn http_limits(typed: &args::Http) -> anyhow::Result<http_core::Limits> {
    let limits = http_core::Limits {
        request_line: typed.max_request_line.0,
        head: typed.max_header.0,
        fields: typed.max_header_fields.get(),
        head_timeout: typed.head_timeout.0,
        idle_timeout: typed.idle_timeout.0,
        ..http_core::Limits::default()
    };
    ensure!(
        limits.request_line <= limits.head,
        "--max-request-line ({}) is part of --max-header ({}), and can't be larger",
        typed.max_request_line,
        typed.max_header
    );
    Ok(limits)
}

/// Opens the access log, so that one that can't be written is heard of before anything begins.
fn access_log(
    path: Option<PathBuf>,
    format: access::Format,
) -> Result<Option<access::Plan>, Error> {
    let Some(path) = path else { return Ok(None) };
    let target = if path == Path::new("-") {
        Target::Stderr
    } else {
        let doing = format!("--access-log: cannot write to {}", path.display());
        Target::file(path).map_err(|error| Error::of_path(error, doing))?
    };
    Ok(Some(access::Plan { target, format }))
}

pub(super) fn echo(typed: args::Echo) -> anyhow::Result<Echo> {
    Ok(Echo { serve: serve(typed.listen, &typed.serve)?, idle: typed.idle_timeout.0 })
}

pub(super) fn message(typed: args::Message) -> Result<Message, Error> {
    let answers = typed.answers.clone();
    let mut message = checked_message(typed).or_usage()?;
    if let Some(path) = answers {
        message.answers = Answers::of(path)?;
    }
    Ok(message)
}

/// With the answers of the reference service.
fn checked_message(typed: args::Message) -> anyhow::Result<Message> {
    let limits = message::Limits {
        content: typed.max_content.0 as u64,
        header_timeout: typed.header_timeout.0,
        content_timeout: typed.content_timeout.0,
        idle_timeout: typed.idle_timeout.0,
        ..message::Limits::default()
    };
    let frames_only = typed.frames_only;
    if frames_only && !(typed.host.is_empty() && typed.origin.is_empty()) {
        bail!("--host and --origin are for HTTP, which --frames-only leaves out");
    }
    let hosts = hosts::allowed(typed.host)?;
    let mut origins =
        AllowedOrigins::default().hint("To allow an origin, start sockeye with --origin URL");
    for args::Origin(origin) in typed.origin {
        if origin == "*" {
            bail!("--origin * would let every website send messages: name the origins that may");
        }
        origins = origins.allow(&origin);
    }
    let serve = serve(typed.listen, &typed.serve)?;
    let answers = Answers::default();
    Ok(Message { serve, answers, limits, frames_only, hosts, origins })
}

fn serve(listen: Vec<ListenAddr>, typed: &args::Serve) -> anyhow::Result<Serve> {
    for (at, address) in listen.iter().enumerate() {
        let picks_a_port = matches!(address, ListenAddr::Any(0) | ListenAddr::Host(_, 0));
        if !picks_a_port && listen[..at].contains(address) {
            bail!("--listen {address} is given twice");
        }
    }
    let workers = match typed.workers {
        Some(count) => NonZeroUsize::new(count.into()).context("there must be a worker")?,
        None => usable_cores(),
    };
    let config = Config {
        max_connections: typed.max_connections.get(),
        max_connections_per_address: typed.max_connections_per_address.get(),
        max_buffered_output: typed.max_buffered.0,
        write_timeout: typed.write_timeout.0,
        lame_duck: typed.lame_duck.0,
        drain_timeout: typed.drain_timeout.0,
        ..Config::default()
    };
    Ok(Serve { listen, workers, config })
}
