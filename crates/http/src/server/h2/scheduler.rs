//! Which stream sends next (RFC 9218, 10).

use std::collections::VecDeque;

use crate::h2::priority::Priority;

/// Once in this many quanta (turns of one stream to send), the stream that comes first has to wait.
/// Of the other streams, the one that has waited longest sends instead. So no stream starves.
const OTHER_EVERY: u32 = 16;

/// The streams that have something to send, or whose handlers wait for room in the output.
///
/// More urgent streams come first. Of the same urgency, those that aren't incremental come first,
/// one after the other, in the order of their numbers; the incremental ones take turns.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    /// The streams in the order in which they were added: the first has waited longest.
    queue: VecDeque<Queued>,
    /// The number of calls of [`Scheduler::pop`].
    quanta: u32,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    /// See [`rank`].
    rank: u64,
    stream: u32,
}

/// Lower ranks come first. Of the same rank, the stream comes first that has waited longest.
fn rank(stream: u32, priority: Priority) -> u64 {
    let kind = 2 * priority.urgency + u8::from(priority.incremental);
    let number = if priority.incremental { 0 } else { stream };
    u64::from(kind) << 32 | u64::from(number)
}

impl Scheduler {
    /// Whether no stream is in it.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a stream, or adds it again after it has sent a quantum.
    pub(super) fn push(&mut self, stream: u32, priority: Priority) {
        self.queue.push_back(Queued { rank: rank(stream, priority), stream });
    }

    /// Changes the priority of a stream.
    pub(super) fn change(&mut self, stream: u32, priority: Priority) {
        for queued in &mut self.queue {
            if queued.stream == stream {
                queued.rank = rank(stream, priority);
            }
        }
    }

    /// Removes the stream that sends next, and returns it.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.quanta = self.quanta.wrapping_add(1);
        if self.queue.len() < 2 {
            return self.queue.pop_front().map(|queued| queued.stream);
        }
        // A linear search: the queue has at most one entry for each stream of a connection.
        let (mut next, _) = self.queue.iter().enumerate().min_by_key(|(_, queued)| queued.rank)?;
        if self.quanta.is_multiple_of(OTHER_EVERY) {
            // Of all streams but `next`, the one that has waited longest: the first in the queue,
            // or the second if `next` is the first.
            next = usize::from(next == 0);
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
        // The streams that aren't incremental are added in another order than that of their
        // numbers.
        for at in [0, 2, 1, 3, 4] {
            let (id, urgency, incremental) = priorities[at];
            scheduler.push(id, priority(urgency, incremental));
        }
        let mut sent = Vec::new();
        // Each stream has two quanta.
        while let Some(id) = scheduler.pop() {
            sent.push(id);
            if sent.iter().filter(|sent| **sent == id).count() < 2 {
                let (_, urgency, incremental) = priorities[id as usize / 2];
                scheduler.push(id, priority(urgency, incremental));
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
                scheduler.push(3, priority(0, false));
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
            scheduler.push(id, priority_of(id));
        }
        assert!(counts[0] > 900 && counts.iter().all(|count| *count >= 8), "{counts:?}");
    }

    #[test]
    fn a_changed_priority_keeps_the_turn_of_a_stream() {
        let mut scheduler = Scheduler::default();
        for id in [1, 3, 5] {
            scheduler.push(id, priority(3, true));
        }
        scheduler.change(1, priority(3, true));
        scheduler.change(3, priority(5, true));
        scheduler.change(3, priority(3, true));
        scheduler.change(7, priority(0, true));
        let order = [(); 4].map(|()| scheduler.pop());
        assert_eq!(order, [Some(1), Some(3), Some(5), None]);
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
