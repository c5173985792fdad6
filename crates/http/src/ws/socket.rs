//! What a handler can do with its WebSocket.

use sockeye_proto::{Job, Peer, Promise, Remote, Ticket, Time, Turn, WallTime};

use super::close::CloseCode;
use super::config::Config;
use super::message::{Message, SharedMessage};
use super::sender::Sender;
use super::state::State;

/// A WebSocket, during a call of its handler.
///
/// After a close frame was sent or received, further messages are dropped instead of sent.
#[derive(Debug)]
pub struct Socket<'s, 't> {
    pub(super) turn: &'s mut Turn<'t>,
    pub(super) state: &'s mut State,
    pub(super) config: &'s Config,
}

impl Socket<'_, '_> {
    /// Sends a message, text or bytes, in one frame.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) {
        let message = message.into();
        self.state.send_message(message, self.config, self.turn);
    }

    /// Sends a message that other WebSockets may send, too. The output of a server shares the bytes
    /// of the message, unless the frame has at most 1 KiB or is compressed: then they are copied. A
    /// client always copies them, because it masks each message with another key.
    pub fn send_shared(&mut self, message: &SharedMessage) {
        self.state.send_shared(message, self.config, self.turn);
    }

    /// Closes the WebSocket: sends a close frame, and drops messages from the peer until its close
    /// frame arrives. The peer has [`Limits::close_timeout`](super::Limits::close_timeout) to send
    /// it. A code that may not be sent is replaced by 1011, and a reason of more than 123 bytes is
    /// cut.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.state.close(code, reason, self.config.limits(), self.turn);
    }

    /// Whether a close frame was sent or received, so that no more messages can be sent.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !self.state.is_open()
    }

    /// Whether the output has reached its limit: see [`Turn::is_full`]. A handler that sends more
    /// than one answer per message checks this before it sends the next message.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.turn.is_full()
    }

    /// Bytes that were written and are not sent yet: see [`Turn::unsent`].
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.turn.unsent()
    }

    /// Asks for one call of [`Handler::on_room`](super::Handler::on_room), when the output is a
    /// quarter full or less.
    pub fn want_room(&mut self) {
        self.state.wants_room = true;
        self.turn.want_room();
    }

    /// Stops reading, even close frames, until [`Socket::resume`] or [`Socket::close`].
    pub fn pause(&mut self) {
        self.state.is_paused = true;
    }

    /// Ends a pause.
    pub fn resume(&mut self) {
        if std::mem::take(&mut self.state.is_paused) {
            self.state.restart_pong_timeout(self.turn.now(), self.config.limits());
            self.turn.resume();
        }
    }

    /// Sets how many bytes the handler holds for this WebSocket, such as messages that wait for a
    /// thread. They count toward the memory that connections of the peer's address may hold, as
    /// output does. The number need not be exact. Default: 0.
    pub fn set_held(&mut self, bytes: usize) {
        self.state.held_by_handler = bytes;
    }

    /// A handle that sends messages from any thread.
    #[must_use]
    pub fn sender(&mut self) -> Sender {
        Sender::new(self.turn.remote(), self.state.closer(self.turn))
    }

    /// A handle that notifies the handler from any thread: see
    /// [`Handler::on_woken`](super::Handler::on_woken) and
    /// [`Handler::on_delivery`](super::Handler::on_delivery).
    #[must_use]
    pub fn remote(&mut self) -> Remote {
        self.turn.remote()
    }

    /// A promise of one call of [`Handler::on_delivery`](super::Handler::on_delivery), to be
    /// fulfilled by any thread.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.turn.promise()
    }

    /// Runs `work`, which may block, on another thread. The returned ticket identifies the result
    /// in [`Handler::on_delivery`](super::Handler::on_delivery): see [`Turn::run`]. Messages that
    /// arrive meanwhile are delivered, unless the handler pauses. The job is charged to the peer of
    /// the connection, and not to the client that a trusted proxy names.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Ticket {
        self.turn.run(work)
    }

    /// Runs `job` on another thread.
    ///
    /// # Errors
    ///
    /// As for [`Turn::spawn`].
    pub fn spawn(&self, job: Job) -> Result<(), Job> {
        self.turn.spawn(job)
    }

    /// The time of this call, on the event loop's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.turn.now()
    }

    /// The time of day.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        self.turn.wall()
    }

    /// The peer of this connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.turn.peer()
    }
}
