//! Which TLS configuration a connection gets.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::server::ServerConfig;

use super::{Tls, TlsError, server_name};

/// TLS for the connections of a listener. Clones share the configuration, which can be replaced
/// while the server runs.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Mutex<Arc<ServerConfig>>>);

impl TlsAcceptor {
    /// TLS with this configuration.
    #[must_use]
    pub fn new(config: &ServerConfig) -> Self {
        Self(Arc::new(Mutex::new(server_name::noted(config))))
    }

    /// Replaces the configuration for connections that are accepted from now on.
    pub fn replace(&self, config: &ServerConfig) {
        let config = server_name::noted(config);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(crate) fn accept(&self) -> Result<Tls, TlsError> {
        let config = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Tls::server(config)
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}

/// TLS for connections to one server.
#[derive(Clone, Debug)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnector {
    /// TLS with this configuration, to the server `name`, which its certificate must have.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self { config, name }
    }

    pub(crate) fn connect(&self) -> Result<Tls, TlsError> {
        Tls::client(Arc::clone(&self.config), self.name.clone())
    }
}
