//! How much of a client's request is taken, and how long is waited for it.

use std::time::Duration;

/// How much of a client's request is taken, and how long is waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request line, its CRLF included; a longer one is answered with 414. 8 KiB. A method has
    /// a limit of its own, [`Method::LONGEST`](crate::Method::LONGEST).
    pub request_line: usize,
    /// Bytes of a whole request head; a longer one is answered with 431. 32 KiB.
    pub head: usize,
    /// Field lines of a request; more are answered with 431. 128.
    pub fields: usize,
    /// How long a head may take from its first byte; then 408. 10 s.
    pub head_timeout: Duration,
    /// How long a connection may wait for the first byte of a request; then it is closed. 60 s.
    pub idle_timeout: Duration,
    /// Bytes of a request's body that a handler asks for without naming a limit of its own; a
    /// larger one is answered with 413. 16 MiB.
    pub body: u64,
    /// How long a body that is wanted may stay without progress; then 408. 30 s.
    pub body_timeout: Duration,
    /// How long a handler may take until the head of its response is there; then the response is 503,
    /// and the handler hears of it ([`Handler::on_response_timeout`](crate::Handler)). The time runs
    /// from when the handler was given the request, and anew from when it was given the request's
    /// body, or a piece of it: while a client sends what the handler reads, `body_timeout` counts. A
    /// response that has begun has no such limit. Default: `None`, which waits for ever, so that
    /// requests can be held until there is something to say (long polling).
    pub response_timeout: Option<Duration>,
    /// How long a streamed response may send nothing after its client has ended its side; then the
    /// response is cancelled and the connection closed. A response that is sent whole, however late,
    /// has no such limit but `response_timeout`. 15 s.
    pub half_closed_timeout: Duration,
    /// Bytes of a request's body that are read and thrown away, when it was answered without its
    /// body, so that the connection can go on. With more to come it is closed. 64 KiB.
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
