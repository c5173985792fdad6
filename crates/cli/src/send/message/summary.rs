//! What a run came to.

use std::fmt;
use std::time::Duration;

use crate::text;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Messages that were to be sent.
    pub(super) wanted: u64,
    /// Those with a response that is no error.
    pub(super) answered: u64,
    /// Those with an error for a response.
    pub(super) errors: u64,
    /// Those with themselves for a response: the peer echoes.
    pub(super) echoed: u64,
    /// Those with a response that says that it is JSON, and is none.
    pub(super) invalid: u64,
    /// Lanes that could not go on.
    pub(super) failed: u64,
    /// Bytes of content that came.
    pub(super) received: u64,
    /// Nobody reads the output any more, so it was given up.
    pub(super) unread: bool,
    pub(super) time: Duration,
}

impl Summary {
    /// Whether everything went as it should.
    pub(super) fn is_good(&self) -> bool {
        self.errors + self.echoed + self.invalid + self.failed == 0
            && (self.unread || self.answered == self.wanted)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} answered", text::count(self.wanted, "message"), self.answered)?;
        if self.errors > 0 {
            write!(f, ", {} answered with an error", self.errors)?;
        }
        if self.echoed > 0 {
            write!(f, ", {} sent back as they were", self.echoed)?;
        }
        if self.invalid > 0 {
            write!(f, ", {} answered with invalid JSON", self.invalid)?;
        }
        let replies = self.answered + self.errors + self.echoed + self.invalid;
        match self.wanted.saturating_sub(replies) {
            0 => {}
            rest if self.unread => {
                write!(f, ", {rest} given up, since nobody reads standard output")?;
            }
            rest => write!(f, ", {rest} without a reply")?,
        }
        let (received, time) = (text::bytes(self.received), text::time(self.time));
        write!(f, "; received {received} of content in {time}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_became_of_every_message() {
        let base = Summary {
            wanted: 3,
            answered: 3,
            received: 88,
            time: Duration::from_micros(1234),
            ..Summary::default()
        };
        let end = "received 88 B of content in 1.2 ms";
        let table = [
            (base.clone(), true, "3 messages: 3 answered"),
            (
                Summary { answered: 1, errors: 1, ..base.clone() },
                false,
                "3 messages: 1 answered, 1 answered with an error, 1 without a reply",
            ),
            (
                Summary { answered: 0, echoed: 2, invalid: 1, ..base.clone() },
                false,
                "3 messages: 0 answered, 2 sent back as they were, 1 answered with invalid JSON",
            ),
            (
                Summary { answered: 1, unread: true, ..base.clone() },
                true,
                "3 messages: 1 answered, 2 given up, since nobody reads standard output",
            ),
            (
                Summary { answered: 1, unread: true, failed: 1, ..base },
                false,
                "3 messages: 1 answered, 2 given up, since nobody reads standard output",
            ),
        ];
        for (summary, good, says) in table {
            assert_eq!(summary.to_string(), format!("{says}; {end}"));
            assert_eq!(summary.is_good(), good, "{says}");
        }
    }
}
