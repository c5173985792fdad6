//! The requests of one connection that a [`Log`](crate::Log) has yet to hear the end of.
//!
//! Only connections of a server with a log have a log. What it remembers lies in a buffer that
//! is lent by [`ServerConfig`](crate::ServerConfig) while something is under way, so that an idle connection holds
//! none.

use sockeye_proto::{Mark, Peer, Reason, Time, Turn};

use crate::handling::log_buffer::{Entry, LogBuffer};
use crate::semantics::log::{Begun, Ended, Outcome, Unread};
use crate::{ServerConfig, Status};

/// With so many requests whose responses are not sent, or so many bytes noted of them, no more are
/// read from the connection until some are: about what the responses themselves may hold.
const MOST: usize = 1024;
const MOST_NOTED: usize = 256 * 1024;

/// So much is kept of a head that has not come whole, in bytes: enough for most to be named.
const PART: usize = 2 * 1024;

/// What a log hears of one connection.
#[derive(Debug)]
pub(crate) struct PendingLog {
    peer: Peer,
    buffer: LogBuffer,
    /// The beginning of a head that has not come whole: it may never do.
    part: Vec<u8>,
}

impl PendingLog {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, buffer: LogBuffer::default(), part: Vec::new() }
    }

    /// Whether as much is noted as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.entries.len() >= MOST || self.buffer.notes.len() >= MOST_NOTED
    }

    /// A request has come.
    pub(crate) fn begin(&mut self, request: Begun<'_>, shared: &ServerConfig, turn: &Turn<'_>) {
        let Some(log) = shared.log() else { return };
        if self.buffer.entries.is_empty() {
            self.buffer = shared.lend_log_buffer();
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

    /// A head has not come whole yet: `head` is what has come of it.
    #[cold]
    pub(crate) fn wait(&mut self, head: &[u8]) {
        self.part.clear();
        self.part.extend_from_slice(&head[..head.len().min(PART)]);
    }

    /// The request whose head has not come whole, and began to come at `since`, will never do.
    #[cold]
    pub(crate) fn begin_part(&mut self, since: Time, shared: &ServerConfig, turn: &Turn<'_>) {
        let part = std::mem::take(&mut self.part);
        self.begin(Begun::Unread(Unread::of(&part)), shared, turn);
        if let Some(entry) = self.buffer.entries.back_mut() {
            entry.begun = since;
        }
    }

    /// The response to the last request has a head, if it has a status.
    pub(crate) fn note(&mut self, status: Option<Status>, content: Mark) {
        if let Some(entry) = self.buffer.entries.back_mut()
            && status.is_some()
        {
            (entry.status, entry.content) = (status, content);
        }
    }

    /// The response to the last request is written up to `end`.
    pub(crate) fn answered(&mut self, end: Mark) {
        if let Some(entry) = self.buffer.entries.back_mut() {
            entry.end = Some(end);
        }
    }

    /// The server refuses the last request for the reason of this code, and has written its response.
    pub(crate) fn refused(&mut self, code: &'static str, now: Time) {
        if let Some(entry) = self.buffer.entries.back_mut() {
            entry.refused = Some((code, now));
        }
    }

    /// The last request ends so, whether its response arrives or not.
    pub(crate) fn ends(&mut self, ended: Ended) {
        if let Some(entry) = self.buffer.entries.back_mut() {
            entry.ended = Some(ended);
        }
    }

    /// The output has been sent up to `sent`: tells of what is complete with it.
    pub(crate) fn sent(&mut self, sent: Mark, shared: &ServerConfig, now: Time) {
        self.tell(sent, None, shared, now);
    }

    /// The connection has ended: tells of all that is left.
    pub(crate) fn closed(&mut self, reason: &Reason, shared: &ServerConfig, turn: &Turn<'_>) {
        self.tell(turn.sent(), Some(Ended::with(reason)), shared, turn.now());
    }

    /// Another protocol has the connection, and nothing more will be heard of what is unsent: tells
    /// of it as if it were sent.
    pub(crate) fn handed_over(&mut self, shared: &ServerConfig, turn: &Turn<'_>) {
        self.answered(turn.written());
        self.tell(turn.written(), None, shared, turn.now());
    }

    /// Tells of the requests whose responses are sent, and with `rest` of all others, which end so.
    fn tell(&mut self, sent: Mark, rest: Option<Ended>, shared: &ServerConfig, now: Time) {
        let Some(log) = shared.log() else { return };
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
            shared.give_back_log_buffer(std::mem::take(&mut self.buffer));
        }
    }
}
