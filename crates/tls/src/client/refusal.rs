//! Why a server's certificate was refused, for people.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::x509::{CertificateFields, utc};

/// Maximum number of a certificate's names in [`Refusal::text`].
const MAX_NAMES: usize = 5;
/// Maximum number of characters of a name in [`Refusal::text`].
const MAX_NAME: usize = 100;

/// Why a client refused a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The kind of reason, for programs.
    pub kind: RefusalKind,
    /// The rest of a sentence that begins with "the peer". One line, without control characters.
    pub text: String,
}

/// A kind of reason for refusing a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// No trusted authority has issued the certificate.
    UnknownIssuer,
    /// The certificate is for other names than the server's.
    WrongName,
    /// Another reason: see [`Refusal::text`].
    Other,
}

impl Refusal {
    /// The refusal of `certificate` because of `error`. The server `name` sent this certificate as
    /// its own, and `others` as those of its issuers.
    pub(super) fn new(
        error: &CertificateError,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Self {
        let Some(facts) = CertificateFields::parse(certificate) else {
            let text = "sent something that is not a certificate".into();
            return Self { kind: RefusalKind::Other, text };
        };
        let names = names(&facts.names);
        let sent = match &names {
            Some(names) => format!("sent a certificate for {names}"),
            None => "sent a certificate without names".into(),
        };
        // Joins "sent a certificate for NAMES", or "… without names", with what is wrong.
        let that = if names.is_some() { " that" } else { ", which" };
        // If a server uses an authority's certificate as its own, webpki reports
        // `CaUsedAsEndEntity`, even if the issuer is unknown. rustls passes that on as `Other`.
        let is_unknown_root = facts.is_authority && matches!(error, CertificateError::Other(_));
        let (kind, text) = match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                let time = utc(facts.not_after);
                (RefusalKind::Expired, format!("{sent}{that} expired at {time}"))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                let time = utc(facts.not_before);
                (RefusalKind::NotYetValid, format!("{sent}{that} is not valid before {time}"))
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let name = name.to_str();
                let text = match names {
                    Some(_) => format!("{sent}, not for {name}"),
                    // Clients ignore the common name (RFC 9525, 2).
                    None => format!("{sent} (subjectAltName), so it is not for {name}"),
                };
                (RefusalKind::WrongName, text)
            }
            _ if facts.is_self_issued()
                && (is_unknown_root || matches!(error, CertificateError::UnknownIssuer)) =>
            {
                (RefusalKind::UnknownIssuer, format!("{sent}{that} is signed by no authority"))
            }
            CertificateError::UnknownIssuer => {
                let issuer = shown(&facts.issuer_name);
                // Certificates with the URL of their issuer's certificate are mostly from public
                // authorities, and need intermediate certificates.
                let missing = match others {
                    [] if facts.names_issuer_url => ", without intermediate certificates",
                    _ => "",
                };
                let text = format!("{sent}{missing}, issued by {issuer}, which is not trusted");
                (RefusalKind::UnknownIssuer, text)
            }
            error => (RefusalKind::Other, format!("{sent}{that} {}", rare_reason(error))),
        };
        Self { kind, text }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// For the less common errors: the end of a sentence that says why a certificate was refused.
fn rare_reason(error: &CertificateError) -> String {
    use CertificateError as Refused;
    let reason = match error {
        Refused::BadEncoding => "is not encoded properly",
        Refused::BadSignature => "has a wrong signature",
        Refused::InvalidPurpose | Refused::InvalidPurposeContext { .. } => {
            "is not for servers (extended key usage)"
        }
        Refused::Revoked => "is revoked",
        Refused::UnhandledCriticalExtension => "has a critical extension that is not supported",
        Refused::UnsupportedSignatureAlgorithmContext { .. }
        | Refused::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "has a signature algorithm that is not supported"
        }
        Refused::Other(error) => match &*error.to_string() {
            // webpki displays its errors by their names in the code.
            "CaUsedAsEndEntity" => "belongs to an authority (CA), not to a server",
            "EndEntityUsedAsCa" => "was not issued by an authority",
            "NameConstraintViolation" => "has a name that its issuer may not certify",
            "PathLenConstraintViolated" => "has more intermediate certificates than are allowed",
            "UnsupportedCertVersion" => "has an old version of X.509 (version 3 is needed)",
            other => return format!("can't be verified: {}", words(&shown(other))),
        },
        other => return format!("can't be verified: {}", words(&shown(&other.to_string()))),
    };
    reason.to_owned()
}

/// Splits a name from Rust code, such as `BadSignature`, into words. Returns other texts unchanged.
fn words(text: &str) -> String {
    if !text.chars().all(|c| c.is_ascii_alphanumeric()) {
        return text.to_owned();
    }
    let words = text.chars().flat_map(|c| {
        c.is_ascii_uppercase().then_some(' ').into_iter().chain([c.to_ascii_lowercase()])
    });
    words.collect::<String>().trim_start().to_owned()
}

/// Fails if the certificate has expired or is not valid yet.
pub(super) fn check_times(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let facts = CertificateFields::parse(certificate).ok_or(CertificateError::BadEncoding)?;
    let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    if now > facts.not_after {
        return Err(CertificateError::Expired.into());
    }
    if now < facts.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

/// The first [`MAX_NAMES`] names, and the number of the others. `None` if there are no names.
fn names(names: &[String]) -> Option<String> {
    let first: Vec<String> = names.iter().take(MAX_NAMES).map(|name| shown(name)).collect();
    match names.len().checked_sub(MAX_NAMES) {
        _ if names.is_empty() => None,
        None | Some(0) => Some(first.join(", ")),
        Some(more) => Some(format!("{} and {more} more names", first.join(", "))),
    }
}

/// Shortens a text from the network to [`MAX_NAME`] characters, and escapes control characters and
/// backslashes.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars().take(MAX_NAME) {
        match char {
            '\'' | '"' => shown.push(char),
            char => shown.extend(char.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[test]
    fn rare_reasons_have_no_names_of_code() {
        let other = |text: &str| CertificateError::Other(OtherError(Arc::from(Box::from(text))));
        for (error, expected) in [
            (CertificateError::BadSignature, "has a wrong signature"),
            (CertificateError::Revoked, "is revoked"),
            (other("NameConstraintViolation"), "has a name that its issuer may not certify"),
            (other("MaximumPathDepthExceeded"), "can't be verified: maximum path depth exceeded"),
            (other("It is on a list.\n"), "can't be verified: It is on a list.\\n"),
            (
                CertificateError::ApplicationVerificationFailure,
                "can't be verified: application verification failure",
            ),
        ] {
            assert_eq!(rare_reason(&error), expected);
        }
    }
}
