//! Requests of one connection that are not yet logged.

use std::rc::Rc;

use sockeye_proto::{Mark, Peer, Reason, Time, Turn};

use super::config::ServerConfig;
use super::log_buffer::{Entry, LogBuffer};
use crate::{EndReason, Outcome, RequestHead, Status, UnparsedHead};

/// Maximum number of requests that wait to be logged. At this number, the server stops reading.
const MAX_ENTRIES: usize = 1024;

/// Maximum number of bytes of the notes that the log keeps about these requests until they are
/// logged. At this number, the server stops reading. The number equals the default limit on a
/// connection's output.
const MAX_NOTES: usize = 256 * 1024;

/// Maximum number of bytes that are kept of an incomplete head, to log them if it stays incomplete.
const MAX_PARTIAL_HEAD: usize = 2 * 1024;

/// Maximum number of unused buffers that a worker (event loop) keeps for connections to come.
const MAX_SPARE_BUFFERS: usize = 64;

/// Requests of one connection that are not yet logged, because their responses are not completely
/// sent. The requests are in the order in which their responses are sent.
#[derive(Debug)]
pub(crate) struct PendingLog {
    config: Rc<ServerConfig>,
    peer: Peer,
    buffer: LogBuffer,
    /// The beginning of an incomplete head.
    partial_head: Vec<u8>,
}

impl PendingLog {
    pub(crate) fn new(config: Rc<ServerConfig>, peer: Peer) -> Self {
        Self { config, peer, buffer: LogBuffer::default(), partial_head: Vec::new() }
    }

    /// Whether a limit is reached, so that the server has to stop reading.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.entries.len() >= MAX_ENTRIES || self.buffer.notes.len() >= MAX_NOTES
    }

    /// Adds a request that has arrived.
    pub(crate) fn add_request(&mut self, request: RequestHead<'_>, turn: &Turn<'_>) {
        let Some(log) = &self.config.log else { return };
        if self.buffer.entries.is_empty() {
            self.buffer = self.config.log_buffers.borrow_mut().pop().unwrap_or_default();
        }
        if !self.partial_head.is_empty() {
            self.partial_head = Vec::new();
        }
        let LogBuffer { entries, notes, .. } = &mut self.buffer;
        let before = notes.len();
        log.on_request(request, &self.peer, turn.wall(), notes);
        entries.push_back(Entry {
            start: turn.now(),
            notes_len: notes.len().saturating_sub(before),
            status: None,
            content_start: Mark(u64::MAX),
            response_end: None,
            end_reason: None,
            fault: None,
        });
    }

    /// Keeps the beginning of an incomplete head. `head` is the part that has arrived.
    #[cold]
    pub(crate) fn keep_partial_head(&mut self, head: &[u8]) {
        self.partial_head.clear();
        self.partial_head.extend_from_slice(&head[..head.len().min(MAX_PARTIAL_HEAD)]);
    }

    /// Adds a request whose head will stay incomplete, with the part that was kept. The head
    /// started to arrive at `since`.
    #[cold]
    pub(crate) fn add_partial_head(&mut self, since: Time, turn: &Turn<'_>) {
        let part = std::mem::take(&mut self.partial_head);
        self.add_request(RequestHead::Unparsed(UnparsedHead::of(&part)), turn);
        self.change_last(|entry| entry.start = since);
    }

    /// Changes the entry of the last request, if there is one.
    fn change_last(&mut self, change: impl FnOnce(&mut Entry)) {
        self.buffer.entries.back_mut().map(change);
    }

    /// Sets the status of the last request, and where the response's content starts. Without a
    /// `status`, no response has started, and this does nothing.
    #[inline]
    pub(crate) fn set_status(&mut self, status: Option<Status>, content_start: Mark) {
        if status.is_some() {
            self.change_last(|entry| (entry.status, entry.content_start) = (status, content_start));
        }
    }

    /// Records that the response to the last request is written, and ends at `end`.
    pub(crate) fn set_response_end(&mut self, end: Mark) {
        self.change_last(|entry| entry.response_end = Some(end));
    }

    /// Records that the response to the last request has been moved from the output of a stream to
    /// the connection's output, where the response ends at `end`. The positions in the entry become
    /// positions in the connection's output.
    pub(crate) fn finish(&mut self, end: Mark) {
        self.change_last(|entry| {
            let in_stream = entry.response_end;
            let content = in_stream.map_or(0, |end| end.0 - entry.content_start.0);
            entry.content_start = Mark(end.0.saturating_sub(content));
            entry.response_end = Some(end);
        });
    }

    /// Moves the last request to a new log, for a stream.
    pub(crate) fn split_last(&mut self) -> Self {
        let mut split = Self::new(Rc::clone(&self.config), self.peer.clone());
        if let Some(entry) = self.buffer.entries.pop_back() {
            let start = self.buffer.notes.len() - entry.notes_len;
            split.buffer.notes.extend(self.buffer.notes.drain(start..));
            split.buffer.entries.push_back(entry);
        }
        split
    }

    /// Moves the request of a stream back to this log, and calls [`Self::finish`].
    pub(crate) fn adopt(&mut self, stream: &mut Self, end: Mark) {
        if stream.buffer.entries.is_empty() {
            return;
        }
        self.buffer.notes.append(&mut stream.buffer.notes);
        self.buffer.entries.append(&mut stream.buffer.entries);
        self.finish(end);
    }

    /// Records the code of the fault for which the server refuses the last request or ends its
    /// stream. Called when the server has written the response, or resets the stream: the logged
    /// duration ends at `now`.
    pub(crate) fn set_fault(&mut self, code: &'static str, now: Time) {
        self.change_last(|entry| entry.fault = Some((code, now)));
    }

    /// Sets why the last request ended. This reason is logged no matter how much of the response is
    /// sent.
    pub(crate) fn set_end_reason(&mut self, reason: EndReason) {
        self.change_last(|entry| entry.end_reason = Some(reason));
    }

    /// Logs the requests whose responses are completely sent: the output has been sent up to
    /// `sent`.
    pub(crate) fn on_sent(&mut self, sent: Mark, now: Time) {
        self.log_sent(sent, None, now);
    }

    /// Logs all remaining requests, because the connection has ended.
    pub(crate) fn on_closed(&mut self, reason: &Reason, turn: &Turn<'_>) {
        self.log_sent(turn.sent(), Some(EndReason::from_reason(reason)), turn.now());
    }

    /// Logs all requests, because another protocol has taken over. Output that is not sent yet
    /// counts as sent.
    pub(crate) fn on_protocol_switch(&mut self, turn: &Turn<'_>) {
        self.set_response_end(turn.written());
        self.log_sent(turn.written(), None, turn.now());
    }

    /// Logs the requests whose responses are completely sent. If `others` is a reason, also logs
    /// all other requests, with this reason.
    fn log_sent(&mut self, sent: Mark, others: Option<EndReason>, now: Time) {
        let Some(log) = &self.config.log else { return };
        while let Some(entry) = self.buffer.entries.front() {
            let complete = entry.response_end.is_some_and(|end| end <= sent);
            let Some(reason) = (if complete { Some(EndReason::Complete) } else { others }) else {
                break;
            };
            let reached = entry.response_end.map_or(sent, |end| end.min(sent));
            let outcome = Outcome {
                status: entry.status,
                content: reached.0.saturating_sub(entry.content_start.0),
                duration: entry.fault.map_or(now, |(_, when)| when).since(entry.start),
                end_reason: entry.end_reason.unwrap_or(reason),
                fault_code: entry.fault.map(|(code, _)| code),
            };
            self.buffer.remove_first(|notes| log.on_end(notes, &outcome));
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
