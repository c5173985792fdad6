//! Events other than input: the end of input, deadlines, room in the output, wake-ups, and the
//! server's stop.

use sockeye_proto::{Fault, Stop, Time, Turn};

use super::server::Server;
use super::state::State;
use crate::handling::answer::AnswerKind;
use crate::handling::connection::UnreadInput;
use crate::semantics::exchange::{Incoming, WaitFor};
use crate::semantics::refusal::Refusal;
use crate::{Handler, Handlers, Limits, StreamEvent};

impl<S: Handlers + 'static> Server<S> {
    /// The client has closed its sending side. From now on, a streamed response that sends nothing
    /// for [`Limits::half_closed_timeout`] is cancelled, since the client may have left.
    pub(super) fn on_half_close(&mut self, turn: &Turn<'_>) {
        self.connection.half_closed = true;
        if let State::ExpectAnswer(in_flight) = &mut self.state
            && in_flight.exchange.has_started()
        {
            in_flight.exchange.send_deadline = self.connection.silence_deadline(turn.now());
        }
    }

    pub(super) fn on_eof(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !self.connection.half_closed {
            self.on_half_close(turn);
        }
        match &self.state {
            State::ExpectRequest { .. } | State::ExpectUnreadContent(_) => {
                self.end_connection(false, turn);
            }
            State::ExpectHead { .. } => {
                self.state = State::ExpectNothing;
                let what = "ended its side in the middle of a request head";
                return Err(Fault::peer("eof_in_head", what));
            }
            // If the handler reads content, the rest of the content will never come. Nothing else
            // occurs here: if the handler reads none, the input is paused until the request is
            // answered, and this event comes after that.
            State::ExpectAnswer(in_flight) => {
                if let Incoming::Reading { .. } = in_flight.exchange.incoming {
                    return self.refuse_content(Refusal::EOF_IN_BODY, turn);
                }
            }
            State::ExpectRoom | State::ExpectNothing => {}
        }
        Ok(())
    }

    /// Refuses the request in flight, because its content can't be completed.
    fn refuse_content(
        &mut self,
        refusal: Refusal<'static>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        match self.state.take_in_flight() {
            Some(mut in_flight) => {
                Err(in_flight.refuse_content(refusal, &mut self.connection, turn))
            }
            None => Ok(()),
        }
    }

    pub(super) fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Limits { idle_timeout, body_timeout, half_closed_timeout, head_timeout, .. } =
            self.connection.config.limits;
        if self.state.deadline().is_none_or(|deadline| turn.now() < deadline) {
            return Ok(());
        }
        match &mut self.state {
            // Linger, because the client may be sending its next request: closing with unread input
            // could discard the last response.
            State::ExpectRequest { .. } if self.connection.stop == Stop::Drain => {
                self.end_connection(true, turn);
            }
            // A peer that is still receiving the last response is slow, not idle: the engine's
            // write timeout applies instead of the idle timeout.
            State::ExpectRequest { deadline, .. } if turn.unsent() > 0 => {
                *deadline = turn.now() + idle_timeout;
            }
            State::ExpectRequest { .. } => {
                self.state = State::ExpectNothing;
                return Err(Fault::idle(idle_timeout));
            }
            State::ExpectHead { deadline, method_is_head, .. } => {
                let method_is_head = *method_is_head;
                let since = deadline.checked_sub(head_timeout).unwrap_or(turn.now());
                self.state = State::ExpectNothing;
                if let Some(log) = &mut self.connection.log {
                    log.add_partial_head(since, turn);
                }
                return Err(self.refuse(Refusal::HEAD_TIMEOUT, method_is_head, turn));
            }
            State::ExpectAnswer(in_flight) => {
                let exchange = &mut in_flight.exchange;
                let is_late = exchange.send_deadline <= turn.now();
                if is_late && !exchange.has_started() {
                    exchange.send_deadline = Time::NEVER;
                    return self.continue_with(turn, |in_flight, connection, turn| {
                        in_flight.call(connection, turn, Handler::on_response_timeout)
                    });
                }
                if is_late && turn.unsent() > 0 {
                    // Until the output is sent, the engine's write timeout applies instead. After
                    // `mark`, `Event::Sent` comes whenever a part is sent, and the half-closed
                    // timeout starts again.
                    exchange.send_deadline = turn.now() + half_closed_timeout;
                    turn.mark();
                } else if is_late {
                    self.state = State::ExpectNothing;
                    let seconds = half_closed_timeout.as_secs();
                    let what =
                        format!("ended its side, and nothing was sent to it for {seconds} s");
                    return Err(Fault::peer("half_closed_timeout", what));
                } else if turn.is_full() {
                    // The server doesn't read while the output is full.
                    exchange.content_deadline = turn.now() + body_timeout;
                } else {
                    return self.refuse_content(Refusal::BODY_TIMEOUT, turn);
                }
            }
            State::ExpectUnreadContent(_) => self.end_connection(true, turn),
            State::ExpectRoom | State::ExpectNothing => {}
        }
        Ok(())
    }

    pub(super) fn on_room(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &self.state {
            State::ExpectRoom => {
                self.state = State::idle(self.connection.idle_deadline(turn.now()));
                turn.resume();
                Ok(())
            }
            State::ExpectAnswer(in_flight) if in_flight.exchange.wait_for.content.is_some() => self
                .continue_with(turn, |in_flight, _, _| {
                    let wait_for = in_flight.exchange.wait_for;
                    Ok(AnswerKind::Wait(WaitFor { room: false, ..wait_for }))
                }),
            State::ExpectAnswer(in_flight) if in_flight.exchange.wait_for.room => {
                self.deliver(StreamEvent::Room, turn)
            }
            _ => Ok(()),
        }
    }

    /// Passes a wake-up to a handler whose response has started. A wake-up before that may be meant
    /// for an earlier request, and is ignored: handlers check for news when their response starts.
    pub(super) fn on_woken(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &self.state {
            State::ExpectAnswer(in_flight) if in_flight.exchange.has_started() => {
                self.deliver(StreamEvent::Woken, turn)
            }
            _ => Ok(()),
        }
    }

    /// The server is stopping. `unused`, `unread`: see [`Event::Drain`](sockeye_proto::Event).
    pub(super) fn on_drain(
        &mut self,
        unused: bool,
        unread: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        self.connection.stop = Stop::Drain;
        if unused && unread {
            self.connection.unread = UnreadInput::AfterUnused;
        }
        match &mut self.state {
            State::ExpectRequest { deadline, .. } => {
                *deadline = self.connection.idle_deadline(turn.now()).min(*deadline);
            }
            State::ExpectAnswer(in_flight) => {
                in_flight.wire.more_input |= unused || unread;
                // A handler whose response has started is notified now, by `continue_with`. Other
                // handlers are notified when their response starts.
                if in_flight.exchange.has_started() {
                    return self.continue_with(turn, |in_flight, _, _| {
                        Ok(AnswerKind::Wait(in_flight.exchange.wait_for))
                    });
                }
            }
            // Requests that have arrived are still answered.
            _ => {}
        }
        Ok(())
    }
}
