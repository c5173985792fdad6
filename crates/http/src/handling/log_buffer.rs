//! Memory for requests that are not yet logged.

use std::collections::VecDeque;

use sockeye_proto::{Mark, Time};

use crate::{Ended, Status};

/// Requests that are not yet logged, with the notes that [`Log`](crate::Log) took of them. The
/// configuration lends a buffer to a connection that has such requests; an idle one holds none.
#[derive(Debug, Default)]
pub(crate) struct LogBuffer {
    // Invariant: `notes[forgotten..]` are the notes of `entries`, in their order; only the last
    // entry may lack an `end`.
    pub(super) entries: VecDeque<Entry>,
    pub(super) notes: Vec<u8>,
    /// The length of the notes whose entries were removed.
    forgotten: usize,
}

/// One request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) begun: Time,
    /// The length of its notes, in bytes.
    pub(super) noted: usize,
    pub(super) status: Option<Status>,
    /// Where the content of its response starts in the output.
    pub(super) content: Mark,
    /// Where its response ends; `None` while it is incomplete.
    pub(super) end: Option<Mark>,
    /// How it ended, if that is known before its response is sent.
    pub(super) ended: Option<Ended>,
    /// Why the server refused it, and when. The server writes nothing after a refusal.
    pub(super) refused: Option<(&'static str, Time)>,
}

impl LogBuffer {
    /// Removes the first entry, if there is one, and passes its notes to `log`.
    pub(super) fn forget_first(&mut self, log: impl FnOnce(&[u8])) {
        let Some(entry) = self.entries.pop_front() else { return };
        let end = (self.forgotten + entry.noted).min(self.notes.len());
        log(&self.notes[self.forgotten..end]);
        self.forgotten = end;
        // Moves the remaining notes only if they are shorter than those that it drops.
        if self.entries.is_empty() {
            self.notes.clear();
            self.forgotten = 0;
        } else if self.forgotten > self.notes.len() / 2 {
            self.notes.drain(..self.forgotten);
            self.forgotten = 0;
        }
    }
}
