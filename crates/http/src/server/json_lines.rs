//! The server's side of a connection that uses [JSON lines](crate::json_lines). Several requests
//! can be in flight, each on a stream of its own.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::num::NonZeroU32;
use std::rc::Rc;

use sockeye_proto::driver::Stream;
use sockeye_proto::{Consumed, End, Event, Fault, Protocol, Reason, Stop, Ticket, Time, Turn};

use crate::handling::connection::Connection;
use crate::handling::in_flight::InFlight;
use crate::json_lines::{Input, JsonExchange, Section, line, parse};
use crate::semantics::exchange::{Exchange, Incoming};
use crate::semantics::method::MethodKind;
use crate::semantics::refusal::Refusal;
use crate::{Content, Handler, Handlers, OwnedRequest, RequestHead, ServerConfig, StreamEvent};
use stream::{ActiveStream, MAX_BUFFERED, State, WRONG_LENGTH};

mod stream;

/// Maximum number of streams in flight.
const MAX_STREAMS: usize = 100;

/// The server's side of one connection.
pub struct JsonLines<S: Handlers> {
    config: Rc<ServerConfig>,
    handlers: S,
    streams: VecDeque<ActiveStream<S::Handler>>,
    /// The number of the last stream that was opened, 0 before the first one. No number is used
    /// twice: a message that another thread sends to an ended stream must not reach a later one.
    last_stream: u32,
    /// The stream to which the piece of content at the front of the input belongs, and how many
    /// bytes of this piece are still to come. `None` if a line comes next.
    content: Option<(NonZeroU32, usize)>,
    stop: Stop,
    half_closed: bool,
    /// Whether the input ends with an incomplete line.
    is_partial: bool,
    /// When the connection is closed because it is idle or a line stays incomplete.
    deadline: Time,
}

impl<S: Handlers> JsonLines<S> {
    /// A connection whose requests are answered by `handlers`.
    pub fn new(config: Rc<ServerConfig>, handlers: S) -> Self {
        let (streams, stop) = (VecDeque::new(), Stop::No);
        let (last_stream, content, half_closed) = (0, None, false);
        let (is_partial, deadline) = (false, Time::NEVER);
        Self {
            config,
            handlers,
            streams,
            last_stream,
            content,
            stop,
            half_closed,
            is_partial,
            deadline,
        }
    }

    fn find_stream(&mut self, id: u32) -> Option<&mut ActiveStream<S::Handler>> {
        self.streams.iter_mut().find(|active| active.id.get() == id)
    }

    /// Acts on one line.
    fn on_line(&mut self, text: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        const BAD: &str = "sent a line that is neither a request nor a part of one";
        let (id, input) = parse(text).ok_or_else(|| Fault::peer("bad_line", BAD))?;
        match (input, self.find_stream(id.get())) {
            (Input::Request(request), _) => self.start_request(id, &request, turn)?,
            (Input::Content(len), _) => self.content = Some((id, len)).filter(|_| len > 0),
            (Input::End(_), Some(active)) if active.remaining.is_some_and(|left| left > 0) => {
                active.refuse_content(WRONG_LENGTH, turn);
            }
            (Input::End(section), Some(active)) => {
                active.end = Some(section);
                if let State::InFlight(in_flight) = &active.state
                    && in_flight.exchange.wait_for.reads_content()
                {
                    active.recheck_wait(false, turn);
                }
            }
            (Input::Cancel, Some(active)) => active.abort(&Reason::Reset, turn),
            (Input::Reads(reads), Some(active)) => active.client_reads = reads,
            // The stream has ended, or was never opened.
            (_, None) => {}
        }
        Ok(())
    }

    /// Opens a stream, and calls the handler for its request.
    fn start_request(
        &mut self,
        id: NonZeroU32,
        request: &OwnedRequest,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if id.get() <= self.last_stream {
            return Err(Fault::peer(
                "stream_reused",
                "used the number of an earlier stream, or less",
            ));
        }
        self.last_stream = id.get();
        if self.streams.len() >= MAX_STREAMS {
            return Err(Fault::peer("too_many_streams", "began more streams than are allowed"));
        }
        let request = request.view();
        let head_only = request.control.method == MethodKind::Head;
        let incoming = Incoming::NotRequested { content: request.content, expects_continue: false };
        let mut connection = Connection::new(Rc::clone(&self.config));
        connection.open(turn.peer());
        (connection.stop, connection.half_closed) = (self.stop, self.half_closed);
        let mut active = ActiveStream {
            id,
            stream: Stream::new(id, MAX_BUFFERED),
            connection,
            state: State::InFlight(InFlight {
                handler: self.handlers.handler(turn.peer()),
                exchange: Exchange::new(head_only, incoming),
                wire: JsonExchange::new(id),
            }),
            buffered: Vec::new(),
            remaining: match request.content {
                Content::None => Some(0),
                Content::Length(length) => Some(length),
                Content::Chunked => None,
            },
            end: (request.content == Content::None).then(Section::default),
            client_reads: true,
        };
        if let Some(log) = &mut active.connection.log {
            log.add_request(RequestHead::Parsed(&request), turn);
        }
        let check = self.config.host_check.as_ref().filter(|_| active.connection.checks_host);
        active.continue_request(turn, |in_flight, connection, turn| {
            if matches!(request.control.method, MethodKind::Connect | MethodKind::Trace) {
                in_flight.refuse(Refusal::REFUSED_METHOD, connection, turn);
                return Err(Refusal::REFUSED_METHOD.fault());
            }
            if let Some(check) = check.filter(|check| !check.allows(&request)) {
                let what = check.report_refusal(&request);
                in_flight.refuse(Refusal::host_not_allowed(&what), connection, turn);
                return Err(Refusal::HOST_NOT_ALLOWED.fault());
            }
            in_flight.call(connection, turn, |handler, responder| {
                handler.on_request(&request, responder)
            })
        });
        self.streams.push_back(active);
        Ok(())
    }

    /// Moves output of the streams to the connection's output, while that has space: a piece of
    /// limited size of each stream in turn. Ends the connection if no stream is left and the client
    /// has closed its sending side or the server drains.
    fn send_output(&mut self, turn: &mut Turn<'_>) {
        // How many streams in a row had nothing to do.
        let mut idle = 0;
        while idle < self.streams.len() {
            if turn.is_full() {
                return turn.want_room();
            }
            let Some(mut active) = self.streams.pop_front() else { return };
            idle = if active.move_quantum(turn) { 0 } else { idle + 1 };
            match &active.state {
                State::Sending { wire, is_aborted }
                    if wire.head.is_none() && active.stream.unsent() == 0 =>
                {
                    line(&wire.end(*is_aborted), turn.out);
                    active.log_moved(turn.now());
                    idle = 0;
                }
                _ => self.streams.push_back(active),
            }
        }
        if self.streams.is_empty() && self.deadline == Time::NEVER {
            self.deadline = turn.now() + self.config.limits.idle_timeout;
        }
        if self.streams.is_empty() && (self.half_closed || self.stop == Stop::Drain) {
            turn.end(if self.half_closed { End::Close } else { End::Linger });
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.deadline <= turn.now() {
            return Err(match self.is_partial {
                true => Fault::peer("line_timeout", "did not complete a line in time"),
                false => Fault::idle(self.config.limits.idle_timeout),
            });
        }
        for active in self.streams.iter_mut().filter(|active| active.deadline() <= turn.now()) {
            active.on_deadline(turn);
        }
        Ok(())
    }
}

impl<S: Handlers> Protocol for JsonLines<S> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut rest = input;
        while !rest.is_empty() {
            if let Some((id, left)) = &mut self.content {
                let (piece, after) = rest.split_at(rest.len().min(*left));
                let id = id.get();
                *left -= piece.len();
                self.content = self.content.filter(|(_, left)| *left > 0);
                rest = after;
                if let Some(active) = self.find_stream(id) {
                    active.on_content(piece, turn);
                }
            } else if let Some(end) = memchr::memchr(b'\n', rest) {
                self.on_line(&rest[..end], turn)?;
                rest = &rest[end + 1..];
            } else if rest.len() > self.config.limits.head {
                return Err(Fault::peer("line_too_long", "sent a line beyond the limit"));
            } else {
                break;
            }
        }
        // A line that was incomplete before keeps its deadline. Otherwise a client that sends a
        // byte from time to time could occupy a connection forever.
        let was_partial = mem::replace(&mut self.is_partial, !rest.is_empty());
        if !self.is_partial {
            // If no stream is left, `send_output` sets the deadline of an idle connection.
            self.deadline = Time::NEVER;
        } else if !was_partial || rest.len() < input.len() {
            self.deadline = turn.now() + self.config.limits.head_timeout;
        }
        self.send_output(turn);
        Ok(Consumed::more(input.len() - rest.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let id = turn.stream();
        match event {
            Event::Open(_) => self.deadline = turn.now() + self.config.limits.idle_timeout,
            Event::Message(ticket, body) => {
                if let Some(active) = self.find_stream(id) {
                    // A remote is a handle by which other threads send to the stream.
                    let is_from_remote = ticket == Ticket::REMOTE;
                    if is_from_remote {
                        active.stream.start_delivery();
                    }
                    active.deliver(StreamEvent::Message(ticket, body), turn);
                    if is_from_remote {
                        active.stream.end_delivery();
                    }
                }
            }
            Event::Woken => {
                if let Some(active) = self.find_stream(id)
                    && let State::InFlight(in_flight) = &active.state
                    && in_flight.exchange.has_started()
                {
                    active.deliver(StreamEvent::Woken, turn);
                }
            }
            Event::Deadline => self.on_deadline(turn)?,
            Event::Eof { .. } => {
                self.half_closed = true;
                for active in &mut self.streams {
                    active.connection.half_closed = true;
                    if active.is_incomplete() {
                        active.refuse_content(Refusal::EOF_IN_BODY, turn);
                    }
                    active.recheck_wait(true, turn);
                }
            }
            Event::Drain { .. } => {
                self.stop = Stop::Drain;
                for active in &mut self.streams {
                    active.connection.stop = Stop::Drain;
                    active.recheck_wait(true, turn);
                }
            }
            Event::Closed(reason) => {
                for mut active in mem::take(&mut self.streams) {
                    active.abort(reason, turn);
                }
            }
            _ => {}
        }
        self.send_output(turn);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let streams = self.streams.iter().map(ActiveStream::deadline);
        streams.chain([self.deadline]).min().filter(|deadline| *deadline != Time::NEVER)
    }
}

impl<S: Handlers> fmt::Debug for JsonLines<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("streams", &self.streams.len()).finish_non_exhaustive()
    }
}
