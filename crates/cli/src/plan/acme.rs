//! The plan of `--acme`: certificates from a CA.

use std::collections::HashSet;

use sockeye::tls::{ClientError, ClientSettings, Trust};
use sockeye_acme::{BadName, ChallengeKind, Settings, parse_name};

use crate::acme::Acme;
use crate::args;
use crate::error::Error;
use crate::state;

/// Maximum number of names in a certificate, which is Let's Encrypt's limit.
const MAX_NAMES: usize = 100;

/// Checks the flags for ACME, and opens the state folder. Returns `None` without `--acme`.
/// `redirects`: whether the server also listens for plain HTTP, to redirect to HTTPS. There it can
/// answer http-01 challenges.
pub(super) fn acme(
    flags: &args::Acme,
    tls: &args::Tls,
    redirects: bool,
) -> Result<Option<Acme>, Error> {
    let args::Acme { acme, acme_email, acme_directory, acme_ca } = flags;
    if acme.is_empty() {
        return Ok(None);
    }
    let certificates = acme.iter().map(|list| parse_names(list, acme_directory.is_public));
    let requires_certificate = tls.client_ca.is_some() && !tls.client_ca_optional;
    let settings = Settings {
        directory: acme_directory.url.clone(),
        certificates: certificates.collect::<Result<_, _>>()?,
        emails: acme_email.iter().cloned().collect(),
        kinds: kinds(requires_certificate, redirects)?,
        state: state::folder(tls.state.as_deref())?.join("acme"),
    };
    if let Some(names) = repeated(&settings.certificates) {
        return Err(Error::usage(format!("--acme {} is given twice", names.join(","))));
    }
    let trust = acme_ca.clone().map_or(Trust::System, |path| Trust::Files(vec![path]));
    let client = ClientSettings { trust, ..ClientSettings::default() }.config();
    let client = client.map_err(|error| {
        Error::Failure(match &error {
            ClientError::NoRoots { .. } => anyhow::anyhow!(
                "--acme: {error}; install them (Debian: apt install ca-certificates), or name the \
                 CA's own with --acme-ca FILE"
            ),
            _ => anyhow::anyhow!("--acme-ca: {error}"),
        })
    })?;
    let acme = Acme::new(settings, client);
    let advice =
        "--state FOLDER names another folder (a systemd unit needs StateDirectory=sockeye)";
    acme.map(Some).map_err(|error| Error::Failure(anyhow::anyhow!("--acme: {error}; {advice}")))
}

/// The kinds of challenges that the listeners can answer, the preferred one first. If clients must
/// have a certificate, tls-alpn-01 is left out: the CA, which connects as a client, has none.
fn kinds(requires_certificate: bool, redirects: bool) -> Result<Vec<ChallengeKind>, Error> {
    let mut kinds = Vec::new();
    if !requires_certificate {
        kinds.push(ChallengeKind::TlsAlpn01);
    }
    if redirects {
        kinds.push(ChallengeKind::Http01);
    }
    if kinds.is_empty() {
        return Err(Error::usage(
            "--acme with --client-ca needs plain HTTP, where the CA needs no client certificate: add \
             --https-redirect for port 80, or --client-ca-optional",
        ));
    }
    Ok(kinds)
}

/// The names of the first certificate that has the same names as an earlier one, in any order.
fn repeated(certificates: &[Vec<String>]) -> Option<&[String]> {
    let mut seen = HashSet::new();
    let names = certificates.iter().find(|names| {
        let mut sorted: Vec<_> = names.iter().collect();
        sorted.sort();
        !seen.insert(sorted)
    });
    names.map(Vec::as_slice)
}

/// Parses the names of one certificate, which are separated by commas. `is_public`: whether the CA
/// is a public one, which certifies public names only.
pub(crate) fn parse_names(list: &str, is_public: bool) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for text in list.split(',').map(str::trim) {
        let name = parse_name(text, is_public).map_err(|error| {
            let instead = match error {
                BadName::Address => "; for a private network, use --tls self-signed",
                BadName::NotPublic => {
                    "; for a private network, use --tls self-signed, or --acme-directory with a CA of \
                     your own"
                }
                _ => "",
            };
            Error::usage(format!("--acme '{text}': {error}{instead}"))
        })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > MAX_NAMES {
        return Err(Error::usage(format!(
            "--acme: a certificate has at most {MAX_NAMES} names, not {}: give the flag several times",
            names.len()
        )));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_that_needs_a_client_certificate_of_the_ca_is_left_out() {
        use ChallengeKind::{Http01, TlsAlpn01};
        assert_eq!(kinds(false, false).unwrap(), [TlsAlpn01]);
        assert_eq!(kinds(false, true).unwrap(), [TlsAlpn01, Http01]);
        assert_eq!(kinds(true, true).unwrap(), [Http01]);
        let error = kinds(true, false).unwrap_err();
        assert!(matches!(error, Error::Usage(_)));
        assert!(error.to_string().contains("--https-redirect"), "{error}");
    }

    #[test]
    fn the_same_names_in_another_order_are_the_same_certificate() {
        let lists = |lists: &[&str]| -> Vec<Vec<String>> {
            lists.iter().map(|list| parse_names(list, false).unwrap()).collect()
        };
        let same = lists(&["a.example,b.example", "b.example,a.example"]);
        assert_eq!(repeated(&same), Some(&same[1][..]));
        assert_eq!(repeated(&lists(&["a.example,b.example", "a.example", "b.example"])), None);
    }

    #[test]
    fn each_name_that_cannot_be_ordered_is_refused_with_the_reason() {
        assert_eq!(
            parse_names("a.example, B.example,a.example", true).unwrap(),
            ["a.example", "b.example"]
        );
        assert_eq!(parse_names("localhost", false).unwrap(), ["localhost"]);
        for (text, is_public, expected) in [
            ("*.example.org", true, "dns-01"),
            ("*.example.org", false, "dns-01"),
            ("localhost", true, "--tls self-signed"),
            ("nas.local", true, "--acme-directory"),
            ("192.0.2.1", true, "--tls self-signed"),
            ("192.0.2.1", false, "IP addresses are not supported"),
            ("https://example.org", true, "this is no host name"),
            ("example.org,", true, "--acme ''"),
        ] {
            let error = parse_names(text, is_public).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert!(matches!(error, Error::Usage(_)));
        }
        let many: Vec<_> = (0..101).map(|number| format!("a{number}.example")).collect();
        assert!(parse_names(&many.join(","), true).is_err());
        assert!(parse_names(&many[..100].join(","), true).is_ok());
    }
}
