//! The configuration of WebSockets.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::AllowedOrigins;

/// Limits on WebSockets, and timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of a message. A larger one closes the WebSocket with 1009. Default: 1 MiB.
    pub message: usize,
    /// Maximum number of fragments of a message, empty ones included. More close the WebSocket with
    /// 1008. Default: 1,024.
    pub fragments: u32,
    /// Time without input after which a ping is sent. `None`: never. Default: 30 s.
    pub ping_after: Option<Duration>,
    /// Time that a peer has to answer a ping, with a pong or anything else. While nothing is read
    /// from it, because the output is full or the handler has paused, the time doesn't count.
    /// Default: 20 s.
    pub pong_timeout: Duration,
    /// Time that a peer has to answer a close frame. Default: 5 s.
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 1024 * 1024,
            fragments: 1024,
            ping_after: Some(Duration::from_secs(30)),
            pong_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// The configuration that the WebSockets of one shard share.
#[derive(Default)]
pub struct Config {
    limits: Limits,
    origins: AllowedOrigins,
    /// Memory for one message during a call.
    scratch: Cell<Vec<u8>>,
}

/// The most memory that is kept for the next message.
const KEPT_SCRATCH: usize = 64 * 1024;

impl Config {
    /// WebSockets with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Allows pages of these origins to open WebSockets. Default: only pages of the server's own
    /// origin. Programs that are no browsers send no origin, and are allowed.
    #[must_use]
    pub fn allowing_origins(self, origins: AllowedOrigins) -> Self {
        Self { origins, ..self }
    }

    pub(super) fn origins(&self) -> &AllowedOrigins {
        &self.origins
    }

    pub(super) fn take_scratch(&self) -> Vec<u8> {
        self.scratch.take()
    }

    pub(super) fn put_back_scratch(&self, scratch: Vec<u8>) {
        if scratch.capacity() <= KEPT_SCRATCH {
            self.scratch.set(scratch);
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("limits", &self.limits).finish_non_exhaustive()
    }
}
