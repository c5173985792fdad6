//! Which stream sends next (RFC 9218, 10).

use std::collections::VecDeque;

use crate::h2::priority::Priority;

/// One of this many quanta goes to the stream that has waited longest, so that no stream starves.
const OTHER_EVERY: u32 = 16;

/// The streams that have something to send.
///
/// More urgent streams come first. Of the same urgency, those that aren't incremental come first,
/// one after the other; the incremental ones take turns.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    queue: VecDeque<Queued>,
    /// The number of calls of [`Scheduler::pop`].
    quanta: u32,
    /// The queue position of the stream that was removed last, if it wasn't the next one by rank.
    jumped_from: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    rank: u8,
    stream: u32,
    /// The value of [`Scheduler::quanta`] when the stream was added.
    since: u32,
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
        let since = self.quanta;
        self.queue.push_back(Queued { rank: rank(priority), stream, since });
    }

    /// Adds a stream that has just sent a quantum and has more to send. An incremental stream goes
    /// to the end of the queue. Any other goes to the front, before the other streams of its rank,
    /// or, if it wasn't the next one by rank, back to its position.
    pub(super) fn push_again(&mut self, stream: u32, priority: Priority) {
        let since = self.quanta;
        let queued = Queued { rank: rank(priority), stream, since };
        let at = match priority.incremental {
            true => self.queue.len(),
            false => self.jumped_from.unwrap_or(0).min(self.queue.len()),
        };
        self.queue.insert(at, queued);
    }

    /// Removes the stream that sends next.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.quanta = self.quanta.wrapping_add(1);
        self.jumped_from = None;
        if self.queue.len() < 2 {
            return self.queue.pop_front().map(|queued| queued.stream);
        }
        let queued = self.queue.iter().enumerate();
        let (_, mut next) = queued.clone().map(|(at, queued)| (queued.rank, at)).min()?;
        if self.quanta.is_multiple_of(OTHER_EVERY) {
            let waited = |queued: &Queued| self.quanta.wrapping_sub(queued.since);
            let others = queued.filter(|(at, _)| *at != next);
            next = others.max_by_key(|(at, queued)| (waited(queued), usize::MAX - at))?.0;
            self.jumped_from = Some(next);
        }
        self.queue.remove(next).map(|queued| queued.stream)
    }

    /// Removes a stream.
    pub(super) fn remove(&mut self, stream: u32) {
        self.queue.retain(|queued| queued.stream != stream);
    }

    /// Frees the queue's memory, if the queue is empty.
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
        assert_eq!(waits, Some(OTHER_EVERY));
        // Each of many streams gets its turn, whatever its urgency.
        let mut scheduler = Scheduler::default();
        let priority_of = |id: u32| priority((id % 8) as u8, false);
        (0..8).for_each(|id| scheduler.push(id, priority_of(id)));
        let mut counts = [0; 8];
        for _ in 0..1000 {
            let id = scheduler.pop().unwrap();
            counts[id as usize] += 1;
            scheduler.push_again(id, priority_of(id));
        }
        assert!(counts[0] > 900 && counts.iter().all(|count| *count >= 8), "{counts:?}");
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
