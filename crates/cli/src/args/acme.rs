//! The flags for ACME: certificates from an authority.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use sockeye::engine::ListenAddr;

use super::tls::Redirect;
use crate::target::HTTPS_PORT;

/// The ACME directory of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The ACME directory of Let's Encrypt's CA for tests.
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The flags of certificates from an authority.
#[derive(Args, Debug)]
pub(crate) struct Acme {
    /// Get and renew a certificate for this name, from Let's Encrypt or another --acme-directory.
    ///
    /// Using this flag agrees to the CA's terms of service, whose URL is logged. Names with commas
    /// between them share one certificate; give the flag again for another certificate. The DNS
    /// records of each name must point to this server, and the CA must reach it at port 443
    /// (tls-alpn-01) or 80 (http-01). So the server listens on :443, and on :80, which redirects,
    /// unless --listen or --port is given. With --port and without --listen, it listens on that
    /// port at all addresses of this machine. Certificates, keys and the account's key are kept in
    /// --state. Certificates are renewed at two thirds of their lifetime, or when the CA says so.
    /// Wildcards and IP addresses are not supported. Can be used with --tls. Default: none.
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    pub(crate) acme: Vec<String>,

    /// E-mail address for the account at the CA, which may write to it. Default: none.
    #[arg(long, value_name = "ADDRESS", help_heading = "TLS", value_parser = email)]
    #[arg(requires = "acme")]
    pub(crate) acme_email: Option<String>,

    /// URL of the CA's ACME directory, or the word staging: Let's Encrypt's CA for tests.
    ///
    /// No browser trusts the certificates of staging, but its limits are generous: use it until
    /// everything works. Each CA has its own account and certificates in --state. Default: Let's
    /// Encrypt.
    #[arg(long, value_name = "URL", help_heading = "TLS", value_parser = directory)]
    #[arg(requires = "acme", default_value = LETS_ENCRYPT, hide_default_value = true)]
    pub(crate) acme_directory: Directory,

    /// PEM file with the root certificates that verify the server of --acme-directory.
    ///
    /// For a CA of your own. Default: the authorities that this machine trusts.
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "acme")]
    pub(crate) acme_ca: Option<PathBuf>,
}

/// The ACME directory of a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) url: String,
    /// Whether the CA is Let's Encrypt or its CA for tests. Both issue certificates for public
    /// names only.
    pub(crate) is_public: bool,
}

fn directory(text: &str) -> Result<Directory, String> {
    let url = if text == "staging" { STAGING } else { text };
    let is_public = [LETS_ENCRYPT, STAGING].contains(&url);
    let has_host = url.strip_prefix("https://").is_some_and(|rest| !rest.starts_with('/'));
    if !has_host || url == "https://" || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "write the https:// URL of an ACME directory, as {LETS_ENCRYPT}, or the word staging"
        ));
    }
    Ok(Directory { url: url.to_owned(), is_public })
}

fn email(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b",<>:?".contains(&byte);
    match text.rsplit_once('@') {
        Some((user, host))
            if !user.is_empty() && host.contains('.') && text.bytes().all(is_plain) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write one e-mail address, as admin@example.org".into()),
    }
}

/// With `--acme` and without `--listen`, makes a server listen where CAs and browsers connect: at
/// :443 and, unless `--https-redirect` names another address for redirects, at :80. If `--port` is
/// given, :80 is not added; the caller later replaces 443 by `port`.
pub(super) fn listen(
    flags: &Acme,
    listen: &mut Vec<ListenAddr>,
    redirect: &mut Option<Redirect>,
    port: Option<u16>,
    matches: &ArgMatches,
) {
    let is_default = matches.value_source("listen") == Some(ValueSource::DefaultValue);
    if flags.acme.is_empty() || !is_default {
        return;
    }
    *listen = vec![ListenAddr::Any(HTTPS_PORT)];
    if port.is_none() {
        redirect.get_or_insert(Redirect::Default);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, CommandLine};

    #[test]
    fn a_directory_is_a_url_or_a_word() {
        for (text, is_public) in [
            (LETS_ENCRYPT, true),
            ("staging", true),
            (STAGING, true),
            ("https://127.0.0.1:14000/dir", false),
            ("https://ca.internal/acme/acme/directory", false),
        ] {
            assert_eq!(directory(text).unwrap().is_public, is_public, "{text}");
        }
        for text in
            ["", "production", "http://ca.example/dir", "https://", "https:///dir", "https://a b/"]
        {
            assert!(directory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_listens_where_authorities_connect_unless_told_otherwise() {
        for (flags, listen, redirects) in [
            ("", "127.0.0.1:8000", None),
            ("--acme a.example", ":443", Some(Redirect::Default)),
            ("--acme a.example --port 8443", ":8443", None),
            ("--acme a.example --listen :8443", ":8443", None),
            ("--acme a.example --listen :443", ":443", None),
            (
                "--acme a.example --https-redirect=:8080",
                ":443",
                Some(Redirect::At(ListenAddr::Any(8080))),
            ),
        ] {
            let line = format!("sockeye http . {flags}");
            let parsed = CommandLine::read(line.split_whitespace()).unwrap();
            let Command::Http(http) = parsed.command else { panic!("{line}") };
            let found: Vec<_> = http.listen.iter().map(ToString::to_string).collect();
            assert_eq!(found, [listen], "{line}");
            assert_eq!(http.https.https_redirect, redirects, "{line}");
        }
    }

    #[test]
    fn an_email_address_is_one_address() {
        assert!(email("admin+tls@mail.example.org").is_ok());
        for text in
            ["", "admin", "@example.org", "a@localhost", "a@b.c,d@e.f", "mailto:a@b.c", "A <a@b.c>"]
        {
            assert!(email(text).is_err(), "{text}");
        }
    }
}
