//! What a server does besides reading: at the end of input, at deadlines, when there is room, and when
//! it is to stop.

use sockeye_proto::Stop;
use sockeye_proto::{Fault, Time, Turn};

use crate::handling::answer::Given;
use crate::handling::handler::Handler;
use crate::semantics::exchange::Incoming;
use crate::semantics::refusal::Refusal;
use crate::server::h1::server::Server;
use crate::server::h1::state::{State, Step};
use crate::{Limits, StreamEvent};

impl<H: Handler> Server<H> {
    /// The client has ended its side: a stream under way gets its time to send something.
    pub(crate) fn on_half_close(&mut self, turn: &Turn<'_>) {
        self.half_closed = true;
        let until = self.silent_until(turn);
        if let State::ExpectAnswer(exchange) = &mut self.state
            && exchange.has_begun()
        {
            exchange.send_by = until;
        }
    }

    pub(crate) fn on_eof(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !self.half_closed {
            self.on_half_close(turn);
        }
        match &self.state {
            State::ExpectRequest { .. } | State::ExpectRest(_) => self.finish(false, turn),
            State::ExpectHead { .. } => {
                self.state.step(Step::Over);
                let what = "ended its side in the middle of a request head";
                return Err(Fault::peer("eof_in_head", what));
            }
            // The end of input is not told during a pause: what is owed is answered first. But a
            // body that is not complete will never be.
            State::ExpectAnswer(exchange) => {
                if let Incoming::Coming { .. } = exchange.incoming
                    && let Some(exchange) = self.state.take_exchange()
                {
                    return Err(self.refuse_body(&exchange, Refusal::EOF_IN_BODY, turn));
                }
            }
            State::ExpectRoom | State::ExpectNothing => {}
        }
        Ok(())
    }

    pub(crate) fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Limits { idle_timeout, body_timeout, half_closed_timeout, .. } = self.shared.limits;
        if self.state.until().is_none_or(|until| turn.now() < until) {
            return Ok(());
        }
        match &mut self.state {
            // A client that is sending its next request just now shall still read our last response.
            State::ExpectRequest { .. } if self.stop == Stop::Drain => {
                self.finish(true, turn);
                Ok(())
            }
            // A peer that is still reading our last response is slow, not idle: the write deadline
            // watches over it.
            State::ExpectRequest { until, .. } if turn.unsent() > 0 => {
                *until = turn.now() + idle_timeout;
                Ok(())
            }
            State::ExpectRequest { .. } => {
                self.state.step(Step::Over);
                Err(Fault::idle(idle_timeout))
            }
            State::ExpectHead { until, .. } => {
                if let Some(tape) = &mut self.tape {
                    let since = until.checked_sub(self.shared.limits.head_timeout);
                    tape.begin_part(since.unwrap_or(turn.now()), &self.shared, turn);
                }
                Err(self.refuse(Refusal::HEAD_TIMEOUT, false, turn))
            }
            State::ExpectAnswer(exchange)
                if exchange.send_by <= turn.now() && !exchange.has_begun() =>
            {
                exchange.send_by = Time::NEVER;
                self.wake(turn, Handler::on_response_timeout)
            }
            State::ExpectAnswer(exchange) if exchange.send_by <= turn.now() => {
                // What is written is not sent yet: the write deadline watches over that, and the
                // time begins anew when it is.
                if turn.unsent() > 0 {
                    exchange.send_by = turn.now() + half_closed_timeout;
                    turn.mark();
                    return Ok(());
                }
                self.state.step(Step::Over);
                let seconds = half_closed_timeout.as_secs();
                let what = format!("ended its side, and nothing was sent to it for {seconds} s");
                Err(Fault::peer("half_closed_timeout", what))
            }
            // While as much is unsent as may be, it is we who don't read.
            State::ExpectAnswer(exchange) if turn.is_full() => {
                exchange.until = turn.now() + body_timeout;
                Ok(())
            }
            State::ExpectAnswer(_) => match self.state.take_exchange() {
                Some(exchange) => Err(self.refuse_body(&exchange, Refusal::BODY_TIMEOUT, turn)),
                None => Ok(()),
            },
            State::ExpectRest(_) => {
                self.finish(true, turn);
                Ok(())
            }
            State::ExpectRoom | State::ExpectNothing => Ok(()),
        }
    }

    pub(crate) fn on_room(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &self.state {
            State::ExpectRoom => {
                let until = self.idle_until(turn);
                self.state.step(Step::Room { until });
                turn.resume();
            }
            State::ExpectAnswer(exchange) if exchange.waits.body.is_some() => {
                return self.go_on_reading(turn);
            }
            State::ExpectAnswer(exchange) if exchange.waits.room => {
                return self.wake(turn, |handler, reply| match reply.into_stream() {
                    Ok(stream) => handler.on_stream(StreamEvent::Room, stream),
                    Err(reply) => reply.later(),
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// The server is stopping. `unread`: behind the request that is being answered lies another.
    pub(crate) fn on_drain(&mut self, unread: bool, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.stop = Stop::Drain;
        let soon = self.idle_until(turn);
        match &mut self.state {
            State::ExpectRequest { until, .. } => *until = soon.min(*until),
            State::ExpectAnswer(exchange) => {
                exchange.unread |= unread;
                // A response that has begun hears of it now, one that has not when it does.
                if exchange.has_begun() {
                    let given = Given::Wait(exchange.waits);
                    if let Some(exchange) = self.state.take_exchange() {
                        return self.go_on_outside(exchange, given, turn);
                    }
                }
            }
            // A request that has come is answered.
            State::ExpectHead { .. }
            | State::ExpectRest(_)
            | State::ExpectRoom
            | State::ExpectNothing => {}
        }
        Ok(())
    }
}
