//! Reads content, and continues a request after each answer of its handler.

use sockeye_proto::{Fault, Turn};

use super::server::{ReadOutcome, Server};
use super::state::{State, UnreadContent};
use crate::h1::body::Decoded;
use crate::h1::exchange::H1Exchange;
use crate::handling::answer::AnswerKind;
use crate::handling::connection::{Connection, UnreadInput};
use crate::handling::in_flight::{InFlight, NextStep};
use crate::semantics::exchange::Incoming;
use crate::semantics::refusal::Refusal;
use crate::semantics::span::Span;
use crate::{Handlers, StreamEvent, Trailers};

impl<S: Handlers + 'static> Server<S> {
    /// Continues a request after its handler has answered. `input` is the input that hasn't been
    /// read.
    fn continue_request(
        &mut self,
        mut in_flight: Box<InFlight<S::Handler, H1Exchange>>,
        answer: AnswerKind,
        input: &mut &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<ReadOutcome, Fault> {
        let had_input = !input.is_empty();
        match self.follow_answer(&mut in_flight, answer, input, turn)? {
            NextStep::Wait | NextStep::Read => {
                Ok(self.wait_for_handler(in_flight, had_input, input, turn))
            }
            NextStep::Done => self.complete_request(&in_flight, input, turn),
            NextStep::Switched => Ok(self.hand_over(turn)),
        }
    }

    /// Stores a request whose handler waits. `input` is the input that hasn't been read.
    /// `had_input`: whether there was unread input before [`Server::follow_answer`] was called.
    pub(super) fn wait_for_handler(
        &mut self,
        mut in_flight: Box<InFlight<S::Handler, H1Exchange>>,
        had_input: bool,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> ReadOutcome {
        let InFlight { exchange, wire, .. } = &mut *in_flight;
        // After an event, `input` is always empty, so it doesn't show whether more has arrived.
        if had_input {
            wire.more_input = !input.is_empty();
        }
        wire.more_input |= self.connection.unread == UnreadInput::AfterRequest;
        exchange.send_deadline = self.connection.send_deadline(exchange, turn.now());
        let reads = exchange.wait_for.reads_content();
        self.state = State::ExpectAnswer(in_flight);
        if reads { ReadOutcome::NeedMore } else { ReadOutcome::Pause }
    }

    /// Ends this protocol's part, because another protocol takes over the connection. The caller of
    /// [`Protocol::on_bytes`](sockeye_proto::Protocol::on_bytes) passes the unread input to that
    /// protocol.
    pub(super) fn hand_over(&mut self, turn: &Turn<'_>) -> ReadOutcome {
        if let Some(log) = &mut self.connection.log {
            log.on_protocol_switch(turn);
        }
        self.state = State::ExpectNothing;
        ReadOutcome::NeedMore
    }

    /// Acts on an answer of the handler. If the handler asks for content, passes it the content in
    /// `input` and acts on the next answer, until the response is complete or the handler waits.
    pub(super) fn follow_answer(
        &mut self,
        in_flight: &mut InFlight<S::Handler, H1Exchange>,
        mut answer: AnswerKind,
        input: &mut &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<NextStep, Fault> {
        loop {
            let next = in_flight.next_step(answer, &mut self.connection, turn)?;
            let NextStep::Read = next else { return Ok(next) };
            // A buffer for the positions of trailer fields, which is used again.
            let mut spans = self.connection.config.trailers.take();
            let answered = self.deliver_content(in_flight, input, &mut spans, turn);
            self.connection.config.trailers.set(spans);
            match answered? {
                Some(next) => answer = next,
                None => return Ok(NextStep::Read),
            }
        }
    }

    /// Passes the next piece of the request's content, at the start of `input`, to the handler.
    /// Returns the handler's answer; `None` if more input is needed.
    fn deliver_content(
        &mut self,
        in_flight: &mut InFlight<S::Handler, H1Exchange>,
        input: &mut &[u8],
        spans: &mut Vec<Span>,
        turn: &mut Turn<'_>,
    ) -> Result<Option<AnswerKind>, Fault> {
        let connection = &mut self.connection;
        let Incoming::Reading { remaining } = &mut in_flight.exchange.incoming else {
            return Ok(None);
        };
        let decoder = &mut in_flight.wire.decoder;
        let (used_len, decoded) =
            match decoder.step(input, *remaining, &connection.config.limits, spans) {
                Ok(stepped) => stepped,
                Err(refusal) => return Err(in_flight.refuse_content(refusal, connection, turn)),
            };
        let (used, rest) = input.split_at(used_len);
        *input = rest;
        match decoded {
            Decoded::NeedMore => Ok(None),
            Decoded::Piece(len) => {
                *remaining -= len as u64;
                // A chunk's size line may precede the piece.
                let event = StreamEvent::Body(&used[used.len() - len..]);
                in_flight.deliver(event, connection, turn).map(Some)
            }
            Decoded::End(len) => {
                in_flight.exchange.incoming = Incoming::Ended;
                // If this request has no trailer section, `spans` still contains the positions of
                // an earlier request's trailers.
                let spans: &[Span] = if len > 0 { spans } else { &[] };
                let trailers = Trailers { section: &used[used.len() - len..], spans };
                in_flight.deliver(StreamEvent::BodyEnd(&trailers), connection, turn).map(Some)
            }
        }
    }

    /// Continues to read content for a handler that waits for it.
    pub(super) fn read_content(
        &mut self,
        input: &mut &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<ReadOutcome, Fault> {
        let Some(mut in_flight) = self.state.take_in_flight() else { return Ok(ReadOutcome::Stop) };
        let InFlight { exchange, wire, .. } = &mut *in_flight;
        exchange.content_deadline = self.connection.content_deadline(turn.now());
        // When the server stops, the connection closes after this response. But if the response has
        // started without `Connection: close`, it's too late to announce that.
        wire.persistent &= !self.connection.is_stopping() || exchange.has_started();
        let answer = AnswerKind::Wait(exchange.wait_for);
        self.continue_request(in_flight, answer, input, turn)
    }

    /// Passes an event to the handler that waits.
    pub(super) fn deliver(
        &mut self,
        event: StreamEvent<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        self.continue_with(turn, |in_flight, connection, turn| {
            in_flight.deliver(event, connection, turn)
        })
    }

    /// Runs `call`, which calls the handler that waits. Continues the request with its answer.
    pub(super) fn continue_with(
        &mut self,
        turn: &mut Turn<'_>,
        call: impl FnOnce(
            &mut InFlight<S::Handler, H1Exchange>,
            &mut Connection,
            &mut Turn<'_>,
        ) -> Result<AnswerKind, Fault>,
    ) -> Result<(), Fault> {
        let Some(mut in_flight) = self.state.take_in_flight() else { return Ok(()) };
        let InFlight { exchange, wire, .. } = &mut *in_flight;
        // As in `read_content`, except that the connection stays open if more input has arrived:
        // the input may contain another request, whose response can announce the close.
        wire.persistent &=
            !self.connection.is_stopping() || exchange.has_started() || wire.more_input;
        wire.upgrade &= !self.connection.is_stopping();
        if !exchange.wait_for.reads_content() {
            // If the handler's next answer asks for content, the client's time to send it begins
            // now.
            exchange.content_deadline = self.connection.content_deadline(turn.now());
        }
        let answer = call(&mut in_flight, &mut self.connection, turn)?;
        match self.continue_request(in_flight, answer, &mut &b""[..], turn)? {
            ReadOutcome::Continue | ReadOutcome::NeedMore => turn.resume(),
            ReadOutcome::Pause | ReadOutcome::Stop => {}
        }
        Ok(())
    }

    /// The response is complete: prepares for the next request, or ends the connection.
    #[inline(always)] // Every request gets here.
    pub(super) fn complete_request(
        &mut self,
        in_flight: &InFlight<S::Handler, H1Exchange>,
        input: &mut &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<ReadOutcome, Fault> {
        if let Some(log) = &mut self.connection.log {
            log.set_response_end(turn.mark());
        }
        let InFlight { exchange, wire, .. } = in_flight;
        let unread_content = wire.remaining_content(&exchange.incoming);
        if !wire.persistent {
            let unread = wire.more_input || unread_content.is_some() || !input.is_empty();
            self.end_connection(unread, turn);
            return Ok(ReadOutcome::Stop);
        }
        match unread_content {
            None => {
                self.state = State::idle(self.connection.idle_deadline(turn.now()));
                Ok(ReadOutcome::Continue)
            }
            Some(decoder) => {
                let limit = self.connection.config.limits.discard;
                // Whether to close because of too much unread content is usually decided before the
                // response's head is written. For a streamed response, it is decided here, because
                // the handler could still have read the content after the head.
                if decoder.remaining().is_some_and(|remaining| remaining > limit) {
                    self.end_connection(true, turn);
                    return Ok(ReadOutcome::Stop);
                }
                // More content doesn't extend this deadline. Otherwise a client that sends slowly
                // could hold the connection for weeks: when there are too many connections, the
                // server closes only idle ones.
                let deadline = self.connection.content_deadline(turn.now());
                self.discard_content(UnreadContent { decoder, limit, deadline }, input, turn)
            }
        }
    }

    /// Discards content that the handler has not read.
    #[inline(never)]
    pub(super) fn discard_content(
        &mut self,
        mut unread: UnreadContent,
        input: &mut &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<ReadOutcome, Fault> {
        let config = &self.connection.config;
        let mut spans = config.trailers.take();
        let is_complete = loop {
            match unread.decoder.step(input, unread.limit, &config.limits, &mut spans) {
                Ok((used, decoded)) => {
                    *input = &input[used..];
                    match decoded {
                        // The decoder compares a chunk's size with the limit when it reads the
                        // size. This chunk's size may have been read earlier, under the handler's
                        // limit.
                        Decoded::Piece(len) => match unread.limit.checked_sub(len as u64) {
                            Some(left) => unread.limit = left,
                            None => break Err(Refusal::BODY_TOO_LARGE),
                        },
                        Decoded::End(_) => break Ok(true),
                        Decoded::NeedMore => break Ok(false),
                    }
                }
                Err(refusal) => break Err(refusal),
            }
        };
        config.trailers.set(spans);
        match is_complete {
            Ok(true) => {
                self.state = State::idle(self.connection.idle_deadline(turn.now()));
                Ok(ReadOutcome::Continue)
            }
            Ok(false) => {
                self.state = State::ExpectUnreadContent(Box::new(unread));
                Ok(ReadOutcome::NeedMore)
            }
            // The client has its response. More content than the limit is not a fault.
            Err(Refusal::BODY_TOO_LARGE) => {
                self.end_connection(true, turn);
                Ok(ReadOutcome::Stop)
            }
            Err(refusal) => Err(refusal.fault()),
        }
    }
}
