//! Collects how connections ended, for the warnings and the last line of `sockeye send`.

use std::fmt;
use std::time::Duration;

use crate::text;

/// How one connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::send) enum Ending {
    /// Without a failure.
    Done,
    /// Aborted, since standard output has no reader.
    OutputClosed,
    /// The connection was never established, for this reason.
    NotConnected(String),
    /// The connection was established, and failed for this reason.
    Failed(String),
}

/// Collects how the connections to one address ended.
pub(in crate::send) struct Report {
    summary: Summary,
    /// Warnings about connections that were not established. They are not printed at once: if no
    /// connection was established and the peer has another address, that address is tried instead,
    /// and these warnings are dropped.
    unconnected: Vec<String>,
    /// Prints a warning.
    warn: Box<dyn FnMut(String)>,
}

impl Report {
    /// Creates a report that prints warnings with `warn`: warnings about failures to connect in
    /// `finish`, all others at once.
    pub(in crate::send) fn new(warn: impl FnMut(String) + 'static) -> Self {
        Self { summary: Summary::default(), unconnected: Vec::new(), warn: Box::new(warn) }
    }

    /// Prints `text` for the user at once.
    pub(in crate::send) fn note(&mut self, text: &str) {
        (self.warn)(text.to_owned());
    }

    /// Records how connection `number` ended, and what it sent and received. If it is done or has
    /// failed, prints `hint` for the user.
    pub(in crate::send) fn record(
        &mut self,
        number: usize,
        traffic: Traffic,
        ending: Ending,
        hint: Option<&str>,
    ) {
        self.summary.traffic.add(&traffic);
        match ending {
            Ending::Done => {
                self.summary.done += 1;
                if let Some(hint) = hint {
                    (self.warn)(format!("connection {number}: {hint}"));
                }
            }
            Ending::OutputClosed => self.summary.output_closed += 1,
            Ending::NotConnected(reason) => {
                self.unconnected.push(format!("connection {number}: {reason}"));
            }
            Ending::Failed(reason) => {
                self.summary.failed += 1;
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                (self.warn)(format!("connection {number}: {reason}{hint}"));
            }
        }
    }

    /// Whether connections have ended, and none of them was established.
    pub(in crate::send) fn is_unconnected(&self) -> bool {
        !self.unconnected.is_empty() && self.summary.all() == 0
    }

    /// Warns about failures to connect, counts them as failed, and returns the summary. `time` is
    /// how long everything took.
    pub(in crate::send) fn finish(&mut self, time: Duration) -> Summary {
        self.summary.failed += self.unconnected.len();
        self.unconnected.drain(..).for_each(&mut self.warn);
        Summary { time, ..self.summary.clone() }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("summary", &self.summary).finish_non_exhaustive()
    }
}

/// What was sent and received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::send) struct Traffic {
    /// The number of bytes sent, and the number received.
    pub(in crate::send) bytes: [u64; 2],
    /// The number of messages sent, and the number received. `None` if bytes are sent, not
    /// messages.
    pub(in crate::send) messages: Option<[u64; 2]>,
}

impl Traffic {
    /// Traffic without messages. `bytes` are those sent, and those received.
    pub(in crate::send) fn bytes(bytes: [u64; 2]) -> Self {
        Self { bytes, messages: None }
    }

    fn add(&mut self, other: &Self) {
        let sum = |[a, b]: [u64; 2], [c, d]: [u64; 2]| [a + c, b + d];
        self.bytes = sum(self.bytes, other.bytes);
        if let Some(messages) = other.messages {
            self.messages = Some(sum(self.messages.unwrap_or_default(), messages));
        }
    }

    /// Formats what was sent (direction 0) or received (direction 1).
    fn text(&self, direction: usize) -> String {
        let bytes = text::bytes(self.bytes[direction]);
        match self.messages {
            None => bytes,
            Some(messages) => {
                format!("{} ({bytes})", text::count(messages[direction], "message"))
            }
        }
    }
}

/// The counts of connections by [`Ending`], and the traffic of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::send) struct Summary {
    pub(in crate::send) done: usize,
    pub(in crate::send) output_closed: usize,
    /// Failed, or not established.
    pub(in crate::send) failed: usize,
    pub(in crate::send) traffic: Traffic,
    pub(in crate::send) time: Duration,
}

impl Summary {
    fn all(&self) -> usize {
        self.done + self.output_closed + self.failed
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} finished", text::count(self.all() as u64, "connection"), self.done)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.output_closed > 0 {
            write!(f, ", {} aborted, since standard output has no reader", self.output_closed)?;
        }
        let [sent, received] = [0, 1].map(|direction| self.traffic.text(direction));
        write!(f, "; sent {sent}, received {received} in {}", text::time(self.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Ending {
        Ending::NotConnected("could not connect".into())
    }

    /// Records these endings. Returns the warnings, whether no connection was established, and the
    /// summary.
    fn report(endings: &[Ending]) -> (Vec<String>, bool, String) {
        let warnings = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let mut report = Report::new({
            let warnings = std::rc::Rc::clone(&warnings);
            move |text| warnings.borrow_mut().push(text)
        });
        for (at, ending) in endings.iter().enumerate() {
            let bytes = if *ending == refused() { [0, 0] } else { [44, 22] };
            report.record(at + 1, Traffic::bytes(bytes), ending.clone(), None);
        }
        let unconnected = report.is_unconnected();
        let summary = report.finish(Duration::from_micros(1234)).to_string();
        (warnings.take(), unconnected, summary)
    }

    #[test]
    fn the_summary_counts_what_happened() {
        let (warnings, unconnected, summary) = report(&[Ending::Done, Ending::Done]);
        assert_eq!((warnings.len(), unconnected), (0, false));
        assert_eq!(summary, "2 connections: 2 finished; sent 88 B, received 44 B in 1.2 ms");
        let (warnings, _, summary) = report(&[Ending::Failed("the peer left".into())]);
        assert_eq!(warnings, ["connection 1: the peer left"]);
        assert_eq!(
            summary,
            "1 connection: 0 finished, 1 failed; sent 44 B, received 22 B in 1.2 ms"
        );
    }

    #[test]
    fn another_address_is_tried_only_if_no_connection_was_established() {
        let (warnings, unconnected, summary) = report(&[refused(), refused()]);
        assert_eq!((warnings.len(), unconnected), (2, true));
        assert!(summary.starts_with("2 connections: 0 finished, 2 failed;"), "{summary}");
        let (warnings, unconnected, _) = report(&[refused(), Ending::Done]);
        assert!(!unconnected);
        assert_eq!(warnings, ["connection 1: could not connect"]);
    }
}
