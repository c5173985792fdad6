//! The options of a message service.

use std::num::NonZeroUsize;

use sockeye_engine::driver::Bound;
use sockeye_engine::{Config, TlsAcceptor, usable_cores};
use sockeye_http::AllowedHosts;
use sockeye_message::{AllowedOrigins, Limits, ServerConfig, WebSocketLimits};

use crate::serving::check_hosts_on_loopback;

/// The options of a message service.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of threads, each with an event loop of its own. Default: the number of cores that
    /// this process may use.
    pub workers: NonZeroUsize,
    /// Limits and deadlines of messages.
    pub limits: Limits,
    /// Limits and timeouts of WebSockets. [`WebSocketLimits::message`] is ignored: the maximum size
    /// of a message follows from [`Limits::header`] and [`Limits::content`].
    pub websocket: WebSocketLimits,
    /// Answer only [frames](crate::message::protocol), and neither HTTP nor WebSockets. Default:
    /// `false`.
    pub frames_only: bool,
    /// Host names that are answered over HTTP and WebSocket at loopback addresses: see
    /// [`http::Options::allowed_hosts`](crate::http::Options::allowed_hosts). Default: `None`,
    /// every name.
    pub allowed_hosts: Option<AllowedHosts>,
    /// Origins, besides the server's own, whose web pages may send messages over HTTP and
    /// WebSocket. Default: none.
    pub allowed_origins: AllowedOrigins,
    /// Limits and deadlines of connections.
    pub config: Config,
}

impl Options {
    /// Makes all addresses speak TLS: see
    /// [`http::Options::with_tls`](crate::http::Options::with_tls).
    #[must_use]
    pub fn with_tls(mut self, tls: TlsAcceptor) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// The configuration of the protocol for a worker whose listeners are bound to `bound`.
    #[must_use]
    pub fn server_config(&self, bound: &[Bound]) -> ServerConfig {
        let config = ServerConfig::new(self.limits.clone())
            .frames_only(self.frames_only)
            .websocket(self.websocket.clone())
            .allowing_origins(self.allowed_origins.clone());
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
            websocket: WebSocketLimits::default(),
            frames_only: false,
            allowed_hosts: None,
            allowed_origins: AllowedOrigins::default(),
            config: Config::default(),
        }
    }
}
