//! Streams that switch to another protocol (RFC 8441): calls into that protocol. A [`Tunnel`] holds
//! its session: the protocol with its unused input and its output.
//!
//! The parameter `outer` is the turn (the current call) of the HTTP/2 connection that has the
//! stream.

use std::mem;

use sockeye_proto::driver::NestedSession;
use sockeye_proto::{Event, Turn};

use super::stream::{ActiveStream, State};
use super::tunnel::Tunnel;
use crate::Handler;
use crate::h2::exchange::H2Exchange;
use crate::h2::frame::ErrorCode;
use crate::handling::in_flight::InFlight;

impl<H: Handler> ActiveStream<H> {
    /// The handler has answered with an upgrade: opens the session of the other protocol.
    pub(super) fn start_tunnel(&mut self, outer: &Turn<'_>) {
        let Some(session) = NestedSession::in_stream(&mut self.stream, outer) else { return };
        if let Some(log) = &mut self.connection.log {
            log.on_protocol_switch(&self.stream.turn(outer));
        }
        // This state is replaced below.
        let wire = match mem::replace(&mut self.state, State::Failed(ErrorCode::InternalError)) {
            State::InFlight(InFlight { wire, .. }) => wire,
            _ => H2Exchange::default(),
        };
        self.state = State::Tunnel(Box::new(Tunnel::new(session, wire)));
        let (unread, has_ended) = (self.receive.take_unread(), self.receive.has_ended);
        self.change_tunnel(unread.len(), outer, |session| {
            session.open(outer);
            session.input(&unread, outer);
            if has_ended {
                session.end_of_input(outer);
            }
        });
    }

    /// Whether the stream has switched to another protocol.
    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self.state, State::Tunnel(_))
    }

    /// Whether both sides of a tunnel have ended.
    pub(super) fn is_closed_tunnel(&self) -> bool {
        matches!(&self.state, State::Tunnel(tunnel) if tunnel.is_closed())
    }

    /// If the stream is a tunnel, runs `call`, which calls the session and passes `received` bytes
    /// of input to it. [`Tunnel::change`] says when the stream is reset afterwards. If the end of
    /// this side was sent, and the protocol reads nothing more, ends the session, and discards what
    /// the client sends from now on.
    pub(super) fn change_tunnel(
        &mut self,
        received: usize,
        outer: &Turn<'_>,
        call: impl FnOnce(&mut NestedSession),
    ) {
        let State::Tunnel(tunnel) = &mut self.state else { return };
        let parts = (&mut *self.stream, &mut self.receive);
        if let Some(code) = tunnel.change(parts, received, outer, call) {
            self.state = State::Failed(code);
        } else if tunnel.has_only_input_left() && !tunnel.reads_on() {
            tunnel.close(None, outer);
            tunnel.discard_unused(&mut self.receive);
            self.discard_request(outer.now());
        }
    }

    /// Some of the tunnel's output was moved to the connection: moves more output of the protocol
    /// into the stream, and lets the protocol continue.
    pub(super) fn continue_tunnel(&mut self, outer: &Turn<'_>) {
        let Self { stream, state: State::Tunnel(tunnel), .. } = self else { return };
        tunnel.session.move_to_stream(stream);
        self.change_tunnel(0, outer, |session| session.progress(outer));
    }

    /// Passes an event to the tunnel's session, if the stream is a tunnel.
    pub(super) fn deliver_to_tunnel(&mut self, event: Event<'_>, outer: &Turn<'_>) {
        self.change_tunnel(0, outer, |session| session.deliver(event, outer));
    }

    /// To be called when this side of the tunnel has ended, and all its output is moved to the
    /// connection.
    pub(super) fn end_tunnel(&mut self, outer: &Turn<'_>) {
        let State::Tunnel(tunnel) = &mut self.state else { return };
        tunnel.note_end();
        self.continue_tunnel(outer);
    }
}
