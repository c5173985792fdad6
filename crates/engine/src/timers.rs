//! When to look at which connection again.
//!
//! Each slot for a connection has at most one armed timer. A deadline that moves later, as most do, doesn't
//! touch the timers: when the armed time comes, the connection is asked for its deadline and armed
//! anew. Only one that moves before the armed time is pushed, and the older entry is recognised as
//! stale when it comes up. Deadlines are "now plus a constant", so an entry is pushed at most a few
//! times before the stale one has gone. Timers belong to slots, not to the connections in them: one
//! that a short connection leaves behind serves the next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sockeye_proto::Time;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, u32)>>,
}

impl Timers {
    /// Sees to it that `slot` comes up at `deadline` at the latest; `armed` is the slot's own note
    /// of when it comes up next ([`Time::NEVER`]: not at all).
    pub(crate) fn arm(&mut self, slot: u32, deadline: Time, armed: &mut Time) {
        if deadline < *armed {
            *armed = deadline;
            self.heap.push(Reverse((deadline, slot)));
        }
    }

    /// The next time at which something may be due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((time, _))| *time)
    }

    /// An entry that has come up by `now`.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Time, u32)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Entries, stale ones included.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_deadline_is_free_and_an_earlier_one_comes_up_first() {
        let (mut timers, mut armed) = (Timers::default(), Time::NEVER);
        let at = Time::from_nanos;
        timers.arm(1, at(60), &mut armed);
        timers.arm(1, at(70), &mut armed);
        assert_eq!((timers.len(), armed), (1, at(60)));
        timers.arm(1, at(10), &mut armed);
        assert_eq!((timers.len(), timers.next()), (2, Some(at(10))));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(10)), Some((at(10), 1)));
        assert_eq!(timers.pop_due(at(100)), Some((at(60), 1)), "stale: 60 is not armed");
    }
}
