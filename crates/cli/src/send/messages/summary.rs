//! The last line that `sockeye send message://…` prints: counts of messages (the requests of
//! Sockeye's own protocol) and of their responses.

use std::fmt;
use std::time::Duration;

use crate::text;

/// The results of all senders together. A sender sends its messages in order, on one connection or
/// on several in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Messages to send.
    pub(super) total: u64,
    /// Messages with a response that is not counted in `errors`, `echoed` or `invalid`.
    pub(super) answered: u64,
    /// Messages with an error response.
    pub(super) errors: u64,
    /// Messages that were sent back unchanged.
    pub(super) echoed: u64,
    /// Messages with invalid JSON as response.
    pub(super) invalid: u64,
    /// Senders that failed.
    pub(super) failed: u64,
    /// Bytes of content in responses.
    pub(super) received: u64,
    /// Whether sending stopped because standard output has no reader.
    pub(super) output_closed: bool,
    pub(super) time: Duration,
}

impl Summary {
    /// Whether nothing failed. If standard output has no reader, sending stops: then messages
    /// without a response are not failures.
    pub(super) fn is_success(&self) -> bool {
        self.errors + self.echoed + self.invalid + self.failed == 0
            && (self.output_closed || self.answered == self.total)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} answered", text::count(self.total, "message"), self.answered)?;
        if self.errors > 0 {
            write!(f, ", {} answered with an error", self.errors)?;
        }
        if self.echoed > 0 {
            write!(f, ", {} sent back unchanged", self.echoed)?;
        }
        if self.invalid > 0 {
            write!(f, ", {} answered with invalid JSON", self.invalid)?;
        }
        let responses = self.answered + self.errors + self.echoed + self.invalid;
        match self.total.saturating_sub(responses) {
            0 => {}
            rest if self.output_closed => {
                write!(f, ", {rest} aborted, since standard output has no reader")?;
            }
            rest => write!(f, ", {rest} without a response")?,
        }
        let (received, time) = (text::bytes(self.received), text::time(self.time));
        write!(f, "; received {received} of content in {time}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_every_outcome() {
        let base = Summary {
            total: 3,
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
                "3 messages: 1 answered, 1 answered with an error, 1 without a response",
            ),
            (
                Summary { answered: 0, echoed: 2, invalid: 1, ..base.clone() },
                false,
                "3 messages: 0 answered, 2 sent back unchanged, 1 answered with invalid JSON",
            ),
            (
                Summary { answered: 1, output_closed: true, ..base.clone() },
                true,
                "3 messages: 1 answered, 2 aborted, since standard output has no reader",
            ),
            (
                Summary { answered: 1, output_closed: true, failed: 1, ..base },
                false,
                "3 messages: 1 answered, 2 aborted, since standard output has no reader",
            ),
        ];
        for (summary, good, expected_text) in table {
            assert_eq!(summary.to_string(), format!("{expected_text}; {end}"));
            assert_eq!(summary.is_success(), good, "{expected_text}");
        }
    }
}
