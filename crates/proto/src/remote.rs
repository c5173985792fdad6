//! How other threads and other connections reach a protocol: promises, messages and wake-ups.
//!
//! A protocol gets a [`Promise`] from its [`Turn`](crate::Turn), and gives it to the thread that
//! does some work. When the promise is fulfilled, or dropped (say, because the work panicked), the
//! protocol gets [`Event::Message`](crate::Event::Message) with the promise's [`Ticket`].
//!
//! A [`Remote`] can be cloned, and used any number of times:
//!
//! | | carries | if the protocol is slow |
//! |---|---|---|
//! | [`Remote::send`] | a message | waits (on an event loop, it always fails) |
//! | [`Remote::try_send`] | a message | fails if [`Remote::MESSAGES`] messages wait |
//! | [`Remote::wake`] | nothing | does nothing if a wake-up waits |
//!
//! Use messages for one sender that can wait, such as a thread that produces a stream. To send the
//! same to many connections, or to send from an event loop, write to a bounded queue that both
//! sides share, and wake the readers. Each reader keeps its own position in the queue, and reads on
//! while its output has room, so a slow peer costs one position and one full output. The example
//! `chat` does this.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The number of a connection in its worker (event loop). The code that runs the connection's
/// session (its protocol, input and output) chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub u64);

/// The number of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// The ticket of all messages of a [`Remote`].
    pub const REMOTE: Self = Self(0);
}

/// Any value that can be sent to another thread. The receiving protocol knows its type.
pub type Message = Box<dyn Any + Send>;

/// The error of a promise that was dropped: its work panicked, or was refused or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned;

/// A message or wake-up for a connection.
pub struct Envelope {
    /// The connection.
    pub to: Key,
    /// Which stream of its protocol; 0 for the connection itself.
    pub(crate) stream: u32,
    pub(crate) content: Delivery,
}

/// What an [`Envelope`] carries.
pub(crate) enum Delivery {
    /// A promise was fulfilled or abandoned.
    Settled(Ticket, Result<Message, Abandoned>),
    /// A remote sent a message, which took [`Credit`]. The session gives the credit back.
    Sent(Message),
    /// A remote woke the connection.
    Wake(Arc<Credit>),
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("to", &self.to).field("content", &self.content).finish()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled(ticket, _) => f.debug_tuple("Settled").field(ticket).finish(),
            Self::Sent(_) => f.write_str("Sent"),
            Self::Wake(_) => f.write_str("Wake"),
        }
    }
}

/// The sending side of a worker's mailbox, for any thread.
pub trait MailboxSender: Send + Sync {
    /// Queues an envelope. Never fails: promises and credits limit how many there are.
    fn send(&self, envelope: Envelope);

    /// Whether the calling thread runs an event loop, and must not wait.
    fn is_on_event_loop(&self) -> bool;
}

/// Sends a protocol one message, from any thread. A promise that is dropped sends [`Abandoned`].
pub struct Promise {
    mailbox: Arc<dyn MailboxSender>,
    to: Key,
    stream: u32,
    ticket: Ticket,
    fulfilled: bool,
}

impl Promise {
    pub(crate) fn new(
        mailbox: Arc<dyn MailboxSender>,
        (to, stream): (Key, u32),
        ticket: Ticket,
    ) -> Self {
        Self { mailbox, to, stream, ticket, fulfilled: false }
    }

    /// The ticket of its message.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Sends the message.
    pub fn fulfill(mut self, message: Message) {
        self.fulfilled = true;
        self.send(Ok(message));
    }

    fn send(&self, body: Result<Message, Abandoned>) {
        let content = Delivery::Settled(self.ticket, body);
        self.mailbox.send(Envelope { to: self.to, stream: self.stream, content });
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.fulfilled {
            self.send(Err(Abandoned));
        }
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("to", &self.to).field("ticket", &self.ticket).finish()
    }
}

/// Flow control: at most [`Remote::MESSAGES`] messages and one wake-up of remotes wait for one
/// connection, or for one of its streams. Sending a message takes credit. When the message was
/// delivered and the output of the connection or stream has room, the credit is given back.
#[derive(Debug)]
pub(crate) struct Credit {
    state: Mutex<CreditState>,
    changed: Condvar,
    /// A wake-up waits in the mailbox, or the connection or stream is gone.
    woken: AtomicBool,
}

#[derive(Debug)]
struct CreditState {
    /// How many more messages may be sent.
    available: u32,
    gone: bool,
}

impl Credit {
    pub(crate) fn new() -> Self {
        let state = CreditState { available: Remote::MESSAGES, gone: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), woken: AtomicBool::new(false) }
    }

    /// Gives back the credit of `count` messages, up to [`Remote::MESSAGES`] in total. That limit
    /// is needed if a protocol runs another one inside it: a message takes credit of only one of
    /// the two protocols, but both may give back credit for it.
    pub(crate) fn give_back(&self, count: u32) {
        let available = &mut self.lock().available;
        *available = (*available + count).min(Remote::MESSAGES);
        self.changed.notify_all();
    }

    /// The connection or stream is gone: senders stop waiting.
    pub(crate) fn close(&self) {
        self.lock().gone = true;
        self.changed.notify_all();
        self.woken.store(true, Ordering::Relaxed);
    }

    /// Notes that the wake-up has left the mailbox. The session calls this before it calls the
    /// protocol, so that [`Remote::wake`] during that call sends another wake-up.
    pub(crate) fn take_wake(&self) {
        // A thread that found the flag set sent no wake-up, and relies on this one. The swap
        // acquires what that thread wrote before; a store would not.
        self.woken.swap(false, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, CreditState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a [`Remote`] could not send. Each variant returns the message.
pub enum SendError {
    /// [`Remote::MESSAGES`] messages wait already. Only from [`Remote::try_send`].
    Full(Message),
    /// The connection or stream has ended.
    Gone(Message),
    /// The calling thread runs an event loop, where waiting would block all connections. Only from
    /// [`Remote::send`].
    OnEventLoop(Message),
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Gone(_) => "Gone",
            Self::OnEventLoop(_) => "OnEventLoop",
        })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "too many messages wait for the connection",
            Self::Gone(_) => "the connection has ended",
            Self::OnEventLoop(_) => {
                "send may wait, which an event loop must not: use try_send, or write to a shared \
                 queue and call wake"
            }
        })
    }
}

impl std::error::Error for SendError {}

/// Sends to a connection or one of its streams, from any thread. [`Remote::wake`] has an example.
#[derive(Clone)]
pub struct Remote {
    mailbox: Arc<dyn MailboxSender>,
    to: Key,
    stream: u32,
    credit: Arc<Credit>,
}

impl Remote {
    /// How many messages of remotes may wait for a connection, or for one of its streams.
    pub const MESSAGES: u32 = 16;

    pub(crate) fn new(
        mailbox: Arc<dyn MailboxSender>,
        (to, stream): (Key, u32),
        credit: Arc<Credit>,
    ) -> Self {
        Self { mailbox, to, stream, credit }
    }

    /// Sends a message. If [`Remote::MESSAGES`] messages wait already, blocks until one more may be
    /// sent. For your own threads, and for jobs on the pool.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`] if the connection or stream has ended. [`SendError::OnEventLoop`] on the
    /// thread of an event loop, where every call into a protocol runs.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        if self.mailbox.is_on_event_loop() {
            return Err(SendError::OnEventLoop(message));
        }
        let mut state = self.credit.lock();
        while state.available == 0 && !state.gone {
            state = self.credit.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.take_credit_and_send(state, message)
    }

    /// Sends a message, or fails at once.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] or [`SendError::Gone`], with the message.
    pub fn try_send(&self, message: Message) -> Result<(), SendError> {
        let state = self.credit.lock();
        if state.available == 0 && !state.gone {
            return Err(SendError::Full(message));
        }
        self.take_credit_and_send(state, message)
    }

    /// Wakes the protocol: it gets [`Event::Woken`](crate::Event::Woken). Never waits and never
    /// fails. If the connection or stream has ended, this does nothing.
    ///
    /// Several calls may lead to one event. None is lost: a call is always followed by an event, in
    /// which the protocol sees what the caller wrote before the call. So write to something shared,
    /// wake, and read it in the event:
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use sockeye_proto::{Event, Fault, Protocol, Remote, Time, Consumed, Turn};
    /// # use sockeye_proto::harness::Harness;
    ///
    /// /// Sends to all members what one of them sends.
    /// #[derive(Default)]
    /// struct Chat {
    ///     said: Mutex<Vec<u8>>, // The example `chat` limits its size.
    ///     members: Mutex<Vec<Remote>>,
    /// }
    ///
    /// impl Chat {
    ///     fn say(&self, text: &[u8]) {
    ///         self.said.lock().unwrap().extend_from_slice(text);
    ///         self.members.lock().unwrap().iter().for_each(Remote::wake);
    ///     }
    /// }
    ///
    /// struct Member { chat: Arc<Chat>, read: usize }
    ///
    /// impl Protocol for Member {
    ///     fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
    ///         self.chat.say(input);
    ///         Ok(Consumed::more(input.len()))
    ///     }
    ///
    ///     fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
    ///         match event {
    ///             Event::Open(_) => self.chat.members.lock().unwrap().push(turn.remote()),
    ///             Event::Woken | Event::Room if turn.is_full() => turn.want_room(),
    ///             Event::Woken | Event::Room => {
    ///                 let said = self.chat.said.lock().unwrap();
    ///                 turn.out.write(&said[self.read..]);
    ///                 self.read = said.len();
    ///             }
    ///             _ => {}
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn deadline(&self) -> Option<Time> {
    ///         None
    ///     }
    /// }
    ///
    /// let chat = Arc::<Chat>::default();
    /// let mut peer = Harness::new(Member { chat: chat.clone(), read: 0 });
    /// for _ in 0..100 {
    ///     chat.say(b"hello\n"); // From any thread, or from another connection.
    /// }
    /// peer.deliver();
    /// assert_eq!(peer.output(), b"hello\n".repeat(100));
    /// ```
    pub fn wake(&self) {
        // If the flag is set, an event follows, or the connection is gone: `Credit::take_wake`
        // clears it before the event.
        if !self.credit.woken.swap(true, Ordering::AcqRel) {
            let content = Delivery::Wake(Arc::clone(&self.credit));
            self.mailbox.send(Envelope { to: self.to, stream: self.stream, content });
        }
    }

    /// Whether the connection or stream has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.credit.lock().gone
    }

    /// Takes credit, which must be available unless the connection is gone, and sends `message`.
    fn take_credit_and_send(
        &self,
        mut state: MutexGuard<'_, CreditState>,
        message: Message,
    ) -> Result<(), SendError> {
        if state.gone {
            return Err(SendError::Gone(message));
        }
        state.available -= 1;
        drop(state);
        let content = Delivery::Sent(message);
        self.mailbox.send(Envelope { to: self.to, stream: self.stream, content });
        Ok(())
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("to", &self.to).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct TestMailbox(Mutex<Vec<Envelope>>);

    impl MailboxSender for TestMailbox {
        fn send(&self, envelope: Envelope) {
            self.0.lock().unwrap().push(envelope);
        }

        fn is_on_event_loop(&self) -> bool {
            false
        }
    }

    impl TestMailbox {
        fn take(&self) -> Vec<Envelope> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    /// What a session does before it calls its protocol.
    fn take_wake(envelope: &Envelope) {
        let Delivery::Wake(credit) = &envelope.content else { panic!("{envelope:?}") };
        credit.take_wake();
    }

    #[test]
    fn a_promise_is_settled_once_whether_fulfilled_or_dropped() {
        let mailbox = Arc::new(TestMailbox::default());
        Promise::new(mailbox.clone(), (Key(1), 0), Ticket(7)).fulfill(Box::new(5_u8));
        drop(Promise::new(mailbox.clone(), (Key(1), 0), Ticket(8)));
        let envelopes = mailbox.0.lock().unwrap();
        assert_eq!(envelopes.len(), 2);
        assert!(matches!(envelopes[0].content, Delivery::Settled(Ticket(7), Ok(_))));
        assert!(matches!(envelopes[1].content, Delivery::Settled(Ticket(8), Err(Abandoned))));
    }

    #[test]
    fn a_remote_needs_credit_to_send_and_learns_that_the_connection_is_gone() {
        let mailbox = Arc::new(TestMailbox::default());
        let credit = Arc::new(Credit::new());
        let remote = Remote::new(mailbox.clone(), (Key(1), 0), Arc::clone(&credit));
        for _ in 0..Remote::MESSAGES {
            remote.try_send(Box::new(())).unwrap();
        }
        assert!(matches!(remote.try_send(Box::new(())), Err(SendError::Full(_))));
        credit.give_back(1);
        remote.try_send(Box::new(())).unwrap();

        // A sender that waits for credit is woken when the connection ends.
        let waiting = std::thread::spawn({
            let remote = remote.clone();
            move || matches!(remote.send(Box::new(())), Err(SendError::Gone(_)))
        });
        credit.close();
        assert!(waiting.join().unwrap());
        assert!(remote.is_gone());
    }

    #[test]
    fn wake_ups_coalesce_until_the_protocol_is_called() {
        let mailbox = Arc::new(TestMailbox::default());
        let credit = Arc::new(Credit::new());
        let remote = Remote::new(mailbox.clone(), (Key(1), 0), Arc::clone(&credit));
        for _ in 0..3 {
            (0..1000).for_each(|_| remote.wake());
            let envelopes = mailbox.take();
            assert_eq!(envelopes.len(), 1);
            for envelope in envelopes {
                take_wake(&envelope);
            }
        }
        // A wake-up after the end is not put in the mailbox.
        credit.close();
        remote.wake();
        assert!(mailbox.take().is_empty());
    }

    /// Threads increment a counter and wake; the woken side reads the counter. However they
    /// interleave, the last read finds the final count, and the mailbox never holds two wake-ups.
    #[test]
    fn no_wake_up_is_lost_while_another_is_taken() {
        use std::sync::atomic::AtomicU64;
        const THREADS: u64 = 4;
        const WAKES: u64 = 20_000;

        let mailbox = Arc::new(TestMailbox::default());
        let remote = Remote::new(mailbox.clone(), (Key(1), 0), Arc::new(Credit::new()));
        let (count, last_read) = (AtomicU64::new(0), AtomicU64::new(0));
        let read = || {
            let envelopes = mailbox.take();
            assert!(envelopes.len() <= 1, "{envelopes:?}");
            for envelope in envelopes {
                take_wake(&envelope);
                // Relaxed: the flag alone must order these.
                last_read.store(count.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            let wakers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..WAKES {
                            count.fetch_add(1, Ordering::Relaxed);
                            remote.wake();
                        }
                    })
                })
                .collect();
            while wakers.iter().any(|waker| !waker.is_finished()) {
                read();
            }
        });
        read();
        assert_eq!(last_read.into_inner(), THREADS * WAKES);
    }
}
