//! The options of an HTTP service.

use std::num::NonZeroUsize;
use std::sync::Arc;

use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, TlsAcceptor, usable_cores};
use sockeye_http::{AllowedHosts, Limits, ServerConfig};
use sockeye_proto::Budget;

use crate::serving::check_hosts_on_loopback;

/// The options of an HTTP service.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of threads, each with an event loop of its own. Default: the number of cores that
    /// this process may use.
    pub workers: NonZeroUsize,
    /// Limits and timeouts of requests, such as [`Limits::response_timeout`].
    pub limits: Limits,
    /// Budget for bodies that [`Body::collect`](super::Body::collect) reads into memory. A
    /// body's memory beyond 64 KiB (over HTTP/2, all of it) is charged to the client, until the
    /// response begins and the work that makes the response has ended. A client's share is a
    /// quarter of the budget, or half of it for a client on this machine. Choose the budget so that
    /// this share is at least the limit of a single body. When the budget or the client's share is
    /// spent, requests get 503. Default: 256 MiB for all connections together.
    pub collected: Arc<Budget>,
    /// Limits and deadlines of connections.
    pub config: Config,
    /// Send a `Server: sockeye` field in every response. Default: `false`.
    pub server_header: bool,
    /// Answer HTTP/2: on connections whose TLS handshake has chosen `h2`, and on connections
    /// without TLS that begin with the preface of HTTP/2. To turn HTTP/2 off on a server with TLS,
    /// also remove `h2` from the protocols of the handshake (`sockeye::tls::Settings::alpn`).
    /// Default: `true`.
    pub http2: bool,
    /// The hosts for which listeners with a loopback address answer requests. Requests to these
    /// listeners for other hosts get 421. All other listeners answer for every host. `None`: all
    /// listeners answer for every host. Set this if a browser may run on the same machine: a
    /// website can point a name of its own at 127.0.0.1 (DNS rebinding). Default: `None`.
    pub allowed_hosts: Option<AllowedHosts>,
}

impl Options {
    /// Makes all addresses speak TLS: sets [`Config::tls`].
    ///
    /// Get a [`TlsAcceptor`] from `sockeye::tls` (needs the feature `tls`), or make one from a
    /// configuration of rustls with [`TlsAcceptor::new`](TlsAcceptor).
    #[must_use]
    pub fn with_tls(mut self, tls: TlsAcceptor) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// The configuration of HTTP for a worker whose listeners are bound to `bound`.
    #[must_use]
    pub fn server_config(&self, bound: &[Bound]) -> ServerConfig {
        let config = ServerConfig::new(self.limits.clone())
            .server_header(self.server_header)
            .http2(self.http2);
        match &self.allowed_hosts {
            Some(hosts) => config.checking_hosts(check_hosts_on_loopback(hosts.clone(), bound)),
            None => config,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: usable_cores(),
            limits: Limits::default(),
            collected: default_budget(),
            config: Config::default(),
            server_header: false,
            http2: true,
            allowed_hosts: None,
        }
    }
}

/// The default of [`Options::collected`].
pub(super) fn default_budget() -> Arc<Budget> {
    Budget::new("bytes of collected bodies", 256 * 1024 * 1024)
}
