//! Events other than input: the server's stop, deadlines, the end of input, and messages from other
//! threads.

use std::mem;

use sockeye_proto::{DRAIN_GRACE, Event, Fault, Reason, Stop, Ticket, Time, Turn};

use super::connection::{GoAway, H2Connection};
use super::error::H2Error;
use super::limits::PING_AFTER;
use super::stream::ActiveStream;
use crate::h2::frame::{self, ErrorCode, flags, kind};
use crate::semantics::log::PING_TIMEOUT;
use crate::semantics::refusal::Refusal;
use crate::{Handlers, StreamEvent};

/// The payload of the PING that follows the first GOAWAY.
pub(super) const DRAIN_PING: &[u8; 8] = b"draining";
/// The payload of the PING that checks whether a silent peer still answers.
const SILENCE_PING: &[u8; 8] = b"present?";

impl<S: Handlers> H2Connection<S> {
    /// Sends the first of two GOAWAY frames. This one refuses no stream, because streams that the
    /// client has opened may still be on their way.
    pub(super) fn warn(&mut self, turn: &mut Turn<'_>) {
        if self.goaway_sent == GoAway::No {
            self.goaway_sent = GoAway::Warned;
            turn.out.write_with(|bytes| {
                frame::write_goaway(i32::MAX as u32, ErrorCode::NoError, bytes);
            });
        }
    }

    /// Called when the server stops. Sends the first GOAWAY, if it was not sent before, and a PING.
    /// The client's answer to the PING shows that it has received the GOAWAY. The last GOAWAY is
    /// sent after this answer, or after [`DRAIN_GRACE`] without an answer.
    pub(super) fn start_drain(&mut self, turn: &mut Turn<'_>) {
        self.warn(turn);
        self.timers.goaway = turn.now() + DRAIN_GRACE;
        turn.out.write_with(|bytes| frame::write(kind::PING, flags::NONE, 0, DRAIN_PING, bytes));
    }

    /// Sends the last GOAWAY.
    pub(super) fn send_last_goaway(&mut self, turn: &mut Turn<'_>) {
        self.timers.goaway = Time::NEVER;
        if self.goaway_sent < GoAway::Last {
            self.goaway_sent = GoAway::Last;
            let last = self.last_answered;
            turn.out.write_with(|bytes| frame::write_goaway(last, ErrorCode::NoError, bytes));
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let now = turn.now();
        if self.timers.read_pause <= now {
            // Too many streams were reset, so reading has paused. It goes on now.
            self.timers.read_pause = Time::NEVER;
            turn.resume();
        }
        if self.timers.goaway <= now {
            self.send_last_goaway(turn);
        }
        if self.timers.partial <= now {
            let late = H2Error::protocol("did not complete what it began to send");
            self.fail(late, turn);
            let what = "did not complete a frame or header block in time";
            return Err(Fault::peer(Refusal::HEAD_TIMEOUT.code, what));
        }
        if self.timers.idle <= now && turn.unsent() > 0 {
            // The client is slow, not idle. The engine's write timeout applies.
            self.timers.idle = now + self.connection.config.limits.idle_timeout;
        }
        if self.timers.idle <= now {
            // The last GOAWAY names the last request that was answered. So the client knows that it
            // can repeat a later request, which it may just have sent.
            self.send_last_goaway(turn);
            return Err(Fault::idle(self.config.limits.idle_timeout));
        }
        if self.timers.silence <= now {
            self.streams.shrink();
            self.check_silence(turn)?;
        }
        // Before the deadlines of streams are checked: this may extend them.
        if self.timers.window <= now {
            self.recheck_window(turn);
        }
        if self.timers.streams <= now {
            // A stream's deadline may have passed, or it is time to free the memory of ended
            // streams. `forget` keeps the memory of open streams, so it needs no condition here.
            self.timers.streams = Time::NEVER;
            self.streams.forget();
            self.scheduler.shrink();
            self.for_each_stream(turn, ActiveStream::on_deadline);
        }
        Ok(())
    }

    /// Called from time to time while streams are open. If the peer has sent nothing for
    /// [`PING_AFTER`], sends a PING. If the same time passes again without any input, ends the
    /// connection.
    fn check_silence(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let now = turn.now();
        let due = self.pings.last_input + PING_AFTER;
        if now < due {
            self.timers.silence = due;
        } else if turn.unsent() > 0 {
            // The PING would wait behind this output. The engine's write timeout applies.
            self.timers.silence = now + PING_AFTER;
        } else if mem::replace(&mut self.pings.is_unanswered, true) {
            self.send_last_goaway(turn);
            let what = format!("was silent for {} s after a PING", PING_AFTER.as_secs());
            return Err(Fault::peer(PING_TIMEOUT, what));
        } else {
            self.timers.silence = now + PING_AFTER;
            turn.out
                .write_with(|bytes| frame::write(kind::PING, flags::NONE, 0, SILENCE_PING, bytes));
        }
        Ok(())
    }

    fn on_eof(&mut self, turn: &mut Turn<'_>) {
        self.connection.half_closed = true;
        self.for_each_stream(turn, |active, turn| {
            active.connection.half_closed = true;
            active.stop_discarding();
            if !active.receive.has_ended {
                active.change_tunnel(0, turn, |session| {
                    session.truncate();
                    session.end_of_input(turn);
                });
                active.refuse_content(Refusal::EOF_IN_BODY, turn);
            }
            active.recheck_wait(true, turn);
        });
    }

    fn on_drain(&mut self, turn: &mut Turn<'_>) {
        self.connection.stop = Stop::Drain;
        self.start_drain(turn);
        self.for_each_stream(turn, |active, turn| {
            active.connection.stop = Stop::Drain;
            active.change_tunnel(0, turn, |session| session.drain(turn));
            // What the handler waits for is decided again, now that the server drains.
            active.recheck_wait(true, turn);
        });
    }

    fn on_lame_duck(&mut self, turn: &mut Turn<'_>) {
        self.connection.stop = Stop::LameDuck;
        self.warn(turn);
        self.for_each_stream(turn, |active, turn| {
            active.connection.stop = Stop::LameDuck;
            active.deliver_to_tunnel(Event::LameDuck, turn);
        });
    }

    pub(super) fn handle_event(
        &mut self,
        event: Event<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let id = turn.stream();
        match event {
            Event::Open(_) => self.open(turn),
            Event::Message(ticket, body) => {
                let Some(active) = self.streams.get_mut(id) else { return Ok(()) };
                // The body can't be copied, so either the tunnel (the protocol that runs in the
                // stream after CONNECT) or the handler gets it.
                if active.is_tunnel() {
                    active.deliver_to_tunnel(Event::Message(ticket, body), turn);
                } else {
                    // A message of a remote uses credit. It is given back when the message is
                    // handled and the output has room.
                    let is_from_remote = ticket == Ticket::REMOTE;
                    if is_from_remote {
                        active.stream.start_delivery();
                    }
                    active.deliver(StreamEvent::Message(ticket, body), turn);
                    if is_from_remote {
                        active.stream.end_delivery();
                    }
                }
                self.update_stream(id, turn);
            }
            Event::Woken => {
                if let Some(active) = self.streams.get_mut(id) {
                    // At most one of the two calls delivers the event: `is_responding` is false for
                    // a tunnel, and `deliver_to_tunnel` does nothing for other streams.
                    if active.is_responding() {
                        active.deliver(StreamEvent::Woken, turn);
                    }
                    active.deliver_to_tunnel(Event::Woken, turn);
                    self.update_stream(id, turn);
                }
            }
            Event::Room => {
                self.for_each_stream(turn, |active, _| active.waits_for_connection = false);
            }
            Event::Deadline => self.on_deadline(turn)?,
            Event::Eof { .. } => self.on_eof(turn),
            Event::LameDuck => self.on_lame_duck(turn),
            Event::Drain { .. } => self.on_drain(turn),
            Event::Sent(mark) => {
                if let Some(log) = &mut self.connection.log {
                    log.on_sent(mark, turn.now());
                }
            }
            Event::Closed(reason) => self.on_closed(reason, turn),
            _ => {}
        }
        Ok(())
    }

    fn on_closed(&mut self, reason: &Reason, turn: &Turn<'_>) {
        for active in mem::take(&mut self.streams).iter_mut() {
            active.abort(ErrorCode::Cancel, reason, turn);
        }
        if let Some(log) = &mut self.connection.log {
            log.on_closed(reason, turn);
        }
    }
}
