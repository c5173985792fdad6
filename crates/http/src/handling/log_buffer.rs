//! Memory for requests that are not yet logged.

use std::collections::VecDeque;

use sockeye_proto::{Mark, Time};

use crate::{Ended, Status};

/// Memory for the notes. The configuration lends it while requests are in flight, so that an idle
/// connection holds none.
#[derive(Debug, Default)]
pub(crate) struct LogBuffer {
    // Invariant: the notes of `entries`, in their order, are `notes[forgotten..]`; only the last
    // entry may have no end.
    pub(super) entries: VecDeque<Entry>,
    pub(super) notes: Vec<u8>,
    forgotten: usize,
}

/// One request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) begun: Time,
    /// The length of its notes.
    pub(super) noted: usize,
    pub(super) status: Option<Status>,
    /// Where the content of its response starts in the output.
    pub(super) content: Mark,
    /// Where its response ends; `None` while it is incomplete.
    pub(super) end: Option<Mark>,
    /// What ended it, no matter how much of the response is sent.
    pub(super) ended: Option<Ended>,
    /// Why the server refused it, and when. Nothing more is written to this connection then.
    pub(super) refused: Option<(&'static str, Time)>,
}

impl LogBuffer {
    /// Removes the first entry, and passes its notes to `log`.
    pub(super) fn forget_first(&mut self, log: impl FnOnce(&[u8])) {
        let Some(entry) = self.entries.pop_front() else { return };
        let end = (self.forgotten + entry.noted).min(self.notes.len());
        log(&self.notes[self.forgotten..end]);
        self.forgotten = end;
        // Notes are moved only when at least as much is dropped.
        if self.entries.is_empty() {
            self.notes.clear();
            self.forgotten = 0;
        } else if self.forgotten > self.notes.len() / 2 {
            self.notes.drain(..self.forgotten);
            self.forgotten = 0;
        }
    }
}
