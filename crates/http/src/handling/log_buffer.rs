//! Memory for requests that are not yet logged.

use std::collections::VecDeque;

use sockeye_proto::{Mark, Time};

use crate::{EndReason, Status};

/// Requests that are not yet logged, with the notes that [`Log::on_request`](crate::Log) wrote. For
/// its first such request, a connection takes a buffer from `ServerConfig::log_buffers`, or makes
/// one. When all are logged, the connection returns the buffer, unless that has grown large or
/// there are enough spare buffers.
#[derive(Debug, Default)]
pub(crate) struct LogBuffer {
    // Invariant: `notes[removed..]` are the notes of `entries`, in their order; only the last
    // entry may lack a `response_end`.
    pub(super) entries: VecDeque<Entry>,
    pub(super) notes: Vec<u8>,
    /// `notes[..removed]` are the notes of removed entries.
    removed: usize,
}

/// One request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) start: Time,
    /// The length of its notes, in bytes.
    pub(super) notes_len: usize,
    pub(super) status: Option<Status>,
    /// The position in the output where the content of its response starts; the largest possible
    /// position while the response has not started.
    pub(super) content_start: Mark,
    /// The position in the output where its response ends; `None` while it is incomplete.
    pub(super) response_end: Option<Mark>,
    /// Why the request ended, if that is known before its response is sent.
    pub(super) end_reason: Option<EndReason>,
    /// Set if the server refused the request or ended its stream: the code of the fault, and when
    /// the server wrote the response or decided to send none. The logged duration ends then.
    pub(super) fault: Option<(&'static str, Time)>,
}

impl LogBuffer {
    /// Removes the first entry, if there is one, and passes its notes to `log`.
    pub(super) fn remove_first(&mut self, log: impl FnOnce(&[u8])) {
        let Some(entry) = self.entries.pop_front() else { return };
        let end = (self.removed + entry.notes_len).min(self.notes.len());
        log(&self.notes[self.removed..end]);
        self.removed = end;
        // Move the remaining notes only if they are shorter than the removed ones.
        if self.entries.is_empty() {
            self.notes.clear();
            self.removed = 0;
        } else if self.removed > self.notes.len() / 2 {
            self.notes.drain(..self.removed);
            self.removed = 0;
        }
    }
}
