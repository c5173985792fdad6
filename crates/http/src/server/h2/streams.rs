//! The streams of a connection that are in flight.

use super::limits::MAX_RESETS;
use super::stream::ActiveStream;
use crate::Handler;

/// The streams of a connection that are in flight, and the numbers of those that this side has
/// reset.
pub(super) struct Streams<H> {
    /// In ascending order of their numbers.
    all: Vec<Box<ActiveStream<H>>>,
    /// Streams that this side has reset, and how much content the peer may still have sent on each.
    /// A ring: the oldest is replaced first.
    resets: Vec<(u32, u32)>,
    oldest: usize,
}

impl<H> Default for Streams<H> {
    fn default() -> Self {
        Self { all: Vec::new(), resets: Vec::new(), oldest: 0 }
    }
}

impl<H: Handler> Streams<H> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ActiveStream<H>> {
        self.all.iter_mut().map(|active| &mut **active)
    }

    /// The numbers of all streams.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.all.iter().map(|active| active.id()).collect()
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut ActiveStream<H>> {
        let at = self.position(id)?;
        Some(&mut *self.all[at])
    }

    fn position(&self, id: u32) -> Option<usize> {
        self.all.binary_search_by_key(&id, |active| active.id()).ok()
    }

    /// Adds a stream, whose number is higher than all others.
    pub(super) fn push(&mut self, active: Box<ActiveStream<H>>) {
        self.all.push(active);
    }

    /// Removes a stream.
    pub(super) fn remove(&mut self, id: u32) -> Option<Box<ActiveStream<H>>> {
        let at = self.position(id)?;
        let removed = self.all.remove(at);
        if self.all.is_empty() {
            // Idle connections are small.
            self.all = Vec::new();
        }
        Some(removed)
    }

    /// This side has reset a stream. `window` is what the peer may still have sent on it.
    pub(super) fn add_reset(&mut self, id: u32, window: u32) {
        if self.resets.len() < MAX_RESETS {
            self.resets.push((id, window));
        } else {
            self.resets[self.oldest] = (id, window);
            self.oldest = (self.oldest + 1) % MAX_RESETS;
        }
    }

    /// If this side has reset the stream, what the peer may still have sent on it. Frames that were
    /// on their way are ignored (RFC 9113, 5.1).
    pub(super) fn reset_window(&mut self, id: u32) -> Option<&mut u32> {
        self.resets.iter_mut().find(|(reset, _)| *reset == id).map(|(_, window)| window)
    }
}
