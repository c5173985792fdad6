//! The streams of a connection that are in flight.

use std::time::Duration;

use sockeye_proto::driver::drop_caught;

use super::limits::{KEEP_RESETS, KEEP_SPARE, MAX_RESETS};
use super::stream::ActiveStream;
use crate::Handler;

/// The streams of a connection that are in flight, and the numbers of those that this side has
/// reset.
pub(super) struct Streams<H> {
    /// The streams, in ascending order of their numbers, followed by memory for further streams
    /// (`None`).
    all: Vec<Box<Option<ActiveStream<H>>>>,
    /// The number of streams in `all`.
    len: usize,
    /// The numbers of streams that this side has reset, each with what is left of its receive
    /// window. A ring buffer: `oldest` is the index of the next entry to replace.
    resets: Vec<(u32, u32)>,
    oldest: usize,
}

impl<H> Default for Streams<H> {
    fn default() -> Self {
        Self { all: Vec::new(), len: 0, resets: Vec::new(), oldest: 0 }
    }
}

/// Drops the streams one by one, and catches panics of the handlers' destructors: while another
/// panic unwinds, such a panic would end the process.
impl<H> Drop for Streams<H> {
    fn drop(&mut self) {
        for active in &mut self.all {
            drop_caught(active.take());
        }
    }
}

impl<H: Handler> Streams<H> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ActiveStream<H>> {
        self.all[..self.len].iter_mut().filter_map(|active| active.as_mut().as_mut())
    }

    /// The lowest number of a stream that is at least `id`.
    pub(super) fn next_from(&self, id: u32) -> Option<u32> {
        let at = self.position(id).unwrap_or_else(|at| at);
        self.all[..self.len].get(at)?.as_ref().as_ref().map(ActiveStream::id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut ActiveStream<H>> {
        let at = self.position(id).ok()?;
        self.all[at].as_mut().as_mut()
    }

    /// The index of stream `id` in `all`, or as `Err` the index at which it would be.
    fn position(&self, id: u32) -> Result<usize, usize> {
        let all = &self.all[..self.len];
        all.binary_search_by_key(&id, |active| active.as_ref().as_ref().map_or(0, ActiveStream::id))
    }

    /// Adds a stream, whose number is higher than all others.
    pub(super) fn push(&mut self, active: ActiveStream<H>) {
        match self.all.get_mut(self.len) {
            Some(spare) => **spare = Some(active),
            None => self.all.push(Box::new(Some(active))),
        }
        self.len += 1;
    }

    /// Removes a stream, and keeps its memory for the next one.
    pub(super) fn remove(&mut self, id: u32) -> Option<ActiveStream<H>> {
        let at = self.position(id).ok()?;
        let removed = self.all[at].take();
        self.all[at..self.len].rotate_left(1);
        self.len -= 1;
        removed
    }

    /// When no streams are in flight: after how long to call [`Self::forget`], which frees the
    /// memory of ended streams, or, if that is freed already, forgets the resets. `None`: there is
    /// nothing to free.
    #[inline]
    pub(super) fn keep_for(&self) -> Option<Duration> {
        match self.all.capacity() {
            0 if self.resets.capacity() > 0 => Some(KEEP_RESETS),
            0 => None,
            _ => Some(KEEP_SPARE),
        }
    }

    /// Frees the memory that no stream uses.
    pub(super) fn shrink(&mut self) {
        self.all.truncate(self.len);
        self.all.shrink_to_fit();
    }

    /// Frees the memory that no stream uses. If all memory for streams is freed already, forgets
    /// the resets. Called when the time of [`Self::keep_for`] is over, and at deadlines of streams
    /// in flight. While streams are in flight, they have memory, so the resets are kept.
    pub(super) fn forget(&mut self) {
        if self.all.capacity() == 0 {
            (self.resets, self.oldest) = (Vec::new(), 0);
        }
        self.shrink();
    }

    /// Remembers that this side has reset a stream. `window` is what is left of the stream's
    /// receive window. With [`MAX_RESETS`] entries, replaces the oldest.
    pub(super) fn add_reset(&mut self, id: u32, window: u32) {
        if self.resets.len() < MAX_RESETS {
            self.resets.push((id, window));
        } else {
            self.resets[self.oldest] = (id, window);
            self.oldest = (self.oldest + 1) % MAX_RESETS;
        }
    }

    /// If this side has reset the stream, what is left of its receive window. The peer may have
    /// sent frames before the reset arrived (RFC 9113, 5.1), so the caller ignores frames on such a
    /// stream. Only DATA beyond the window is an error.
    pub(super) fn reset_window(&mut self, id: u32) -> Option<&mut u32> {
        self.resets.iter_mut().find(|(reset, _)| *reset == id).map(|(_, window)| window)
    }
}
