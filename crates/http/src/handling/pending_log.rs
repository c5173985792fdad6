//! Requests of one connection that are not yet logged.

use std::rc::Rc;

use sockeye_proto::{Mark, Peer, Reason, Time, Turn};

use super::config::ServerConfig;
use super::log_buffer::{Entry, LogBuffer};
use crate::{Begun, Ended, Outcome, Status, Unread};

/// While this many requests wait to be logged, the server reads no more.
const MAX_ENTRIES: usize = 1024;

/// While the log's notes on these requests have this many bytes, the server reads no more. The
/// responses themselves may hold about as much.
const MAX_NOTES: usize = 256 * 1024;

/// The most bytes of an incomplete head that are kept, to be logged if it stays incomplete.
const MAX_PART: usize = 2 * 1024;

/// The most buffers that are kept while no connection uses them.
const MAX_SPARE_BUFFERS: usize = 64;

/// Requests of one connection that are not yet logged, because their responses are not completely
/// sent. Responses are sent in order.
#[derive(Debug)]
pub(crate) struct PendingLog {
    config: Rc<ServerConfig>,
    peer: Peer,
    buffer: LogBuffer,
    /// The beginning of an incomplete head.
    part: Vec<u8>,
}

impl PendingLog {
    pub(crate) fn new(config: Rc<ServerConfig>, peer: Peer) -> Self {
        Self { config, peer, buffer: LogBuffer::default(), part: Vec::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.buffer.entries.len() >= MAX_ENTRIES || self.buffer.notes.len() >= MAX_NOTES
    }

    /// A request has arrived.
    pub(crate) fn begin(&mut self, request: Begun<'_>, turn: &Turn<'_>) {
        let Some(log) = &self.config.log else { return };
        if self.buffer.entries.is_empty() {
            self.buffer = self.config.log_buffers.borrow_mut().pop().unwrap_or_default();
        }
        if !self.part.is_empty() {
            self.part = Vec::new();
        }
        let LogBuffer { entries, notes, .. } = &mut self.buffer;
        let before = notes.len();
        log.begun(request, &self.peer, turn.wall(), notes);
        entries.push_back(Entry {
            begun: turn.now(),
            noted: notes.len().saturating_sub(before),
            status: None,
            content: Mark(u64::MAX),
            end: None,
            ended: None,
            refused: None,
        });
    }

    /// A head is incomplete. Keeps the beginning of `head`, the part that has arrived.
    #[cold]
    pub(crate) fn keep_part(&mut self, head: &[u8]) {
        self.part.clear();
        self.part.extend_from_slice(&head[..head.len().min(MAX_PART)]);
    }

    /// The head that started to arrive at `since` will stay incomplete. Begins a request with the
    /// part that was kept.
    #[cold]
    pub(crate) fn begin_part(&mut self, since: Time, turn: &Turn<'_>) {
        let part = std::mem::take(&mut self.part);
        self.begin(Begun::Unread(Unread::of(&part)), turn);
        self.change_last(|entry| entry.begun = since);
    }

    fn change_last(&mut self, change: impl FnOnce(&mut Entry)) {
        self.buffer.entries.back_mut().map(change);
    }

    /// If there is a `status`, the response to the last request has a head, and its content starts
    /// at `content`.
    #[inline]
    pub(crate) fn note(&mut self, status: Option<Status>, content: Mark) {
        if status.is_some() {
            self.change_last(|entry| (entry.status, entry.content) = (status, content));
        }
    }

    /// The response to the last request is written; it ends at `end`.
    pub(crate) fn answered(&mut self, end: Mark) {
        self.change_last(|entry| entry.end = Some(end));
    }

    /// The server has refused the last request with this code, and written the response.
    pub(crate) fn refused(&mut self, code: &'static str, now: Time) {
        self.change_last(|entry| entry.refused = Some((code, now)));
    }

    /// Sets how the last request ended, no matter how much of its response is sent.
    pub(crate) fn ends(&mut self, ended: Ended) {
        self.change_last(|entry| entry.ended = Some(ended));
    }

    /// The output has been sent up to `sent`.
    pub(crate) fn sent(&mut self, sent: Mark, now: Time) {
        self.log_sent(sent, None, now);
    }

    /// The connection has ended. Logs all requests that are left.
    pub(crate) fn closed(&mut self, reason: &Reason, turn: &Turn<'_>) {
        self.log_sent(turn.sent(), Some(Ended::with(reason)), turn.now());
    }

    /// Another protocol has taken over. Logs all requests; unsent output counts as sent.
    pub(crate) fn handed_over(&mut self, turn: &Turn<'_>) {
        self.answered(turn.written());
        self.log_sent(turn.written(), None, turn.now());
    }

    /// Logs the requests whose responses are completely sent; with `rest`, also all others, as
    /// ended that way.
    fn log_sent(&mut self, sent: Mark, rest: Option<Ended>, now: Time) {
        let Some(log) = &self.config.log else { return };
        while let Some(entry) = self.buffer.entries.front() {
            let complete = entry.end.is_some_and(|end| end <= sent);
            let Some(ended) = (if complete { Some(Ended::Complete) } else { rest }) else { break };
            let reached = entry.end.map_or(sent, |end| end.min(sent));
            let outcome = Outcome {
                status: entry.status,
                content: reached.0.saturating_sub(entry.content.0),
                took: entry.refused.map_or(now, |(_, when)| when).since(entry.begun),
                ended: entry.ended.unwrap_or(ended),
                refused: entry.refused.map(|(code, _)| code),
            };
            self.buffer.forget_first(|notes| log.ended(notes, &outcome));
        }
        if self.buffer.entries.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            let mut spare = self.config.log_buffers.borrow_mut();
            let is_worth_keeping = (1..=16 * 1024).contains(&buffer.notes.capacity())
                && buffer.entries.capacity() <= 64;
            if spare.len() < MAX_SPARE_BUFFERS && is_worth_keeping {
                spare.push(buffer);
            }
        }
    }
}
