//! Messages from other threads.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sockeye_proto::{Message, Promise, Remote, SendError, Ticket};

use super::close::CloseCode;
use super::message::SharedMessage;

/// Sends messages over one WebSocket, from any thread.
///
/// A peer that reads slowly slows the sender down: at most 16 messages wait. A message waits until
/// the event loop has taken it and the output is not full.
#[derive(Clone, Debug)]
pub struct Sender {
    remote: Remote,
    closer: Arc<Closer>,
}

/// Closes a WebSocket for all its senders, with a promise: unlike a [`Remote`], a promise can send
/// its only message even while 16 messages wait.
#[derive(Debug)]
pub(super) struct Closer {
    /// The promise's ticket, which identifies the WebSocket.
    pub(super) ticket: Ticket,
    promise: Mutex<Option<Promise>>,
}

impl Closer {
    pub(super) fn new(promise: Promise) -> Self {
        Self { ticket: promise.ticket(), promise: Mutex::new(Some(promise)) }
    }
}

/// What a [`Sender`] has sent.
pub(super) struct Sent {
    /// The ticket of the sender's [`Closer`]. It identifies the sender's WebSocket. If that runs
    /// inside another WebSocket, the other one gets this first, and passes it on, since the ticket
    /// isn't its own.
    pub(super) closer: Ticket,
    pub(super) action: Action,
}

/// What a WebSocket does for a [`Sender`].
pub(super) enum Action {
    Send(SharedMessage),
    Close(CloseCode, String),
}

impl Sender {
    pub(super) fn new(remote: Remote, closer: Arc<Closer>) -> Self {
        Self { remote, closer }
    }

    fn message(&self, message: SharedMessage) -> Message {
        Box::new(Sent { closer: self.closer.ticket, action: Action::Send(message) })
    }

    /// Sends a message. Blocks while 16 messages wait. After a close frame was sent or received,
    /// the message is dropped without an error. The handler learns of the close in
    /// [`Handler::on_close`](super::Handler::on_close).
    ///
    /// # Errors
    ///
    /// [`Gone`] if the connection has ended.
    ///
    /// # Panics
    ///
    /// If the call would block the thread of an event loop. Use [`Sender::try_send`] there.
    pub fn send(&self, message: impl Into<SharedMessage>) -> Result<(), Gone> {
        match self.remote.send(self.message(message.into())) {
            Ok(()) => Ok(()),
            Err(SendError::OnEventLoop(sent)) => match self.remote.try_send(sent) {
                Ok(()) => Ok(()),
                Err(SendError::Full(_)) => {
                    panic!("Sender::send would block an event loop: use Sender::try_send")
                }
                Err(_) => Err(Gone),
            },
            Err(_) => Err(Gone),
        }
    }

    /// Sends a message, or fails if that would block. To be able to try again, pass a clone of a
    /// [`SharedMessage`], which is cheap.
    ///
    /// # Errors
    ///
    /// [`TrySendError`]: 16 messages wait, or the connection has ended.
    pub fn try_send(&self, message: impl Into<SharedMessage>) -> Result<(), TrySendError> {
        self.remote.try_send(self.message(message.into())).map_err(|error| match error {
            SendError::Full(_) => TrySendError::Full,
            SendError::Gone(_) | SendError::OnEventLoop(_) => TrySendError::Gone,
        })
    }

    /// Closes the WebSocket, after what was sent before: see
    /// [`Socket::close`](super::Socket::close). Never blocks, however many messages wait. Of all
    /// calls on all senders of the WebSocket, only the first has an effect.
    pub fn close(&self, code: CloseCode, reason: &str) {
        let Closer { ticket, promise } = &*self.closer;
        let promise = promise.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(promise) = promise {
            let action = Action::Close(code, reason.to_owned());
            promise.fulfill(Box::new(Sent { closer: *ticket, action }));
        }
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.remote.is_gone()
    }
}

/// The connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the WebSocket is closed")
    }
}

impl std::error::Error for Gone {}

/// Why [`Sender::try_send`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySendError {
    /// 16 messages wait already.
    Full,
    /// The connection has ended.
    Gone,
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("too many messages wait to be sent"),
            Self::Gone => Gone.fmt(f),
        }
    }
}

impl std::error::Error for TrySendError {}
