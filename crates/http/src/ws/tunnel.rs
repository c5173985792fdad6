//! Any protocol inside a WebSocket.

use std::fmt;

use sockeye_proto::driver::NestedSession;
use sockeye_proto::{
    Abandoned, End, Event, Message as Delivery, Protocol, Reason, Ticket, Time, Turn,
};

use super::close::{CloseCode, Closed};
use super::frame::{FrameHeader, Opcode};
use super::handler::Handler;
use super::message::Message;
use super::role::Role;
use super::socket::Socket;

/// Runs a protocol inside a WebSocket: the bytes of received messages are its input, and its output
/// is sent in binary messages. So browsers can speak any protocol. Only for the server's side.
///
/// When the protocol ends its connection, the WebSocket is closed with the code 1000. Exception:
/// after [`End::Finish`], the protocol still reads, so the WebSocket stays open until the peer
/// closes it. After a fault for which the peer is to blame, the code is 1008; after any other
/// fault, or a panic, it is 1011.
pub struct Tunnel {
    inner: Inner,
}

enum Inner {
    /// The WebSocket is not open yet.
    New(Option<Box<dyn Protocol>>),
    /// The protocol, its unused input, and its output that is in no message yet.
    Running(Box<NestedSession>),
}

/// The inner protocol's output is full at this many bytes. While the connection's output has room,
/// the inner output is moved there at once.
const ROOM: usize = 64 * 1024;

/// Maximum size in bytes of a message that a tunnel sends.
const MESSAGE: u64 = 64 * 1024;

impl Tunnel {
    /// Runs `protocol`.
    #[must_use]
    pub fn new(protocol: Box<dyn Protocol>) -> Self {
        Self { inner: Inner::New(Some(protocol)) }
    }

    /// Calls the inner session, then sends what its protocol has written.
    fn call(
        &mut self,
        socket: &mut Socket<'_, '_>,
        call: impl FnOnce(&mut NestedSession, &mut Turn<'_>),
    ) {
        let Inner::Running(session) = &mut self.inner else { return };
        call(session, socket.turn);
        loop {
            while session.unsent() > 0 && !socket.is_closing() && !socket.is_full() {
                let len = session.unsent().min(MESSAGE);
                let header = FrameHeader::whole(Opcode::Binary, len as usize, None);
                let (bytes, count) = header.encode();
                socket.turn.out.write(&bytes[..count]);
                session.move_to(socket.turn.out, len);
            }
            // Moving the output has made room in the inner output, so the protocol may write more.
            if session.has_panicked() || !session.is_progress_due() {
                break;
            }
            session.progress(socket.turn);
        }
        if session.unsent() > 0 && !socket.is_closing() {
            socket.want_room();
        } else if session.has_panicked() {
            socket.close(CloseCode::INTERNAL_ERROR, "");
        } else if let Some(end) = session.end() {
            Self::end(session, end, socket);
        }
        socket.set_held(session.held());
        match session.wants_input() || socket.is_closing() {
            true => socket.resume(),
            false => socket.pause(),
        }
    }

    /// Called when the inner protocol has failed or chosen how to end its connection (`end`), and
    /// either its whole output was moved to that of the WebSocket, or the WebSocket is closing.
    /// Closes the WebSocket, unless the protocol still reads.
    fn end(session: &NestedSession, end: End, socket: &mut Socket<'_, '_>) {
        match session.reason() {
            Some(Reason::Fault(fault)) if fault.blame == sockeye_proto::Blame::Peer => {
                socket.close(CloseCode::POLICY_VIOLATION, &fault.what);
            }
            Some(_) => socket.close(CloseCode::INTERNAL_ERROR, ""),
            // The protocol still reads: the WebSocket stays open, as it has no half-closed state.
            None if end == End::Finish && !session.has_input_ended() => {}
            None => socket.close(CloseCode::NORMAL, ""),
        }
    }
}

impl Handler for Tunnel {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        debug_assert_eq!(socket.state.role(), Role::Server, "frames are sent without a mask");
        if let Inner::New(protocol) = &mut self.inner
            && let Some(protocol) = protocol.take()
        {
            self.inner = Inner::Running(Box::new(NestedSession::new(protocol, ROOM, socket.turn)));
            self.call(socket, |session, turn| session.open(turn));
        }
    }

    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        self.call(socket, |session, turn| session.input(message.bytes(), turn));
    }

    fn on_delivery(
        &mut self,
        ticket: Ticket,
        delivery: Result<Delivery, Abandoned>,
        socket: &mut Socket<'_, '_>,
    ) {
        let event = Event::Message(ticket, delivery);
        self.call(socket, |session, turn| session.deliver(event, turn));
    }

    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        self.call(socket, |session, turn| session.deliver(Event::Woken, turn));
    }

    fn on_room(&mut self, socket: &mut Socket<'_, '_>) {
        self.call(socket, |session, turn| session.progress(turn));
    }

    fn deadline(&self) -> Option<Time> {
        match &self.inner {
            Inner::Running(session) => Some(session.deadline()),
            Inner::New(_) => None,
        }
    }

    fn on_deadline(&mut self, socket: &mut Socket<'_, '_>) {
        self.call(socket, |session, turn| session.check_deadline(turn));
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, '_>) {
        self.call(socket, |session, turn| session.drain(turn));
    }

    fn on_close(&mut self, closed: Closed<'_>, socket: &mut Socket<'_, '_>) {
        let Inner::Running(session) = &mut self.inner else { return };
        if closed.code != CloseCode::ABNORMAL {
            session.end_of_input(socket.turn);
        }
        let reason = match session.end() {
            Some(_) => None,
            None if closed.code == CloseCode::ABNORMAL => Some(Reason::Reset),
            None => Some(Reason::PeerClosed),
        };
        let panicked = "panicked while it spoke another protocol in a WebSocket";
        session.close_and_report(reason.as_ref(), panicked, socket.turn);
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}
