//! The server's side of a connection of [JSON lines](crate::json_lines): several requests in flight,
//! each with a stream of its own.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::num::NonZeroU32;
use std::rc::Rc;

use sockeye_proto::driver::Stream;
use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Reason, Stop, Ticket, Time, Turn};

use crate::handling::answer::AnswerKind;
use crate::handling::connection::Connection;
use crate::handling::in_flight::{InFlight, NextStep};
use crate::json_lines::{Input, JsonExchange, Section, line, parse};
use crate::semantics::exchange::{Exchange, Incoming, Waits};
use crate::semantics::method::MethodKind;
use crate::semantics::refusal::Refusal;
use crate::{
    Content, Handler, Handlers, Limits, OwnedRequest, RequestHead, ServerConfig, StreamEvent,
};

/// The most streams in flight.
const MOST_STREAMS: usize = 100;
/// The most bytes of a stream that are sent in turn.
const QUANTUM: u64 = 16 * 1024;
/// Bytes that a stream's output holds before it counts as full, and of content that waits until the
/// handler reads. If a client sends more, its stream is aborted.
const ROOM: usize = 64 * 1024;

const WRONG_LENGTH: Refusal<'static> =
    Refusal::bad("sent content that is longer or shorter than announced");

/// The server's side of one connection.
pub struct JsonLines<S: Handlers> {
    config: Rc<ServerConfig>,
    handlers: S,
    streams: VecDeque<Slot<S::Handler>>,
    /// Content of a stream that follows in the input.
    content: Option<(NonZeroU32, usize)>,
    stop: Stop,
    half_closed: bool,
    /// When a connection that is idle or in the middle of a line is closed.
    until: Time,
}

/// One stream.
struct Slot<H> {
    id: NonZeroU32,
    stream: Stream,
    connection: Connection,
    state: State<H>,
    /// Content of the request that has arrived and waits for the handler.
    held: Vec<u8>,
    /// Bytes of content that the request announced and that have not arrived; `None` if it announced no
    /// length.
    left: Option<u64>,
    /// The end of the content has arrived.
    end: Option<Section>,
    /// The client wants content of the response.
    client_reads: bool,
}

enum State<H> {
    /// The request is being answered.
    InFlight(InFlight<H, JsonExchange>),
    /// The response is complete or aborted, and not all of it is moved.
    Leaving { wire: JsonExchange, is_aborted: bool },
}

impl<H: Handler> Slot<H> {
    /// Calls the handler by `call`, and does what its answer asks for. `outer` is the connection's turn.
    fn go_on(
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
                Ok(NextStep::Read) if !self.held.is_empty() => {
                    let piece = mem::take(&mut self.held);
                    answer = tell_piece(in_flight, &piece, connection, turn);
                }
                Ok(NextStep::Read) if self.end.is_some() => {
                    let end = self.end.take().unwrap_or_default();
                    in_flight.exchange.incoming = Incoming::Complete;
                    let trailers = end.trailers();
                    answer = in_flight.tell(StreamEvent::BodyEnd(&trailers), connection, turn);
                }
                Ok(NextStep::Wait | NextStep::Read) => {
                    let exchange = &mut in_flight.exchange;
                    exchange.send_by = connection.send_by(exchange, turn.now());
                    return;
                }
            }
        };
        let exchange = &in_flight.exchange;
        match fault {
            Some(fault) if exchange.has_begun() || exchange.status.is_none() => {
                self.abort(&Reason::Fault(fault), outer);
            }
            _ => {
                if let Some(log) = &mut connection.log {
                    log.set_response_end(turn.written());
                }
                self.leave(false);
            }
        }
    }

    /// Passes an event to the handler.
    fn tell(&mut self, event: StreamEvent<'_>, outer: &Turn<'_>) {
        self.go_on(outer, |in_flight, connection, turn| in_flight.tell(event, connection, turn));
    }

    /// Continues to wait, for room only if `room` is set.
    fn wait(&mut self, room: bool, outer: &Turn<'_>) {
        self.go_on(outer, |in_flight, _, _| {
            let waits = in_flight.exchange.waits;
            Ok(AnswerKind::Wait(Waits { room: room && waits.room, ..waits }))
        });
    }

    /// The request's content can't be completed.
    fn refuse_content(&mut self, refusal: Refusal<'static>, outer: &Turn<'_>) {
        self.go_on(outer, |in_flight, connection, turn| {
            Err(in_flight.refuse_content(refusal, connection, turn))
        });
    }

    /// Drops the handler. The response is still moved, unless it is aborted.
    fn leave(&mut self, is_aborted: bool) {
        let wire = JsonExchange::new(self.id);
        let before = mem::replace(&mut self.state, State::Leaving { wire, is_aborted });
        if let State::InFlight(InFlight { wire, .. }) = before {
            self.state = State::Leaving { wire, is_aborted };
        }
    }

    /// Cancels the request, and drops the unsent rest of its response.
    fn abort(&mut self, reason: &Reason, outer: &Turn<'_>) {
        if let State::InFlight(in_flight) = &mut self.state
            && in_flight.exchange.incoming != Incoming::Complete
            && self.end.is_none()
        {
            // Its stream ends anyway.
            let _ = in_flight.tell_incomplete(outer.now());
        }
        if let Some(log) = &mut self.connection.log {
            log.on_closed(reason, &self.stream.turn(outer));
        }
        self.leave(true);
        self.stream = Stream::new(self.id, ROOM);
    }

    /// Content has arrived, at least one byte.
    fn take_content(&mut self, piece: &[u8], outer: &Turn<'_>) {
        let State::InFlight(in_flight) = &mut self.state else { return };
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(piece.len() as u64) else {
                return self.refuse_content(WRONG_LENGTH, outer);
            };
            *left = rest;
        }
        in_flight.exchange.content_until = self.connection.content_until(outer.now());
        self.held.extend_from_slice(piece);
        if in_flight.exchange.waits.reads() {
            self.wait(false, outer);
        }
        if self.held.len() > ROOM {
            self.abort(&Reason::Reset, outer);
        }
    }

    /// Moves the next piece of the response to the connection's output. Returns whether anything
    /// happened.
    fn move_quantum(&mut self, turn: &mut Turn<'_>) -> bool {
        let wire = match &mut self.state {
            State::InFlight(in_flight) => &mut in_flight.wire,
            State::Leaving { wire, .. } => wire,
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

    /// Tells the log how much of the response is moved.
    fn log_moved(&mut self, now: Time) {
        if let Some(log) = &mut self.connection.log {
            log.on_sent(self.stream.moved(), now);
        }
    }

    fn on_room(&mut self, outer: &Turn<'_>) {
        let State::InFlight(in_flight) = &self.state else { return };
        match in_flight.exchange.waits {
            Waits { content: Some(_), .. } => self.wait(false, outer),
            Waits { room: true, .. } => self.tell(StreamEvent::Room, outer),
            _ => {}
        }
    }

    fn until(&self) -> Time {
        match &self.state {
            State::InFlight(in_flight) => in_flight.exchange.until(),
            State::Leaving { .. } => Time::NEVER,
        }
    }

    fn on_deadline(&mut self, outer: &Turn<'_>) {
        let unsent = self.stream.unsent();
        let State::InFlight(in_flight) = &mut self.state else { return };
        let exchange = &mut in_flight.exchange;
        if exchange.send_by > outer.now() {
            self.refuse_content(Refusal::BODY_TIMEOUT, outer);
        } else if !exchange.has_begun() {
            exchange.send_by = Time::NEVER;
            self.go_on(outer, |in_flight, connection, turn| {
                in_flight.call(connection, turn, Handler::on_response_timeout)
            });
        } else if unsent > 0 {
            exchange.send_by = self.connection.silent_until(outer.now());
        } else {
            self.abort(&Reason::Reset, outer);
        }
    }
}

/// Passes a piece of content to a handler, or refuses it.
fn tell_piece<H: Handler>(
    in_flight: &mut InFlight<H, JsonExchange>,
    piece: &[u8],
    connection: &mut Connection,
    turn: &mut Turn<'_>,
) -> Result<AnswerKind, Fault> {
    if let Incoming::Reading { room } = &mut in_flight.exchange.incoming {
        match room.checked_sub(piece.len() as u64) {
            Some(left) => *room = left,
            None => {
                return Err(in_flight.refuse_content(Refusal::BODY_TOO_LARGE, connection, turn));
            }
        }
    }
    in_flight.tell(StreamEvent::Body(piece), connection, turn)
}

impl<S: Handlers> JsonLines<S> {
    /// A connection whose requests are answered by `handlers`.
    pub fn new(config: Rc<ServerConfig>, handlers: S) -> Self {
        let (streams, stop) = (VecDeque::new(), Stop::No);
        let (content, half_closed, until) = (None, false, Time::NEVER);
        Self { config, handlers, streams, content, stop, half_closed, until }
    }

    fn slot(&mut self, id: u32) -> Option<&mut Slot<S::Handler>> {
        self.streams.iter_mut().find(|slot| slot.id.get() == id)
    }

    /// Acts on one line.
    fn take_line(&mut self, text: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        const BAD: &str = "sent a line that is no request or part of one";
        let (id, input) = parse(text).ok_or_else(|| Fault::peer("bad_line", BAD))?;
        match (input, self.slot(id.get())) {
            (Input::Request(_), Some(_)) => {
                return Err(Fault::peer("stream_in_use", "used a stream that is in use"));
            }
            (Input::Request(request), None) => self.begin(id, &request, turn)?,
            (Input::Content(len), _) => self.content = Some((id, len)).filter(|_| len > 0),
            (Input::End(_), Some(slot)) if slot.left.is_some_and(|left| left > 0) => {
                slot.refuse_content(WRONG_LENGTH, turn);
            }
            (Input::End(section), Some(slot)) => {
                slot.end = Some(section);
                if let State::InFlight(in_flight) = &slot.state
                    && in_flight.exchange.waits.reads()
                {
                    slot.wait(false, turn);
                }
            }
            (Input::Cancel, Some(slot)) => slot.abort(&Reason::Reset, turn),
            (Input::Reads(reads), Some(slot)) => slot.client_reads = reads,
            // Its response is complete.
            (_, None) => {}
        }
        Ok(())
    }

    /// Opens a stream, and calls the handler for its request.
    fn begin(
        &mut self,
        id: NonZeroU32,
        request: &OwnedRequest,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if self.streams.len() >= MOST_STREAMS {
            return Err(Fault::peer("too_many_streams", "began more streams than are allowed"));
        }
        let request = request.view();
        let head_only = request.control.method == MethodKind::Head;
        let incoming = Incoming::NotRequested { content: request.content, expects_continue: false };
        let mut connection = Connection::new(Rc::clone(&self.config));
        connection.open(turn.peer());
        (connection.stop, connection.half_closed) = (self.stop, self.half_closed);
        let mut slot = Slot {
            id,
            stream: Stream::new(id, ROOM),
            connection,
            state: State::InFlight(InFlight {
                handler: self.handlers.handler(turn.peer()),
                exchange: Exchange::new(head_only, incoming),
                wire: JsonExchange::new(id),
            }),
            held: Vec::new(),
            left: match request.content {
                Content::None => Some(0),
                Content::Length(length) => Some(length),
                Content::Chunked => None,
            },
            end: (request.content == Content::None).then(Section::default),
            client_reads: true,
        };
        if let Some(log) = &mut slot.connection.log {
            log.add_request(RequestHead::Parsed(&request), turn);
        }
        let check = self.config.host_check.as_ref().filter(|_| slot.connection.checks_host);
        slot.go_on(turn, |in_flight, connection, turn| {
            if matches!(request.control.method, MethodKind::Connect | MethodKind::Trace) {
                in_flight.refuse(Refusal::REFUSED_METHOD, connection, turn);
                return Err(Refusal::REFUSED_METHOD.fault());
            }
            if let Some(check) = check.filter(|check| !check.allows(&request)) {
                let what = check.refuse(&request);
                in_flight.refuse(Refusal::of_host(&what), connection, turn);
                return Err(Refusal::HOST_NOT_ALLOWED.fault());
            }
            in_flight.call(connection, turn, |handler, responder| {
                handler.on_request(&request, responder)
            })
        });
        self.streams.push_back(slot);
        Ok(())
    }

    /// Moves quanta of all streams in turn to the connection's output, while there is room. Ends the
    /// connection if nothing is left to do.
    fn pump(&mut self, turn: &mut Turn<'_>) {
        let mut idle = 0;
        while idle < self.streams.len() {
            if turn.is_full() {
                return turn.want_room();
            }
            let Some(mut slot) = self.streams.pop_front() else { return };
            idle = if slot.move_quantum(turn) { 0 } else { idle + 1 };
            match &slot.state {
                State::Leaving { wire, is_aborted }
                    if wire.head.is_none() && slot.stream.unsent() == 0 =>
                {
                    line(&wire.end(*is_aborted), turn.out);
                    slot.log_moved(turn.now());
                    idle = 0;
                }
                _ => self.streams.push_back(slot),
            }
        }
        if self.streams.is_empty() && self.until == Time::NEVER {
            self.until = turn.now() + self.config.limits.idle_timeout;
        }
        if self.streams.is_empty() && (self.half_closed || self.stop == Stop::Drain) {
            turn.end(if self.half_closed { End::Close } else { End::Linger });
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.until <= turn.now() {
            return Err(Fault::idle(self.config.limits.idle_timeout));
        }
        for slot in self.streams.iter_mut().filter(|slot| slot.until() <= turn.now()) {
            slot.on_deadline(turn);
        }
        Ok(())
    }
}

impl<S: Handlers> Protocol for JsonLines<S> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut rest = input;
        while !rest.is_empty() {
            if let Some((id, left)) = &mut self.content {
                let (piece, behind) = rest.split_at(rest.len().min(*left));
                let id = id.get();
                *left -= piece.len();
                self.content = self.content.filter(|(_, left)| *left > 0);
                rest = behind;
                if let Some(slot) = self.slot(id) {
                    slot.take_content(piece, turn);
                }
            } else if let Some(end) = memchr::memchr(b'\n', rest) {
                self.take_line(&rest[..end], turn)?;
                rest = &rest[end + 1..];
            } else if rest.len() > self.config.limits.head {
                return Err(Fault::peer("line_too_long", "sent a line beyond the limit"));
            } else {
                break;
            }
        }
        let Limits { head_timeout, idle_timeout, .. } = self.config.limits;
        self.until = match (rest.is_empty(), self.streams.is_empty()) {
            (false, _) => turn.now() + head_timeout,
            (true, true) => turn.now() + idle_timeout,
            (true, false) => Time::NEVER,
        };
        self.pump(turn);
        Ok(Consumed::more(input.len() - rest.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let id = turn.stream();
        match event {
            Event::Open(_) => self.until = turn.now() + self.config.limits.idle_timeout,
            Event::Message(ticket, body) => {
                if let Some(slot) = self.slot(id) {
                    slot.tell(StreamEvent::Message(ticket, body), turn);
                    if ticket == Ticket::REMOTE {
                        slot.stream.delivered();
                    }
                }
            }
            Event::Woken => {
                if let Some(slot) = self.slot(id)
                    && let State::InFlight(in_flight) = &slot.state
                    && in_flight.exchange.has_begun()
                {
                    slot.tell(StreamEvent::Woken, turn);
                }
            }
            Event::Deadline => self.on_deadline(turn)?,
            Event::Eof { .. } => {
                self.half_closed = true;
                for slot in &mut self.streams {
                    slot.connection.half_closed = true;
                    if slot.end.is_none() {
                        slot.refuse_content(Refusal::EOF_IN_BODY, turn);
                    }
                    slot.wait(true, turn);
                }
            }
            Event::Drain { .. } => {
                self.stop = Stop::Drain;
                for slot in &mut self.streams {
                    slot.connection.stop = Stop::Drain;
                    slot.wait(true, turn);
                }
            }
            Event::Closed(reason) => {
                for mut slot in mem::take(&mut self.streams) {
                    slot.abort(reason, turn);
                }
            }
            _ => {}
        }
        self.pump(turn);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let streams = self.streams.iter().map(Slot::until);
        streams.chain([self.until]).min().filter(|until| *until != Time::NEVER)
    }
}

impl<S: Handlers> fmt::Debug for JsonLines<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("streams", &self.streams.len()).finish_non_exhaustive()
    }
}
