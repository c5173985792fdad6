//! Which TLS configuration a connection gets.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::server::ServerConfig;
use sockeye_proto::WallTime;

use super::clock::LoopClock;
use super::server_name::RecordingResolver;
use super::{Tls, TlsError};

/// TLS for accepted connections. Clones share the configuration, which can be replaced while the
/// server runs.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Shared>);

struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    /// Counts replacements.
    generation: AtomicU64,
}

impl TlsAcceptor {
    /// TLS with this configuration. Its clock is replaced by that of the event loop, and early data
    /// is not accepted.
    #[must_use]
    pub fn new(config: &ServerConfig) -> Self {
        let config = Mutex::new(Arc::new(prepared(config)));
        Self(Arc::new(Shared { config, generation: AtomicU64::new(0) }))
    }

    /// Replaces the configuration for connections that are accepted from now on.
    pub fn replace(&self, config: &ServerConfig) {
        let config = Arc::new(prepared(config));
        *self.0.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// A copy of the configuration for one worker (event loop). Each connection changes the
    /// reference count of its worker's copy, so workers don't contend for one count. The copies
    /// still share the keys of session tickets, and stored sessions.
    fn copy(&self) -> Arc<ServerConfig> {
        let config = Arc::clone(&self.0.config.lock().unwrap_or_else(PoisonError::into_inner));
        Arc::new(ServerConfig::clone(&config))
    }
}

/// The same configuration, except that handshakes store the name that the client asks for
/// ([`server_name`](super::server_name)), use the event loop's clock, and accept no early data.
fn prepared(config: &ServerConfig) -> ServerConfig {
    let mut config = config.clone();
    config.cert_resolver = Arc::new(RecordingResolver(config.cert_resolver));
    config.time_provider = Arc::new(LoopClock);
    config.max_early_data_size = 0;
    config
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}

/// A worker's copy of the configuration of a [`TlsAcceptor`]. It locks the acceptor only when the
/// configuration was replaced.
pub(crate) struct WorkerAcceptor {
    acceptor: TlsAcceptor,
    generation: u64,
    config: Arc<ServerConfig>,
}

impl WorkerAcceptor {
    pub(crate) fn new(acceptor: TlsAcceptor) -> Self {
        let generation = acceptor.0.generation.load(Ordering::Acquire);
        let config = acceptor.copy();
        Self { acceptor, generation, config }
    }

    /// TLS for a new connection.
    pub(crate) fn accept(&mut self) -> Result<Tls, TlsError> {
        let generation = self.acceptor.0.generation.load(Ordering::Acquire);
        if generation != self.generation {
            *self = Self::new(self.acceptor.clone());
        }
        Tls::server(Arc::clone(&self.config))
    }
}

/// TLS for connections to one server.
#[derive(Clone, Debug)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnector {
    /// TLS with this configuration to the server `name`. The server's certificate must be valid for
    /// that name. The configuration's clock is replaced by that of the event loop.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        let mut config = Arc::unwrap_or_clone(config);
        config.time_provider = Arc::new(LoopClock);
        Self { config: Arc::new(config), name }
    }

    pub(crate) fn connect(&self, now: WallTime) -> Result<Tls, TlsError> {
        Tls::client(now, Arc::clone(&self.config), self.name.clone())
    }
}
