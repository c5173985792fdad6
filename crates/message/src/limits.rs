//! Limits and timeouts of a connection that carries messages.

use std::sync::Arc;
use std::time::Duration;

use sockeye_http::{self as http_core, ws};
use sockeye_proto::Budget;

/// Content of more bytes than this takes too long to parse on the event loop. The services that
/// come with Sockeye parse it on another thread ([`Responder::run`](super::Responder::run)). Other
/// handlers should do the same.
pub const LARGE_CONTENT: usize = 64 * 1024;

/// Limits and timeouts of one connection. It carries messages in frames (each has a JSON header and
/// content), over HTTP or over WebSocket. The defaults are safe for unknown peers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum size of a frame's header, in bytes. A larger one gets the response `too_large`.
    /// Default: 65,535, the maximum of the format.
    pub header: u16,
    /// Maximum size of a message's content, in bytes. Larger content gets the response `too_large`:
    /// at once if a frame's header or Content-Length announces its length, otherwise when more than
    /// this has arrived. A WebSocket message that is too large even for content and a header
    /// together closes the WebSocket with 1009. Default: 16 MiB.
    pub content: u64,
    /// Maximum number of values and keys in JSON content that is collected
    /// ([`ContentMode::Whole`](super::ContentMode::Whole)). Limits the memory and time that parsing
    /// takes. Content with more gets the response `too_complex` when all of it has arrived.
    /// Default: 100,000.
    pub json_nodes: usize,
    /// Budget for collected content, shared by all connections whose limits are clones of these. A
    /// message is charged for its bytes above 64 KiB (over HTTP/2, for all of them) until it is
    /// answered and the jobs of its [`Responder`](super::Responder) have ended. One client can use
    /// a quarter of the budget, a client on the same machine half. When the budget or the client's
    /// share is spent, the content is discarded and the response is `busy`. Default: 256 MiB.
    pub collected: Arc<Budget>,
    /// Maximum number of requests in flight in the frames of one connection, or on one WebSocket.
    /// At this number, or when their contents together reach [`Limits::content`], no more requests
    /// are read until one is answered. Default: 16; 0 counts as 1.
    pub in_flight: usize,
    /// Maximum time to receive a frame's header, from its first byte. When it passes, the response
    /// is `timeout`. While the output is full, the server reads nothing, and no frame times out.
    /// Over HTTP, this is the `head_timeout` of [`Limits::http`]. Default: 10 s.
    pub header_timeout: Duration,
    /// Maximum time without progress while content arrives. When it passes, the response is
    /// `timeout`. Default: 30 s.
    pub content_timeout: Duration,
    /// Maximum time to wait for the first byte of a frame or an HTTP request. When it passes, the
    /// connection closes. Default: 60 s.
    pub idle_timeout: Duration,
    /// Maximum time without progress while an HTTP/2 client's flow-control windows hold up a
    /// response. When it passes, the server resets the stream. For a client that reads nothing from
    /// the socket, `Config::write_timeout` of sockeye-engine applies instead. Default: 60 s.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: u16::MAX,
            content: 16 * 1024 * 1024,
            json_nodes: 100_000,
            collected: Budget::new("bytes of collected content", 256 * 1024 * 1024),
            in_flight: 16,
            header_timeout: Duration::from_secs(10),
            content_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// These limits as limits of the HTTP server, whose other limits are the defaults.
    #[must_use]
    pub fn http(&self) -> http_core::Limits {
        http_core::Limits {
            head_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            body: self.content,
            body_timeout: self.content_timeout,
            write_timeout: self.write_timeout,
            ..http_core::Limits::default()
        }
    }

    /// These limits as limits of WebSockets: a message may contain a header and content of the
    /// maximum sizes. The other limits are the defaults.
    #[must_use]
    pub fn websocket(&self) -> ws::Limits {
        let content = usize::try_from(self.content).unwrap_or(usize::MAX);
        // In front of a header, there are two bytes with its length.
        let message = content.saturating_add(usize::from(self.header) + 2);
        ws::Limits { message, ..ws::Limits::default() }
    }
}
