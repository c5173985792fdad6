//! Why a TLS connection can't go on.

use std::fmt;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use sockeye_proto::Fault;

use super::names::name_of_alert;

/// Why a TLS connection can't go on. The alert for the peer, if there is one, is in the output.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// The peer broke the protocol, or has an unacceptable certificate, or offers nothing that is
    /// acceptable.
    Failed(Error),
    /// The peer's alert.
    Alert(AlertDescription),
    /// The peer sent a handshake message that is too large. An alert is sent only while hellos are
    /// exchanged: later alerts may have to be encrypted, which only rustls can do.
    TooLarge,
    /// We have no certificate for the name that the client asked for.
    UnknownName,
    /// We are at fault: our configuration, clock, random number generator or code.
    Ours(Error),
    /// The connection has failed before.
    HasFailed,
    /// The code for TLS panicked. There is no alert then, because rustls must not be called again.
    Panicked,
}

impl TlsError {
    /// The fault that ends the connection. Its code says what kind of error it is.
    pub(crate) fn fault(&self) -> Fault {
        let code = match self {
            Self::Alert(_) => "tls_alert",
            Self::TooLarge => "tls_too_large",
            Self::UnknownName => "tls_unknown_name",
            Self::Failed(error) => code_of(error),
            Self::Ours(_) | Self::HasFailed | Self::Panicked => {
                return Fault::ours("tls_failed", format!("could not use TLS: {self}"));
            }
        };
        Fault::peer(code, self.to_string())
    }
}

/// The code for an error that the peer caused.
fn code_of(error: &Error) -> &'static str {
    use PeerIncompatible as Incompatible;
    match error {
        Error::PeerIncompatible(
            Incompatible::ServerDoesNotSupportTls12Or13
            | Incompatible::ServerTlsVersionIsDisabledByOurConfig
            | Incompatible::SupportedVersionsExtensionRequired
            // rustls checks for this extension before it checks the version. Only clients of older
            // versions lack it.
            | Incompatible::SignatureAlgorithmsExtensionRequired
            | Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled,
        ) => "tls_no_common_version",
        // A client may support a suite of ours, but no curve or signature that the suite needs.
        Error::PeerIncompatible(
            Incompatible::NoCipherSuitesInCommon
            | Incompatible::NoKxGroupsInCommon
            | Incompatible::NoSignatureSchemesInCommon
            | Incompatible::NoEcPointFormatsInCommon,
        ) => "tls_no_common_suite",
        Error::NoApplicationProtocol => "tls_unknown_protocol",
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => "tls_bad_certificate",
        _ => "tls_malformed",
    }
}

/// The kind of algorithm or format for which the peer and we support no common choice.
fn kind_of_suite(what: &PeerIncompatible) -> &'static str {
    match what {
        PeerIncompatible::NoKxGroupsInCommon => "key exchange group (curve)",
        PeerIncompatible::NoSignatureSchemesInCommon => "signature algorithm",
        PeerIncompatible::NoEcPointFormatsInCommon => "format of curve points",
        _ => "cipher suite",
    }
}

/// Why the peer's certificate was refused, as the end of a sentence that begins with "the peer".
#[cold]
fn refusal(error: &CertificateError) -> String {
    use CertificateError as Refused;
    let why = match error {
        Refused::BadEncoding => "sent something that is not a certificate",
        Refused::Expired | Refused::ExpiredContext { .. } => {
            "sent a certificate that has expired, or whose issuer's has"
        }
        Refused::NotValidYet | Refused::NotValidYetContext { .. } => {
            "sent a certificate that is not valid yet, or whose issuer's is not"
        }
        Refused::UnknownIssuer => "sent a certificate that no trusted authority has issued",
        Refused::BadSignature => {
            "sent a certificate, or a proof of its key, with a wrong signature"
        }
        Refused::InvalidPurpose | Refused::InvalidPurposeContext { .. } => {
            "sent a certificate that is not for this purpose (extended key usage)"
        }
        Refused::NotValidForName | Refused::NotValidForNameContext { .. } => {
            "sent a certificate for other names"
        }
        Refused::Revoked => "sent a certificate that is revoked",
        Refused::UnsupportedSignatureAlgorithmContext { .. }
        | Refused::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "sent a certificate with a signature algorithm that is not supported"
        }
        error => {
            let error = match error {
                Refused::Other(error) => error.to_string(),
                error => error.to_string(),
            };
            return format!("sent a certificate that can't be verified: {}", words(&error));
        }
    };
    why.to_owned()
}

/// Splits the name of an error into words: rustls and webpki display some errors by their names in
/// the code, such as `CaUsedAsEndEntity`. Other texts are not changed.
fn words(text: &str) -> String {
    if !text.chars().all(|c| c.is_ascii_alphanumeric()) {
        return text.to_owned();
    }
    let mut words = String::new();
    for c in text.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(Error::InvalidCertificate(error)) => f.write_str(&refusal(error)),
            Self::Failed(Error::NoCertificatesPresented) => f.write_str("sent no certificate"),
            Self::Failed(Error::NoApplicationProtocol) => {
                f.write_str("offered only unknown application protocols (ALPN)")
            }
            Self::Failed(error) => match (error, code_of(error)) {
                (_, "tls_no_common_version") => {
                    f.write_str("has no TLS version in common with us, 1.2 or 1.3")
                }
                (Error::PeerIncompatible(what), "tls_no_common_suite") => {
                    write!(f, "has no TLS {} in common with us", kind_of_suite(what))
                }
                (Error::PeerIncompatible(what), _) => {
                    write!(f, "is incompatible with our TLS: {}", words(&format!("{what:?}")))
                }
                _ => write!(f, "failed in TLS: {error}"),
            },
            Self::Alert(alert) => match name_of_alert(*alert) {
                Some(name) => write!(f, "sent the TLS alert {name}"),
                None => write!(f, "sent the TLS alert {}", u8::from(*alert)),
            },
            Self::TooLarge => f.write_str("sent a TLS handshake message that is too large"),
            Self::UnknownName => f.write_str("asked for a name that has no certificate"),
            Self::Ours(error) => error.fmt(f),
            Self::HasFailed => f.write_str("the connection has failed before"),
            Self::Panicked => f.write_str("our code for this connection panicked"),
        }
    }
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        match error {
            Error::AlertReceived(alert) => Self::Alert(alert),
            Error::FailedToGetCurrentTime
            | Error::FailedToGetRandomBytes
            | Error::General(_)
            | Error::EncryptError
            | Error::HandshakeNotComplete
            | Error::InconsistentKeys(_)
            | Error::BadMaxFragmentSize => Self::Ours(error),
            error => Self::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[test]
    fn errors_are_told_in_plain_words() {
        let other = |text: &str| CertificateError::Other(OtherError(Arc::from(Box::from(text))));
        for (error, expected) in [
            (CertificateError::Expired.into(), "that has expired"),
            (CertificateError::UnknownIssuer.into(), "that no trusted authority has issued"),
            (CertificateError::BadSignature.into(), "with a wrong signature"),
            (CertificateError::InvalidPurpose.into(), "not for this purpose"),
            (other("CaUsedAsEndEntity").into(), "can't be verified: ca used as end entity"),
            (other("It is on Bob's list.").into(), "can't be verified: It is on Bob's list."),
            (CertificateError::UnhandledCriticalExtension.into(), "unhandled critical extension"),
            (PeerIncompatible::Tls12NotOffered.into(), "no TLS version in common with us"),
            (PeerIncompatible::NoKxGroupsInCommon.into(), "no TLS key exchange group (curve)"),
            (PeerIncompatible::NullCompressionRequired.into(), "TLS: null compression required"),
        ] {
            let error: Error = error;
            let text = TlsError::from(error).fault().to_string();
            assert!(text.contains(expected), "{text}");
            // No name of Rust code is left.
            let capitals = |word: &str| word.chars().filter(char::is_ascii_uppercase).count();
            assert!(text.split(' ').all(|word| word.starts_with("TLS") || capitals(word) < 2));
        }
    }
}
