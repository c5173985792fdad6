//! What `sockeye explain` says about TLS: redirects to HTTPS, the certificate, and headers.

use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use sockeye::engine::ListenAddr;
use sockeye::http_core::Status;

use crate::error::{Error, OrUsage};
use crate::plan::{acme, tls};
use crate::target::HTTP_PORT;
use crate::tls::{Certificates, RedirectRequest, Redirects};
use crate::{args, hosts, text};

/// The scheme, host and port of the URL to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) is_https: bool,
    /// As in the URL: an IPv6 address has brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// Whether the response comes from the folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TlsOutcome {
    /// It does. The text is appended to the explanation of the response.
    Folders(String),
    /// It doesn't: there is another response (such as a redirect) or none. The fields are the text
    /// to print, and whether the command succeeds.
    Instead(String, bool),
}

/// Finds out what a server with these flags does with a URL. `origin` is `None` if the user gave
/// only a path. `target` is the URL's request target.
pub(super) fn outcome(
    flags: &args::Http,
    origin: Option<Origin<'_>>,
    target: &str,
) -> Result<TlsOutcome, Error> {
    let redirects = tls::redirects(flags)?;
    let acme_names = acme_names(flags)?;
    if !tls::is_used(flags) {
        let note = match origin {
            Some(Origin { is_https: true, .. }) => {
                "  TLS: not by this server, but by a proxy in front; or add --tls CERT,KEY or --acme NAME\n"
            }
            _ => "",
        };
        return Ok(TlsOutcome::Folders(note.into()));
    }
    let certificates = match file_certificates(&flags.tls)? {
        FileCertificates::Refused(why) => {
            let what = format!("No response: the server does not start: {why}\n");
            return Ok(TlsOutcome::Instead(what, false));
        }
        certificates => certificates,
    };
    let mut more = String::new();
    match origin {
        Some(origin) if !origin.is_https => {
            return plain(flags, &redirects, origin, target);
        }
        Some(origin) => match certificate(flags, certificates, &acme_names, origin.host) {
            Some(lines) => more.push_str(&lines),
            None => {
                let host = text::escape_controls(origin.host);
                let what = format!(
                    "No response: no certificate is for {host}, so the handshake is refused (alert \
                     unrecognized_name)\n  fix: add a certificate for it with --tls, or leave out \
                     --tls-unknown-name refuse\n"
                );
                return Ok(TlsOutcome::Instead(what, false));
            }
        },
        None => {}
    }
    if let Some(client_ca) = &flags.tls.client_ca {
        let path = client_ca.display();
        let need = if flags.tls.client_ca_optional { "optional" } else { "required" };
        // Writing to a string can't fail.
        let _ = writeln!(more, "  client certificate: {need}, from an authority in {path}");
    }
    let hsts = flags.https.hsts.map(|age| age.0.as_secs());
    let hsts = hsts.map(|age| format!("  Strict-Transport-Security: max-age={age}\n"));
    Ok(TlsOutcome::Folders(hsts.unwrap_or_default() + &more))
}

/// The response to a GET request without TLS.
fn plain(
    flags: &args::Http,
    redirects: &[ListenAddr],
    origin: Origin<'_>,
    target: &str,
) -> Result<TlsOutcome, Error> {
    let Origin { host, port, .. } = origin;
    let port_of = |address: &ListenAddr| match address {
        ListenAddr::Any(port) | ListenAddr::Host(_, port) => Some(*port),
        ListenAddr::Unix(_) => None,
    };
    let listeners = [&flags.listen[..], redirects].concat();
    let Some(via) = listeners.iter().position(|address| port_of(address) == Some(port)) else {
        let fix = match redirects {
            [] => "--https-redirect listens at port 80, too, or at another address",
            _ => "ask for the port of --listen or --https-redirect, or for https://",
        };
        let what = format!(
            "No response: this server doesn't listen at port {port} (a proxy or container in front \
             may)\n  fix: {fix}\n"
        );
        return Ok(TlsOutcome::Instead(what, false));
    };
    let named = hosts::allowed(&flags.hosts.host).or_usage()?;
    let are_named = named.names().next().is_some();
    let ip = |address: &ListenAddr| match address {
        ListenAddr::Host(host, _) => host.parse().ok().map(|ip: IpAddr| ip.to_canonical()),
        ListenAddr::Any(_) | ListenAddr::Unix(_) => None,
    };
    let rules = Redirects {
        port: flags.listen.iter().find_map(port_of).unwrap_or_default(),
        // Listeners with this number or a higher one do nothing but redirect.
        first: flags.listen.len() as u32,
        checked: listeners.iter().map(|at| are_named || hosts::is_loopback(at)).collect(),
        hosts: hosts::and(named, &hosts(flags)),
        ips: listeners.iter().filter_map(ip).collect(),
        challenges: None,
    };
    // Clients leave the default port out of the Host header.
    let authority = if port == HTTP_PORT { host.to_owned() } else { format!("{host}:{port}") };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes())),
        None => (target, None),
    };
    let requested = RedirectRequest {
        via: via as u32,
        host: Some(authority.as_bytes()),
        path: path.as_bytes(),
        query,
        // GET or HEAD.
        is_read: true,
    };
    Ok(match rules.location(requested) {
        Ok(location) => {
            let what = format!(
                "{}: plain HTTP is redirected to HTTPS\n  Location: {location}\n",
                Status::PERMANENT_REDIRECT
            );
            TlsOutcome::Instead(what, true)
        }
        Err((status, why)) => TlsOutcome::Instead(format!("{status}: {why}\n"), false),
    })
}

/// The names of each certificate of `--acme`.
fn acme_names(flags: &args::Http) -> Result<Vec<Vec<String>>, Error> {
    let is_public = flags.acme.acme_directory.is_public;
    flags.acme.acme.iter().map(|list| acme::parse_names(list, is_public)).collect()
}

/// The host names that a server with these flags allows because its certificates have them.
pub(super) fn hosts(flags: &args::Http) -> Vec<String> {
    // `given_certificates` doesn't create a self-signed certificate. Errors are ignored here, since
    // [`outcome`] reports them.
    let mut names = acme_names(flags).unwrap_or_default().concat();
    if let Ok(Some(certificates)) = tls::given_certificates(&flags.tls) {
        names.extend(certificates.hosts());
    }
    names
}

/// The certificates in the files of `--tls`.
enum FileCertificates {
    /// `--tls` names no files.
    Nothing,
    /// The certificates that a server would use.
    Certificates(Box<Certificates>),
    /// The user of this command has no permission to read the files, but the server's user may have
    /// it. The text is the error.
    Unreadable(String),
    /// A server with these files doesn't start. The text is the error.
    Refused(String),
}

fn file_certificates(flags: &args::Tls) -> Result<FileCertificates, Error> {
    Ok(match tls::given_certificates(flags) {
        Ok(None) => FileCertificates::Nothing,
        Ok(Some(certificates)) => FileCertificates::Certificates(certificates.into()),
        Err(error @ Error::Usage(_)) => return Err(error),
        Err(Error::Failure(error)) => {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            let text = text::escape_controls(&error.to_string());
            match kind {
                Some(io::ErrorKind::PermissionDenied) => FileCertificates::Unreadable(text),
                _ => FileCertificates::Refused(text),
            }
        }
    })
}

/// The lines about the certificate that clients get for `host`. `None`: the handshake is refused.
fn certificate(
    flags: &args::Http,
    file_certificates: FileCertificates,
    acme_names: &[Vec<String>],
    host: &str,
) -> Option<String> {
    if acme_names.iter().flatten().any(|name| name.eq_ignore_ascii_case(host)) {
        return Some("  certificate: of --acme, once it is issued, which the log says\n".into());
    }
    let is_ip = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    // Clients send no server name (SNI) for an IP address, so `--tls-unknown-name` doesn't apply.
    let may_be_refused = flags.tls.tls_unknown_name == args::UnknownName::Refuse && !is_ip;
    if flags.tls.tls.is_empty() {
        if may_be_refused {
            return None;
        }
        let (names, host) = (acme_names.concat().join(", "), text::escape_controls(host));
        let fix = match is_ip {
            true => "use one of these names, because --acme supports no IP addresses".into(),
            false => format!("add --acme {host}"),
        };
        return Some(format!(
            "  certificate: of --acme, for {names}\n  fix: browsers refuse it for {host}: {fix}\n"
        ));
    }
    // The self-signed certificate may not exist yet, and `explain` must not create it.
    if tls::uses_self_signed(&flags.tls) {
        if may_be_refused {
            let is_other_for = match &file_certificates {
                FileCertificates::Certificates(others) => {
                    Ok(others.explain(host, SystemTime::now()).is_some())
                }
                FileCertificates::Unreadable(why) => Err(why.clone()),
                FileCertificates::Nothing | FileCertificates::Refused(_) => Ok(false),
            };
            let is_own_for = tls::is_self_signed_for(flags, host)
                .map_err(|error| text::escape_controls(&error.to_string()));
            match (is_own_for, is_other_for) {
                (Ok(true), _) | (_, Ok(true)) => {}
                (Err(why), _) | (_, Err(why)) => {
                    return Some(format!("  certificate: unknown: {why}\n"));
                }
                (Ok(false), Ok(false)) => return None,
            }
        }
        let others = if flags.tls.tls.len() > 1 {
            "; or another one of --tls, if it has this name"
        } else {
            ""
        };
        return Some(format!("  certificate: self-signed, so browsers warn{others}\n"));
    }
    let certificates = match file_certificates {
        FileCertificates::Certificates(certificates) => certificates,
        FileCertificates::Nothing | FileCertificates::Refused(_) => return Some(String::new()),
        FileCertificates::Unreadable(why) => {
            return Some(format!("  certificate: unknown: {why}\n"));
        }
    };
    let (found, is_for_host) = certificates.explain(host, SystemTime::now())?;
    let mut lines = format!("  certificate: {}\n", text::escape_controls(&found));
    if !is_for_host {
        let host = text::escape_controls(host);
        let _ = writeln!(
            lines,
            "  fix: browsers refuse it for {host}: add a certificate for {host} with --tls"
        );
    }
    Some(lines)
}
