//! Which stream sends next (RFC 9218, 10).

use std::collections::VecDeque;

use crate::h2::priority::Priority;

/// Every so many quanta, the least urgent stream sends, so that urgent ones can't starve it.
const LEAST_URGENT_EVERY: u8 = 16;

/// The streams that have something to send.
///
/// More urgent streams come first. Of the same urgency, those that aren't incremental come first,
/// one after the other; the incremental ones take turns.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    queue: VecDeque<Queued>,
    quanta: u8,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    rank: u8,
    stream: u32,
}

/// Lower ranks come first.
fn rank(priority: Priority) -> u8 {
    2 * priority.urgency + u8::from(priority.incremental)
}

impl Scheduler {
    /// Whether no stream has anything to send.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a stream.
    pub(super) fn push(&mut self, stream: u32, priority: Priority) {
        self.queue.push_back(Queued { rank: rank(priority), stream });
    }

    /// Adds a stream again that has just sent and has more: an incremental one goes behind the
    /// others, another one continues.
    pub(super) fn push_again(&mut self, stream: u32, priority: Priority) {
        let queued = Queued { rank: rank(priority), stream };
        match priority.incremental {
            true => self.queue.push_back(queued),
            false => self.queue.push_front(queued),
        }
    }

    /// Removes the stream that sends next.
    pub(super) fn pop(&mut self) -> Option<u32> {
        if self.queue.len() < 2 {
            return self.queue.pop_front().map(|queued| queued.stream);
        }
        self.quanta = (self.quanta + 1) % LEAST_URGENT_EVERY;
        let ranks = self.queue.iter().enumerate().map(|(at, queued)| (queued.rank, at));
        let next = match self.quanta {
            0 => ranks.max_by_key(|(rank, at)| (*rank, usize::MAX - at)),
            _ => ranks.min(),
        };
        self.queue.remove(next?.1).map(|queued| queued.stream)
    }

    /// Removes a stream.
    pub(super) fn remove(&mut self, stream: u32) {
        self.queue.retain(|queued| queued.stream != stream);
    }

    /// Frees memory, if it is empty.
    pub(super) fn shrink(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(urgency: u8, incremental: bool) -> Priority {
        Priority { urgency, incremental }
    }

    #[test]
    fn urgent_streams_come_first_then_sequential_ones_and_incremental_ones_take_turns() {
        let mut scheduler = Scheduler::default();
        let priorities = [(1, 3, true), (3, 3, false), (5, 3, false), (7, 0, true), (9, 3, true)];
        for (id, urgency, incremental) in priorities {
            scheduler.push(id, priority(urgency, incremental));
        }
        let mut sent = Vec::new();
        // Each stream has two quanta.
        while let Some(id) = scheduler.pop() {
            sent.push(id);
            if sent.iter().filter(|sent| **sent == id).count() < 2 {
                let (_, urgency, incremental) = priorities[id as usize / 2];
                scheduler.push_again(id, priority(urgency, incremental));
            }
        }
        assert_eq!(sent, [7, 7, 3, 3, 5, 5, 1, 9, 1, 9]);
    }

    #[test]
    fn no_stream_starves() {
        let mut scheduler = Scheduler::default();
        scheduler.push(1, priority(7, false));
        scheduler.push(3, priority(0, false));
        let waits = (1..).find(|_| match scheduler.pop() {
            Some(3) => {
                scheduler.push_again(3, priority(0, false));
                false
            }
            other => other == Some(1),
        });
        assert_eq!(waits, Some(LEAST_URGENT_EVERY));
    }

    #[test]
    fn a_removed_stream_does_not_send() {
        let mut scheduler = Scheduler::default();
        scheduler.push(1, Priority::default());
        scheduler.push(3, Priority::default());
        scheduler.remove(1);
        assert_eq!((scheduler.pop(), scheduler.pop()), (Some(3), None));
    }
}
