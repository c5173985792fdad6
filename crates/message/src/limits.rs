//! How much of a peer is taken, and how long is waited for it.

use std::sync::Arc;
use std::time::Duration;

use sockeye_http as http_core;
use sockeye_proto::Budget;

/// Content above this size, in bytes, takes too long to parse on the event loop. The services that
/// come with Sockeye parse it on another thread ([`Responder::run`](super::Responder::run)), and so should other handlers.
pub const LARGE: usize = 64 * 1024;

/// Limits of one connection. Every default is safe for a peer that nobody knows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a frame's header; a longer one is answered with `too_large`. 65,535, the most that
    /// the protocol can say.
    pub header: u16,
    /// Bytes of a frame's content; more is answered with `too_large` before any of it is taken.
    /// 16 MiB.
    pub content: u64,
    /// Values and keys in the content of a request, where its type is JSON and its handler wants it
    /// whole ([`Wants::Whole`](super::Wants)): this bounds the memory and time that parsing takes. More
    /// are answered with `too_complex` when the content is complete. Default: 100,000.
    pub json_nodes: usize,
    /// Bytes of contents that are wanted whole, as far as one has more than 64 KiB: from when they
    /// come until their request is answered or given up. Clones of these limits share it, so that
    /// it holds for all connections of a server; one client has a quarter, a local one half. A
    /// request that finds it spent is answered with `busy` when its content, which is thrown away,
    /// is complete. Default: 256 MiB.
    pub collected: Arc<Budget>,
    /// Requests of one connection that may wait for their answers; then no more are read, nor when
    /// their contents together have reached the limit of one. 16; 0 counts as 1.
    pub in_flight: usize,
    /// How long a header may take from its first byte; then `timeout`. 10 s.
    pub header_timeout: Duration,
    /// How long content may make no progress; then `timeout`. 30 s.
    pub content_timeout: Duration,
    /// How long a connection may wait for the first byte of a frame; then it is closed. 60 s.
    pub idle_timeout: Duration,
}

/// Bytes of content that all connections may have in memory.
const COLLECTED_CONTENT: u64 = 256 * 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: u16::MAX,
            content: 16 * 1024 * 1024,
            json_nodes: 100_000,
            collected: Budget::new("bytes of collected content", COLLECTED_CONTENT),
            in_flight: 16,
            header_timeout: Duration::from_secs(10),
            content_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The same for messages that come over HTTP: a body is a content, and the deadlines are these.
    /// How large a request's head may be is HTTP's own.
    #[must_use]
    pub fn http(&self) -> http_core::Limits {
        http_core::Limits {
            head_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            body: self.content,
            body_timeout: self.content_timeout,
            ..http_core::Limits::default()
        }
    }
}
