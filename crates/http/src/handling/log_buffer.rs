//! The buffer of what a log remembers of the requests of one connection.

use std::collections::VecDeque;

use sockeye_proto::{Mark, Time};

use crate::semantics::log::Ended;
use crate::semantics::status::Status;

/// What is noted of requests, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct LogBuffer {
    // Invariant: the notes of `entries`, in their order, are `notes[forgotten..]`; only the last
    // entry may have no end.
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) notes: Vec<u8>,
    forgotten: usize,
}

/// What is noted of one request.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) begun: Time,
    /// How many bytes are noted of it.
    pub(crate) noted: usize,
    pub(crate) status: Option<Status>,
    /// Where the content of its response begins, in the connection's output.
    pub(crate) content: Mark,
    /// Where its response ends; `None` while it is not complete.
    pub(crate) end: Option<Mark>,
    /// What ended it, however much of the response is sent.
    pub(crate) ended: Option<Ended>,
    /// Why the server refused it, and when: of what follows a refusal it hears nothing until the
    /// connection ends.
    pub(crate) refused: Option<(&'static str, Time)>,
}

impl LogBuffer {
    /// Takes out the first entry, and hands what was noted of it to `tell`.
    pub(crate) fn forget_first(&mut self, tell: impl FnOnce(&[u8])) {
        let Some(entry) = self.entries.pop_front() else { return };
        let end = (self.forgotten + entry.noted).min(self.notes.len());
        tell(&self.notes[self.forgotten..end]);
        self.forgotten = end;
        // Moved only when at least as much is dropped.
        if self.entries.is_empty() {
            self.notes.clear();
            self.forgotten = 0;
        } else if self.forgotten > self.notes.len() / 2 {
            self.notes.drain(..self.forgotten);
            self.forgotten = 0;
        }
    }

    /// Whether it is small enough to be kept for another connection.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        const NOTES: usize = 16 * 1024;
        const ENTRIES: usize = 64;
        let size = 1..=NOTES;
        size.contains(&self.notes.capacity()) && self.entries.capacity() <= ENTRIES
    }
}
