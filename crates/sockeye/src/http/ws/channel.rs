//! WebSockets whose messages a thread receives.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sockeye_http::ws::{CloseCode, Closed, Handler, Message, Sender, SharedMessage, Socket};
use sockeye_proto::Remote;

/// While this many messages wait for a [`Receiver`], nothing is read from the peer.
const MAX_MESSAGES: usize = 16;
/// While messages of this many bytes wait for a [`Receiver`], nothing is read from the peer.
const MAX_BYTES: usize = 256 * 1024;

/// Receives the messages of a WebSocket of [`channel`](super::channel()), on any thread.
///
/// While 16 messages or 256 KiB of messages wait for the receiver, nothing is read from the peer.
/// When the receiver is dropped, the WebSocket is closed with the code 1000 (normal closure).
pub struct Receiver {
    queue: Arc<Queue>,
    remote: Remote,
}

/// The messages that wait for a [`Receiver`]. It shares them with its [`ChannelHandler`].
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    /// Notified after a message has arrived, or the WebSocket was closed.
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    messages: VecDeque<SharedMessage>,
    /// The number of bytes in `messages`.
    bytes: usize,
    /// The queue was full, so nothing is read from the peer until the receiver has made room.
    is_paused: bool,
    /// The receiver was dropped.
    has_no_receiver: bool,
    /// The result of [`Receiver::closed`].
    closed: Option<(CloseCode, String)>,
}

impl QueueState {
    fn is_full(&self) -> bool {
        self.messages.len() >= MAX_MESSAGES || self.bytes >= MAX_BYTES
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.lock().closed.get_or_insert_with(|| (code, reason.to_owned()));
        self.changed.notify_all();
    }
}

impl Receiver {
    /// Waits for the next message. `None`: the WebSocket is closed.
    ///
    /// This blocks: never call it on an event loop.
    #[must_use]
    pub fn recv(&self) -> Option<SharedMessage> {
        let mut state = self.queue.lock();
        loop {
            if let Some(message) = self.take(&mut state) {
                return Some(message);
            }
            if state.closed.is_some() {
                return None;
            }
            state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next message, if there is one already.
    #[must_use]
    pub fn try_recv(&self) -> Option<SharedMessage> {
        self.take(&mut self.queue.lock())
    }

    /// Takes the first message. Wakes the handler if that has made room in a full queue.
    fn take(&self, state: &mut QueueState) -> Option<SharedMessage> {
        let message = state.messages.pop_front()?;
        state.bytes -= message.bytes().len();
        if state.is_paused && !state.is_full() {
            self.remote.wake();
        }
        Some(message)
    }

    /// The code and the reason with which the WebSocket was closed, as in [`Closed`]. `None` while
    /// it is open. Messages that arrived before the close can still be received.
    #[must_use]
    pub fn closed(&self) -> Option<(CloseCode, String)> {
        self.queue.lock().closed.clone()
    }
}

/// Receives each message until the WebSocket is closed. This blocks, as [`Receiver::recv`] does.
impl Iterator for Receiver {
    type Item = SharedMessage;

    fn next(&mut self) -> Option<SharedMessage> {
        self.recv()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.has_no_receiver = true;
        state.messages.clear();
        state.bytes = 0;
        drop(state);
        self.remote.wake();
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// Puts messages into the queue of a [`Receiver`].
pub(super) struct ChannelHandler<F> {
    queue: Arc<Queue>,
    start: Option<F>,
}

impl<F> ChannelHandler<F> {
    pub(super) fn new(start: F) -> Self {
        Self { queue: Arc::default(), start: Some(start) }
    }
}

impl<F: FnOnce(Receiver, Sender)> Handler for ChannelHandler<F> {
    fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
        if let Some(start) = self.start.take() {
            let receiver = Receiver { queue: Arc::clone(&self.queue), remote: socket.remote() };
            start(receiver, socket.sender());
        }
    }

    fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
        let mut state = self.queue.lock();
        if state.has_no_receiver {
            return;
        }
        state.bytes += message.bytes().len();
        state.messages.push_back(message.into());
        if state.is_full() {
            state.is_paused = true;
            socket.pause();
        }
        socket.set_held(state.bytes);
        drop(state);
        self.queue.changed.notify_one();
    }

    /// Called after the receiver has made room or was dropped.
    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        let mut state = self.queue.lock();
        socket.set_held(state.bytes);
        if state.has_no_receiver {
            socket.close(CloseCode::NORMAL, "");
        } else if state.is_paused && !state.is_full() {
            state.is_paused = false;
            socket.resume();
        }
    }

    fn on_close(&mut self, closed: Closed<'_>, _: &mut Socket<'_, '_>) {
        self.queue.close(closed.code, closed.reason);
    }
}

impl<F> Drop for ChannelHandler<F> {
    fn drop(&mut self) {
        self.queue.close(CloseCode::ABNORMAL, "the connection ended");
    }
}
