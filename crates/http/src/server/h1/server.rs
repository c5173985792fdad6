//! The server's side of a connection as a [`Protocol`].
//!
//! Here is decided what happens between requests and at the two doors; what follows from it is in
//! [`state`](crate::server::h1::state), what a head means in [`head`](crate::h1::head) and
//! [`framing`](crate::h1::framing), what becomes of one request in [`follow`](crate::server::reading), and what a
//! response looks like in [`reply`](crate::response). What else happens is in [`events`](crate::server::events).

use std::fmt;
use std::rc::Rc;

use sockeye_proto::{Consumed, DRAIN_GRACE, End, Event, Fault, Protocol, Stop, Time, Turn};

use crate::h1::block::Block;
use crate::h1::framing;
use crate::h1::head::{self, Head, Progress};
use crate::handling::answer::Given;
use crate::handling::handler::Handler;
use crate::handling::pending_log::Tape;
use crate::semantics::exchange::{Exchange, Incoming};
use crate::semantics::log::{Begun, Ended, Unread};
use crate::semantics::method::MethodKind;
use crate::semantics::refusal::Refusal;
use crate::server::h1::state::{State, Step};
use crate::{Body, Content, Fields, HostCheck, Limits, Request, Responder, ServerConfig, Status};

/// The server's side of one connection. It holds no buffer.
pub struct Server<H> {
    pub(crate) shared: Rc<ServerConfig>,
    pub(crate) state: State,
    /// In a server that is stopping, or will be, a response is the last of its connection unless more
    /// input has come behind its request.
    pub(crate) stop: Stop,
    /// The client has ended its side, though not all that it sent before may have been read.
    pub(crate) half_closed: bool,
    /// This connection's requests are checked for their host.
    checks_host: bool,
    /// What a log has yet to hear, where there is one.
    pub(crate) tape: Option<Box<Tape>>,
    pub(crate) handler: H,
}

/// What came of input. So many bytes of it were used.
pub(crate) enum Came {
    /// The connection goes on.
    On(usize),
    /// More bytes are needed.
    Short(usize),
    /// An answer waits, and not for bytes.
    Waits(usize),
    /// Another protocol has the connection.
    Switched(usize),
    /// Nothing after this is read.
    Last,
}

impl Came {
    /// The same, with so many more bytes used in front.
    pub(crate) fn behind(self, front: usize) -> Self {
        match self {
            Self::On(used) => Self::On(front + used),
            Self::Short(used) => Self::Short(front + used),
            Self::Waits(used) => Self::Waits(front + used),
            Self::Switched(used) => Self::Switched(front + used),
            Self::Last => Self::Last,
        }
    }
}

impl<H: Handler> Server<H> {
    /// A connection that `handler` answers.
    pub fn new(shared: Rc<ServerConfig>, handler: H) -> Self {
        let state = State::ExpectRequest { until: Time::NEVER, blank: false };
        Self {
            shared,
            state,
            stop: Stop::No,
            half_closed: false,
            checks_host: false,
            tape: None,
            handler,
        }
    }

    /// The same in a server that may be stopping already: for a protocol that hands its connection to
    /// this one.
    #[must_use]
    pub fn stopping(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Whether the server is stopping, or will be soon.
    pub(crate) fn stops(&self) -> bool {
        self.stop != Stop::No
    }

    /// How long the next request is waited for.
    pub(crate) fn idle_until(&self, turn: &Turn<'_>) -> Time {
        let idle_timeout = self.shared.limits.idle_timeout;
        turn.now()
            + if self.stop == Stop::Drain { idle_timeout.min(DRAIN_GRACE) } else { idle_timeout }
    }

    /// When a stream is cancelled whose client has ended its side, if it sends nothing from now on.
    pub(crate) fn silent_until(&self, turn: &Turn<'_>) -> Time {
        turn.now() + self.shared.limits.half_closed_timeout
    }

    /// When a response that waits must have sent something.
    pub(crate) fn send_by(&self, exchange: &Exchange, turn: &Turn<'_>) -> Time {
        let Limits { half_closed_timeout, response_timeout, .. } = self.shared.limits;
        let timeout = match exchange.has_begun() {
            true => self.half_closed.then_some(half_closed_timeout),
            // It waits for the client.
            false if exchange.waits.reads() => None,
            false => response_timeout,
        };
        match timeout {
            Some(timeout) if exchange.send_by == Time::NEVER => turn.now() + timeout,
            Some(_) => exchange.send_by,
            None => Time::NEVER,
        }
    }

    pub(crate) fn body_until(&self, turn: &Turn<'_>) -> Time {
        turn.now() + self.shared.limits.body_timeout
    }

    /// Reads a head, or on in one, and has it answered when it is complete.
    fn read_head(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Came, Fault> {
        let mut progress = match &self.state {
            State::ExpectHead { progress, .. } => *progress,
            _ => Progress::default(),
        };
        let mut block = self.shared.lend();
        let came = match head::parse(input, &mut progress, &self.shared.limits, &mut block) {
            Ok(Some(head)) => self.begin(input, &head, &block, turn),
            Ok(None) => {
                let until = turn.now() + self.shared.limits.head_timeout;
                self.state.step(Step::HeadPart { progress, until });
                if let Some(tape) = &mut self.tape {
                    tape.wait(input);
                }
                Ok(Came::Short(0))
            }
            Err(refusal) => {
                self.tape_begin(Begun::Unread(Unread::of(input)), turn);
                Err(self.refuse(refusal, input.starts_with(b"HEAD "), turn))
            }
        };
        self.shared.give_back(block);
        came
    }

    /// Has a request answered whose head is complete.
    fn begin(
        &mut self,
        input: &[u8],
        head: &Head,
        block: &Block,
        turn: &mut Turn<'_>,
    ) -> Result<Came, Fault> {
        let &Head { ref line, fields, len } = head;
        let mut request = Request {
            head: &input[..len],
            line,
            block: &input[fields..len],
            spans: &block.spans,
            index: &block.index,
            content: Content::None,
            upgrade: false,
        };
        let head_only = line.method == MethodKind::Head;
        let framing = match block.framing(line.version) {
            Some(framing) => Ok(framing),
            None => {
                framing::of(&request).inspect(|framing| block.keep_framing(line.version, *framing))
            }
        };
        if let Ok(framing) = &framing {
            request.content = framing.content;
        }
        self.tape_begin(Begun::Request(&request), turn);
        let framing = match framing {
            Ok(framing) => framing,
            Err(refusal) => return Err(self.refuse(refusal, head_only, turn)),
        };
        if matches!(line.method, MethodKind::Connect | MethodKind::Trace) {
            return Err(self.refuse(Refusal::REFUSED_METHOD, false, turn));
        }
        if self.checks_host && !self.allows_host(&request, block) {
            return Err(self.refuse_host(&request, turn));
        }
        // A server that stops begins nothing new. Requests that have come are answered, whatever
        // stands before them in the pipeline, and the last of them closes the connection.
        let rest = &input[len..];
        let is_last = self.stops() && (framing.content != Content::None || rest.is_empty());
        request.upgrade = framing.upgrade && framing.content == Content::None && !self.stops();
        let incoming = Incoming::Unread {
            content: framing.content,
            expects_continue: framing.expects_continue,
        };
        let mut exchange = Exchange {
            upgrade: request.upgrade,
            persistent: framing.persistent && !is_last,
            ..Exchange::new(line.version, head_only, incoming)
        };
        let given =
            self.tell(&mut exchange, turn, |handler, reply| handler.on_request(&request, reply))?;
        // Most are answered at once.
        let came = match given {
            Given::Done => self.done(&exchange, rest, turn),
            given => self.go_on(exchange, given, rest, turn),
        };
        Ok(came?.behind(len))
    }

    /// Ends the connection in order. `unread` says that the peer has sent, or may be sending,
    /// what will not be read.
    pub(crate) fn finish(&mut self, unread: bool, turn: &mut Turn<'_>) {
        turn.end(if unread || self.stops() { End::Linger } else { End::Close });
        self.state.step(Step::Over);
    }

    /// Whether the host of a request is allowed. What its fields say of that is kept with them.
    fn allows_host(&self, request: &Request<'_>, block: &Block) -> bool {
        let Some(check) = self.shared.host_check() else { return true };
        match (request.line.target.authority(), block.host_allowed()) {
            (None, Some(allowed)) => allowed,
            (None, None) => {
                let allowed = check.allows(request);
                block.keep_host_allowed(allowed);
                allowed
            }
            (Some(_), _) => check.allows(request),
        }
    }

    /// Refuses a request for its host: 421 (RFC 9110, 15.5.20).
    #[cold]
    fn refuse_host(&mut self, request: &Request<'_>, turn: &mut Turn<'_>) -> Fault {
        let what = self.shared.host_check().map(|check| check.refuse(request));
        let (status, what) = (Status::MISDIRECTED_REQUEST, what.unwrap_or_default());
        let head_only = request.line.method == MethodKind::Head;
        self.answer_refused(status, HostCheck::CODE, &what, head_only, turn);
        HostCheck::fault()
    }

    /// Writes the response that a refused request earns. Returns the fault that ends the connection.
    pub(crate) fn refuse(
        &mut self,
        refusal: Refusal,
        head_only: bool,
        turn: &mut Turn<'_>,
    ) -> Fault {
        let Refusal { status, code, what } = refusal;
        self.answer_refused(status, code, what, head_only, turn);
        refusal.fault()
    }

    fn answer_refused(
        &mut self,
        status: Status,
        code: &'static str,
        what: &str,
        head_only: bool,
        turn: &mut Turn<'_>,
    ) {
        let mut exchange = Exchange::refused(head_only);
        let extra = match status {
            // RFC 9110, 15.5.6.
            Status::METHOD_NOT_ALLOWED => {
                Fields::new().with("Allow", self.handler.allow().as_bytes()).unwrap_or_default()
            }
            _ => Fields::new(),
        };
        let page = self.handler.page(status, code, what);
        let reply = Responder { turn: &mut *turn, shared: &self.shared, exchange: &mut exchange };
        match page {
            Some((fields, content)) => {
                let _ = reply.send(status, &fields.and(&extra), Body::Shared(&content));
            }
            None if what.is_empty() => reply.page(status, &extra, &[]),
            None => reply.page(status, &extra, &["The client ", what, "."]),
        }
        if let Some(tape) = &mut self.tape {
            tape.note(exchange.status, exchange.content_at);
            tape.answered(turn.written());
            tape.refused(code, turn.now());
            if status == Status::REQUEST_TIMEOUT {
                tape.ends(Ended::TimedOut);
            }
        }
        self.state.step(Step::Over);
    }

    /// Notes for the log, if there is one, that a request has come.
    fn tape_begin(&mut self, request: Begun<'_>, turn: &Turn<'_>) {
        if let Some(tape) = &mut self.tape {
            tape.begin(request, &self.shared, turn);
        }
    }

    fn tape_is_full(&self) -> bool {
        self.tape.as_ref().is_some_and(|tape| tape.is_full())
    }
}

impl<H: Handler> Protocol for Server<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            let came = match &self.state {
                State::ExpectRequest { .. } if turn.is_full() || self.tape_is_full() => {
                    turn.want_room();
                    self.state.step(Step::Full);
                    Came::Waits(0)
                }
                // One blank line before a request is forgiven (RFC 9112, 2.2).
                State::ExpectRequest { blank: false, .. } if rest == b"\r" => Came::Short(0),
                State::ExpectRequest { blank: false, .. } if rest.starts_with(b"\r\n") => {
                    self.state.step(Step::Blank);
                    Came::On(2)
                }
                State::ExpectRequest { .. } | State::ExpectHead { .. } => {
                    self.read_head(rest, turn)?
                }
                State::ExpectAnswer(exchange) if exchange.waits.reads() => {
                    self.read_body(rest, turn)?
                }
                State::ExpectAnswer(_) | State::ExpectRoom => Came::Waits(0),
                State::ExpectRest(_) => match self.state.take_rest() {
                    Some(rest_of_body) => self.discard(rest_of_body, rest, turn)?,
                    None => Came::Last,
                },
                State::ExpectNothing => Came::Last,
            };
            match came {
                Came::On(len) => used += len,
                Came::Short(len) | Came::Switched(len) => return Ok(Consumed::more(used + len)),
                Came::Waits(len) => return Ok(Consumed::pause(used + len)),
                Came::Last => return Ok(Consumed::more(input.len())),
            }
        }
        Ok(Consumed::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => {
                let check = self.shared.host_check();
                self.checks_host = check.is_some_and(|check| check.applies(peer));
                self.tape = self.shared.log().map(|_| Box::new(Tape::new(*peer)));
                let until = self.idle_until(turn);
                self.state = State::ExpectRequest { until, blank: false };
                Ok(())
            }
            Event::Eof { .. } => self.on_eof(turn),
            Event::HalfClosed => {
                self.on_half_close(turn);
                Ok(())
            }
            Event::Room => self.on_room(turn),
            Event::Deadline => self.on_deadline(turn),
            Event::Message(ticket, body) => self.on_message(ticket, body, turn),
            Event::Woken => self.on_woken(turn),
            Event::LameDuck => {
                self.stop = Stop::LameDuck;
                Ok(())
            }
            Event::Drain { unread } => self.on_drain(unread, turn),
            Event::Sent(mark) => {
                if let Some(tape) = &mut self.tape {
                    tape.sent(mark, &self.shared, turn.now());
                }
                if self.half_closed {
                    self.on_half_close(turn);
                }
                Ok(())
            }
            Event::Closed(reason) => {
                if let State::ExpectAnswer(exchange) = &self.state
                    && exchange.incoming.rest().is_some()
                {
                    // The connection has its reason already.
                    let _ = self.tell_incomplete(turn);
                }
                if let Some(tape) = &mut self.tape {
                    tape.closed(reason, &self.shared, turn);
                }
                Ok(())
            }
            // Every event of today is above. HTTP does nothing at one that is added.
            _ => Ok(()),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.state.until()
    }

    fn idle_since(&self) -> Option<Time> {
        match &self.state {
            State::ExpectRequest { until, .. } => {
                until.checked_sub(self.shared.limits.idle_timeout)
            }
            _ => None,
        }
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("state", &self.state).finish_non_exhaustive()
    }
}
