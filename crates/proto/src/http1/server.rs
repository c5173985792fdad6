//! The server's side of a connection as a [`Protocol`].
//!
//! Here is decided what happens; what follows from it is in [`state`](super::state), what a head
//! means in [`head`](super::head) and [`framing`](super::framing), and what a reply looks like in
//! [`reply`](super::reply).

use std::fmt;
use std::rc::Rc;

use super::framing::{self, Content};
use super::head::{self, Head, Progress};
use super::refusal::Refusal;
use super::reply::{Exchange, Given};
use super::request::{Method, Span, Version};
use super::state::{State, Step};
use super::{Answer, Fields, Reply, Request, Shared, Status};
use crate::{Abandoned, End, Event, Fault, Message, Protocol, Ticket, Time, Took, Turn};

/// Answers requests: one value per connection.
pub trait Handler {
    /// Answers a request, or says that the answer comes later. CONNECT and TRACE don't come here.
    fn on_request(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer;

    /// Takes what a promise of this conversation brought, or a [`Remote`](crate::Remote) sent, and
    /// answers or waits on. Called only while an answer is owed; a handler that gave out more than
    /// one promise may be told of an older one here.
    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer;

    /// The methods that the handler knows, for the `Allow` field where the server refuses a method
    /// by itself.
    fn allow(&self) -> &'static str {
        "GET, HEAD"
    }
}

/// The server's side of one connection. It holds no buffer.
pub struct Server<H> {
    shared: Rc<Shared>,
    state: State,
    /// The server stops: nothing follows the next reply.
    draining: bool,
    handler: H,
}

/// What one request, or a part of one, came to.
enum Came {
    /// So many bytes were used, and the connection goes on.
    On(usize),
    /// So many bytes were used, and an answer is owed.
    Owed(usize),
    /// Nothing after this request is read.
    Last,
    /// More bytes are needed.
    Short,
}

impl<H: Handler> Server<H> {
    /// A connection that `handler` answers.
    pub fn new(shared: Rc<Shared>, handler: H) -> Self {
        let state = State::ExpectRequest { until: Time::NEVER, blank: false };
        Self { shared, state, draining: false, handler }
    }

    fn step(&mut self, step: Step) {
        self.state = self.state.after(step);
    }

    fn idle_until(&self, turn: &Turn<'_>) -> Time {
        turn.now() + self.shared.limits.idle_timeout
    }

    /// Reads on in a head of which `progress` is known, and answers when it is complete.
    fn read(
        &mut self,
        input: &[u8],
        mut progress: Progress,
        turn: &mut Turn<'_>,
    ) -> Result<Came, Fault> {
        let mut spans = self.shared.lend();
        let came = match head::parse(input, &mut progress, &self.shared.limits, &mut spans) {
            Ok(Some(head)) => self.answer(input, head, &spans, turn),
            Ok(None) => {
                let until = turn.now() + self.shared.limits.head_timeout;
                self.step(Step::HeadPart { progress, until });
                Ok(Came::Short)
            }
            Err(refusal) => Err(self.refuse(refusal, input.starts_with(b"HEAD "), turn)),
        };
        self.shared.give_back(spans);
        came
    }

    /// Has a request answered.
    fn answer(
        &mut self,
        input: &[u8],
        Head { line, len }: Head,
        spans: &[Span],
        turn: &mut Turn<'_>,
    ) -> Result<Came, Fault> {
        let request = Request { head: &input[..len], line, spans };
        let head_only = line.method == Method::Head;
        let framing = match framing::of(&request) {
            Ok(_) if matches!(line.method, Method::Connect | Method::Trace) => {
                return Err(self.refuse(Refusal::REFUSED_METHOD, false, turn));
            }
            Ok(framing) => framing,
            Err(refusal) => return Err(self.refuse(refusal, head_only, turn)),
        };
        // A body is not read: the connection ends behind the reply instead, and what is still sent
        // of it is thrown away.
        let has_body = framing.content != Content::None;
        let exchange = Exchange {
            version: line.version,
            head_only,
            persistent: framing.persistent && !has_body && !self.draining,
            unread: has_body || input.len() > len,
        };
        let reply = Reply { turn, shared: &self.shared, exchange };
        let answer = self.handler.on_request(&request, reply);
        Ok(match self.answered(answer, exchange, turn) {
            State::ExpectAnswer { .. } => Came::Owed(len),
            State::ExpectNothing => Came::Last,
            _ => Came::On(len),
        })
    }

    /// Goes on after a handler's answer. Returns the state it led to.
    fn answered(&mut self, answer: Answer, exchange: Exchange, turn: &mut Turn<'_>) -> State {
        match answer.0 {
            Given::Later => self.step(Step::Owed(exchange)),
            Given::Now if exchange.persistent => {
                let until = self.idle_until(turn);
                self.step(Step::Answered { until });
            }
            Given::Now => self.finish(exchange.unread, turn),
        }
        self.state
    }

    /// Ends the conversation in order. `unread` says that the peer has sent, or may be sending,
    /// what will not be read.
    fn finish(&mut self, unread: bool, turn: &mut Turn<'_>) {
        turn.end(if unread || self.draining { End::Linger } else { End::Close });
        self.step(Step::Over);
    }

    /// Writes the reply that a refused request earns. Returns the fault that ends the conversation.
    fn refuse(&mut self, refusal: Refusal, head_only: bool, turn: &mut Turn<'_>) -> Fault {
        let exchange =
            Exchange { version: Version::Http11, head_only, persistent: false, unread: true };
        let extra = match refusal.status {
            // RFC 9110, 15.5.6.
            Status::METHOD_NOT_ALLOWED => {
                Fields::new().with("Allow", self.handler.allow().as_bytes()).unwrap_or_default()
            }
            _ => Fields::new(),
        };
        let reply = Reply { turn, shared: &self.shared, exchange };
        reply.page(refusal.status, &extra, &["The client ", refusal.what, "."]);
        self.step(Step::Over);
        refusal.fault()
    }

    fn on_eof(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match self.state {
            State::ExpectRequest { .. } => self.finish(false, turn),
            State::ExpectHead { .. } => {
                self.step(Step::Over);
                let what = "ended its side in the middle of a request head";
                return Err(Fault::peer("eof_in_head", what));
            }
            // The end of input is not told during a pause: what is owed is answered first.
            State::ExpectAnswer { .. } | State::ExpectRoom | State::ExpectNothing => {}
        }
        Ok(())
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.state.until().is_none_or(|until| turn.now() < until) {
            return Ok(());
        }
        match &mut self.state {
            // A peer that is still reading our last reply is slow, not idle: the write deadline
            // watches over it.
            State::ExpectRequest { until, .. } if turn.unsent() > 0 => {
                *until = turn.now() + self.shared.limits.idle_timeout;
                Ok(())
            }
            State::ExpectRequest { .. } => {
                self.step(Step::Over);
                Err(Fault::idle(self.shared.limits.idle_timeout))
            }
            State::ExpectHead { .. } => Err(self.refuse(Refusal::HEAD_TIMEOUT, false, turn)),
            State::ExpectAnswer { .. } | State::ExpectRoom | State::ExpectNothing => Ok(()),
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) {
        let State::ExpectAnswer { mut exchange } = self.state else { return };
        exchange.persistent &= !self.draining;
        let reply = Reply { turn, shared: &self.shared, exchange };
        let answer = self.handler.on_message(ticket, body, reply);
        if !matches!(self.answered(answer, exchange, turn), State::ExpectAnswer { .. }) {
            turn.resume();
        }
    }

    fn on_drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        match self.state {
            // A client that is sending its next request just now shall still read our last reply.
            State::ExpectRequest { .. } | State::ExpectRoom => self.finish(true, turn),
            // A request that has begun is answered, and nothing after it.
            State::ExpectHead { .. } | State::ExpectAnswer { .. } | State::ExpectNothing => {}
        }
    }
}

impl<H: Handler> Protocol for Server<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Took, Fault> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            let came = match self.state {
                State::ExpectRequest { .. } if turn.is_full() => {
                    turn.want_room();
                    self.step(Step::Full);
                    return Ok(Took::pause(used));
                }
                // One blank line before a request is forgiven (RFC 9112, 2.2).
                State::ExpectRequest { blank: false, .. } if rest == b"\r" => Came::Short,
                State::ExpectRequest { blank: false, .. } if rest.starts_with(b"\r\n") => {
                    self.step(Step::Blank);
                    Came::On(2)
                }
                State::ExpectRequest { .. } => self.read(rest, Progress::default(), turn)?,
                State::ExpectHead { progress, .. } => self.read(rest, progress, turn)?,
                State::ExpectAnswer { .. } | State::ExpectRoom => return Ok(Took::pause(used)),
                State::ExpectNothing => Came::Last,
            };
            match came {
                Came::On(len) => used += len,
                Came::Owed(len) => return Ok(Took::pause(used + len)),
                Came::Last => return Ok(Took::more(input.len())),
                Came::Short => break,
            }
        }
        Ok(Took::more(used))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(_) => {
                let until = self.idle_until(turn);
                self.state = State::ExpectRequest { until, blank: false };
            }
            Event::Eof { .. } => return self.on_eof(turn),
            Event::Room => {
                if self.state == State::ExpectRoom {
                    let until = self.idle_until(turn);
                    self.step(Step::Room { until });
                    turn.resume();
                }
            }
            Event::Deadline => return self.on_deadline(turn),
            Event::Message(ticket, body) => self.on_message(ticket, body, turn),
            Event::Drain => self.on_drain(turn),
            Event::Sent(_) | Event::Closed(_) => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.state.until()
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("state", &self.state).finish_non_exhaustive()
    }
}
