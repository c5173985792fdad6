//! A request from its header to its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sockeye_proto::{Fault, Permit, Ticket, Time, Turn};

use super::{Header, Id, Limits, Message, Refusal, error_response, frame};

/// A request that has no response yet.
#[derive(Debug)]
pub(super) struct PendingRequest {
    /// Its number on the connection, from 0.
    pub(super) number: u64,
    /// The id to echo. `None` if the client sent none, or didn't ask to keep the connection open.
    /// Without an id, a connection that isn't a WebSocket ends after the response.
    pub(super) id: Option<Id>,
    /// After this time, no response is sent. Exception: over WebSocket, a request without an id
    /// gets the error `timeout`.
    pub(super) deadline: Time,
    /// Bytes of its content.
    pub(super) content_len: u64,
    /// The tickets that identify its unsettled promises (jobs or other pending results).
    pub(super) tickets: Vec<Ticket>,
    /// Charges the client for the content until the request is answered and the jobs that may hold
    /// the content have ended. `None` if nothing is charged.
    pub(super) permit: Option<Arc<Permit>>,
    /// The deadline has passed. The request still counts as in flight until its work has ended, so
    /// that a client can't start more work than [`Limits::in_flight`](super::Limits::in_flight).
    pub(super) expired: bool,
}

impl PendingRequest {
    /// A placeholder for a request whose header could not be read: [`PendingRequest::refuse`]
    /// answers it.
    pub(super) fn unread() -> Self {
        Self::new(0, 0)
    }

    /// A request without an id or a deadline.
    pub(super) fn new(number: u64, content_len: u64) -> Self {
        Self {
            number,
            id: None,
            deadline: Time::NEVER,
            content_len,
            tickets: Vec::new(),
            permit: None,
            expired: false,
        }
    }

    pub(super) fn of(header: &Header, number: u64, now: Time) -> Self {
        let deadline = header.deadline_ms.map_or(Time::NEVER, |ms| now + Duration::from_millis(ms));
        let id = header.id.clone().filter(|_| header.keep_alive);
        Self { id, deadline, ..Self::new(number, header.content_length) }
    }

    /// Whether the connection may stay open after the response.
    pub(super) fn keeps_connection(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn is_late(&self, now: Time) -> bool {
        self.deadline <= now
    }

    /// Removes `ticket`. Returns whether it was a promise of this request.
    pub(super) fn take_ticket(&mut self, ticket: Ticket) -> bool {
        let at = self.tickets.iter().position(|one| *one == ticket);
        at.map(|at| self.tickets.swap_remove(at)).is_some()
    }

    /// Writes an error response in a frame. Returns the fault that ends the connection.
    pub(super) fn refuse(&self, refusal: Refusal, turn: &mut Turn<'_>) -> Fault {
        self.write(error_response(refusal.code, &refusal.reason), false, turn);
        refusal.fault()
    }

    /// Writes the response in a frame, unless it is late. `keep_alive`: the connection may stay
    /// open.
    pub(super) fn write(&self, response: Message, keep_alive: bool, turn: &mut Turn<'_>) {
        if !self.is_late(turn.now()) {
            let (head, content) = self.frame(response, keep_alive);
            frame::write(&head, content, turn.out);
        }
    }

    /// The response as a frame: the bytes before its content, and the content.
    pub(super) fn frame(&self, response: Message, keep_alive: bool) -> (Vec<u8>, Bytes) {
        let head = |message: &Message| {
            let id = self.id.clone();
            let keep_alive = keep_alive && id.is_some();
            frame::head(&Header { keep_alive, id, ..Header::of(message) })
        };
        match head(&response) {
            Some(head) => (head, response.content),
            None => {
                let what = "the response's content-type or encoding is too long";
                let error = error_response("internal", what);
                // This header fits: the length of an id is limited.
                (head(&error).unwrap_or_default(), error.content)
            }
        }
    }
}

/// Whether requests in flight, or their contents together, have reached their limit.
pub(super) fn is_at_limit<'r>(
    pending: impl ExactSizeIterator<Item = &'r PendingRequest>,
    limits: &Limits,
) -> bool {
    let count = pending.len();
    let held = pending.map(|request| request.content_len).fold(0, u64::saturating_add);
    count > 0 && (count >= limits.in_flight || held >= limits.content)
}
