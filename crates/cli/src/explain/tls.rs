//! What TLS adds to an explanation: redirects to HTTPS, the certificate and headers.

use std::fmt::Write;
use std::time::SystemTime;

use sockeye::engine::ListenAddr;

use crate::args;
use crate::error::Error;
use crate::plan::tls;
use crate::text;

/// The scheme, host and port of a URL that is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) is_https: bool,
    /// As in the URL: an IPv6 address has brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// What a client gets before, or instead of, the response of the folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The response of the folders. More lines about it follow the explanation.
    Folders(String),
    /// The text about another response, or about none; whether this is a success.
    Instead(String, bool),
}

/// What a server with these flags does with a URL. `origin` is `None` if only its path is given.
/// `target` is its request target.
pub(super) fn outcome(
    flags: &args::Http,
    origin: Option<Origin<'_>>,
    target: &str,
) -> Result<Outcome, Error> {
    let redirects = tls::redirects(flags)?;
    if !tls::is_used(flags) {
        let note = match origin {
            Some(Origin { is_https: true, .. }) => {
                "  TLS: not by this server, but by a proxy in front; or add --tls CERT,KEY or --acme NAME\n"
            }
            _ => "",
        };
        return Ok(Outcome::Folders(note.into()));
    }
    let mut more = String::new();
    match origin {
        Some(origin) if !origin.is_https => {
            return Ok(plain(flags, &redirects, origin, target));
        }
        Some(origin) => match certificate(flags, origin.host)? {
            Some(lines) => more.push_str(&lines),
            None => {
                let host = text::escape_controls(origin.host);
                let what = format!(
                    "No response: no certificate is for {host}, so the handshake is refused (alert \
                     unrecognized_name)\n  fix: add a certificate for it with --tls, or leave out \
                     --tls-unknown-name refuse\n"
                );
                return Ok(Outcome::Instead(what, false));
            }
        },
        None => {}
    }
    if let Some(client_ca) = &flags.tls.client_ca {
        let path = client_ca.display();
        let need = if flags.tls.client_ca_optional { "optional" } else { "required" };
        // Writing to a text never fails.
        let _ = writeln!(more, "  client certificate: {need}, from an authority in {path}");
    }
    let hsts = flags.https.hsts.map(|age| age.0.as_secs());
    let hsts = hsts.map(|age| format!("  Strict-Transport-Security: max-age={age}\n"));
    Ok(Outcome::Folders(hsts.unwrap_or_default() + &more))
}

/// The response to a request without TLS.
fn plain(
    flags: &args::Http,
    redirects: &[ListenAddr],
    origin: Origin<'_>,
    target: &str,
) -> Outcome {
    let Origin { host, port, .. } = origin;
    let ports = |addresses: &[ListenAddr]| -> Vec<u16> {
        let port = |address: &ListenAddr| match address {
            ListenAddr::Any(port) | ListenAddr::Host(_, port) => Some(*port),
            ListenAddr::Unix(_) => None,
        };
        addresses.iter().filter_map(port).collect()
    };
    let tls_ports = ports(&flags.listen);
    // A redirecting port leads to the port of TLS, and a port of TLS to itself.
    let to = match ports(redirects).contains(&port) {
        true => tls_ports.first().copied(),
        false => tls_ports.contains(&port).then_some(port),
    };
    let Some(to) = to else {
        let fix = match redirects {
            [] => "--https-redirect listens at port 80, too, or at another address",
            _ => "ask for the port of --listen or --https-redirect, or for https://",
        };
        let what = format!(
            "No response: this server has no port {port} without a proxy or container in front\n  \
             fix: {fix}\n"
        );
        return Outcome::Instead(what, false);
    };
    let port = if to == 443 { String::new() } else { format!(":{to}") };
    let host = text::escape_controls(host);
    let what = format!(
        "308 Permanent Redirect: plain HTTP is redirected to HTTPS\n  Location: \
         https://{host}{port}{target}\n"
    );
    Outcome::Instead(what, true)
}

/// The names that the server allows because it has certificates for them.
pub(super) fn hosts(flags: &args::Http) -> Vec<String> {
    let acme = flags.acme.acme.iter().flat_map(|names| names.split(','));
    let mut names: Vec<_> = acme.map(str::to_owned).collect();
    // Explaining must not make a certificate. An error in a file is reported by `certificate`.
    if !tls::uses_self_signed(&flags.tls)
        && let Ok(Some(certificates)) = tls::certificates(&flags.tls, &[], &[], None)
    {
        names.extend(certificates.hosts());
    }
    names
}

/// The lines about the certificate that answers `host`. `None`: the handshake is refused.
fn certificate(flags: &args::Http, host: &str) -> Result<Option<String>, Error> {
    let acme = || flags.acme.acme.iter().flat_map(|names| names.split(','));
    if acme().any(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(Some(
            "  certificate: of --acme, once it is issued, which the log says\n".into(),
        ));
    }
    if flags.tls.tls.is_empty() {
        if flags.tls.tls_unknown_name == args::UnknownName::Refuse {
            return Ok(None);
        }
        let names: Vec<_> = acme().collect();
        let (names, host) = (text::escape_controls(&names.join(", ")), text::escape_controls(host));
        return Ok(Some(format!(
            "  certificate: of --acme, for {names}\n  fix: browsers refuse it for {host}: add --acme \
             {host}\n"
        )));
    }
    // Explaining must not make a certificate.
    if tls::uses_self_signed(&flags.tls) {
        let others = if flags.tls.tls.len() > 1 { ", or by name one of the others" } else { "" };
        return Ok(Some(format!("  certificate: self-signed, so browsers warn{others}\n")));
    }
    let certificates = match tls::certificates(&flags.tls, &[], &[], None) {
        Ok(certificates) => certificates,
        Err(error @ Error::Usage(_)) => return Err(error),
        // The key may be readable by the server's user only.
        Err(Error::Failure(error)) => {
            return Ok(Some(format!("  certificate: unknown: {error:#}\n")));
        }
    };
    let Some(certificates) = certificates else { return Ok(Some(String::new())) };
    let Some((found, is_for_host)) = certificates.explain(host, SystemTime::now()) else {
        return Ok(None);
    };
    let mut lines = format!("  certificate: {}\n", text::escape_controls(&found));
    if !is_for_host {
        let host = text::escape_controls(host);
        let _ = writeln!(lines, "  fix: browsers refuse it for {host}: add one for it with --tls");
    }
    Ok(Some(lines))
}
