//! One request of a connection that uses JSON lines, and its response.

use std::mem;
use std::num::NonZeroU32;

use sockeye_proto::driver::Stream;
use sockeye_proto::{Fault, Reason, Time, Turn};

use crate::handling::answer::AnswerKind;
use crate::handling::connection::Connection;
use crate::handling::in_flight::{InFlight, NextStep};
use crate::json_lines::{JsonExchange, Section, line};
use crate::semantics::exchange::{Incoming, WaitFor};
use crate::semantics::refusal::Refusal;
use crate::{EndReason, Handler, StreamEvent};

/// Maximum number of bytes of a stream that are sent before the next stream's turn.
const QUANTUM: u64 = 16 * 1024;
/// A stream's output is full at this number of bytes. The same number limits the content of a
/// request that waits for the handler: if more waits, the stream is aborted.
pub(super) const MAX_BUFFERED: usize = 64 * 1024;

pub(super) const WRONG_LENGTH: Refusal<'static> =
    Refusal::bad("sent content that is longer or shorter than announced");

/// A stream whose response is not completely moved to the connection's output.
pub(super) struct ActiveStream<H> {
    pub(super) id: NonZeroU32,
    pub(super) stream: Stream,
    /// The stream's own copy of the connection's state.
    pub(super) connection: Connection,
    pub(super) state: State<H>,
    /// Content of the request that has arrived and waits for the handler.
    pub(super) buffered: Vec<u8>,
    /// Number of bytes of the request's content that have not arrived; `None` if the request
    /// announced no length.
    pub(super) remaining: Option<u64>,
    /// The trailers, if the end of the content has arrived.
    pub(super) end: Option<Section>,
    /// Whether the client wants content of the response at the moment.
    pub(super) client_reads: bool,
}

pub(super) enum State<H> {
    /// The request is being answered.
    InFlight(InFlight<H, JsonExchange>),
    /// The response is complete or aborted, and not all of it has been moved to the connection's
    /// output.
    Sending { wire: JsonExchange, is_aborted: bool },
}

impl<H: Handler> ActiveStream<H> {
    /// Calls the handler by `call`, and acts on the handler's answers. `outer` is the connection's
    /// turn.
    pub(super) fn continue_request(
        &mut self,
        outer: &Turn<'_>,
        call: impl FnOnce(
            &mut InFlight<H, JsonExchange>,
            &mut Connection,
            &mut Turn<'_>,
        ) -> Result<AnswerKind, Fault>,
    ) {
        let State::InFlight(in_flight) = &mut self.state else { return };
        let (turn, connection) = (&mut self.stream.turn(outer), &mut self.connection);
        let mut answer = call(in_flight, connection, turn);
        let fault = loop {
            match answer.and_then(|answer| in_flight.next_step(answer, connection, turn)) {
                Ok(NextStep::Done | NextStep::Switched) => break None,
                Err(fault) => break Some(fault),
                Ok(NextStep::Read) if !self.buffered.is_empty() => {
                    let piece = mem::take(&mut self.buffered);
                    answer = in_flight.deliver_piece(&piece, connection, turn);
                }
                Ok(NextStep::Read) if self.end.is_some() => {
                    let end = self.end.take().unwrap_or_default();
                    in_flight.exchange.incoming = Incoming::Ended;
                    let trailers = end.trailers();
                    answer = in_flight.deliver(StreamEvent::BodyEnd(&trailers), connection, turn);
                }
                Ok(NextStep::Wait | NextStep::Read) => {
                    let exchange = &mut in_flight.exchange;
                    exchange.send_deadline = connection.send_deadline(exchange, turn.now());
                    return;
                }
            }
        };
        let exchange = &in_flight.exchange;
        match fault {
            Some(fault) if exchange.has_started() || exchange.status.is_none() => {
                self.abort(&Reason::Fault(fault), outer);
            }
            _ => {
                if let Some(log) = &mut connection.log {
                    log.set_response_end(turn.written());
                }
                self.start_sending(false);
            }
        }
    }

    /// Passes an event to the handler.
    pub(super) fn deliver(&mut self, event: StreamEvent<'_>, outer: &Turn<'_>) {
        self.continue_request(outer, |in_flight, connection, turn| {
            in_flight.deliver(event, connection, turn)
        });
    }

    /// Acts again on the handler's last answer, which says what the handler waits for, because the
    /// stream or the connection has changed since. If `room` is false, this ends a wait for room.
    pub(super) fn recheck_wait(&mut self, room: bool, outer: &Turn<'_>) {
        self.continue_request(outer, |in_flight, _, _| {
            let wait_for = in_flight.exchange.wait_for;
            Ok(AnswerKind::Wait(WaitFor { room: room && wait_for.room, ..wait_for }))
        });
    }

    /// Refuses the request, because its content can't be completed.
    pub(super) fn refuse_content(&mut self, refusal: Refusal<'static>, outer: &Turn<'_>) {
        self.continue_request(outer, |in_flight, connection, turn| {
            Err(in_flight.refuse_content(refusal, connection, turn))
        });
    }

    /// Drops the handler. What is left in the stream's output is still moved to the connection's
    /// output, followed by the line that ends the response.
    fn start_sending(&mut self, is_aborted: bool) {
        let wire = JsonExchange::new(self.id);
        let before = mem::replace(&mut self.state, State::Sending { wire, is_aborted });
        let (State::InFlight(InFlight { wire, .. }) | State::Sending { wire, .. }) = before;
        self.state = State::Sending { wire, is_aborted };
    }

    /// Whether the request's content has not completely arrived, and the handler may still read it.
    pub(super) fn is_incomplete(&self) -> bool {
        let State::InFlight(in_flight) = &self.state else { return false };
        in_flight.exchange.incoming != Incoming::Ended && self.end.is_none()
    }

    /// Cancels the request, and drops the unsent content of its response.
    pub(super) fn abort(&mut self, reason: &Reason, outer: &Turn<'_>) {
        if self.is_incomplete()
            && let State::InFlight(in_flight) = &mut self.state
        {
            // An error means that the handler panicked. The stream ends in any case.
            let _ = in_flight.notify_incomplete(outer.now());
        }
        if let Some(log) = &mut self.connection.log {
            // A response without content counts as sent, although its last line is not sent.
            log.set_end_reason(EndReason::from_reason(reason));
            log.on_closed(reason, &self.stream.turn(outer));
        }
        self.start_sending(true);
        self.stream = Stream::new(self.id, MAX_BUFFERED);
    }

    /// Content has arrived, at least one byte.
    pub(super) fn on_content(&mut self, piece: &[u8], outer: &Turn<'_>) {
        let State::InFlight(in_flight) = &mut self.state else { return };
        if let Some(remaining) = &mut self.remaining {
            let Some(rest) = remaining.checked_sub(piece.len() as u64) else {
                return self.refuse_content(WRONG_LENGTH, outer);
            };
            *remaining = rest;
        }
        in_flight.exchange.content_deadline = self.connection.content_deadline(outer.now());
        self.buffered.extend_from_slice(piece);
        if in_flight.exchange.wait_for.reads_content() {
            self.recheck_wait(false, outer);
        }
        if self.buffered.len() > MAX_BUFFERED {
            self.abort(&Reason::Reset, outer);
        }
    }

    /// Moves the next piece of the response to the connection's output. Returns whether it moved
    /// anything, or the request got room that it waited for.
    pub(super) fn move_quantum(&mut self, turn: &mut Turn<'_>) -> bool {
        let wire = match &mut self.state {
            State::InFlight(in_flight) => &mut in_flight.wire,
            State::Sending { wire, .. } => wire,
        };
        let head = wire.head.take();
        if let Some(head) = &head {
            line(head, turn.out);
        }
        let len = if self.client_reads { self.stream.unsent().min(QUANTUM) } else { 0 };
        if len > 0 {
            line(&wire.content(len), turn.out);
            self.stream.move_to(turn.out, len);
        }
        self.log_moved(turn.now());
        let has_room = self.stream.take_room();
        if has_room {
            self.on_room(turn);
        }
        head.is_some() || len > 0 || has_room
    }

    /// Notifies the log of how much of the response has been moved.
    pub(super) fn log_moved(&mut self, now: Time) {
        if let Some(log) = &mut self.connection.log {
            log.on_sent(self.stream.moved(), now);
        }
    }

    fn on_room(&mut self, outer: &Turn<'_>) {
        let State::InFlight(in_flight) = &self.state else { return };
        match in_flight.exchange.wait_for {
            WaitFor { content: Some(_), .. } => self.recheck_wait(false, outer),
            WaitFor { room: true, .. } => self.deliver(StreamEvent::Room, outer),
            _ => {}
        }
    }

    pub(super) fn deadline(&self) -> Time {
        match &self.state {
            State::InFlight(in_flight) => in_flight.exchange.deadline(),
            State::Sending { .. } => Time::NEVER,
        }
    }

    pub(super) fn on_deadline(&mut self, outer: &Turn<'_>) {
        let unsent = self.stream.unsent();
        let State::InFlight(in_flight) = &mut self.state else { return };
        let exchange = &mut in_flight.exchange;
        if exchange.send_deadline > outer.now() {
            // So the deadline that has passed is that of the request's content.
            self.refuse_content(Refusal::BODY_TIMEOUT, outer);
        } else if !exchange.has_started() {
            exchange.send_deadline = Time::NEVER;
            self.continue_request(outer, |in_flight, connection, turn| {
                in_flight.call(connection, turn, Handler::on_response_timeout)
            });
        } else if unsent > 0 {
            // The response waits for the client to read, and not for the handler.
            exchange.send_deadline = self.connection.silence_deadline(outer.now());
        } else {
            self.abort(&Reason::Reset, outer);
        }
    }
}
