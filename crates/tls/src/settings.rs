//! The configuration of a server.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::Certificate;
use crate::error::Error;
use crate::names::ByName;
use crate::provider::{provider, ticketer};

/// What a client gets that asks for a name which no certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownName {
    /// The first certificate.
    #[default]
    FirstCertificate,
    /// The alert `unrecognized_name`: no handshake.
    Refuse,
}

/// Settings of TLS for a server. TLS 1.3 and 1.2 with rustls' cipher suites; sessions are resumed
/// by tickets, whose keys rotate; no early data.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Protocols to choose from by ALPN, the preferred one first. Default: `http/1.1`.
    pub alpn: Vec<Vec<u8>>,
    /// Default: [`UnknownName::FirstCertificate`].
    pub unknown_name: UnknownName,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alpn: vec![b"http/1.1".to_vec()], unknown_name: UnknownName::default() }
    }
}

impl Settings {
    /// A configuration with these certificates, for
    /// [`TlsAcceptor`](sockeye_engine::TlsAcceptor).
    ///
    /// # Errors
    ///
    /// If there is no randomness for the keys of tickets.
    pub fn server_config(&self, certificates: Vec<Certificate>) -> Result<ServerConfig, Error> {
        let has_default = self.unknown_name == UnknownName::FirstCertificate;
        let names = ByName::new(&certificates, has_default);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(names));
        config.alpn_protocols.clone_from(&self.alpn);
        config.ticketer = ticketer()?;
        Ok(config)
    }
}
