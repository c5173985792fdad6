//! Limits on sizes and times, with their defaults.

use std::time::Duration;

/// Limits on requests, and time limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request line with its CRLF. A longer one is answered with 414. Default: 8 KiB. Methods
    /// have a limit of their own: [`Method::MAX_LEN`](crate::Method::MAX_LEN).
    pub request_line: usize,
    /// Bytes of a request head. A longer one is answered with 431. Default: 32 KiB.
    pub head: usize,
    /// Field lines of a request. More are answered with 431. Default: 128.
    pub fields: usize,
    /// The time for a head from its first byte. Then 408. Default: 10 s.
    pub head_timeout: Duration,
    /// The time for the first byte of a request. Then the connection is closed. Default: 60 s.
    pub idle_timeout: Duration,
    /// Bytes of a request's content, where the handler sets no limit of its own. Larger content is
    /// answered with 413. Default: 16 MiB.
    pub body: u64,
    /// The time without progress while a handler reads content. Then 408. Default: 30 s.
    pub body_timeout: Duration,
    /// The time for the head of a response. Then the handler answers 503
    /// ([`Handler::on_response_timeout`](crate::Handler)). The time starts when the handler receives the
    /// request, and again with each piece of content: while the handler reads content, `body_timeout`
    /// counts. Default: `None`, no limit, so that requests can be held until there is something to say
    /// (long polling).
    pub response_timeout: Option<Duration>,
    /// How long a streamed response may send nothing after its client has ended its side. Then the
    /// response is cancelled and the connection closed. Default: 15 s.
    pub half_closed_timeout: Duration,
    /// Bytes of unread content that are discarded after the response, to keep the connection open. If
    /// more is to come, the connection is closed. Default: 64 KiB.
    pub discard: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 8 * 1024,
            head: 32 * 1024,
            fields: 128,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body: 16 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            response_timeout: None,
            half_closed_timeout: Duration::from_secs(15),
            discard: 64 * 1024,
        }
    }
}
