//! WebSockets whose messages a thread receives.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sockeye_http::ws::{CloseCode, Closed, Handler, Message, Sender, SharedMessage, Socket};
use sockeye_proto::Remote;

/// While this many messages wait for a [`Receiver`], nothing is read from the peer.
const MAX_MESSAGES: usize = 16;
/// While messages of this many bytes in total wait for a [`Receiver`], nothing is read from the
/// peer.
const MAX_BYTES: usize = 256 * 1024;
/// Messages that wait are charged to the client, against its share of memory, in steps of this many
/// bytes. So the event loop is not woken for each small message that the receiver takes.
const CHARGE_STEP: usize = 16 * 1024;

/// Receives the messages of a WebSocket of [`channel`](super::channel()), on any thread.
///
/// While 16 messages or 256 KiB of messages wait for the receiver, nothing is read from the peer.
/// When the receiver is dropped, the WebSocket is closed with the code 1000 (normal closure).
pub struct Receiver {
    queue: Arc<Queue>,
    remote: Remote,
}

/// The messages that wait for a [`Receiver`]. Its [`ChannelHandler`] puts them here.
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
    /// The number of bytes that the client is charged for: a multiple of [`CHARGE_STEP`].
    charged: usize,
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

    /// Charges the client for the messages that the queue holds now.
    fn charge(&mut self, socket: &mut Socket<'_, '_>) {
        self.charged = self.bytes / CHARGE_STEP * CHARGE_STEP;
        socket.set_held(self.charged);
    }

    /// Whether the client is charged for at least [`CHARGE_STEP`] bytes more than the queue holds.
    fn is_overcharged(&self) -> bool {
        self.charged >= self.bytes + CHARGE_STEP
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
    /// Waits for the next message. `None`: the WebSocket is closed, and no message is left.
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

    /// Takes the first message. Wakes the handler if the queue was full and has room now, or if the
    /// client is charged for too much.
    fn take(&self, state: &mut QueueState) -> Option<SharedMessage> {
        let message = state.messages.pop_front()?;
        state.bytes -= message.bytes().len();
        if (state.is_paused && !state.is_full()) || state.is_overcharged() {
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
        state.charge(socket);
        drop(state);
        self.queue.changed.notify_one();
    }

    /// Called after the receiver was dropped, or when `Receiver::take` has woken this handler.
    fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
        let mut state = self.queue.lock();
        state.charge(socket);
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use sockeye_http::ws::{Config, Connection, FrameHeader, Opcode};
    use sockeye_proto::harness::Harness;

    use super::*;

    /// Counts how often the event loop is woken.
    struct Counted<H> {
        handler: H,
        wake_ups: Rc<Cell<u32>>,
    }

    impl<H: Handler> Handler for Counted<H> {
        fn on_open(&mut self, socket: &mut Socket<'_, '_>) {
            self.handler.on_open(socket);
        }

        fn on_message(&mut self, message: Message<'_>, socket: &mut Socket<'_, '_>) {
            self.handler.on_message(message, socket);
        }

        fn on_woken(&mut self, socket: &mut Socket<'_, '_>) {
            self.wake_ups.set(self.wake_ups.get() + 1);
            self.handler.on_woken(socket);
        }
    }

    struct Scene {
        client: Harness,
        receiver: Receiver,
        wake_ups: Rc<Cell<u32>>,
    }

    impl Scene {
        fn new() -> Self {
            let (opened, wake_ups) = (Rc::new(RefCell::new(None)), Rc::<Cell<u32>>::default());
            let start = {
                let opened = Rc::clone(&opened);
                move |receiver, _| *opened.borrow_mut() = Some(receiver)
            };
            let handler =
                Counted { handler: ChannelHandler::new(start), wake_ups: Rc::clone(&wake_ups) };
            let config = Rc::new(Config::new(super::super::Limits::default()));
            let client = Harness::new(Connection::server(config, handler));
            let receiver = opened.take().unwrap();
            Self { client, receiver, wake_ups }
        }

        /// The client sends a message of `len` zeros.
        fn send(&mut self, len: usize) {
            let (header, used) = FrameHeader::whole(Opcode::Binary, len, Some([0; 4])).encode();
            self.client.input(&[&header[..used], &vec![0; len]].concat());
        }

        /// The receiver takes a message. If this wakes the handler, the handler is called.
        fn take(&mut self) {
            assert!(self.receiver.try_recv().is_some());
            self.client.deliver();
        }
    }

    #[test]
    fn messages_that_the_receiver_has_taken_are_not_charged() {
        let mut scene = Scene::new();
        for len in [200_000, 40_000, 20_000] {
            scene.send(len);
            assert!(scene.client.charged() > len - CHARGE_STEP);
            scene.take();
            assert_eq!(scene.client.charged(), 0, "after a message of {len} bytes");
        }
        // Several messages wait, which fill the queue.
        for _ in 0..8 {
            scene.send(60_000);
        }
        assert!(scene.client.charged() >= 240_000);
        for left in (0..8).rev() {
            scene.take();
            assert!(scene.client.charged() <= left * 60_000, "while {left} messages wait");
        }
    }

    #[test]
    fn taking_a_small_message_does_not_wake_the_event_loop() {
        const SMALL: usize = CHARGE_STEP / 10;
        let mut scene = Scene::new();
        for _ in 0..1000 {
            scene.send(SMALL);
            scene.take();
        }
        assert_eq!(scene.wake_ups.get(), 0);
        // The event loop isn't woken either while the bytes that wait vary between slightly less
        // and slightly more than `CHARGE_STEP`.
        for _ in 0..10 {
            scene.send(SMALL);
        }
        for _ in 0..1000 {
            scene.send(SMALL);
            scene.take();
        }
        assert_eq!(scene.wake_ups.get(), 0);
    }
}
