//! What can go wrong with a request, by kind.

use std::fmt;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A connection did not come to stand.
    Connect,
    /// The server closed the connection before the first byte of a response that it owed, interim
    /// responses aside.
    Closed,
    /// The server closed the connection in the middle of a response's head.
    CutHead,
    /// The server closed the connection in the middle of a response's content.
    CutContent,
    /// The server reset the connection.
    Reset,
    /// The server was silent for too long.
    Silent,
    /// What came is no response.
    Garbage,
    /// The response is an error: a status from 400 on, or an error message.
    Error,
    /// The response is not the one that came first, and all were to be the same.
    Different,
    /// The socket failed in another way.
    Socket,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Closed,
        Self::CutHead,
        Self::CutContent,
        Self::Reset,
        Self::Silent,
        Self::Garbage,
        Self::Error,
        Self::Different,
        Self::Socket,
    ];

    /// A stable name in `snake_case`, for other programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::CutHead => "cut_head",
            Self::CutContent => "cut_content",
            Self::Reset => "reset",
            Self::Silent => "timeout",
            Self::Garbage => "bad_reply",
            Self::Error => "error_reply",
            Self::Different => "different",
            Self::Socket => "socket",
        }
    }
}

/// How often each kind of trouble was met, with what was said of the first: the requests that were
/// sent and have no good response for it. A connection that failed before it sent any counts once, so of
/// [`Trouble::Connect`] these are attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    counts: [u64; Trouble::ALL.len()],
    first: [Option<String>; Trouble::ALL.len()],
}

impl Troubles {
    pub(crate) fn add(&mut self, trouble: Trouble, count: u64, says: impl fmt::Display) {
        self.counts[trouble as usize] += count;
        self.first[trouble as usize].get_or_insert_with(|| says.to_string());
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (at, (count, first)) in other.counts.into_iter().zip(other.first).enumerate() {
            self.counts[at] += count;
            if self.first[at].is_none() {
                self.first[at] = first;
            }
        }
    }

    /// Of all kinds together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Of one kind.
    #[must_use]
    pub fn count(&self, trouble: Trouble) -> u64 {
        self.counts[trouble as usize]
    }

    /// Those that were met: the kind, how often, and what was said of the first.
    pub fn met(&self) -> impl Iterator<Item = (Trouble, u64, &str)> {
        Trouble::ALL.into_iter().filter(|trouble| self.count(*trouble) > 0).map(|trouble| {
            let says = self.first[trouble as usize].as_deref().unwrap_or_default();
            (trouble, self.count(trouble), says)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_and_a_name_of_its_own() {
        for (at, trouble) in Trouble::ALL.into_iter().enumerate() {
            assert_eq!(trouble as usize, at);
            assert!(Trouble::ALL[..at].iter().all(|other| other.code() != trouble.code()));
        }
    }

    #[test]
    fn what_was_said_first_is_kept() {
        let (mut troubles, mut others) = (Troubles::default(), Troubles::default());
        troubles.add(Trouble::Reset, 2, "once");
        others.add(Trouble::Reset, 3, "twice");
        others.add(Trouble::Silent, 1, "nothing");
        troubles.merge(others);
        assert_eq!(troubles.total(), 6);
        let met: Vec<_> = troubles.met().collect();
        assert_eq!(met, [(Trouble::Reset, 5, "once"), (Trouble::Silent, 1, "nothing")]);
    }
}
