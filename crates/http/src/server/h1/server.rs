//! The server's side of an HTTP/1.1 connection: reads heads, and calls handlers. A connection that
//! speaks HTTP/2 is passed on to [`H2Connection`].
//!
//! [`reading`](super::reading) reads content, and [`events`](super::events) handles the end of
//! input, deadlines, room in the output, and the server's stop.

use std::rc::Rc;
use std::{fmt, mem};

use sockeye_proto::{Consumed, End, Event, Fault, Mark, Peer, Protocol, Stop, Time, Turn};

use super::state::State;
use crate::h1::cached_fields::CachedFields;
use crate::h1::exchange::H1Exchange;
use crate::h1::framing;
use crate::h1::head::{self, Head, Progress};
use crate::handling::answer::AnswerKind;
use crate::handling::connection::{Connection, UnreadInput};
use crate::handling::in_flight::{InFlight, NextStep};
use crate::semantics::exchange::{Exchange, Incoming, MAX_REQUESTED, UpgradeProtocols};
use crate::semantics::method::MethodKind;
use crate::semantics::refusal::Refusal;
use crate::server::h2::H2Connection;
use crate::{
    Content, FieldName, Handler, Handlers, Request, RequestHead, ServerConfig, StreamEvent,
    UnparsedHead,
};

/// The server's side of one connection: HTTP/1.1, or HTTP/2 if the TLS handshake has chosen `h2` or
/// the client begins with its preface (see [`ServerConfig::http2`]). It makes a handler for each
/// request. In HTTP/1.1, it holds no buffer: an incomplete head stays in the unused input, which
/// its caller keeps.
pub struct Server<S: Handlers> {
    pub(super) connection: Connection,
    pub(super) state: State<S::Handler>,
    /// Makes the handlers of requests. `None` after the switch to HTTP/2, which moves it to the
    /// [`H2Connection`].
    handlers: Option<S>,
}

/// What to do after a piece of input was read.
pub(super) enum ReadOutcome {
    /// Continue to read.
    Continue,
    /// More bytes are needed.
    NeedMore,
    /// Stop reading until an event, such as a message for a handler.
    Pause,
    /// Stop reading: the connection is ending.
    Stop,
}

/// Whether the request at the start of `input` has the method HEAD, even if the rest of the request
/// is incomplete or malformed. If the server refuses a HEAD request, the response must have no
/// content (RFC 9110, 9.3.2).
fn is_head(input: &[u8]) -> bool {
    input.starts_with(b"HEAD ")
}

impl<S: Handlers> Server<S> {
    /// A connection whose requests are answered by `handlers`.
    pub fn new(config: Rc<ServerConfig>, handlers: S) -> Self {
        let (connection, state) = (Connection::new(config), State::idle(Time::NEVER));
        Self { connection, state, handlers: Some(handlers) }
    }

    /// Sets whether the server is stopping already. A protocol that passes its connection on to
    /// this `Server` calls this, because the events of a stop are not sent again.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.connection.stop = stop;
        self
    }
}

impl<S: Handlers + 'static> Server<S> {
    /// Reads a head from its beginning, or the rest of a head that arrived in part. Calls the
    /// handler when the head is complete.
    fn read_head(&mut self, input: &mut &[u8], turn: &mut Turn<'_>) -> Result<ReadOutcome, Fault> {
        let mut progress = match &self.state {
            State::ExpectHead { progress, .. } => *progress,
            _ => Progress::default(),
        };
        let mut cached = self.connection.config.cached_fields.take().unwrap_or_default();
        let limits = &self.connection.config.limits;
        let outcome = match head::parse(input, &mut progress, limits, &mut cached) {
            Ok(Some(head)) => self.start_request(input, &head, &cached, turn),
            Ok(None) => {
                let (deadline, blank) = match &self.state {
                    // Another part of a head doesn't extend its deadline.
                    State::ExpectHead { deadline, blank, .. } => (*deadline, *blank),
                    State::ExpectRequest { blank, .. } => {
                        (turn.now() + limits.head_timeout, *blank)
                    }
                    _ => (turn.now() + limits.head_timeout, false),
                };
                let method_is_head = is_head(input);
                self.state = State::ExpectHead { progress, deadline, blank, method_is_head };
                if let Some(log) = &mut self.connection.log {
                    log.keep_partial_head(input);
                }
                Ok(ReadOutcome::NeedMore)
            }
            Err(Refusal::HTTP2) if self.may_switch_to_http2(turn) => {
                self.switch_to_http2(turn);
                Ok(ReadOutcome::NeedMore)
            }
            Err(refusal) => {
                self.log_request(RequestHead::Unparsed(UnparsedHead::of(input)), turn);
                Err(self.refuse(refusal, is_head(input), turn))
            }
        };
        self.connection.config.cached_fields.set(Some(cached));
        outcome
    }

    /// Calls the handler of a request whose head is complete.
    fn start_request(
        &mut self,
        input: &mut &[u8],
        head: &Head,
        cached: &CachedFields,
        turn: &mut Turn<'_>,
    ) -> Result<ReadOutcome, Fault> {
        let &Head { ref control, fields_start, len } = head;
        let (head_bytes, rest) = input.split_at(len);
        *input = rest;
        let mut request = Request {
            head: head_bytes,
            control,
            section: &head_bytes[fields_start..],
            spans: &cached.spans,
            index: &cached.index,
            content: Content::None,
            upgrade: false,
        };
        let head_only = control.method == MethodKind::Head;
        let framing = match cached.framing.get() {
            Some((version, framing)) if version == control.version => Ok(framing),
            _ => framing::of(&request)
                .inspect(|framing| cached.framing.set(Some((control.version, *framing)))),
        };
        if let Ok(framing) = &framing {
            request.content = framing.content;
        }
        self.log_request(RequestHead::Parsed(&request), turn);
        let framing = match framing {
            Ok(framing) => framing,
            Err(refusal) => return Err(self.refuse(refusal, head_only, turn)),
        };
        if matches!(control.method, MethodKind::Connect | MethodKind::Trace) {
            return Err(self.refuse(Refusal::REFUSED_METHOD, false, turn));
        }
        if self.connection.checks_host && !self.allows_host(&request, cached) {
            return Err(self.refuse_host(&request, turn));
        }
        let stopping = self.connection.is_stopping();
        let is_last = stopping && self.is_last(framing.content, rest);
        request.upgrade = framing.upgrade && framing.content == Content::None && !stopping;
        let incoming = Incoming::NotRequested {
            content: framing.content,
            expects_continue: framing.expects_continue,
        };
        let persistent = framing.persistent && !is_last;
        let Some(handlers) = &self.handlers else { return Ok(ReadOutcome::Stop) };
        let mut in_flight = InFlight {
            handler: handlers.handler(turn.peer()),
            exchange: Exchange::new(head_only, incoming),
            wire: H1Exchange::new(control.version, request.upgrade, persistent),
        };
        if request.upgrade {
            let mut names = request.common_field(FieldName::Upgrade).unwrap_or_default();
            // A longer list isn't kept, and the server doesn't switch to any protocol in it.
            if names.len() > MAX_REQUESTED {
                names = b"";
            }
            let protocols = UpgradeProtocols { requested: names.to_vec(), ..Default::default() };
            in_flight.exchange.protocols = Some(Box::new(protocols));
        }
        let answer = in_flight.call(&mut self.connection, turn, |handler, responder| {
            handler.on_request(&request, responder)
        })?;
        let had_input = !rest.is_empty();
        let next = match answer {
            // Most requests are answered at once.
            AnswerKind::Done => NextStep::Done,
            answer => self.follow_answer(&mut in_flight, answer, input, turn)?,
        };
        match next {
            NextStep::Wait | NextStep::Read => {
                Ok(self.wait_for_handler(Box::new(in_flight), had_input, input, turn))
            }
            NextStep::Done => self.complete_request(&in_flight, input, turn),
            NextStep::Switched => Ok(self.hand_over(turn)),
        }
    }

    /// Whether the response to a request closes the connection, because the server is stopping. A
    /// stopping server answers all requests that have arrived, and closes the connection after the
    /// last one. `rest`: the input behind the request's head. A request with content counts as the
    /// last one, since the server doesn't know yet whether more requests follow the content.
    #[cold]
    fn is_last(&mut self, content: Content, rest: &[u8]) -> bool {
        // Unread input may hold more requests, which this one precedes.
        let unread = mem::replace(&mut self.connection.unread, UnreadInput::None);
        if content != Content::None {
            return true;
        }
        self.connection.unread = match unread {
            UnreadInput::AfterUnused if rest.is_empty() => UnreadInput::AfterRequest,
            UnreadInput::AfterUnused => UnreadInput::AfterUnused,
            UnreadInput::AfterRequest | UnreadInput::None => UnreadInput::None,
        };
        rest.is_empty() && self.connection.unread == UnreadInput::None
    }

    /// Ends the connection after its output is sent. `unread`: the client has sent, or may be
    /// sending, input that won't be read.
    pub(super) fn end_connection(&mut self, unread: bool, turn: &mut Turn<'_>) {
        turn.end(if unread || self.connection.is_stopping() { End::Linger } else { End::Close });
        self.state = State::ExpectNothing;
    }

    /// Whether the host of a request is allowed. The result for a `Host` field is cached with the
    /// parsed fields, for requests with the same fields. A host in the request target is checked
    /// for each request.
    fn allows_host(&self, request: &Request<'_>, cached: &CachedFields) -> bool {
        let Some(check) = &self.connection.config.host_check else { return true };
        match (request.control.target.authority(), cached.host_allowed.get()) {
            (None, Some(allowed)) => allowed,
            (None, None) => {
                let allowed = check.allows(request);
                cached.host_allowed.set(Some(allowed));
                allowed
            }
            (Some(_), _) => check.allows(request),
        }
    }

    /// Refuses a request because of its host.
    #[cold]
    fn refuse_host(&mut self, request: &Request<'_>, turn: &mut Turn<'_>) -> Fault {
        let what =
            self.connection.config.host_check.as_ref().map(|check| check.report_refusal(request));
        let what = what.unwrap_or_default();
        let head_only = request.control.method == MethodKind::Head;
        self.send_refusal(Refusal::host_not_allowed(&what), head_only, turn);
        Refusal::HOST_NOT_ALLOWED.fault()
    }

    /// Refuses a request that has no handler yet. Returns the fault that ends the connection.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        refusal: Refusal<'static>,
        head_only: bool,
        turn: &mut Turn<'_>,
    ) -> Fault {
        self.send_refusal(refusal, head_only, turn);
        refusal.fault()
    }

    fn send_refusal(&mut self, refusal: Refusal<'_>, head_only: bool, turn: &mut Turn<'_>) {
        let Some(handlers) = &self.handlers else { return };
        let mut in_flight = InFlight {
            handler: handlers.handler(turn.peer()),
            exchange: Exchange::new(head_only, Incoming::Ended),
            wire: H1Exchange::for_refusal(),
        };
        in_flight.refuse(refusal, &mut self.connection, turn);
    }

    /// Logs a request, if requests are logged.
    fn log_request(&mut self, request: RequestHead<'_>, turn: &Turn<'_>) {
        if let Some(log) = &mut self.connection.log {
            log.add_request(request, turn);
        }
    }

    /// Reads the next piece at the start of `input`, as the state requires.
    fn read(&mut self, input: &mut &[u8], turn: &mut Turn<'_>) -> Result<ReadOutcome, Fault> {
        let log_is_full = || self.connection.log.as_ref().is_some_and(|log| log.is_full());
        Ok(match &self.state {
            State::ExpectRequest { .. } if turn.is_full() || log_is_full() => {
                turn.want_room();
                self.state = State::ExpectRoom;
                ReadOutcome::Pause
            }
            // One blank line before a request is ignored (RFC 9112, 2.2).
            State::ExpectRequest { blank: false, .. } if *input == b"\r" => ReadOutcome::NeedMore,
            State::ExpectRequest { blank: false, deadline } if input.starts_with(b"\r\n") => {
                self.state = State::ExpectRequest { deadline: *deadline, blank: true };
                *input = &input[2..];
                ReadOutcome::Continue
            }
            State::ExpectRequest { .. } | State::ExpectHead { .. } => {
                self.read_head(input, turn)?
            }
            State::ExpectAnswer(in_flight) if in_flight.exchange.wait_for.reads_content() => {
                self.read_content(input, turn)?
            }
            State::ExpectAnswer(_) | State::ExpectRoom => ReadOutcome::Pause,
            State::ExpectUnreadContent(_) => {
                match mem::replace(&mut self.state, State::ExpectNothing) {
                    State::ExpectUnreadContent(unread) => {
                        self.discard_content(*unread, input, turn)?
                    }
                    _ => ReadOutcome::Stop,
                }
            }
            State::ExpectNothing => ReadOutcome::Stop,
        })
    }

    /// Whether the client may begin to speak HTTP/2 with its preface: if HTTP/2 is enabled, on a
    /// connection without TLS, as the first thing that the client sends (RFC 9113, 3.3). Not in a
    /// stream of HTTP/2: see [`Turn::stream`].
    #[cold]
    fn may_switch_to_http2(&self, turn: &Turn<'_>) -> bool {
        let has_blank = matches!(
            self.state,
            State::ExpectRequest { blank: true, .. } | State::ExpectHead { blank: true, .. }
        );
        let is_first = turn.written() == Mark::default() && !has_blank;
        let is_own = turn.stream() == 0 && turn.peer().tls.is_none();
        is_first && is_own && !self.connection.config.is_http1_only
    }

    /// Switches to HTTP/2 for the rest of the connection. The [`H2Connection`] gets all input.
    #[cold]
    fn switch_to_http2(&mut self, turn: &mut Turn<'_>) {
        let Some(handlers) = self.handlers.take() else { return };
        let Connection { config, stop, .. } = &self.connection;
        turn.switch_to(Box::new(H2Connection::new(Rc::clone(config), handlers, *stop)));
        self.state = State::ExpectNothing;
    }

    fn on_open(&mut self, peer: &Peer, turn: &mut Turn<'_>) {
        let alpn = peer.tls.as_deref().and_then(|tls| tls.alpn.as_deref());
        // If this `Server` runs on a stream of HTTP/2, after an upgrade, `alpn` describes the whole
        // connection, and not what is spoken on the stream.
        if alpn == Some(b"h2") && turn.stream() == 0 && !self.connection.config.is_http1_only {
            return self.switch_to_http2(turn);
        }
        self.connection.open(peer);
        self.state = State::idle(self.connection.idle_deadline(turn.now()));
    }
}

impl<S: Handlers + 'static> Protocol for Server<S> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut rest = input;
        while !rest.is_empty() {
            match self.read(&mut rest, turn) {
                Ok(ReadOutcome::Continue) => {}
                Ok(ReadOutcome::NeedMore) => break,
                Ok(ReadOutcome::Pause) => return Ok(Consumed::pause(input.len() - rest.len())),
                // The remaining input is dropped.
                Ok(ReadOutcome::Stop) => return Ok(Consumed::more(input.len())),
                Err(fault) => {
                    self.state = State::ExpectNothing;
                    return Err(fault);
                }
            }
        }
        Ok(Consumed::more(input.len() - rest.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => self.on_open(peer, turn),
            Event::Eof { .. } => return self.on_eof(turn),
            Event::HalfClosed => self.on_half_close(turn),
            Event::Room => return self.on_room(turn),
            Event::Deadline => return self.on_deadline(turn),
            Event::Message(ticket, body) => {
                return self.deliver(StreamEvent::Message(ticket, body), turn);
            }
            Event::Woken => return self.on_woken(turn),
            Event::LameDuck => self.connection.stop = Stop::LameDuck,
            Event::Drain { unused, unread } => return self.on_drain(unused, unread, turn),
            Event::Sent(mark) => {
                if let Some(log) = &mut self.connection.log {
                    log.on_sent(mark, turn.now());
                }
                if self.connection.half_closed {
                    // Output was sent. If a streamed response is in flight, its time limit
                    // `Limits::half_closed_timeout` starts again.
                    self.on_half_close(turn);
                }
            }
            Event::Closed(reason) => {
                if let State::ExpectAnswer(in_flight) = &mut self.state
                    && in_flight.wire.remaining_content(&in_flight.exchange.incoming).is_some()
                {
                    // The connection is ending already, so a panic here changes nothing.
                    let _ = in_flight.notify_incomplete(turn.now());
                }
                if let Some(log) = &mut self.connection.log {
                    log.on_closed(reason, turn);
                }
            }
            // HTTP ignores events that may be added to `Event`.
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.state.deadline()
    }

    fn idle_since(&self) -> Option<Time> {
        match &self.state {
            State::ExpectRequest { deadline, .. } => {
                deadline.checked_sub(self.connection.config.limits.idle_timeout)
            }
            _ => None,
        }
    }
}

impl<S: Handlers> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}
