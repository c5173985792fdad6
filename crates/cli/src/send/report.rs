//! How the connections of a run ended, and what that comes to.

use std::fmt;
use std::time::Duration;

use crate::text;

/// How one connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything came back.
    Done,
    /// Nobody reads standard output any more, so there is nothing to go on for.
    Unread,
    /// The connection never stood, and why.
    NotConnected(String),
    /// It stood and failed, and why.
    Failed(String),
}

/// What one connection came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Which, from 1.
    pub(super) number: usize,
    /// Bytes that the kernel took.
    pub(super) sent: u64,
    /// Bytes that came back.
    pub(super) received: u64,
    pub(super) ending: Ending,
    /// What else is to be told of it.
    pub(super) remark: Option<String>,
}

/// Where the connections of a run note how they ended.
pub(super) struct Board {
    outcomes: Vec<Outcome>,
    /// Failures to connect are held back while there is another address to try.
    may_try_again: bool,
    complain: Box<dyn FnMut(&str)>,
}

impl Board {
    /// Failures are told to `complain` as they happen; failures to connect only where no other
    /// address is left to try.
    pub(super) fn new(may_try_again: bool, complain: impl FnMut(&str) + 'static) -> Self {
        Self { outcomes: Vec::new(), may_try_again, complain: Box::new(complain) }
    }

    pub(super) fn note(&mut self, outcome: Outcome) {
        let held_back = self.may_try_again && matches!(outcome.ending, Ending::NotConnected(_));
        if !held_back {
            complain_of(&outcome, &mut self.complain);
        }
        self.outcomes.push(outcome);
    }

    /// Whether not a single connection came to stand, and another address may do better.
    pub(super) fn should_try_again(&self) -> bool {
        let unconnected = |outcome: &Outcome| matches!(outcome.ending, Ending::NotConnected(_));
        self.may_try_again && !self.outcomes.is_empty() && self.outcomes.iter().all(unconnected)
    }

    /// What it all came to, after `time`.
    pub(super) fn sum_up(&mut self, time: Duration) -> Summary {
        if self.may_try_again {
            for outcome in &self.outcomes {
                if matches!(outcome.ending, Ending::NotConnected(_)) {
                    complain_of(outcome, &mut self.complain);
                }
            }
        }
        let mut summary = Summary { time, ..Summary::default() };
        for outcome in &self.outcomes {
            summary.sent += outcome.sent;
            summary.received += outcome.received;
            match outcome.ending {
                Ending::Done => summary.done += 1,
                Ending::Unread => summary.unread += 1,
                Ending::NotConnected(_) | Ending::Failed(_) => summary.failed += 1,
            }
        }
        summary
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("outcomes", &self.outcomes).finish_non_exhaustive()
    }
}

fn complain_of(outcome: &Outcome, complain: &mut dyn FnMut(&str)) {
    let number = outcome.number;
    let remark = outcome.remark.as_deref();
    match (&outcome.ending, remark) {
        (Ending::NotConnected(why) | Ending::Failed(why), None) => {
            complain(&format!("connection {number}: {why}"));
        }
        (Ending::NotConnected(why) | Ending::Failed(why), Some(remark)) => {
            complain(&format!("connection {number}: {why}; {remark}"));
        }
        (Ending::Done, Some(remark)) => complain(&format!("connection {number}: {remark}")),
        (Ending::Done | Ending::Unread, _) => {}
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) done: usize,
    pub(super) unread: usize,
    pub(super) failed: usize,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) time: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.done + self.unread + self.failed;
        write!(f, "{}: {} finished", text::count(all as u64, "connection"), self.done)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.unread > 0 {
            write!(f, ", {} given up, since nobody reads standard output", self.unread)?;
        }
        let (sent, received) = (text::bytes(self.sent), text::bytes(self.received));
        write!(f, "; sent {sent}, received {received} in {}", text::time(self.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(number: usize, ending: Ending) -> Outcome {
        Outcome { number, sent: 44, received: 22, ending, remark: None }
    }

    fn refused(number: usize) -> Outcome {
        let ending = Ending::NotConnected("could not connect".into());
        Outcome { number, sent: 0, received: 0, ending, remark: None }
    }

    /// What a board says about `outcomes`: its complaints, whether to try again, and the summary.
    fn say(may_try_again: bool, outcomes: &[Outcome]) -> (Vec<String>, bool, String) {
        let complaints = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let mut board = Board::new(may_try_again, {
            let complaints = std::rc::Rc::clone(&complaints);
            move |text| complaints.borrow_mut().push(text.to_owned())
        });
        for outcome in outcomes {
            board.note(outcome.clone());
        }
        let again = board.should_try_again();
        let summary = board.sum_up(Duration::from_micros(1234)).to_string();
        let complaints = complaints.borrow().clone();
        (complaints, again, summary)
    }

    #[test]
    fn the_summary_counts_what_happened() {
        let (complaints, again, summary) =
            say(false, &[outcome(1, Ending::Done), outcome(2, Ending::Done)]);
        assert_eq!((complaints.len(), again), (0, false));
        assert_eq!(summary, "2 connections: 2 finished; sent 88 B, received 44 B in 1.2 ms");
        let (complaints, _, summary) =
            say(false, &[outcome(1, Ending::Failed("the peer left".into()))]);
        assert_eq!(complaints, ["connection 1: the peer left"]);
        assert_eq!(
            summary,
            "1 connection: 0 finished, 1 failed; sent 44 B, received 22 B in 1.2 ms"
        );
    }

    #[test]
    fn another_address_is_tried_only_when_no_connection_stood() {
        let (_, again, _) = say(true, &[refused(1), refused(2)]);
        assert!(again);
        let (complaints, again, _) = say(true, &[refused(1), outcome(2, Ending::Done)]);
        assert!(!again);
        assert_eq!(complaints, ["connection 1: could not connect"]);
        let (complaints, again, _) = say(false, &[refused(1)]);
        assert_eq!((complaints.len(), again), (1, false));
    }
}
