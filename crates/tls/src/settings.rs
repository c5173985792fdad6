//! Settings of TLS for a server.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

/// The ALPN protocol that a CA offers when it connects to validate a name by TLS (RFC 8737).
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// The protocols of HTTP for [`Settings::alpn`]: HTTP/2, and HTTP/1.1 for clients without it.
pub const HTTP_ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What a client gets if it asks for a name that no certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownName {
    /// The first certificate. If others have its first name, too, ECDSA and Ed25519 keys are
    /// preferred to RSA keys.
    #[default]
    FirstCertificate,
    /// The handshake is refused by an alert. Clients that ask for no name are not refused: they get
    /// the first certificate that has an IP address, or else the first of all.
    Refuse,
}

/// The authorities that sign the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCa {
    /// A PEM file with the authorities' certificates. It is read again by
    /// [`CertificateStore::reload`](crate::CertificateStore::reload).
    pub path: PathBuf,
    /// Whether a client without a certificate is refused. A client whose certificate doesn't lead
    /// to an authority, or has expired, is always refused.
    pub required: bool,
}

/// Answers the handshakes with which a CA validates names (tls-alpn-01, RFC 8737).
pub trait Challenges: fmt::Debug + Send + Sync {
    /// The certificate that proves control of the name that this client hello asks for. `None`: no
    /// validation is expected for the name, and the handshake is refused.
    ///
    /// This method is called on an event loop, or on a thread for handshakes, for clients that
    /// offer only [`ACME_TLS_ALPN`]. Clients that offer it together with other protocols are
    /// refused. If a handshake has agreed on [`ACME_TLS_ALPN`], the program must close the
    /// connection without serving it.
    fn certificate(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>>;
}

/// Settings of TLS for a server. TLS 1.3 and 1.2 with rustls' cipher suites; sessions are resumed
/// by tickets, whose keys rotate every 6 hours; no early data.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Protocols to choose from by ALPN, the preferred one first. Default: [`HTTP_ALPN`].
    pub alpn: Vec<Vec<u8>>,
    /// What a client gets if it asks for a name that no certificate has. Default:
    /// [`UnknownName::FirstCertificate`].
    pub unknown_name: UnknownName,
    /// Ask clients for certificates. No session is resumed then. Default: `None`, which asks for
    /// none.
    pub client_ca: Option<ClientCa>,
    /// Answers a CA that validates names. The certificates that the CA issues are loaded by
    /// [`CertificateStore::with_ordered`](crate::CertificateStore::with_ordered). Default: `None`.
    pub challenges: Option<Arc<dyn Challenges>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alpn: HTTP_ALPN.map(<[u8]>::to_vec).into(),
            unknown_name: UnknownName::default(),
            client_ca: None,
            challenges: None,
        }
    }
}
