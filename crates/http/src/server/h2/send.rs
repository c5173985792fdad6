//! Moves the output of streams to the connection's output, and acts on changes of streams.

use sockeye_proto::{Time, Turn};

use super::connection::H2Connection;
use super::error::H2Error;
use super::limits::{QUANTUM, STREAM_WINDOW};
use super::stream::{ActiveStream, State};
use crate::Handlers;
use crate::h2::frame::{self, ErrorCode};
use crate::handling::in_flight::InFlight;
use crate::semantics::exchange::Incoming;

impl<S: Handlers> H2Connection<S> {
    /// Moves the output of streams to the connection's output, while the connection's output has
    /// room.
    pub(super) fn send(&mut self, turn: &mut Turn<'_>) -> Result<(), H2Error> {
        while !self.scheduler.is_empty() {
            if self.is_full(turn) {
                turn.want_room();
                return Ok(());
            }
            let Some(id) = self.scheduler.pop() else { break };
            self.send_stream(id, turn)?;
        }
        Ok(())
    }

    /// Moves the header blocks that are due, and at most [`QUANTUM`] bytes of a stream's content.
    fn send_stream(&mut self, id: u32, turn: &mut Turn<'_>) -> Result<(), H2Error> {
        let Self { streams, sender, budgets, scheduler, .. } = self;
        let Some(active) = streams.get_mut(id) else { return Ok(()) };
        active.is_queued = false;
        let ActiveStream { stream, state, send_window, sends_small, .. } = active;
        let (wire, is_whole) = match state {
            State::InFlight(InFlight { wire, .. }) => (wire, false),
            State::Sending(wire) => (wire, true),
            State::Tunnel(tunnel) => {
                let is_ending = tunnel.is_ending();
                (&mut tunnel.wire, is_ending)
            }
            State::Discarding { .. } | State::Failed(_) => return Ok(()),
        };
        // What is moved depends on the window, on whether the stream's output holds the rest of the
        // response, and on whether the stream has waited long enough to send fewer than `SMALL`
        // bytes.
        let limits = (send_window, is_whole, *sends_small);
        let moved = sender.move_frames(stream, wire, limits, QUANTUM, (budgets, turn))?;
        if moved.is_complete {
            self.complete(id, turn);
            return Ok(());
        }
        if active.is_tunnel() {
            active.continue_tunnel(turn);
        } else if active.stream.take_room() {
            active.on_room(turn);
        }
        if active.is_sendable(sender) {
            active.is_queued = true;
            scheduler.push(id, active.priority);
        } else if active.is_room_due() {
            // The handler, or the tunnel's protocol, was told that there is room, and asked for
            // room again without writing anything. It is told again when the connection has sent
            // something: telling it at once could repeat without end.
            active.waits_for_connection = true;
            turn.want_room();
        }
        active.note_progress(moved.has_written, turn.now());
        self.update_stream(id, turn);
        Ok(())
    }

    /// Called when the whole response of a stream, or all output of a tunnel that ends, was moved.
    /// Ends the stream. If the peer's side has not ended, first discards the rest of the request,
    /// or lets the tunnel read on.
    pub(super) fn complete(&mut self, id: u32, turn: &mut Turn<'_>) {
        // For each complete response, the client may reset one more stream.
        self.budgets.on_response();
        let Some(active) = self.streams.get_mut(id) else { return };
        if active.is_tunnel() {
            active.end_tunnel(turn);
            return self.update_stream(id, turn);
        }
        if let Some(log) = &mut active.connection.log
            && let Some(all) = &mut self.connection.log
        {
            // Moves the stream's log entry back to the connection's log.
            all.adopt(log, turn.mark());
        }
        if active.receive.has_ended {
            self.drop_stream(id);
        } else {
            active.discard_request(turn.now());
            self.update_stream(id, turn);
        }
    }

    /// Called after a stream has changed. Resets a stream that has failed, and removes a tunnel
    /// that is closed. Otherwise enlarges the receive windows of the stream and the connection, if
    /// that is due, and queues the stream if it has something to send or its handler is to be told
    /// that the output has room.
    pub(super) fn update_stream(&mut self, id: u32, turn: &mut Turn<'_>) {
        let Self { streams, scheduler, sender, timers, unread, held, .. } = self;
        let Some(active) = streams.get_mut(id) else { return };
        let (counted_before, counts) = active.count_unread();
        *unread = *unread + counts - counted_before;
        if let State::Failed(code) = active.state {
            return self.reset(id, code, turn);
        }
        if active.is_closed_tunnel() {
            return self.drop_stream(id);
        }
        let increment = match &active.state {
            State::InFlight(in_flight) => {
                let is_read = matches!(in_flight.exchange.incoming, Incoming::Reading { .. });
                active.receive.take_increment(is_read)
            }
            State::Tunnel(_) => active.receive.take_increment(true),
            State::Discarding { .. } => active.receive.take_increment(false),
            _ => 0,
        };
        if increment > 0 {
            turn.out.write_with(|bytes| frame::write_window_update(id, increment, bytes));
        }
        let needs_room = active.is_room_due() && !active.waits_for_connection;
        if !active.is_queued && (needs_room || active.is_sendable(sender)) {
            active.is_queued = true;
            scheduler.push(id, active.priority);
        }
        active.note_progress(false, turn.now());
        // The memory of the stream counts in the connection's.
        let now_held = active.held();
        *held = *held + now_held - std::mem::replace(&mut active.counted, now_held);
        timers.streams = timers.streams.min(active.deadline());
        self.enlarge_window(turn);
    }

    /// Sends RST_STREAM and removes the stream. If a request was in flight on it, the caller has
    /// aborted the request.
    pub(super) fn reset(&mut self, id: u32, code: ErrorCode, turn: &mut Turn<'_>) {
        let window = match self.streams.get_mut(id) {
            Some(active) => active.receive.window(),
            None => STREAM_WINDOW,
        };
        self.drop_stream(id);
        self.streams.add_reset(id, window);
        turn.out.write_with(|bytes| frame::write_reset(id, code, bytes));
        self.enlarge_window(turn);
    }

    /// Removes a stream that is complete or aborted.
    pub(super) fn drop_stream(&mut self, id: u32) {
        if let Some(active) = self.streams.remove(id) {
            let ActiveStream { stream, receive, is_queued, counted, .. } = active;
            self.held -= counted;
            self.unread -= receive.counted();
            if is_queued {
                self.scheduler.remove(id);
            }
            self.config.take_back_stream(stream);
        }
    }

    /// Calls [`Self::update_stream`] for each stream.
    pub(super) fn update_streams(&mut self, turn: &mut Turn<'_>) {
        self.for_each_stream(turn, |_, _| {});
    }

    /// Calls `act` and then [`Self::update_stream`] for each stream.
    pub(super) fn for_each_stream(
        &mut self,
        turn: &mut Turn<'_>,
        act: impl Fn(&mut ActiveStream<S::Handler>, &Turn<'_>),
    ) {
        let mut from = 0;
        while let Some(id) = self.streams.next_from(from) {
            if let Some(active) = self.streams.get_mut(id) {
                act(active, turn);
            }
            self.update_stream(id, turn);
            from = id + 1;
        }
        if self.streams.is_empty() {
            self.timers.streams = Time::NEVER;
        }
    }
}
