//! Limits on the sizes of requests, and timeouts.

use std::time::Duration;

/// Limits on the sizes of requests, and timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of a request line with its CRLF; in HTTP/2, of `:path`. A request beyond the
    /// limit gets 414. Default: 8 KiB. Methods have a limit of their own:
    /// [`Method::MAX_LEN`](crate::Method::MAX_LEN).
    pub request_line: usize,
    /// Maximum bytes of a request head. A longer one gets 431. In HTTP/2, the size of a head is
    /// that of its decompressed names and values, plus 32 bytes per field (RFC 9113, 6.5.2). The
    /// server ends the connection if this size exceeds 8 times the limit, or if the compressed head
    /// comes in several frames and exceeds 4 times the limit. While the engine's budget for memory,
    /// or the client's share of it, is spent, the factor 4 is 1. Default: 32 KiB.
    pub head: usize,
    /// Maximum number of field lines of a request. A request with more gets 431. Default: 128.
    pub fields: usize,
    /// Time to receive a head, from its first byte. After this time, the server answers 408. In
    /// HTTP/2, the limit applies to the preface, to each header block, and to each frame except
    /// DATA. If one of these takes longer, the server ends the connection with all its requests.
    /// Default: 10 s.
    pub head_timeout: Duration,
    /// Time to receive the first byte of a request, or in HTTP/2 its whole head, while no request
    /// is in flight. After this time, the server closes the connection. Default: 60 s.
    pub idle_timeout: Duration,
    /// Maximum bytes of a request's content, unless the handler sets a limit of its own. Larger
    /// content gets 413. Default: 16 MiB.
    pub body: u64,
    /// Time that a handler waits for the next piece of content. After this time, the server answers
    /// 408. In HTTP/2, while too much content of other requests waits for their handlers, the
    /// client may be unable to send; that time doesn't count. In HTTP/1.1, this is also the time to
    /// receive all content that is [discarded](Self::discard). In HTTP/2, the time for discarded
    /// content is always 5 s. Default: 30 s.
    pub body_timeout: Duration,
    /// Time from when a handler receives a request, or the latest piece of its content, until the
    /// response must start. After this time, the handler answers 503
    /// ([`Handler::on_response_timeout`](crate::Handler)). While the handler waits for content,
    /// `body_timeout` applies instead. Default: `None`, no limit, so that a response can wait until
    /// there is something to send (long polling).
    pub response_timeout: Option<Duration>,
    /// Time that a streamed response may send nothing once the client has closed its sending side.
    /// After this time, the server cancels the response, and closes the connection in HTTP/1.1.
    /// Default: 15 s.
    pub half_closed_timeout: Duration,
    /// Time that a response over HTTP/2 may wait for the client to enlarge its flow-control
    /// windows, if they allow no further byte. After this time, the server resets the stream.
    /// Default: 60 s.
    pub write_timeout: Duration,
    /// Maximum bytes of unread content that the server discards after the response, to keep the
    /// connection open. If there is more, the server closes the connection. In HTTP/2, 16 times as
    /// much is discarded per stream. If there is more, the server resets only the stream. Default:
    /// 64 KiB.
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
            write_timeout: Duration::from_secs(60),
            discard: 64 * 1024,
        }
    }
}
