//! The server's side of a connection on which messages are frames (see [`frame`](super::frame)), as
//! a [`Protocol`].
//!
//! This file reads requests and writes responses. [`deadlines`](super::deadlines) handles deadlines
//! and promises (jobs or other pending results).

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use sockeye_proto::{
    Address, Client, Consumed, DRAIN_GRACE, End, Event, Fault, Peer, Protocol, Stop, Time, Turn,
};

use super::answer::Response;
use super::frame;
use super::receive::{IncomingRequest, Receiver};
use super::request::{self, PendingRequest};
use super::state::State;
use super::{Answer, ContentMode, Flow, Handler, Header, Limits, Refusal, Responder};

/// The server's side of one connection. Incomplete content is the only input that it buffers.
pub struct Server<H> {
    pub(super) limits: Rc<Limits>,
    pub(super) peer: Peer,
    pub(super) state: State,
    /// Complete requests in flight, the oldest first: either the response follows later, or the
    /// deadline has passed and the work has not ended. At most [`Limits::in_flight`].
    pub(super) pending: Vec<PendingRequest>,
    /// The number of the next request.
    next_number: u64,
    /// Unless this is [`Stop::No`], responses announce that the connection ends.
    stop: Stop,
    /// The end of the grace period: frames that arrive later are not read. The grace period begins
    /// when the server drains; if the connection waits for capacity ([`State::ExpectCapacity`])
    /// then, it begins when the connection reads again. [`Time::NEVER`] before.
    frames_until: Time,
    /// How much of the input that had arrived when the grace period ended is still unread, in
    /// bytes. The frames that begin in it are answered. [`u32::MAX`] if not known yet.
    backlog: u32,
    pub(super) handler: H,
}

impl<H: Handler> Server<H> {
    /// A connection whose messages `handler` answers.
    pub fn new(limits: Rc<Limits>, handler: H) -> Self {
        Self {
            limits,
            peer: Peer::new(Address::Unix, 0),
            state: State::ExpectFrame { until: Time::NEVER },
            pending: Vec::new(),
            next_number: 0,
            stop: Stop::No,
            frames_until: Time::NEVER,
            backlog: u32::MAX,
            handler,
        }
    }

    /// Sets which events of the server's stop have come before `FramesOrHttp` switched to this
    /// protocol, which doesn't get them again.
    pub(super) fn stopping(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    pub(super) fn is_draining(&self) -> bool {
        self.stop == Stop::Drain
    }

    /// When the connection times out if nothing arrives from now on.
    pub(super) fn idle_until(&self, turn: &Turn<'_>) -> Time {
        self.frames_until.min(turn.now() + self.limits.idle_timeout)
    }

    /// If the server drains, starts the grace period: frames that arrive within it are still
    /// answered. It starts once, so that a client that keeps sending doesn't extend it.
    fn begin_grace(&mut self, turn: &Turn<'_>) {
        if self.is_draining() && self.frames_until == Time::NEVER {
            self.frames_until = turn.now() + DRAIN_GRACE;
        }
    }

    /// Whether another frame may be read: the grace period has not ended, or some of the backlog
    /// is left.
    fn reads_frames(&self, turn: &Turn<'_>) -> bool {
        turn.now() < self.frames_until || self.backlog > 0
    }

    /// Whether the client waits for a response.
    pub(super) fn has_pending(&self) -> bool {
        self.pending.iter().any(|request| !request.expired)
    }

    /// Whether the requests in flight, or their contents together, have reached their limit.
    pub(super) fn is_at_limit(&self) -> bool {
        request::is_at_limit(self.pending.iter(), &self.limits)
    }

    /// Reads a header and, if its content came with it, the content. Returns the bytes consumed.
    fn read_header(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        match frame::read(input, &self.limits) {
            Ok(Some((header, len))) => {
                let request = PendingRequest::of(&header, self.next_number, turn.now());
                self.next_number += 1;
                match header.check(&self.limits) {
                    Ok(()) => Ok(len + self.begin(header, request, &input[len..], turn)?),
                    Err(refusal) => self.refuse(refusal, Some(&request), turn).map(|()| len),
                }
            }
            Ok(None) => {
                // Further bytes of a header do not extend its timeout.
                if !matches!(self.state, State::ExpectHeader { .. }) {
                    let until = turn.now() + self.limits.header_timeout;
                    self.state = State::ExpectHeader { until };
                }
                Ok(0)
            }
            Err(refusal) => self.refuse(refusal, None, turn).map(|()| 0),
        }
    }

    /// Starts a request, and reads as much of its content as `rest` holds. Returns the bytes of
    /// `rest` that were consumed.
    fn begin(
        &mut self,
        header: Header,
        request: PendingRequest,
        rest: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<usize, Fault> {
        let mode = self.handler.content_mode(&header);
        let len = header.content_length;
        // Fast path: all of the content is here, and it is too short to exceed the limit on JSON
        // values.
        if mode == ContentMode::Whole
            && len <= (rest.len() as u64).min(self.limits.json_nodes as u64)
        {
            let piece = frame::prefix(rest, len);
            let message = header.into_message(Bytes::copy_from_slice(piece));
            let has_more = rest.len() > piece.len();
            self.answer(request, has_more, turn, |handler, responder| {
                let peer = responder.peer;
                handler.on_message(message, peer, responder)
            })?;
            return Ok(piece.len());
        }
        let client = Client::of(self.peer.address);
        // `false`: the client is charged only for what exceeds 64 KiB.
        let receiver = Receiver::new(mode, header, &self.limits, client, false);
        let timeout = turn.now() + self.limits.content_timeout;
        let incoming = IncomingRequest { request, receiver, timeout, paused: false };
        self.state = State::ExpectContent(Box::new(incoming));
        self.read_content(rest, turn)
    }

    /// Reads content from the front of `input`. Returns the bytes consumed.
    fn read_content(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Fault> {
        let State::ExpectContent(incoming) = &mut self.state else { return Ok(0) };
        let piece = frame::prefix(input, incoming.receiver.remaining());
        if !piece.is_empty() {
            incoming.timeout = turn.now() + self.limits.content_timeout;
        }
        let responder = Responder::frames(turn, &self.peer, &mut incoming.request);
        let flow = incoming.receiver.take(piece, &mut self.handler, responder);
        let remaining = incoming.receiver.remaining();
        incoming.paused = flow == Flow::Pause && remaining > 0;
        if remaining == 0
            && let Some(incoming) = self.state.take_incoming()
        {
            let IncomingRequest { request, receiver, .. } = *incoming;
            let has_more = input.len() > piece.len();
            match receiver {
                // `true`, because content is discarded only on a connection that stays open.
                Receiver::Discard(_) => {
                    if request.expired {
                        self.keep_expired(request);
                    }
                    self.next_frame(true, has_more, turn)?;
                }
                _ => self.answer(request, has_more, turn, |handler, responder| {
                    receiver.finish(handler, responder)
                })?,
            }
        }
        Ok(piece.len())
    }

    /// Passes a complete request to the handler. `has_more`: more input has arrived after it.
    fn answer(
        &mut self,
        mut request: PendingRequest,
        has_more: bool,
        turn: &mut Turn<'_>,
        answer: impl FnOnce(&mut H, Responder<'_, '_>) -> Answer,
    ) -> Result<(), Fault> {
        let keeps_connection = request.keeps_connection();
        if request.is_late(turn.now()) {
            self.handler.on_cancelled(request.number);
            return match keeps_connection {
                true => {
                    self.keep_expired(request);
                    self.next_frame(true, has_more, turn)
                }
                false => self.finish(Err(deadline_passed()), turn),
            };
        }
        let responder = Responder::frames(turn, &self.peer, &mut request);
        let answer = answer(&mut self.handler, responder);
        let Some(response) = answer.into_response(!request.tickets.is_empty()) else {
            self.pending.push(request);
            return self.next_frame(keeps_connection, has_more, turn);
        };
        match self.write(response, &request, turn) {
            Some(fault) if !keeps_connection => self.finish(Err(fault), turn),
            _ => self.next_frame(keeps_connection, has_more, turn),
        }
    }

    /// Keeps a request in flight after its deadline, until its work has ended.
    fn keep_expired(&mut self, mut request: PendingRequest) {
        if !request.tickets.is_empty() {
            request.expired = true;
            self.pending.push(request);
        }
    }

    /// Writes a response, unless it is late. If it is an error response, returns the fault that it
    /// reports.
    pub(super) fn write(
        &self,
        response: Response,
        request: &PendingRequest,
        turn: &mut Turn<'_>,
    ) -> Option<Fault> {
        let ends = matches!(self.state, State::ExpectResponses(_) | State::ExpectNothing);
        request.write(response.message, self.stop == Stop::No && !ends, turn);
        response.fault
    }

    /// Expects the next frame, or ends the connection after the request that was just read.
    fn next_frame(
        &mut self,
        keeps_connection: bool,
        has_more: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if keeps_connection && self.reads_frames(turn) {
            self.state = State::ExpectFrame { until: self.idle_until(turn) };
            return Ok(());
        }
        let end = if has_more || self.is_draining() { End::Linger } else { End::Close };
        self.finish(Ok(end), turn)
    }

    /// Reads no more, and ends the connection when no response is pending.
    pub(super) fn finish(
        &mut self,
        end: Result<End, Fault>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        self.state = State::ExpectResponses(end.map_err(Box::new));
        self.end_if_done(turn)
    }

    pub(super) fn end_if_done(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if self.has_pending() || !matches!(self.state, State::ExpectResponses(_)) {
            return Ok(());
        }
        match std::mem::replace(&mut self.state, State::ExpectNothing) {
            State::ExpectResponses(Ok(end)) => turn.end(end),
            State::ExpectResponses(Err(fault)) => return Err(*fault),
            _ => {}
        }
        Ok(())
    }

    /// Writes an error response, and reads no more. `request` is `None` if its header can't be
    /// read.
    pub(super) fn refuse(
        &mut self,
        refusal: Refusal,
        request: Option<&PendingRequest>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let unread = PendingRequest::unread();
        let fault = request.unwrap_or(&unread).refuse(refusal, turn);
        self.finish(Err(fault), turn)
    }

    /// Refuses the request whose content is arriving.
    pub(super) fn refuse_content(
        &mut self,
        refusal: Refusal,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let Some(incoming) = self.state.take_incoming() else { return Ok(()) };
        match incoming.receiver {
            // The request was answered or cancelled already.
            Receiver::Discard(_) => self.finish(Err(refusal.fault()), turn),
            _ => self.refuse(refusal, Some(&incoming.request), turn),
        }
    }

    /// Reads again, if the connection was waiting for capacity: for room in the output, or for
    /// fewer requests in flight.
    pub(super) fn resume_reading(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.state, State::ExpectCapacity) {
            self.begin_grace(turn);
            self.state = State::ExpectFrame { until: self.idle_until(turn) };
            turn.resume();
        }
    }

    fn on_eof(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &self.state {
            State::ExpectFrame { .. } => self.finish(Ok(End::Close), turn),
            State::ExpectHeader { .. } => self.refuse(Refusal::incomplete_header(), None, turn),
            State::ExpectContent(incoming) => {
                let remaining = incoming.receiver.remaining();
                let what = format!(
                    "the connection's input ended {remaining} bytes before the content did"
                );
                self.refuse_content(Refusal::new("incomplete", what), turn)
            }
            // In `ExpectCapacity`, reading pauses, and the end of input is not reported during a
            // pause. In the other two states, nothing more is expected from the client.
            State::ExpectCapacity | State::ExpectResponses(_) | State::ExpectNothing => Ok(()),
        }
    }
}

pub(super) fn deadline_passed() -> Fault {
    Fault::peer("deadline_passed", "set a deadline that passed before its response was ready")
}

impl<H: Handler> Protocol for Server<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        let grace_is_over = turn.now() >= self.frames_until;
        if grace_is_over {
            self.backlog = self.backlog.min(u32::try_from(input.len()).unwrap_or(u32::MAX));
        }
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            match &self.state {
                State::ExpectFrame { .. } if used >= self.backlog as usize => {
                    self.finish(Ok(End::Linger), turn)?;
                }
                State::ExpectFrame { .. } if turn.is_full() => {
                    turn.want_room();
                    self.state = State::ExpectCapacity;
                }
                State::ExpectFrame { .. } if self.is_at_limit() => {
                    self.state = State::ExpectCapacity;
                }
                State::ExpectFrame { .. } | State::ExpectHeader { .. } => {
                    used += self.read_header(rest, turn)?;
                    if matches!(self.state, State::ExpectHeader { .. }) {
                        break;
                    }
                }
                State::ExpectContent(incoming) if incoming.paused => break,
                State::ExpectContent(_) => used += self.read_content(rest, turn)?,
                State::ExpectCapacity | State::ExpectResponses(_) => break,
                State::ExpectNothing => return Ok(Consumed::more(input.len())),
            }
        }
        if grace_is_over {
            self.backlog = self.backlog.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
        }
        Ok(match &self.state {
            State::ExpectContent(incoming) if incoming.paused => Consumed::pause(used),
            // Nothing is read for now. The end of input is not reported during a pause either. So
            // after `ExpectCapacity`, the frames that arrived before the end are read first.
            State::ExpectCapacity | State::ExpectResponses(_) => Consumed::pause(used),
            _ => Consumed::more(used),
        })
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => {
                self.peer = peer.clone();
                self.begin_grace(turn);
                self.state = State::ExpectFrame { until: self.idle_until(turn) };
            }
            Event::Eof { .. } => return self.on_eof(turn),
            Event::Room => self.resume_reading(turn),
            Event::Deadline => return self.on_deadline(turn),
            Event::Message(ticket, body) => return self.on_settled(ticket, body, turn),
            Event::LameDuck => self.stop = Stop::LameDuck,
            Event::Drain { .. } => {
                self.stop = Stop::Drain;
                // If the connection waits for capacity, the grace period begins when it reads
                // again.
                if !matches!(self.state, State::ExpectCapacity) {
                    self.begin_grace(turn);
                }
                let soon = self.idle_until(turn);
                if let State::ExpectFrame { until } = &mut self.state {
                    *until = soon.min(*until);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let pending = self.pending.iter().filter(|request| !request.expired);
        let responses = pending.map(|request| request.deadline).min();
        let read = match self.state {
            State::ExpectFrame { .. } if responses.is_some() && !self.is_draining() => Time::NEVER,
            _ => self.state.until(),
        };
        Some(read.min(responses.unwrap_or(Time::NEVER))).filter(|until| *until < Time::NEVER)
    }

    /// A connection is idle between frames, while no response is pending.
    fn idle_since(&self) -> Option<Time> {
        match self.state {
            State::ExpectFrame { until } if !self.has_pending() => {
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
