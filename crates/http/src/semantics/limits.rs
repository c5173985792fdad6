//! Limits on the sizes of requests, and timeouts.

use std::time::Duration;

/// Limits on the sizes of requests, and timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of a request line with its CRLF, in HTTP/2 of `:path`. A longer one gets 414.
    /// Default: 8 KiB. Methods have a limit of their own: [`Method::MAX_LEN`](crate::Method::MAX_LEN).
    pub request_line: usize,
    /// Maximum bytes of a request head. A longer one gets 431. In HTTP/2, names and values after
    /// decompression count, and 32 bytes more for each field; far beyond the limit, the server ends
    /// the connection. Default: 32 KiB.
    pub head: usize,
    /// Maximum number of field lines of a request. A request with more gets 431. Default: 128.
    pub fields: usize,
    /// Time to receive a head, from its first byte. After it, the server answers 408. In HTTP/2, it
    /// is the time for the preface, for a header block, and for each frame except content. After it,
    /// the server ends the connection, which may have other requests in flight. Default: 10 s.
    pub head_timeout: Duration,
    /// Time to receive the first byte of a request, while none is in flight. After it, the server
    /// closes the connection. Default: 60 s.
    pub idle_timeout: Duration,
    /// Maximum bytes of a request's content, unless the handler sets a limit of its own. Larger
    /// content gets 413. Default: 16 MiB.
    pub body: u64,
    /// Time that a handler waits for the next piece of content. After it, the server answers 408.
    /// Also the time to receive all content that is discarded, in HTTP/2 5 s: see
    /// [`discard`](Self::discard). Default: 30 s.
    pub body_timeout: Duration,
    /// Time from when a handler receives a request, or the latest piece of its content, until the
    /// response must start. After it, the handler answers 503
    /// ([`Handler::on_response_timeout`](crate::Handler)). While the handler waits for content,
    /// `body_timeout` applies instead. Default: `None`, no limit, so that a response can wait until
    /// there is something to send (long polling).
    pub response_timeout: Option<Duration>,
    /// Time that a streamed response may send nothing once the client has closed its sending side.
    /// After it, the server cancels the response, and closes the connection in HTTP/1.1. Default:
    /// 15 s.
    pub half_closed_timeout: Duration,
    /// Time that an HTTP/2 client's windows may let nothing of a response through. After it, the
    /// server resets the stream. Default: 60 s.
    pub write_timeout: Duration,
    /// Maximum bytes of unread content that the server discards after the response, to keep the
    /// connection open. If there is more, the server closes the connection. In HTTP/2, it discards 16
    /// times as much of each stream, and resets the stream if there is more. Default: 64 KiB.
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
