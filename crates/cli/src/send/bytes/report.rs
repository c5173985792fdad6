//! How the connections ended.

use std::fmt;
use std::time::Duration;

use crate::text;

/// How one connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    /// Aborted, since standard output has no reader.
    Unread,
    /// The connection was never established, for this reason.
    NotConnected(String),
    /// The connection was established, and failed for this reason.
    Failed(String),
}

/// Collects the outcomes of connections to one address.
pub(super) struct Report {
    summary: Summary,
    /// Complaints about connections that were not established. The next address may work.
    unconnected: Vec<String>,
    complain: Box<dyn FnMut(String)>,
}

impl Report {
    /// Complains about failures at once, but about failures to connect only at the end.
    pub(super) fn new(complain: impl FnMut(String) + 'static) -> Self {
        Self { summary: Summary::default(), unconnected: Vec::new(), complain: Box::new(complain) }
    }

    /// Notes how connection `number` ended, with the numbers of bytes, and a hint for the user.
    pub(super) fn note(
        &mut self,
        number: usize,
        [sent, received]: [u64; 2],
        ending: Ending,
        hint: Option<&str>,
    ) {
        self.summary.sent += sent;
        self.summary.received += received;
        match ending {
            Ending::Done => {
                self.summary.done += 1;
                if let Some(hint) = hint {
                    (self.complain)(format!("connection {number}: {hint}"));
                }
            }
            Ending::Unread => self.summary.unread += 1,
            Ending::NotConnected(reason) => {
                self.unconnected.push(format!("connection {number}: {reason}"));
            }
            Ending::Failed(reason) => {
                self.summary.failed += 1;
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                (self.complain)(format!("connection {number}: {reason}{hint}"));
            }
        }
    }

    /// Whether no connection was established.
    pub(super) fn is_unconnected(&self) -> bool {
        !self.unconnected.is_empty() && self.summary.all() == 0
    }

    /// Complains about failures to connect, and sums everything up.
    pub(super) fn finish(&mut self, time: Duration) -> Summary {
        self.summary.failed += self.unconnected.len();
        self.unconnected.drain(..).for_each(&mut self.complain);
        Summary { time, ..self.summary.clone() }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("summary", &self.summary).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) done: usize,
    pub(super) unread: usize,
    pub(super) failed: usize,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) time: Duration,
}

impl Summary {
    fn all(&self) -> usize {
        self.done + self.unread + self.failed
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} finished", text::count(self.all() as u64, "connection"), self.done)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.unread > 0 {
            write!(f, ", {} aborted, since standard output has no reader", self.unread)?;
        }
        let (sent, received) = (text::bytes(self.sent), text::bytes(self.received));
        write!(f, "; sent {sent}, received {received} in {}", text::time(self.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Ending {
        Ending::NotConnected("could not connect".into())
    }

    /// The complaints about connections, whether none was connected, and the summary.
    fn report(endings: &[Ending]) -> (Vec<String>, bool, String) {
        let complaints = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let mut report = Report::new({
            let complaints = std::rc::Rc::clone(&complaints);
            move |text| complaints.borrow_mut().push(text)
        });
        for (at, ending) in endings.iter().enumerate() {
            let bytes = if *ending == refused() { [0, 0] } else { [44, 22] };
            report.note(at + 1, bytes, ending.clone(), None);
        }
        let unconnected = report.is_unconnected();
        let summary = report.finish(Duration::from_micros(1234)).to_string();
        (complaints.take(), unconnected, summary)
    }

    #[test]
    fn the_summary_counts_what_happened() {
        let (complaints, unconnected, summary) = report(&[Ending::Done, Ending::Done]);
        assert_eq!((complaints.len(), unconnected), (0, false));
        assert_eq!(summary, "2 connections: 2 finished; sent 88 B, received 44 B in 1.2 ms");
        let (complaints, _, summary) = report(&[Ending::Failed("the peer left".into())]);
        assert_eq!(complaints, ["connection 1: the peer left"]);
        assert_eq!(
            summary,
            "1 connection: 0 finished, 1 failed; sent 44 B, received 22 B in 1.2 ms"
        );
    }

    #[test]
    fn another_address_is_tried_only_if_no_connection_was_established() {
        let (complaints, unconnected, summary) = report(&[refused(), refused()]);
        assert_eq!((complaints.len(), unconnected), (2, true));
        assert!(summary.starts_with("2 connections: 0 finished, 2 failed;"), "{summary}");
        let (complaints, unconnected, _) = report(&[refused(), Ending::Done]);
        assert!(!unconnected);
        assert_eq!(complaints, ["connection 1: could not connect"]);
    }
}
