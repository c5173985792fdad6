//! One stream: a request in flight, the rest of its response, or the protocol to which the stream
//! has switched.

use std::mem;

use sockeye_proto::driver::{self, drop_caught};
use sockeye_proto::{Blame, Fault, Reason, Time, Turn};

use super::error::H2Error;
use super::limits::{DISCARD_FACTOR, DISCARD_TIMEOUT, SMALL_DELAY};
use super::receive::RequestContent;
use super::sender::Sender;
use super::tunnel::Tunnel;
use crate::h2::exchange::H2Exchange;
use crate::h2::frame::ErrorCode;
use crate::h2::priority::Priority;
use crate::h2::trailers::OwnedTrailers;
use crate::h2::window::Window;
use crate::handling::answer::AnswerKind;
use crate::handling::connection::Connection;
use crate::handling::in_flight::{InFlight, NextStep};
use crate::semantics::exchange::{Incoming, WaitFor};
use crate::semantics::refusal::Refusal;
use crate::{Handler, StreamEvent};

/// A stream whose request was not answered at once, whose request has not ended, or whose response
/// is not completely moved to the connection's output.
pub(super) struct ActiveStream<H> {
    pub(super) stream: Box<driver::Stream>,
    pub(super) connection: Connection,
    pub(super) state: State<H>,
    pub(super) priority: Priority,
    /// The stream's flow-control window: how much content the peer accepts on this stream.
    pub(super) send_window: Window,
    pub(super) receive: RequestContent,
    /// The handler, or the tunnel's protocol, was told that there is room (space in the output),
    /// and asked for room again without writing anything. It is told again when the connection has
    /// sent something.
    pub(super) waits_for_connection: bool,
    /// How many bytes of memory the connection has counted for this stream.
    pub(super) counted: usize,
    /// The stream is in the scheduler.
    pub(super) is_queued: bool,
    /// For [`SMALL_DELAY`], a window has allowed fewer than [`SMALL`](super::limits::SMALL) bytes.
    /// They are sent now.
    pub(super) sends_small: bool,
    /// When to set `sends_small`.
    pub(super) small_deadline: Time,
    /// When the stream is reset because the peer's windows allow nothing to be sent, or because the
    /// rest of a discarded request has not arrived.
    pub(super) reset_deadline: Time,
}

pub(super) enum State<H> {
    /// The request is being answered.
    InFlight(InFlight<H, H2Exchange>),
    /// The response is complete, and not all of it has been moved.
    Sending(H2Exchange),
    /// The stream has switched to another protocol.
    Tunnel(Box<Tunnel>),
    /// All output of the stream was moved. The rest of the request is discarded, up to this many
    /// bytes.
    Discarding { left: usize },
    /// The stream has to be reset with this code. Usually the response can't be completed. With
    /// [`ErrorCode::NoError`], the response is complete, and the client is to stop sending the
    /// request.
    Failed(ErrorCode),
}

const WRONG_LENGTH: H2Error =
    H2Error::protocol("sent content that is longer or shorter than announced");

impl<H: Handler> ActiveStream<H> {
    /// The stream's number.
    pub(super) fn id(&self) -> u32 {
        self.stream.id().get()
    }

    /// Counts the bytes that wait for the handler, or for the tunnel's protocol. Returns the count
    /// before, and the new count.
    pub(super) fn count_unread(&mut self) -> (usize, usize) {
        let unread = match &self.state {
            State::Tunnel(tunnel) => tunnel.session.unused(),
            _ => self.receive.unread.len(),
        };
        (mem::replace(&mut self.receive.counted, unread), unread)
    }

    /// Whether the handler's response has started, and is not complete.
    pub(super) fn is_responding(&self) -> bool {
        matches!(&self.state, State::InFlight(in_flight) if in_flight.exchange.has_started())
    }

    /// Runs `call`, which usually calls the handler, and acts on the handler's answers. `outer` is
    /// the connection's turn: the current call into the connection's protocol.
    pub(super) fn continue_request(
        &mut self,
        outer: &Turn<'_>,
        call: impl FnOnce(
            &mut InFlight<H, H2Exchange>,
            &mut Connection,
            &mut Turn<'_>,
        ) -> Result<AnswerKind, Fault>,
    ) {
        let State::InFlight(in_flight) = &mut self.state else { return };
        let (turn, connection) = (&mut self.stream.turn(outer), &mut self.connection);
        let exchange = &in_flight.exchange;
        if matches!(exchange.incoming, Incoming::Reading { .. })
            && !exchange.wait_for.reads_content()
        {
            // Until now, the handler was not waiting for content. If its next answer asks for
            // content, the client's time to send more begins now.
            in_flight.exchange.content_deadline = connection.content_deadline(turn.now());
        }
        in_flight.wire.upgrade &= !connection.is_stopping();
        let answer = call(in_flight, connection, turn);
        match follow_answers(in_flight, &mut self.receive, answer, connection, turn) {
            Ok(RequestProgress::Complete) => self.start_sending(outer),
            Ok(RequestProgress::Switched) => self.start_tunnel(outer),
            Ok(RequestProgress::Waits) => {}
            Err(fault) => self.on_fault(fault, outer),
        }
    }

    /// The request has failed. If a response that refuses the request was written, it is sent;
    /// otherwise the stream is reset.
    pub(super) fn on_fault(&mut self, fault: Fault, outer: &Turn<'_>) {
        let State::InFlight(InFlight { exchange, .. }) = &self.state else { return };
        if fault.blame == Blame::Ours {
            outer.report(fault.clone());
        }
        if exchange.has_started() || exchange.status.is_none() {
            let code = match fault.blame {
                Blame::Ours => ErrorCode::InternalError,
                Blame::Peer => ErrorCode::Cancel,
            };
            self.abort(code, &Reason::Fault(fault), outer);
        } else {
            self.start_sending(outer);
        }
    }

    /// The response is complete: drops the handler.
    fn start_sending(&mut self, outer: &Turn<'_>) {
        if let Some(log) = &mut self.connection.log {
            log.set_response_end(self.stream.turn(outer).written());
        }
        let before = mem::replace(&mut self.state, State::Failed(ErrorCode::NoError));
        self.state = match before {
            State::InFlight(InFlight { wire, .. }) => State::Sending(wire),
            other => other,
        };
        self.drop_unread();
    }

    /// All output of the stream was moved, and the request is not complete: discards the rest of
    /// the request. If the connection's input has ended, nothing more can arrive, so the stream is
    /// reset.
    pub(super) fn discard_request(&mut self, now: Time) {
        let discard = self.connection.config.limits.discard.saturating_mul(DISCARD_FACTOR);
        self.state = State::Discarding { left: usize::try_from(discard).unwrap_or(usize::MAX) };
        self.reset_deadline = now + DISCARD_TIMEOUT;
        if self.connection.half_closed {
            self.stop_discarding();
        }
    }

    /// Stops waiting for the rest of a discarded request: the stream is reset.
    pub(super) fn stop_discarding(&mut self) {
        if let State::Discarding { .. } = self.state {
            self.state = State::Failed(ErrorCode::NoError);
        }
    }

    /// Passes an event to the handler.
    pub(super) fn deliver(&mut self, event: StreamEvent<'_>, outer: &Turn<'_>) {
        self.continue_request(outer, |in_flight, connection, turn| {
            in_flight.deliver(event, connection, turn)
        });
    }

    /// Acts again on the handler's last answer, which says what the handler waits for, because the
    /// stream or the connection has changed since. If `room` is false, the handler no longer waits
    /// for room.
    pub(super) fn recheck_wait(&mut self, room: bool, outer: &Turn<'_>) {
        self.continue_request(outer, |in_flight, _, _| {
            let wait_for = in_flight.exchange.wait_for;
            Ok(AnswerKind::Wait(WaitFor { room: room && wait_for.room, ..wait_for }))
        });
    }

    /// The request's content can't be completed: see [`InFlight::refuse_content`].
    pub(super) fn refuse_content(&mut self, refusal: Refusal<'static>, outer: &Turn<'_>) {
        self.continue_request(outer, |in_flight, connection, turn| {
            Err(in_flight.refuse_content(refusal, connection, turn))
        });
    }

    /// Cancels the request, and drops the unsent rest of its response. The stream is reset with
    /// `code`.
    pub(super) fn abort(&mut self, code: ErrorCode, reason: &Reason, outer: &Turn<'_>) {
        if let State::InFlight(in_flight) = &mut self.state
            && in_flight.exchange.incoming != Incoming::Ended
            && (!self.receive.has_ended || !self.receive.unread.is_empty())
        {
            // A panic of the handler is only reported: the stream is ending already.
            if let Err(fault) = in_flight.notify_incomplete(outer.now()) {
                outer.report(fault);
            }
        }
        if let Some(log) = &mut self.connection.log {
            if let Reason::Fault(fault) = reason
                && fault.blame == Blame::Peer
            {
                log.set_fault(fault.code, outer.now());
            }
            log.on_closed(reason, &self.stream.turn(outer));
        }
        if let State::Tunnel(tunnel) = &mut self.state {
            tunnel.close(Some(reason), outer);
        }
        if !drop_caught(mem::replace(&mut self.state, State::Failed(code))) {
            let what = "a handler's destructor panicked";
            outer.report(Fault::ours(Refusal::PANICKED.code, what));
        }
        self.drop_unread();
    }

    fn drop_unread(&mut self) {
        let unread = mem::take(&mut self.receive.unread);
        self.receive.consume(unread.len());
    }

    /// Content has arrived, at least one byte.
    pub(super) fn on_content(&mut self, piece: &[u8], outer: &Turn<'_>) -> Result<(), H2Error> {
        if self.is_tunnel() {
            self.change_tunnel(piece.len(), outer, |session| session.input(piece, outer));
            return Ok(());
        }
        if let Some(remaining) = &mut self.receive.remaining {
            *remaining = remaining.checked_sub(piece.len() as u64).ok_or(WRONG_LENGTH)?;
        }
        let State::InFlight(in_flight) = &mut self.state else {
            // No handler reads the content any more. If the client sends too much, the stream is
            // reset.
            self.receive.consume(piece.len());
            if let State::Discarding { left } = &mut self.state {
                match left.checked_sub(piece.len()) {
                    Some(rest) => *left = rest,
                    None => self.state = State::Failed(ErrorCode::NoError),
                }
            }
            return Ok(());
        };
        in_flight.exchange.content_deadline = self.connection.content_deadline(outer.now());
        if in_flight.exchange.wait_for.reads_content() && self.receive.unread.is_empty() {
            self.receive.consume(piece.len());
            self.continue_request(outer, |in_flight, connection, turn| {
                in_flight.deliver_piece(piece, connection, turn)
            });
        } else {
            self.receive.unread.extend_from_slice(piece);
        }
        Ok(())
    }

    /// The peer has ended its side of the stream.
    pub(super) fn on_end(
        &mut self,
        trailers: OwnedTrailers,
        outer: &Turn<'_>,
    ) -> Result<(), H2Error> {
        if self.receive.remaining.is_some_and(|remaining| remaining > 0) {
            return Err(WRONG_LENGTH);
        }
        self.receive.remaining = Some(0);
        (self.receive.end, self.receive.has_ended) = (Some(trailers), true);
        self.change_tunnel(0, outer, |session| session.end_of_input(outer));
        if let State::InFlight(in_flight) = &self.state
            && in_flight.exchange.wait_for.reads_content()
        {
            self.recheck_wait(false, outer);
        }
        Ok(())
    }

    /// Whether the handler waits for room, and there is room. For a tunnel: whether
    /// [`driver::NestedSession::progress`] would do something.
    pub(super) fn is_room_due(&self) -> bool {
        match &self.state {
            State::Tunnel(tunnel) => tunnel.session.is_progress_due(),
            _ => self.stream.is_room_due(),
        }
    }

    /// The output has room.
    pub(super) fn on_room(&mut self, outer: &Turn<'_>) {
        let State::InFlight(in_flight) = &self.state else { return };
        match in_flight.exchange.wait_for {
            WaitFor { content: Some(_), .. } => self.recheck_wait(false, outer),
            WaitFor { room: true, .. } => self.deliver(StreamEvent::Room, outer),
            _ => {}
        }
    }

    /// The memory that the stream holds, in bytes: output that was not moved, and content and
    /// trailers that wait for the handler.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Tunnel(tunnel) => tunnel.session.held(),
            _ => self.stream.held() + self.receive.unread.capacity() + self.receive.trailers_len(),
        }
    }

    /// Whether a HEADERS or DATA frame can be written now.
    pub(super) fn is_sendable(&self, sender: &Sender) -> bool {
        let unsent = self.stream.unsent();
        let (head, trailers) = match &self.state {
            State::InFlight(InFlight { wire, .. }) | State::Sending(wire) => {
                (wire.head_len, wire.trailers_len)
            }
            State::Tunnel(tunnel) => (tunnel.wire.head_len, 0),
            State::Discarding { .. } | State::Failed(_) => return false,
        };
        let content = unsent - (head + trailers) as u64;
        let window = sender.allowed(self.send_window, content, self.sends_small);
        match &self.state {
            State::InFlight(InFlight { wire, .. }) => {
                wire.sends_continue || head > 0 || (content > 0 && window > 0)
            }
            State::Tunnel(tunnel) if !tunnel.is_ending() => head > 0 || (content > 0 && window > 0),
            _ => head > 0 || content == 0 || window > 0,
        }
    }

    /// Sets the deadlines that apply while the peer's windows block the rest of the response.
    /// `has_moved`: frames of this stream were just moved to the connection's output.
    pub(super) fn note_progress(&mut self, has_moved: bool, now: Time) {
        if matches!(self.state, State::Discarding { .. }) {
            return;
        }
        let is_blocked = !self.is_queued && self.stream.unsent() > 0;
        self.sends_small &= !has_moved;
        if !is_blocked {
            self.small_deadline = Time::NEVER;
        }
        let has_window = self.send_window.available() > 0;
        if is_blocked && has_window && !self.sends_small && self.small_deadline == Time::NEVER {
            self.small_deadline = now + SMALL_DELAY;
        }
        if !is_blocked {
            self.reset_deadline = Time::NEVER;
        } else if has_moved || self.reset_deadline == Time::NEVER {
            self.reset_deadline = now + self.connection.config.limits.write_timeout;
        }
    }

    /// The stream's earliest deadline.
    pub(super) fn deadline(&self) -> Time {
        let exchange = match &self.state {
            State::InFlight(in_flight) => in_flight.exchange.deadline(),
            State::Tunnel(tunnel) => tunnel.session.deadline(),
            _ => Time::NEVER,
        };
        exchange.min(self.reset_deadline).min(self.small_deadline)
    }

    pub(super) fn on_deadline(&mut self, outer: &Turn<'_>) {
        let now = outer.now();
        if self.small_deadline <= now {
            self.small_deadline = Time::NEVER;
            self.sends_small = true;
        }
        if self.reset_deadline <= now {
            if let State::Discarding { .. } = self.state {
                return self.stop_discarding();
            }
            let stalled = H2Error::STALLED;
            outer.report(stalled.fault());
            return self.abort(stalled.code, &Reason::Fault(stalled.fault()), outer);
        }
        self.change_tunnel(0, outer, |session| session.check_deadline(outer));
        let unsent = self.stream.unsent();
        let State::InFlight(in_flight) = &mut self.state else { return };
        let exchange = &mut in_flight.exchange;
        if exchange.deadline() > now {
            return;
        }
        if exchange.send_deadline > now {
            // So the content's deadline has passed.
            self.refuse_content(Refusal::BODY_TIMEOUT, outer);
        } else if !exchange.has_started() {
            exchange.send_deadline = Time::NEVER;
            self.continue_request(outer, |in_flight, connection, turn| {
                in_flight.call(connection, turn, Handler::on_response_timeout)
            });
        } else if unsent > 0 {
            // The response isn't silent, because what the handler has written still has to be
            // moved. It gets more time.
            exchange.send_deadline = self.connection.silence_deadline(now);
        } else {
            // The client has closed its sending side, and the response has been silent too long.
            self.abort(ErrorCode::Cancel, &Reason::Reset, outer);
        }
    }
}

/// The state of a request after its handler's answers were processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestProgress {
    /// The response is complete.
    Complete,
    /// The stream switches to another protocol.
    Switched,
    /// The handler waits.
    Waits,
}

/// Acts on an answer and on the answers that follow it, until the response is complete or the
/// handler has to wait.
///
/// # Errors
///
/// If the request or its response can't be completed.
pub(super) fn follow_answers<H: Handler>(
    in_flight: &mut InFlight<H, H2Exchange>,
    receive: &mut RequestContent,
    mut answer: Result<AnswerKind, Fault>,
    connection: &mut Connection,
    turn: &mut Turn<'_>,
) -> Result<RequestProgress, Fault> {
    loop {
        answer = match in_flight.next_step(answer?, connection, turn)? {
            NextStep::Done => return Ok(RequestProgress::Complete),
            NextStep::Switched => return Ok(RequestProgress::Switched),
            NextStep::Read if !receive.unread.is_empty() && !receive.is_connect => {
                let piece = mem::take(&mut receive.unread);
                receive.consume(piece.len());
                in_flight.deliver_piece(&piece, connection, turn)
            }
            NextStep::Read if receive.end.is_some() => {
                let trailers = receive.end.take().unwrap_or_default();
                in_flight.exchange.incoming = Incoming::Ended;
                let event = StreamEvent::BodyEnd(&trailers.view());
                in_flight.deliver(event, connection, turn)
            }
            NextStep::Wait | NextStep::Read => {
                let exchange = &mut in_flight.exchange;
                exchange.send_deadline = connection.send_deadline(exchange, turn.now());
                return Ok(RequestProgress::Waits);
            }
        };
    }
}
