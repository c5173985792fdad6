//! The plan for TLS of the client commands.

use std::net::IpAddr;
use std::sync::Arc;

use sockeye::tls::{Certificate, ClientError, ClientSettings, Trust};

use super::tls::split_cert_and_key;
use crate::args;
use crate::client_tls::{ClientTls, HttpVersions};
use crate::error::Error;
use crate::target::Target;

/// Prepares TLS to `target`. Returns `None` if the target doesn't use TLS. An HTTP target is
/// offered `versions` (ALPN). `resume` says whether to resume TLS sessions.
pub(super) fn client_tls(
    flags: &args::ClientTls,
    target: &Target,
    versions: HttpVersions,
    resume: bool,
) -> Result<Option<ClientTls>, Error> {
    let trust = match flags {
        args::ClientTls { insecure: true, .. } => Trust::Anything,
        args::ClientTls { ca, .. } if ca.is_empty() => Trust::System,
        args::ClientTls { ca, .. } => Trust::Files(ca.clone()),
    };
    with_trust(flags, target, trust, (versions, resume))
}

/// Like [`client_tls`], for `sockeye health`: without `--ca`, the certificate of localhost or a
/// loopback address is not verified.
pub(super) fn health_tls(
    flags: &args::ClientTls,
    target: &Target,
) -> Result<Option<ClientTls>, Error> {
    match flags.ca.is_empty() && target.tls_host().is_some_and(is_loopback) {
        true => with_trust(flags, target, Trust::Anything, (HttpVersions::Any, false)),
        false => client_tls(flags, target, HttpVersions::Any, false),
    }
}

/// Like [`client_tls`], but `trust` says which certificates are accepted.
fn with_trust(
    flags: &args::ClientTls,
    target: &Target,
    trust: Trust,
    (versions, resume): (HttpVersions, bool),
) -> Result<Option<ClientTls>, Error> {
    let Some(host) = target.tls_host() else { return Ok(None) };
    let versions = match target {
        // The client commands open WebSockets only over HTTP/1.1.
        Target::WebSocket { .. } => HttpVersions::Http1,
        _ => versions,
    };
    let alpn = match target {
        Target::Http { .. } | Target::WebSocket { .. } => versions.alpn(),
        _ => Vec::new(),
    };
    let certificate = match &flags.cert {
        None => None,
        Some(value) => {
            let [chain, key] = split_cert_and_key(value);
            let read = Certificate::from_files(&chain, &key);
            Some(read.map_err(|error| failure(error).of_flag("--cert"))?)
        }
    };
    let has_certificate = certificate.is_some();
    let settings = ClientSettings { alpn, trust, certificate, resume };
    let client = settings.client(host).map_err(|error| match error {
        ClientError::Certificate(error) if !flags.ca.is_empty() => failure(error).of_flag("--ca"),
        ClientError::NoRoots { .. } => Error::Failure(anyhow::anyhow!(
            "{error}: install your system's package of them (ca-certificates), or write --ca FILE"
        )),
        ClientError::InvalidName(_) => Error::usage(format!("{target}: {error}")),
        error => failure(error),
    })?;
    Ok(Some(ClientTls { client, target: target.clone(), versions, has_certificate }))
}

/// Converts `error` to a failure without a source, since the text of `error` includes the text of
/// its source.
fn failure(error: impl std::fmt::Display) -> Error {
    Error::Failure(anyhow::anyhow!("{error}"))
}

/// Converts the TLS settings to those of the load client (`sockeye-load`).
pub(super) fn of_load(tls: ClientTls) -> sockeye_load::Tls {
    let connector = tls.connector().clone();
    let explain = move |reason: &_| tls.explain(reason).map(|fault| fault.to_string());
    sockeye_load::Tls { connector, explain: Arc::new(explain) }
}

fn is_loopback(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || host.eq_ignore_ascii_case("localhost")
}
