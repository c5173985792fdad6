//! Why a TLS connection can't go on.

use std::fmt;

use rustls::{AlertDescription, Error, PeerIncompatible};
use sockeye_proto::Fault;

/// Why a TLS connection can't go on. The alert for the peer, if there is one, is in the output.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// The peer broke the protocol, or nothing that it offers is acceptable.
    Failed(Error),
    /// The peer's alert.
    Alert(AlertDescription),
    /// The peer sent a handshake message that is too large.
    TooLarge,
    /// We have no certificate for the name that the client asked for.
    UnknownName,
    /// Our configuration, the clock or the randomness is at fault.
    Ours(Error),
    /// The connection has failed before.
    HasFailed,
    /// The code for TLS panicked.
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
            Self::Alert(alert) => match name_of(*alert) {
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

/// The name of an alert in IANA's registry.
fn name_of(alert: AlertDescription) -> Option<&'static str> {
    Some(match u8::from(alert) {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}
