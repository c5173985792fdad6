//! The server's side of a connection as a [`Protocol`].
//!
//! Here is decided what happens; what follows from it is in [`state`](super::state), what a frame
//! means in [`frame`](super::frame), what becomes of one request in
//! [`exchange`](super::exchange), and what time and promises bring in [`late`](super::late).

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use sockeye_proto::{
    Address, Client, Consumed, DRAIN_GRACE, End, Event, Fault, Peer, Protocol, Stop, Time, Turn,
};

use super::answer::Given;
use super::exchange::{Content, Exchange, Owed, Sink, busy, too_complex};
use super::fault::Refusal;
use super::frame;
use super::responder::Call;
use super::state::{Last, State, Step};
use super::text::Encoding;
use super::{Answer, ContentError, Flow, Handler, Header, JSON, Limits, Message, Responder, Wants};

/// The server's side of one connection. It holds content that was not complete, and no other
/// buffer.
pub struct Server<H> {
    pub(super) limits: Rc<Limits>,
    pub(super) peer: Peer,
    pub(super) state: State,
    /// Requests whose answers come later, the oldest first. At most [`Limits::in_flight`].
    pub(super) owed: Vec<Owed>,
    /// The number of the next request.
    pub(super) next: u64,
    /// The server stops: no frame follows the one in production.
    /// In a server that is stopping, or will be, responses say that the connection ends.
    stop: Stop,
    /// Frames that have begun by then are answered, later ones are not read.
    reads_until: Time,
    pub(super) handler: H,
}

impl<H: Handler> Server<H> {
    /// A connection that `handler` answers.
    pub fn new(limits: Rc<Limits>, handler: H) -> Self {
        Self {
            limits,
            peer: Peer { address: Address::Unix, via: 0 },
            state: State::ExpectFrame { until: Time::NEVER },
            owed: Vec::new(),
            next: 0,
            stop: Stop::No,
            reads_until: Time::NEVER,
            handler,
        }
    }

    /// The same in a server that may be stopping already.
    pub(super) fn stopping(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    pub(super) fn is_draining(&self) -> bool {
        self.stop == Stop::Drain
    }

    /// How long the next frame is waited for.
    pub(super) fn idle_until(&self, turn: &Turn<'_>) -> Time {
        self.reads_until.min(turn.now() + self.limits.idle_timeout)
    }

    /// A server that drains reads for a moment longer, from now on.
    pub(super) fn begin_grace(&mut self, turn: &Turn<'_>) {
        if self.is_draining() {
            self.reads_until = turn.now() + DRAIN_GRACE;
        }
    }

    /// Whether somebody waits for an answer.
    pub(super) fn is_owing(&self) -> bool {
        self.owed.iter().any(|owed| !owed.expired)
    }

    /// Whether as many requests wait, or as much content with them, as may.
    pub(super) fn is_crowded(&self) -> bool {
        let held = self.owed.iter().fold(0, |sum: u64, owed| sum.saturating_add(owed.exchange.len));
        let full = self.owed.len() >= self.limits.in_flight || held >= self.limits.content;
        full && !self.owed.is_empty()
    }

    /// Whether a response that is written now may say that the connection goes on.
    fn goes_on(&self) -> bool {
        self.stop == Stop::No
            && !matches!(self.state, State::ExpectAnswers(_) | State::ExpectNothing)
    }

    /// Reads a header and, if its content came with it, what follows from that. Returns how much
    /// was used.
    fn read(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        match frame::read(input, &self.limits) {
            Ok(Some((header, len))) => {
                let exchange = self.exchange(&header, turn);
                match self.judge(&header) {
                    Ok(()) => Ok(len + self.begin(header, exchange, &input[len..], turn)?),
                    Err(refusal) => {
                        self.refuse(refusal, Some(&exchange), turn)?;
                        Ok(len)
                    }
                }
            }
            Ok(None) => {
                let until = turn.now() + self.limits.header_timeout;
                self.state.step(Step::FirstByte { until });
                Ok(0)
            }
            Err(refusal) => {
                self.refuse(refusal, None, turn)?;
                Ok(0)
            }
        }
    }

    /// What a header alone shows to be wrong.
    fn judge(&self, header: &Header) -> Result<(), Refusal> {
        frame::admit(header, &self.limits)?;
        if header.content_type == JSON && Encoding::of(&header.content_encoding).is_none() {
            let name = header.content_encoding.to_string();
            return Err(ContentError::UnknownEncoding(name).into());
        }
        Ok(())
    }

    fn exchange(&mut self, header: &Header, turn: &Turn<'_>) -> Exchange {
        let number = self.next;
        self.next += 1;
        let deadline = header
            .deadline_ms
            .map_or(Time::NEVER, |ms| turn.now() + std::time::Duration::from_millis(ms));
        let id = header.id.clone().filter(|_| header.keep_alive);
        let len = header.content_length;
        Exchange { number, id, deadline, len, tickets: Vec::new(), permit: None }
    }

    /// Begins a request, and answers it if `rest` has all of its content. Returns how much of
    /// `rest` was used.
    fn begin(
        &mut self,
        header: Header,
        exchange: Exchange,
        rest: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<usize, Fault> {
        let wants = self.handler.wants(&header);
        let len = header.content_length;
        let sink = match wants {
            // All of it is here, and too little to have too many values.
            Wants::Whole if len <= (rest.len() as u64).min(self.limits.json_nodes as u64) => {
                let Header { content_type, content_encoding, .. } = header;
                let piece = frame::front(rest, len);
                let content = Bytes::copy_from_slice(piece);
                let message = Message { content_type, content_encoding, content };
                self.on_whole(message, exchange, rest.len() > piece.len(), turn)?;
                return Ok(piece.len());
            }
            Wants::Whole => Sink::whole(header, &self.limits, Client::of(self.peer.address)),
            Wants::Stream => Sink::Stream { left: len },
        };
        let progress = turn.now() + self.limits.content_timeout;
        let content = Content { exchange, sink, progress, paused: false };
        self.state.step(Step::Content(Box::new(content)));
        self.take(rest, turn)
    }

    /// Takes content from the front of `input`. Returns how much was used.
    fn take(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let State::ExpectContent(content) = &mut self.state else { return Ok(0) };
        let piece = frame::front(input, content.sink.left());
        if !piece.is_empty() {
            content.progress = turn.now() + self.limits.content_timeout;
        }
        content.sink.take(piece);
        if let Sink::Stream { left } = content.sink
            && !piece.is_empty()
        {
            let exchange = &mut content.exchange;
            let mut reply = Responder { call: Call::Frames(turn), peer: &self.peer, exchange };
            let flow = self.handler.on_content(piece, &mut reply);
            content.paused = flow == Flow::Pause && left > 0 && !exchange.tickets.is_empty();
        }
        if content.sink.left() == 0 {
            self.on_complete(input.len() > piece.len(), turn)?;
        }
        Ok(piece.len())
    }

    /// All content has come.
    fn on_complete(&mut self, unread: bool, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Some(content) = self.state.take_content() else { return Ok(()) };
        let Content { mut exchange, sink, .. } = *content;
        match sink {
            Sink::Whole { content_type, content_encoding, collected, .. } => {
                let (content, permit) = collected.into_parts();
                exchange.permit = permit;
                let message = Message { content_type, content_encoding, content };
                self.on_whole(message, exchange, unread, turn)
            }
            Sink::Stream { .. } => {
                let reply = Responder {
                    call: Call::Frames(turn),
                    peer: &self.peer,
                    exchange: &mut exchange,
                };
                let answer = self.handler.on_end(reply);
                self.answered(answer, exchange, unread, turn)
            }
            Sink::TooComplex { .. } => {
                self.answered(too_complex(&self.limits), exchange, unread, turn)
            }
            Sink::Busy { .. } => self.answered(busy(), exchange, unread, turn),
            // Only a connection that goes on skips content.
            Sink::Nowhere { .. } => self.go_on(true, unread, turn),
        }
    }

    /// Has a request answered.
    fn on_whole(
        &mut self,
        message: Message,
        mut exchange: Exchange,
        unread: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if exchange.is_expired(turn) {
            return self.give_up(&exchange, unread, turn);
        }
        let reply =
            Responder { call: Call::Frames(turn), peer: &self.peer, exchange: &mut exchange };
        let answer = self.handler.on_message(message, &self.peer, reply);
        self.answered(answer, exchange, unread, turn)
    }

    /// Goes on after a request that nobody waits for any more.
    fn give_up(
        &mut self,
        exchange: &Exchange,
        unread: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if exchange.is_persistent() {
            return self.go_on(true, unread, turn);
        }
        self.come_to(Last::Fault(Box::new(deadline_passed())), turn)
    }

    /// Goes on after a handler's answer to a request that was just read.
    fn answered(
        &mut self,
        answer: Answer,
        exchange: Exchange,
        unread: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let persistent = exchange.is_persistent();
        match self.write(answer, &exchange, turn) {
            Written::Nothing => {
                self.owed.push(Owed { exchange, expired: false });
                self.go_on(persistent, unread, turn)
            }
            Written::Reply(Some(fault)) if !persistent => {
                self.come_to(Last::Fault(Box::new(fault)), turn)
            }
            Written::Reply(_) => self.go_on(persistent, unread, turn),
        }
    }

    /// Writes what a handler answers to a request.
    pub(super) fn write(
        &self,
        answer: Answer,
        exchange: &Exchange,
        turn: &mut Turn<'_>,
    ) -> Written {
        let goes_on = self.goes_on();
        let (reply, fault) = match answer.0 {
            Given::Now(reply) => (reply, None),
            Given::Refused(refusal) => (refusal.reply(), Some(refusal.fault())),
            Given::Failed(reply, fault) => (reply, Some(fault)),
            Given::Later if !exchange.tickets.is_empty() => return Written::Nothing,
            // Nothing would ever settle it.
            Given::Later => {
                let what = "the answer was to come later, and nothing was to bring it";
                (super::error_reply("internal", what), Some(Fault::ours("internal", what)))
            }
        };
        exchange.write(reply, goes_on, turn);
        Written::Reply(fault)
    }

    /// Expects the next frame, or ends behind the request that was just read. `unread` says that
    /// more came behind it.
    fn go_on(&mut self, persistent: bool, unread: bool, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if persistent && turn.now() < self.reads_until {
            let until = self.idle_until(turn);
            self.state.step(Step::NextFrame { until });
            return Ok(());
        }
        let end = if unread || self.is_draining() { End::Linger } else { End::Close };
        self.come_to(Last::End(end), turn)
    }

    /// Reads no more frames, and ends when nothing is owed.
    pub(super) fn come_to(&mut self, last: Last, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.state.step(Step::Last(last));
        self.end_if_done(turn)
    }

    pub(super) fn end_if_done(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.is_owing() {
            return Ok(());
        }
        match self.state.take_last() {
            Some(Last::Fault(fault)) => return Err(*fault),
            Some(Last::End(end)) => turn.end(end),
            None => {}
        }
        Ok(())
    }

    /// Writes the response that a refused frame earns, and reads no more.
    pub(super) fn refuse(
        &mut self,
        refusal: Refusal,
        exchange: Option<&Exchange>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let unknown = Exchange {
            number: 0,
            id: None,
            deadline: Time::NEVER,
            len: 0,
            tickets: Vec::new(),
            permit: None,
        };
        exchange.unwrap_or(&unknown).write(refusal.reply(), false, turn);
        self.come_to(Last::Fault(Box::new(refusal.fault())), turn)
    }

    /// Refuses the request whose content is coming.
    pub(super) fn refuse_content(
        &mut self,
        refusal: Refusal,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let Some(content) = self.state.take_content() else { return Ok(()) };
        if matches!(content.sink, Sink::Nowhere { .. }) {
            // It has its response, or wants none any more.
            return self.come_to(Last::Fault(Box::new(refusal.fault())), turn);
        }
        self.refuse(refusal, Some(&content.exchange), turn)
    }

    fn on_eof(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &self.state {
            State::ExpectFrame { .. } => self.come_to(Last::End(End::Close), turn),
            State::ExpectHeader { .. } => self.refuse(Refusal::incomplete_header(), None, turn),
            State::ExpectContent(content) => {
                let left = content.sink.left();
                let what = format!("the connection's input ended {left} bytes before the content");
                self.refuse_content(Refusal::incomplete(what), turn)
            }
            // The end of input is not told during a pause: what is owed is answered first.
            State::ExpectRoom
            | State::ExpectPlace
            | State::ExpectAnswers(_)
            | State::ExpectNothing => Ok(()),
        }
    }

    fn on_drain(&mut self, turn: &Turn<'_>) {
        self.stop = Stop::Drain;
        self.begin_grace(turn);
        let soon = self.idle_until(turn);
        if let State::ExpectFrame { until } = &mut self.state {
            *until = soon.min(*until);
        }
    }
}

/// What came of an answer.
pub(super) enum Written {
    /// It comes later.
    Nothing,
    /// A response, and whose fault it tells of.
    Reply(Option<Fault>),
}

pub(super) fn deadline_passed() -> Fault {
    Fault::peer("deadline_passed", "set a deadline that passed before its reply was ready")
}

impl<H: Handler> Protocol for Server<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            match &self.state {
                State::ExpectFrame { .. } if turn.is_full() => {
                    turn.want_room();
                    self.state.step(Step::Full);
                }
                State::ExpectFrame { .. } if self.is_crowded() => {
                    self.state.step(Step::Crowded);
                }
                State::ExpectFrame { .. } | State::ExpectHeader { .. } => {
                    used += self.read(rest, turn)?;
                    if matches!(self.state, State::ExpectHeader { .. }) {
                        break;
                    }
                }
                State::ExpectContent(content) if content.paused => {
                    return Ok(Consumed::pause(used));
                }
                State::ExpectContent(_) => used += self.take(rest, turn)?,
                State::ExpectRoom | State::ExpectPlace | State::ExpectAnswers(_) => {
                    return Ok(Consumed::pause(used));
                }
                State::ExpectNothing => return Ok(Consumed::more(input.len())),
            }
        }
        match &self.state {
            State::ExpectContent(content) if content.paused => Ok(Consumed::pause(used)),
            // The end of input would be told as the end of a connection that still owes.
            State::ExpectAnswers(_) => Ok(Consumed::pause(used)),
            _ => Ok(Consumed::more(used)),
        }
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => {
                self.peer = *peer;
                self.begin_grace(turn);
                self.state = State::ExpectFrame { until: self.idle_until(turn) };
            }
            Event::Eof { .. } => return self.on_eof(turn),
            Event::Room => {
                if matches!(self.state, State::ExpectRoom) {
                    self.begin_grace(turn);
                    let until = self.idle_until(turn);
                    self.state.step(Step::NextFrame { until });
                    turn.resume();
                }
            }
            Event::Deadline => return self.on_deadline(turn),
            Event::Message(ticket, body) => return self.on_settled(ticket, body, turn),
            Event::LameDuck => self.stop = Stop::LameDuck,
            Event::Drain { .. } => self.on_drain(turn),
            // Nothing is cancelled at a half-close: a message's answer has an end of its own.
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let owed = self.owed.iter().filter(|owed| !owed.expired);
        let answers = owed.map(|owed| owed.exchange.deadline).min();
        let read = match self.state {
            State::ExpectFrame { .. } if answers.is_some() && !self.is_draining() => Time::NEVER,
            _ => self.state.until(),
        };
        Some(read.min(answers.unwrap_or(Time::NEVER))).filter(|until| *until < Time::NEVER)
    }

    /// Between frames, with no answer owed. That silence is idleness here as well: it is what
    /// [`Limits::idle_timeout`] ends, so a peer has to expect the end at any such moment.
    fn idle_since(&self) -> Option<Time> {
        match self.state {
            State::ExpectFrame { until } if !self.is_owing() => {
                until.checked_sub(self.limits.idle_timeout)
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
