//! The ways in which requests and connections fail.

use std::collections::BTreeMap;
use std::fmt;

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// A connection was not established.
    Connect,
    /// TLS failed: the handshake was not completed, the certificate was refused, or an alert was
    /// received.
    Tls,
    /// The server closed the connection before the first byte of a pending final response, or
    /// closed the WebSocket while a response was pending. In HTTP/2, it may also have ended too
    /// many connections in a row without a response.
    Closed,
    /// The server closed the connection in the middle of a response's head.
    TruncatedHead,
    /// The server closed the connection in the middle of a response's content.
    TruncatedContent,
    /// The server reset the connection. In HTTP/2, it may also have reset or refused a stream, or
    /// ended the connection with an error code.
    Reset,
    /// The server sent nothing for too long.
    Timeout,
    /// The server sent something that is not a response, a response without a request, or one with
    /// too much content. It may also have refused HTTP/2, or a WebSocket (with a status below 400).
    BadResponse,
    /// The response is an error: over HTTP, a status of 400 or above; in the protocol of
    /// `sockeye-message`, an error message. For echo servers and WebSockets: the first response to
    /// this request was not what was sent. Then all later ones count as errors, too.
    ErrorResponse,
    /// The content of the response is not that of the first response to the same request.
    Mismatch,
    /// The socket failed in another way.
    Socket,
}

impl Failure {
    /// A stable name in `snake_case`, for other programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::TruncatedHead => "truncated_head",
            Self::TruncatedContent => "truncated_content",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::BadResponse => "bad_response",
            Self::ErrorResponse => "error_response",
            Self::Mismatch => "mismatch",
            Self::Socket => "socket",
        }
    }
}

/// Counts of the requests that failed, by kind of failure, with a description of the first failure
/// of each kind. A connection that failed while no request was pending counts as one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures(BTreeMap<Failure, (u64, String)>);

impl Failures {
    pub(crate) fn add(&mut self, failure: Failure, count: u64, text: impl fmt::Display) {
        self.0.entry(failure).or_insert_with(|| (0, text.to_string())).0 += count;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (failure, (count, text)) in other.0 {
            self.add(failure, count, text);
        }
    }

    /// The sum of the counts of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|(count, _)| count).sum()
    }

    /// The kinds that occurred, each with its count and the description of its first failure.
    pub fn iter(&self) -> impl Iterator<Item = (Failure, u64, &str)> {
        self.0.iter().map(|(failure, (count, text))| (*failure, *count, text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable() {
        for (failure, code) in [
            (Failure::Connect, "connect"),
            (Failure::Tls, "tls"),
            (Failure::Closed, "closed"),
            (Failure::TruncatedHead, "truncated_head"),
            (Failure::TruncatedContent, "truncated_content"),
            (Failure::Reset, "reset"),
            (Failure::Timeout, "timeout"),
            (Failure::BadResponse, "bad_response"),
            (Failure::ErrorResponse, "error_response"),
            (Failure::Mismatch, "mismatch"),
            (Failure::Socket, "socket"),
        ] {
            assert_eq!(failure.code(), code);
        }
    }

    #[test]
    fn failures_are_counted_by_kind_with_the_text_of_the_first() {
        let (mut failures, mut others) = (Failures::default(), Failures::default());
        failures.add(Failure::Reset, 2, "once");
        others.add(Failure::Reset, 3, "twice");
        others.add(Failure::Timeout, 1, "nothing");
        failures.merge(others);
        assert_eq!(failures.total(), 6);
        let all: Vec<_> = failures.iter().collect();
        assert_eq!(all, [(Failure::Reset, 5, "once"), (Failure::Timeout, 1, "nothing")]);
    }
}
