//! The timers of the connections of a worker (event loop).
//!
//! A worker keeps its connections in the slots of a slab. Each slot has at most one armed timer. A
//! deadline that moves later, as most do, changes nothing here: when the timer is due, the worker
//! arms it for the connection's current deadline. If a deadline moves before the armed time, a new
//! entry is pushed, and the old entry is stale. Most deadlines are "now plus a constant", so they
//! seldom move to an earlier time, and stale entries are few. Timers belong to slots, not to
//! connections: the timer of a connection that has closed serves the next connection in its slot.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sockeye_proto::Time;

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, u32)>>,
}

impl Timers {
    /// Arms the timer of `slot` for `deadline`, unless it is armed for the same or an earlier time.
    /// `armed` is the time for which the timer is armed, or [`Time::NEVER`]; this updates it.
    pub(crate) fn arm(&mut self, slot: u32, deadline: Time, armed: &mut Time) {
        if deadline < *armed {
            *armed = deadline;
            self.heap.push(Reverse((deadline, slot)));
        }
    }

    /// The time of the next entry.
    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((time, _))| *time)
    }

    /// Takes an entry whose time is `now` or earlier.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Time, u32)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// The number of entries, stale ones included.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_deadline_adds_no_entry_and_an_earlier_one_is_due_first() {
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
