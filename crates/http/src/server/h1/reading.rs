//! One request's way from its head to the end of its body and of its response: what a handler's answer
//! leads to, again and again.

use std::any::Any;
use std::borrow::BorrowMut;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sockeye_proto::{Abandoned, Fault, Message, Stop, Ticket, Time, Turn};

use crate::h1::body::{Decoded, Decoder};
use crate::handling::answer::Given;
use crate::handling::handler::Handler;
use crate::semantics::exchange::{Exchange, Incoming, Rest, Waits, Wanted};
use crate::semantics::refusal::Refusal;
use crate::semantics::span::Span;
use crate::server::h1::server::{Came, Server};
use crate::server::h1::state::{State, Step};
use crate::{Answer, Content, Responder, StreamEvent, Trailers};

impl<H: Handler> Server<H> {
    /// Goes on with an exchange as the handler has `given`, with `input` behind what was used of
    /// the request.
    pub(crate) fn go_on<E>(
        &mut self,
        mut exchange: E,
        given: Given,
        input: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<Came, Fault>
    where
        E: BorrowMut<Exchange> + Into<Box<Exchange>>,
    {
        let (used, then) = self.follow(exchange.borrow_mut(), given, input, turn)?;
        let rest = &input[used..];
        let came = match then {
            Then::Waits => {
                let mut exchange = exchange.into();
                if !input.is_empty() {
                    exchange.unread = !rest.is_empty();
                }
                exchange.send_by = self.send_by(&exchange, turn);
                let reads = exchange.waits.reads();
                self.state.step(Step::Owed(exchange));
                if reads { Came::Short(0) } else { Came::Waits(0) }
            }
            Then::Done => self.done(exchange.borrow(), rest, turn)?,
            Then::Switched => {
                if let Some(tape) = &mut self.tape {
                    tape.handed_over(&self.shared, turn);
                }
                self.state.step(Step::Over);
                Came::Switched(0)
            }
        };
        Ok(came.behind(used))
    }

    /// Reads on in the body of the request whose answer waits for it.
    pub(crate) fn read_body(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Came, Fault> {
        let Some(mut exchange) = self.state.take_exchange() else { return Ok(Came::Last) };
        exchange.until = self.body_until(turn);
        exchange.persistent &= !self.stops() || exchange.has_begun();
        let given = Given::Wait(exchange.waits);
        self.go_on(exchange, given, input, turn)
    }

    /// Reads on in a body that had to wait for room in the output.
    pub(crate) fn go_on_reading(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Some(mut exchange) = self.state.take_exchange() else { return Ok(()) };
        exchange.until = self.body_until(turn);
        let waits = Waits { room: false, ..exchange.waits };
        self.go_on_outside(exchange, Given::Wait(waits), turn)
    }

    /// Throws away more of a body that nobody wants.
    pub(crate) fn discard(
        &mut self,
        mut rest: Rest,
        input: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<Came, Fault> {
        let mut used = 0;
        let mut spans = self.shared.lend_trailers();
        let stepped = loop {
            let limits = &self.shared.limits;
            match rest.decoder.step(&input[used..], rest.room, limits, &mut spans) {
                Ok((took, Decoded::Piece(len))) => {
                    rest.room = rest.room.saturating_sub(len as u64);
                    used += took;
                }
                Ok((took, Decoded::End(_))) => break Ok(Some(used + took)),
                Ok((took, Decoded::Short)) => {
                    used += took;
                    break Ok(None);
                }
                Err(refusal) => break Err(refusal),
            }
        };
        self.shared.give_back_trailers(spans);
        match stepped {
            Ok(Some(used)) => {
                let until = self.idle_until(turn);
                self.state.step(Step::Answered { until });
                Ok(Came::On(used))
            }
            Ok(None) => {
                rest.until = self.body_until(turn);
                self.state.step(Step::Unread(Box::new(rest)));
                Ok(Came::Short(used))
            }
            // It has its response. More than is worth reading is no fault.
            Err(Refusal::BODY_TOO_LARGE) => {
                self.finish(true, turn);
                Ok(Came::Last)
            }
            Err(refusal) => {
                self.state.step(Step::Over);
                Err(refusal.fault())
            }
        }
    }

    /// Takes a message for the request whose answer waits.
    pub(crate) fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        self.wake(turn, |handler, reply| match reply.into_stream() {
            Ok(stream) => handler.on_stream(StreamEvent::Message(ticket, body), stream),
            Err(reply) => handler.on_message(ticket, body, reply),
        })
    }

    /// Tells the handler of a wake-up, if it is streaming a response: the call may have come for an
    /// earlier one, and what it is about is looked for when a stream begins.
    pub(crate) fn on_woken(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !matches!(&self.state, State::ExpectAnswer(exchange) if exchange.has_begun()) {
            return Ok(());
        }
        self.wake(turn, |handler, reply| match reply.into_stream() {
            Ok(stream) => handler.on_stream(StreamEvent::Woken, stream),
            Err(reply) => reply.later(),
        })
    }

    /// Calls the handler about the request whose answer waits, outside of its input.
    pub(crate) fn wake(
        &mut self,
        turn: &mut Turn<'_>,
        call: impl FnOnce(&mut H, Responder<'_, '_>) -> Answer,
    ) -> Result<(), Fault> {
        let Some(mut exchange) = self.state.take_exchange() else { return Ok(()) };
        exchange.persistent &= !self.stops() || exchange.has_begun() || exchange.unread;
        exchange.upgrade &= !self.stops();
        if !exchange.waits.reads() {
            // If a body that was held back is asked for now, it is waited for from now on.
            exchange.until = self.body_until(turn);
        }
        let given = self.tell(&mut exchange, turn, call)?;
        self.go_on_outside(exchange, given, turn)
    }

    /// Goes on with an exchange outside of its input, and with its input if that is wanted.
    pub(crate) fn go_on_outside(
        &mut self,
        exchange: Box<Exchange>,
        given: Given,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        match self.go_on(exchange, given, b"", turn)? {
            Came::On(_) | Came::Short(_) => turn.resume(),
            Came::Waits(_) | Came::Switched(_) | Came::Last => {}
        }
        Ok(())
    }

    /// Does what an answer asks for, until it is complete or waits for what isn't there. Returns
    /// how much of `input` was used.
    fn follow(
        &mut self,
        exchange: &mut Exchange,
        mut given: Given,
        input: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(usize, Then), Fault> {
        let mut used = 0;
        loop {
            match given {
                Given::Done => return Ok((used, Then::Done)),
                Given::Switched => return Ok((used, Then::Switched)),
                Given::Broken(fault) => {
                    self.state.step(Step::Over);
                    return Err(fault.clone());
                }
                Given::Wait(waits) => exchange.waits = waits,
            }
            if self.stop == Stop::Drain && exchange.has_begun() && !exchange.drain_told {
                given = self.tell_drain(exchange, turn)?;
                continue;
            }
            if exchange.waits.room {
                turn.want_room();
            }
            let Some(wanted) = exchange.waits.body else { return Ok((used, Then::Waits)) };
            // A piece of a few bytes may be answered with many.
            if exchange.has_begun() && turn.is_full() {
                exchange.waits.room = true;
                turn.want_room();
                return Ok((used, Then::Waits));
            }
            self.open_body(exchange, wanted, turn)?;
            let mut spans = self.shared.lend_trailers();
            let told = self.take(exchange, &input[used..], &mut spans, turn);
            self.shared.give_back_trailers(spans);
            let (took, told) = told?;
            used += took;
            match told {
                Some(next) => given = next,
                None => return Ok((used, Then::Waits)),
            }
        }
    }

    /// Tells a response that has begun that the server wants to stop: one without an end of its own
    /// gets the chance to end in order.
    fn tell_drain(&mut self, exchange: &mut Exchange, turn: &mut Turn<'_>) -> Result<Given, Fault> {
        exchange.drain_told = true;
        if !exchange.waits.reads() {
            exchange.until = self.body_until(turn);
        }
        self.tell(exchange, turn, |handler, reply| match reply.into_stream() {
            Ok(stream) => handler.on_stream(StreamEvent::Drain, stream),
            Err(reply) => reply.later(),
        })
    }

    /// Begins to read a body that nobody has asked for before.
    fn open_body(
        &mut self,
        exchange: &mut Exchange,
        wanted: Wanted,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let Incoming::Unread { content, expects_continue } = exchange.incoming else {
            return Ok(());
        };
        let room = match wanted {
            Wanted::UpToLimit => self.shared.limits.body,
            Wanted::UpTo(limit) => limit,
        };
        if let Content::Length(length) = content
            && length > room
        {
            return Err(self.refuse_body(exchange, Refusal::BODY_TOO_LARGE, turn));
        }
        // An interim response can't follow the beginning of the final one.
        if expects_continue && !exchange.has_begun() {
            turn.out.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        // One that has no content has its end.
        let decoder = Decoder::new(content).unwrap_or(Decoder::Length(0));
        exchange.incoming = Incoming::Coming { decoder, room };
        exchange.until = self.body_until(turn);
        Ok(())
    }

    /// Takes the next of a body from the front of `input` and tells the handler. Returns how much
    /// was used, and the handler's answer unless there was nothing to tell.
    fn take(
        &mut self,
        exchange: &mut Exchange,
        input: &[u8],
        spans: &mut Vec<Span>,
        turn: &mut Turn<'_>,
    ) -> Result<(usize, Option<Given>), Fault> {
        let Incoming::Coming { decoder, room } = &mut exchange.incoming else {
            // Nothing more comes.
            exchange.waits.body = None;
            return Ok((0, None));
        };
        let (took, decoded) = match decoder.step(input, *room, &self.shared.limits, spans) {
            Ok(stepped) => stepped,
            Err(refusal) => return Err(self.refuse_body(exchange, refusal, turn)),
        };
        let given = match decoded {
            Decoded::Short => return Ok((took, None)),
            Decoded::Piece(len) => {
                *room -= len as u64;
                let piece = &input[took - len..took];
                self.tell(exchange, turn, |handler, reply| match reply.into_stream() {
                    Ok(stream) => handler.on_stream(StreamEvent::Body(piece), stream),
                    Err(reply) => handler.on_body(piece, reply),
                })?
            }
            Decoded::End(len) => {
                exchange.incoming = Incoming::Ended;
                // Without a trailer section the room for one has another request's.
                let spans: &[Span] = if len > 0 { spans } else { &[] };
                let trailers = Trailers { section: &input[took - len..took], spans };
                self.tell(exchange, turn, |handler, reply| match reply.into_stream() {
                    Ok(stream) => handler.on_stream(StreamEvent::BodyEnd(&trailers), stream),
                    Err(reply) => handler.on_body_end(&trailers, reply),
                })?
            }
        };
        Ok((took, Some(given)))
    }

    /// Calls the handler, behind a fence.
    pub(crate) fn tell(
        &mut self,
        exchange: &mut Exchange,
        turn: &mut Turn<'_>,
        call: impl FnOnce(&mut H, Responder<'_, '_>) -> Answer,
    ) -> Result<Given, Fault> {
        let before = turn.out.unsent();
        let (handler, shared) = (&mut self.handler, &*self.shared);
        let called = catch_unwind(AssertUnwindSafe(|| {
            call(handler, Responder { turn: &mut *turn, shared, exchange: &mut *exchange })
        }));
        if let Some(tape) = &mut self.tape {
            tape.note(exchange.status, exchange.content_at);
        }
        // Something was sent in time: the next deadline is another one.
        if exchange.send_by != Time::NEVER && turn.out.unsent() != before {
            exchange.send_by = if self.half_closed { self.silent_until(turn) } else { Time::NEVER };
        }
        called.map(|answer| answer.0).map_err(|panic| {
            let wrote = exchange.has_begun() || turn.out.unsent() != before;
            let fault = panicked(&*panic);
            if wrote {
                self.state.step(Step::Over);
                return fault;
            }
            self.refuse(Refusal::PANICKED, exchange.head_only, turn);
            fault
        })
    }

    /// Goes on behind a request that was answered.
    pub(crate) fn done(
        &mut self,
        exchange: &Exchange,
        input: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<Came, Fault> {
        if let Some(tape) = &mut self.tape {
            tape.answered(turn.mark());
        }
        let rest = exchange.incoming.rest();
        if !exchange.persistent {
            self.finish(exchange.unread || rest.is_some() || !input.is_empty(), turn);
            return Ok(Came::Last);
        }
        let until = self.idle_until(turn);
        match rest {
            None => {
                self.state.step(Step::Answered { until });
                Ok(Came::On(0))
            }
            Some(decoder) => {
                let rest = Rest { decoder, room: self.shared.limits.discard, until };
                self.discard(rest, input, turn)
            }
        }
    }

    /// Refuses the rest of a body. Returns the fault that ends the connection.
    pub(crate) fn refuse_body(
        &mut self,
        exchange: &Exchange,
        refusal: Refusal,
        turn: &mut Turn<'_>,
    ) -> Fault {
        let fault = if exchange.has_begun() {
            self.state.step(Step::Over);
            refusal.fault()
        } else {
            self.refuse(refusal, exchange.head_only, turn)
        };
        self.tell_incomplete(turn).err().unwrap_or(fault)
    }

    /// Tells the handler, behind a fence, that a body won't be complete.
    pub(crate) fn tell_incomplete(&mut self, turn: &Turn<'_>) -> Result<(), Fault> {
        let (handler, now) = (&mut self.handler, turn.now());
        catch_unwind(AssertUnwindSafe(|| handler.on_incomplete(now)))
            .map_err(|panic| panicked(&*panic))
    }
}

/// What an answer led to.
enum Then {
    /// The response is complete.
    Done,
    /// It waits: for the body if the exchange says so, or for something else.
    Waits,
    /// Another protocol has the connection.
    Switched,
}

/// Our fault, with what the panic said.
fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("it did not say why");
    Fault::ours("handler_panicked", format!("panicked while answering a request: {said}"))
}
