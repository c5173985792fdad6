//! How a service runs.

use std::num::NonZeroUsize;

use sockeye_engine::{Config, usable_cores};
use sockeye_http::AllowedHosts;
use sockeye_message::{AllowedOrigins, Limits};

/// How a service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads, each with an event loop of its own. By default, as many as there are cores that
    /// this process may use.
    pub workers: NonZeroUsize,
    /// Limits and deadlines of messages.
    pub limits: Limits,
    /// Whether HTTP is left out, which is otherwise answered at the same addresses.
    pub frames_only: bool,
    /// The host names that are answered for over HTTP at loopback addresses, where no others are; `None`
    /// answers for every name. Set it where a browser on the same machine may be used: a website
    /// can point a name of its own at 127.0.0.1 (DNS rebinding). Default: `None`.
    pub allowed_hosts: Option<AllowedHosts>,
    /// The origins whose pages may send messages over HTTP, besides the server's own. Default: none.
    pub allowed_origins: AllowedOrigins,
    /// Limits and deadlines of connections.
    pub config: Config,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: usable_cores(),
            limits: Limits::default(),
            frames_only: false,
            allowed_hosts: None,
            allowed_origins: AllowedOrigins::default(),
            config: Config::default(),
        }
    }
}
