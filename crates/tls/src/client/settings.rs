//! The configuration of a client.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sockeye_engine::TlsConnector;

use super::error::ClientError;
use super::refusal::Refusal;
use super::roots;
use super::verifier::{AcceptAny, LastRefusal, RecordingVerifier};
use crate::certificate::Certificate;
use crate::error::Error;
use crate::provider::provider;

/// Maximum number of servers whose sessions are kept for resumption.
const MAX_SERVERS: usize = 32;

/// Maximum number of session tickets that rustls keeps for a server.
const TICKETS_PER_SERVER: usize = 8;

/// Whose certificates a client accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Certificates issued by the authorities that this machine trusts. If the environment variable
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, certificates issued by the authorities there.
    #[default]
    System,
    /// The certificates in these PEM files, and those that the authorities among them (`CA:TRUE`,
    /// or X.509 version 1) have issued. In either case, the certificate must be for the server's
    /// name and be valid.
    Files(Vec<PathBuf>),
    /// Every certificate, for every name. An attacker on the network path can read and change
    /// everything.
    Anything,
}

/// Settings of TLS for a client. TLS 1.3 and 1.2 with rustls' cipher suites; no early data.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// Protocols to offer by ALPN, the preferred one first. Default: none.
    pub alpn: Vec<Vec<u8>>,
    /// Which certificates of servers to accept. Default: [`Trust::System`].
    pub trust: Trust,
    /// The certificate to send if the server asks for one. Default: none.
    pub certificate: Option<Certificate>,
    /// Resume sessions on later connections. Default: `false`, so each handshake is a full one.
    pub resume: bool,
}

/// TLS for connections to one server. Clones share sessions and the last refusal.
#[derive(Clone, Debug)]
pub struct TlsClient {
    connector: TlsConnector,
    last: LastRefusal,
}

impl ClientSettings {
    /// TLS for connections to the server `name`: a DNS name, or an IP address without brackets.
    /// Reads the certificates that [`ClientSettings::trust`] names.
    ///
    /// # Errors
    ///
    /// If the certificates can't be read, there are none, or the name is invalid.
    pub fn client(&self, name: &str) -> Result<TlsClient, ClientError> {
        let invalid = |_| ClientError::InvalidName(name.to_owned());
        let name = ServerName::try_from(name.to_owned()).map_err(invalid)?;
        let last = LastRefusal::default();
        let config = Arc::new(self.config_recording(&last)?);
        Ok(TlsClient { connector: TlsConnector::new(config, name), last })
    }

    /// The configuration for a client that uses rustls without Sockeye's engine. Reads the
    /// certificates that [`ClientSettings::trust`] names.
    ///
    /// # Errors
    ///
    /// If the certificates can't be read, or there are none.
    pub fn config(&self) -> Result<ClientConfig, ClientError> {
        self.config_recording(&LastRefusal::default())
    }

    /// A configuration whose verifier records in `last` why it refuses a certificate.
    fn config_recording(&self, last: &LastRefusal) -> Result<ClientConfig, ClientError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::from)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(last)?);
        let mut config = match &self.certificate {
            Some(certificate) => {
                let key = CertifiedKey::clone(&certificate.key);
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.resumption = match self.resume {
            true => Resumption::in_memory_sessions(MAX_SERVERS * TICKETS_PER_SERVER),
            false => Resumption::disabled(),
        };
        Ok(config)
    }

    /// Makes the verifier of servers' certificates. It records in `last` why it refuses one.
    pub(super) fn verifier(
        &self,
        last: &LastRefusal,
    ) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
        let (roots, trusted) = match &self.trust {
            Trust::System => (roots::of_system()?, Vec::new()),
            Trust::Files(paths) => roots::of_files(paths)?,
            Trust::Anything => return Ok(Arc::new(AcceptAny)),
        };
        let authorities = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                    .build()
                    .map_err(|error| Error::Config(rustls::Error::General(error.to_string())))?,
            ),
        };
        Ok(Arc::new(RecordingVerifier { authorities, trusted, last: Arc::clone(last) }))
    }
}

impl TlsClient {
    /// What [`Worker::connect_tls`](sockeye_engine::Worker::connect_tls) needs to connect.
    #[must_use]
    pub fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// Why a certificate was refused most recently; `None` if none was refused.
    #[must_use]
    pub fn last_refusal(&self) -> Option<Refusal> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
