//! Why a TLS connection can't go on.

use std::fmt;

use rustls::{AlertDescription, Error, PeerIncompatible};
use sockeye_proto::Fault;

use super::names::name_of_alert;

/// Why a TLS connection can't go on. The alert for the peer, if there is one, is in the output.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// The peer broke the protocol, or nothing that it offers is acceptable.
    Failed(Error),
    /// The peer's alert.
    Alert(AlertDescription),
    /// The peer sent a handshake message that is too large. There is an alert only before a version
    /// is agreed on: later ones are encrypted, which only rustls can do.
    TooLarge,
    /// We have no certificate for the name that the client asked for.
    UnknownName,
    /// Our configuration, the clock or the randomness is at fault.
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
            // rustls finds this first: only clients of older versions leave it out.
            | Incompatible::SignatureAlgorithmsExtensionRequired
            | Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled,
        ) => "tls_no_common_version",
        // A client may know a suite of ours, and no curve or signature that it needs.
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

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(Error::InvalidCertificate(error)) => {
                write!(f, "sent a certificate that was refused: {error}")
            }
            Self::Failed(Error::NoCertificatesPresented) => f.write_str("sent no certificate"),
            Self::Failed(Error::NoApplicationProtocol) => {
                f.write_str("offered only unknown application protocols (ALPN)")
            }
            Self::Failed(error) => match (error, code_of(error)) {
                (Error::PeerIncompatible(what), "tls_no_common_version") => {
                    write!(f, "has no TLS version in common with us, 1.2 or 1.3: {what:?}")
                }
                (Error::PeerIncompatible(what), "tls_no_common_suite") => {
                    write!(
                        f,
                        "has no TLS cipher suite, curve or signature in common with us: {what:?}"
                    )
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
