//! What answers the messages of a WebSocket.

use sockeye_proto::{Abandoned, Message as Delivery, Ticket, Time};

use super::close::{CloseCode, Closed};
use super::message::Message;
use super::socket::Socket;

/// Answers the messages of one WebSocket, on the event loop: don't block. Closures
/// `FnMut(Message<'_>, &mut Socket<'_, '_>)` implement this trait.
///
/// After [`Handler::on_close`], the handler gets no further call. It is dropped with the
/// connection. If a call panics, the WebSocket is closed with 1011, and the handler gets no further
/// call, not even of [`Handler::on_close`].
pub trait Handler {
    /// The WebSocket is open.
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        let _ = socket;
    }

    /// A message has arrived.
    ///
    /// While the output is full ([`Socket::is_full`]), nothing is read: the next message is
    /// delivered after the peer has received some of the output. To delay the next message for
    /// another reason, such as a job, call [`Socket::pause`].
    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>);

    /// A promise of [`Socket::promise`] was fulfilled or abandoned, work of [`Socket::run`] is
    /// done, or a remote of [`Socket::remote`] (a handle for other threads) has sent a message,
    /// whose ticket is [`Ticket::REMOTE`]. While the output is full, at most
    /// [`Remote::MESSAGES`](sockeye_proto::Remote::MESSAGES) messages of remotes are delivered.
    fn on_delivery(
        &mut self,
        ticket: Ticket,
        delivery: Result<Delivery, Abandoned>,
        socket: &mut Socket<'_, '_>,
    ) {
        let _ = (ticket, delivery, socket);
    }

    /// [`Remote::wake`](sockeye_proto::Remote::wake) was called on a remote of [`Socket::remote`].
    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        let _ = socket;
    }

    /// The output has room. Called once after [`Socket::want_room`].
    ///
    /// Default: calls [`Handler::on_woken`], to continue what the full output interrupted there.
    fn on_room(&mut self, socket: &mut Socket<'_, '_>) {
        self.on_woken(socket);
    }

    /// When [`Handler::on_deadline`] is called. `None`: never. The connection asks again after each
    /// call of the handler, so the answer may change.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// The time of [`Handler::deadline`] has come.
    fn on_deadline(&mut self, socket: &mut Socket<'_, '_>) {
        let _ = socket;
    }

    /// The server is stopping. The WebSocket must be closed within the server's drain timeout.
    ///
    /// Default: closes with 1001.
    fn on_drain(&mut self, socket: &mut Socket<'_, '_>) {
        socket.close(CloseCode::GOING_AWAY, "");
    }

    /// The WebSocket is closed, by either side, or the connection has ended.
    fn on_close(&mut self, closed: Closed<'_>, socket: &mut Socket<'_, '_>) {
        let _ = (closed, socket);
    }
}

impl<F: FnMut(Message<'_>, &mut Socket<'_, '_>)> Handler for F {
    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        self(message, socket);
    }
}
