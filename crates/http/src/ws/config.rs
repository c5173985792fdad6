//! The configuration of WebSockets.

use std::cell::Cell;
#[cfg(feature = "deflate")]
use std::cell::{RefCell, RefMut};
use std::fmt;
use std::time::Duration;

#[cfg(feature = "deflate")]
use super::deflate::{DeflateMemory, DeflateOptions};
use super::scratch::Scratch;
use crate::AllowedOrigins;

/// Limits on WebSockets, and timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of a message. A larger one closes the WebSocket with 1009. Default: 1 MiB.
    pub message: usize,
    /// Maximum number of fragments of a message, empty ones included. One more closes the WebSocket
    /// with 1008. Default: 1,024.
    pub fragments: u32,
    /// Time without input after which a ping is sent. `None`: never. Default: 30 s.
    pub ping_after: Option<Duration>,
    /// Time that a peer has to answer a ping, with a pong or anything else. The time doesn't run
    /// while the handler has paused the input, or while output is unsent, since that may include
    /// the ping. Default: 20 s.
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

/// The configuration that the WebSockets of one worker share.
#[derive(Default)]
pub struct Config {
    limits: Limits,
    origins: AllowedOrigins,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateOptions>,
    /// Memory for one message. `None` before the first input, and while a connection reads its
    /// input: it takes the memory, and puts it back afterwards.
    scratch: Cell<Option<Box<Scratch>>>,
    /// Memory for compressing one message.
    compressed: Cell<Vec<u8>>,
    #[cfg(feature = "deflate")]
    deflate_memory: RefCell<DeflateMemory>,
}

/// Maximum size in bytes of a buffer that is kept for the next message: as much as the engine reads
/// from a connection in one turn.
const KEPT_SCRATCH: usize = 68 * 1024;

impl Config {
    /// A configuration with these limits.
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

    /// Compresses messages if the peer supports it (permessage-deflate, RFC 7692). Default: off,
    /// since it costs time and memory, and compressed secrets can be guessed from their length.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflating(self, options: DeflateOptions) -> Self {
        Self { deflate: Some(options), ..self }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn deflate(&self) -> Option<&DeflateOptions> {
        self.deflate.as_ref()
    }

    #[cfg(feature = "deflate")]
    pub(super) fn deflate_memory(&self) -> RefMut<'_, DeflateMemory> {
        self.deflate_memory.borrow_mut()
    }

    pub(super) fn take_scratch(&self) -> Box<Scratch> {
        self.scratch.take().unwrap_or_default()
    }

    pub(super) fn put_back_scratch(&self, mut scratch: Box<Scratch>) {
        scratch.shrink(KEPT_SCRATCH);
        self.scratch.set(Some(scratch));
    }

    /// Calls `write` with an empty buffer. Later calls reuse its memory.
    pub(super) fn with_compressed<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut memory = self.compressed.take();
        memory.clear();
        let written = write(&mut memory);
        if memory.capacity() <= KEPT_SCRATCH {
            self.compressed.set(memory);
        }
        written
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("limits", &self.limits).finish_non_exhaustive()
    }
}
