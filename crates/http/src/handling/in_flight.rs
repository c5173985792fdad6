//! Calls the handler of a request in flight, and acts on the handler's answers.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sockeye_proto::{Fault, Stop, Time, Turn};

use super::answer::{Answer, AnswerKind};
use super::connection::Connection;
use super::handler::Handler;
use super::responder::Responder;
use super::stream::StreamEvent;
use super::wire::WireExchange;
use crate::semantics::exchange::{ContentLimit, Exchange, Incoming};
use crate::semantics::log::EndReason;
use crate::semantics::refusal::Refusal;
use crate::{Body, Content, Fields, Status};

/// A request in flight: its handler, how much of the request has been read, and how much of its
/// response has been written.
#[derive(Debug)]
pub(crate) struct InFlight<H, W> {
    pub(crate) handler: H,
    pub(crate) exchange: Exchange,
    pub(crate) wire: W,
}

/// What to do after an answer.
pub(crate) enum NextStep {
    /// The response is complete.
    Done,
    /// The connection, or in HTTP/2 the stream, switches to another protocol.
    Switched,
    /// Wait for an event, such as a message that a thread sends through a `Promise`, room in the
    /// output, or input.
    Wait,
    /// Read more of the request's content, and pass it to the handler: see [`InFlight::deliver`].
    Read,
}

impl<H: Handler, W: WireExchange> InFlight<H, W> {
    /// Calls the handler, within a panic boundary.
    ///
    /// # Errors
    ///
    /// If the handler panics. Then the response is a 500, unless it had already started.
    #[inline]
    pub(crate) fn call(
        &mut self,
        connection: &mut Connection,
        turn: &mut Turn<'_>,
        call: impl FnOnce(&mut H, Responder<'_, '_>) -> Answer,
    ) -> Result<AnswerKind, Fault> {
        let before = turn.out.unsent();
        let Self { handler, exchange, wire } = self;
        let config = &*connection.config;
        let called = catch_unwind(AssertUnwindSafe(|| {
            let wire = wire.as_wire();
            call(handler, Responder { turn: &mut *turn, config, exchange: &mut *exchange, wire })
        }));
        if let Some(log) = &mut connection.log {
            log.set_status(exchange.status, exchange.content_start);
        }
        // The handler has written something before `send_deadline`. If the client has closed its
        // sending side, the response must send more before a new deadline. Otherwise the response
        // has no deadline any more.
        if exchange.send_deadline != Time::NEVER && turn.out.unsent() != before {
            let now = turn.now();
            exchange.send_deadline =
                if connection.half_closed { connection.silence_deadline(now) } else { Time::NEVER };
        }
        called.map(|answer| answer.0).map_err(|panic| {
            if !self.exchange.has_started() && turn.out.unsent() == before {
                self.refuse(Refusal::PANICKED, connection, turn);
            }
            panic_fault(&*panic)
        })
    }

    /// Passes an event to the handler: to [`Handler::on_stream`] if the response has started, else
    /// to the method for this event. Before the response starts, the handler gets no call for room,
    /// a wake-up or a drain.
    pub(crate) fn deliver(
        &mut self,
        event: StreamEvent<'_>,
        connection: &mut Connection,
        turn: &mut Turn<'_>,
    ) -> Result<AnswerKind, Fault> {
        self.call(connection, turn, |handler, responder| match (responder.into_stream(), event) {
            (Ok(stream), event) => handler.on_stream(event, stream),
            (Err(responder), StreamEvent::Message(ticket, message)) => {
                handler.on_message(ticket, message, responder)
            }
            (Err(responder), StreamEvent::Body(piece)) => handler.on_body(piece, responder),
            (Err(responder), StreamEvent::BodyEnd(trailers)) => {
                handler.on_body_end(trailers, responder)
            }
            (Err(responder), StreamEvent::Room | StreamEvent::Woken | StreamEvent::Drain) => {
                responder.keep_waiting()
            }
        })
    }

    /// Passes a piece of the request's content to the handler. Refuses the content if this piece
    /// makes it longer than the handler accepts.
    pub(crate) fn deliver_piece(
        &mut self,
        piece: &[u8],
        connection: &mut Connection,
        turn: &mut Turn<'_>,
    ) -> Result<AnswerKind, Fault> {
        if let Incoming::Reading { remaining } = &mut self.exchange.incoming {
            match remaining.checked_sub(piece.len() as u64) {
                Some(left) => *remaining = left,
                None => return Err(self.refuse_content(Refusal::BODY_TOO_LARGE, connection, turn)),
            }
        }
        self.deliver(StreamEvent::Body(piece), connection, turn)
    }

    /// Acts on an answer, and returns what to do next. If the server is draining and the
    /// response has started, notifies the handler once, and acts on its new answer.
    ///
    /// # Errors
    ///
    /// If the request or its response can't be completed.
    pub(crate) fn next_step(
        &mut self,
        mut answer: AnswerKind,
        connection: &mut Connection,
        turn: &mut Turn<'_>,
    ) -> Result<NextStep, Fault> {
        loop {
            let exchange = &mut self.exchange;
            match answer {
                AnswerKind::Done => return Ok(NextStep::Done),
                AnswerKind::Switched => return Ok(NextStep::Switched),
                AnswerKind::Abort(fault) => return Err(fault.clone()),
                AnswerKind::Wait(wait_for) => exchange.wait_for = wait_for,
            }
            if connection.stop == Stop::Drain && exchange.has_started() && !exchange.drain_notified
            {
                exchange.drain_notified = true;
                if !exchange.wait_for.reads_content() {
                    // The handler's next answer may ask for content again. The client's time to
                    // send more begins now.
                    exchange.content_deadline = connection.content_deadline(turn.now());
                }
                answer = self.deliver(StreamEvent::Drain, connection, turn)?;
                continue;
            }
            if exchange.wait_for.room {
                turn.want_room();
            }
            let Some(limit) = exchange.wait_for.content else { return Ok(NextStep::Wait) };
            // Stop reading while the output is full: the handler may write much for each piece of
            // content.
            if exchange.has_started() && turn.is_full() {
                exchange.wait_for.room = true;
                turn.want_room();
                return Ok(NextStep::Wait);
            }
            match exchange.incoming {
                Incoming::NotRequested { content, expects_continue } => {
                    self.start_reading(content, expects_continue, limit, connection, turn)?;
                    return Ok(NextStep::Read);
                }
                Incoming::Reading { .. } => return Ok(NextStep::Read),
                Incoming::Ended => exchange.wait_for.content = None,
            }
            return Ok(NextStep::Wait);
        }
    }

    /// Starts to read the request's content, when the handler first asks for it.
    fn start_reading(
        &mut self,
        content: Content,
        expects_continue: bool,
        limit: ContentLimit,
        connection: &mut Connection,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let remaining = match limit {
            ContentLimit::Configured => connection.config.limits.body,
            ContentLimit::Bytes(bytes) => bytes,
        };
        if matches!(content, Content::Length(length) if length > remaining) {
            return Err(self.refuse_content(Refusal::BODY_TOO_LARGE, connection, turn));
        }
        // An interim response can't follow the start of the final response.
        if expects_continue && !self.exchange.has_started() {
            self.wire.as_wire().send_continue(turn.out);
        }
        self.wire.start_decoding(content);
        self.exchange.incoming = Incoming::Reading { remaining };
        self.exchange.content_deadline = connection.content_deadline(turn.now());
        Ok(())
    }

    /// Ends a request whose content is invalid, too large or incomplete. Sends the refusal, if the
    /// response has not started, and notifies the handler. Returns the fault that ends the request.
    pub(crate) fn refuse_content(
        &mut self,
        refusal: Refusal<'static>,
        connection: &mut Connection,
        turn: &mut Turn<'_>,
    ) -> Fault {
        if !self.exchange.has_started() {
            self.refuse(refusal, connection, turn);
        }
        self.notify_incomplete(turn.now()).err().unwrap_or_else(|| refusal.fault())
    }

    /// Notifies the handler, within a panic boundary, that the request's content won't be complete.
    pub(crate) fn notify_incomplete(&mut self, now: Time) -> Result<(), Fault> {
        self.exchange.incoming = Incoming::Ended;
        let handler = &mut self.handler;
        catch_unwind(AssertUnwindSafe(|| handler.on_incomplete(now)))
            .map_err(|panic| panic_fault(&*panic))
    }

    /// Asks the handler whether it can switch to the protocol `name`, within a panic boundary.
    ///
    /// # Errors
    ///
    /// If the handler panics. Then the response is a 500.
    pub(crate) fn can_upgrade(
        &mut self,
        name: &[u8],
        connection: &mut Connection,
        turn: &mut Turn<'_>,
    ) -> Result<bool, Fault> {
        let handler = &self.handler;
        catch_unwind(AssertUnwindSafe(|| handler.can_upgrade(name))).map_err(|panic| {
            self.refuse(Refusal::PANICKED, connection, turn);
            panic_fault(&*panic)
        })
    }

    /// Sends the response to a request that the server refuses. In HTTP/1.1, the connection closes
    /// after this response. If [`Handler::page`] panics, the page is the plain one. If
    /// [`Handler::allow`] panics, the client gets a 500 instead of a 405. Either panic is reported.
    pub(crate) fn refuse(
        &mut self,
        refusal: Refusal<'_>,
        connection: &mut Connection,
        turn: &mut Turn<'_>,
    ) {
        let Self { handler, exchange, wire } = self;
        let (Refusal { status, code, what }, extra) = match refusal.status {
            // A 405 must list the supported methods (RFC 9110, 15.5.6).
            Status::METHOD_NOT_ALLOWED => match ask(turn, || handler.allow()) {
                Some(methods) => {
                    let allow = Fields::new().with("Allow", methods.as_bytes());
                    (refusal, allow.unwrap_or_default())
                }
                None => (Refusal::PANICKED, Fields::new()),
            },
            _ => (refusal, Fields::new()),
        };
        let page = ask(turn, || handler.page(status, code, what)).flatten();
        let (config, wire) = (&*connection.config, wire.as_wire());
        let responder = Responder { turn: &mut *turn, config, exchange, wire }.closing();
        match page {
            Some((fields, content)) => {
                let _ = responder.send(status, &fields.and(&extra), Body::Shared(&content));
            }
            None if what.is_empty() => responder.write_page(status, &extra, &[]),
            None => responder.write_page(status, &extra, &["The client ", what, "."]),
        }
        if let Some(log) = &mut connection.log {
            log.set_status(self.exchange.status, self.exchange.content_start);
            log.set_response_end(turn.written());
            log.set_fault(code, turn.now());
            if status == Status::REQUEST_TIMEOUT {
                log.set_end_reason(EndReason::TimedOut);
            }
        }
    }
}

/// Asks a handler something, within a panic boundary. If it panics, reports that.
fn ask<T>(turn: &Turn<'_>, question: impl FnOnce() -> T) -> Option<T> {
    let answer = catch_unwind(AssertUnwindSafe(question));
    answer.map_err(|panic| turn.report(panic_fault(&*panic))).ok()
}

/// The fault of a handler that panicked, with the panic's message.
fn panic_fault(panic: &(dyn Any + Send)) -> Fault {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("it gave no message");
    Fault::ours("handler_panicked", format!("panicked while answering a request: {message}"))
}
