//! The ways in which requests and connections fail.

use std::fmt;

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A connection was not established.
    Connect,
    /// The server closed the connection before the first byte of a pending final response.
    Closed,
    /// The server closed the connection in the middle of a response's head.
    TruncatedHead,
    /// The server closed the connection in the middle of a response's content.
    TruncatedContent,
    /// The server reset the connection.
    Reset,
    /// The server sent nothing for too long.
    Timeout,
    /// The server sent something that is not a response.
    BadResponse,
    /// The response is an error: a status of 400 or above, or an error message.
    ErrorResponse,
    /// The content of the response is not that of the first response.
    Mismatch,
    /// The socket failed in another way.
    Socket,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Closed,
        Self::TruncatedHead,
        Self::TruncatedContent,
        Self::Reset,
        Self::Timeout,
        Self::BadResponse,
        Self::ErrorResponse,
        Self::Mismatch,
        Self::Socket,
    ];

    /// A stable name in `snake_case`, for other programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::TruncatedHead => "cut_head",
            Self::TruncatedContent => "cut_content",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::BadResponse => "bad_reply",
            Self::ErrorResponse => "error_reply",
            Self::Mismatch => "different",
            Self::Socket => "socket",
        }
    }
}

/// Requests that failed, counted by kind, with a description of the first. A connection that failed
/// before it sent a request counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    counts: [u64; Failure::ALL.len()],
    first: [Option<String>; Failure::ALL.len()],
}

impl Failures {
    pub(crate) fn add(&mut self, failure: Failure, count: u64, text: impl fmt::Display) {
        self.counts[failure as usize] += count;
        self.first[failure as usize].get_or_insert_with(|| text.to_string());
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (at, (count, first)) in other.counts.into_iter().zip(other.first).enumerate() {
            self.counts[at] += count;
            if self.first[at].is_none() {
                self.first[at] = first;
            }
        }
    }

    /// The count of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The count of one kind.
    #[must_use]
    pub fn count(&self, failure: Failure) -> u64 {
        self.counts[failure as usize]
    }

    /// The kinds that occurred, each with its count and the description of the first.
    pub fn iter(&self) -> impl Iterator<Item = (Failure, u64, &str)> {
        Failure::ALL.into_iter().filter(|failure| self.count(*failure) > 0).map(|failure| {
            let text = self.first[failure as usize].as_deref().unwrap_or_default();
            (failure, self.count(failure), text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_and_a_name_of_its_own() {
        for (at, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, at);
            assert!(Failure::ALL[..at].iter().all(|other| other.code() != failure.code()));
        }
    }

    #[test]
    fn what_was_said_first_is_kept() {
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
