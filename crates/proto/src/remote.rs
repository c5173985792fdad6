//! What reaches a connection from elsewhere: results of work done off the loop, messages from
//! other threads, and wake-ups.
//!
//! A connection takes a [`Promise`] from its turn and gives it to whoever does the work; when it
//! is kept, or dropped without being kept (the work panicked, say), the connection hears of it as
//! [`Event::Message`](crate::Event::Message) under the promise's [`Ticket`]. Nothing is lost, and
//! nobody waits for ever.
//!
//! A [`Remote`] is for what has no end. It can be cloned and used from any thread:
//!
//! | | carries | when the connection is behind |
//! |---|---|---|
//! | [`Remote::send`] | a message | waits; not on an event loop |
//! | [`Remote::try_send`] | a message | fails: at most [`Remote::MESSAGES`] wait |
//! | [`Remote::wake`] | nothing | nothing to do: a wake-up is waiting already |
//!
//! Messages suit one sender that can wait, such as a thread that produces a stream. To tell many
//! connections the same thing, or to tell one from an event loop, write it to a bounded queue or
//! log that both sides share, and wake those who read it. Each of them reads on from its own cursor
//! as far as its output has room, so that a slow peer costs a cursor and one full output, whatever
//! is said meanwhile. The example `chat` does so.
//!
//! Both know the connection by its [`Key`]; what is sent to one that is gone is dropped.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Which connection of a shard: opaque outside of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub u64);

/// Which promise of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// The ticket of everything that a [`Remote`] sends.
    pub const REMOTE: Self = Self(0);
}

/// Anything that can cross threads. The connection that asked knows what it is.
pub type Message = Box<dyn Any + Send>;

/// A promise was dropped without being kept: the work panicked or was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned;

/// Something on its way to a connection.
pub struct Envelope {
    /// The connection.
    pub to: Key,
    pub(crate) content: Delivery,
}

/// What an [`Envelope`] carries.
pub(crate) enum Delivery {
    /// A promise was kept or abandoned.
    Settled(Ticket, Result<Message, Abandoned>),
    /// A remote sent a message. The place that it takes of the credit is to be given back when it
    /// has been dealt with.
    Sent(Message, Arc<Credit>),
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
            Self::Sent(..) => f.write_str("Sent"),
            Self::Wake(_) => f.write_str("Wake"),
        }
    }
}

/// The sending side of a shard's mailbox, for any thread.
pub trait MailboxSender: Send + Sync {
    /// Takes one. Room for it was reserved when its promise or credit was given out.
    fn send(&self, envelope: Envelope);

    /// Whether the calling thread is running an event loop, and is not to wait for room.
    fn is_on_event_loop(&self) -> bool;
}

/// The duty to answer a connection once. Dropping it says [`Abandoned`].
pub struct Promise {
    mailbox: Arc<dyn MailboxSender>,
    to: Key,
    ticket: Ticket,
    kept: bool,
}

impl Promise {
    pub(crate) fn new(mailbox: Arc<dyn MailboxSender>, to: Key, ticket: Ticket) -> Self {
        Self { mailbox, to, ticket, kept: false }
    }

    /// What the connection will know the answer by.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Sends the answer.
    pub fn keep(mut self, message: Message) {
        self.kept = true;
        self.send(Ok(message));
    }

    fn send(&self, body: Result<Message, Abandoned>) {
        let content = Delivery::Settled(self.ticket, body);
        self.mailbox.send(Envelope { to: self.to, content });
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.send(Err(Abandoned));
        }
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("to", &self.to).field("ticket", &self.ticket).finish()
    }
}

/// What one connection may have waiting from its remotes: so many messages, and one wake-up.
///
/// The session gives credit back when a message was dealt with and the output is below the high-water
/// mark, and says when it is over.
#[derive(Debug)]
pub(crate) struct Credit {
    state: Mutex<CreditState>,
    changed: Condvar,
    /// A wake-up is on its way, or the connection is gone.
    woken: AtomicBool,
}

#[derive(Debug)]
struct CreditState {
    free: u32,
    gone: bool,
}

impl Credit {
    pub(crate) fn new() -> Self {
        let state = CreditState { free: Remote::MESSAGES, gone: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), woken: AtomicBool::new(false) }
    }

    /// Gives back `count` places.
    pub(crate) fn give_back(&self, count: u32) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    /// Says that the connection is gone: whoever waits, stops waiting.
    pub(crate) fn close(&self) {
        self.lock().gone = true;
        self.changed.notify_all();
        self.woken.store(true, Ordering::Relaxed);
    }

    /// Takes the wake-up. Called before the connection is told of it, so that one that comes while
    /// the connection looks is told as well.
    pub(crate) fn take_wake(&self) {
        // It has to read the flag, too: whoever found it set has written what is to be seen before.
        self.woken.swap(false, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, CreditState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a [`Remote`] could not send. The message comes back.
pub enum SendError {
    /// The connection has as many messages waiting as it may. Only from [`Remote::try_send`].
    Full(Message),
    /// The connection is over.
    Gone(Message),
    /// The calling thread runs an event loop, and to wait would hold up all of its connections, for
    /// ever if the connection is one of them. Only from [`Remote::send`].
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
            Self::Full(_) => "the conversation has as many messages waiting as it may",
            Self::Gone(_) => "the conversation is over",
            Self::OnEventLoop(_) => {
                "send may wait, which an event loop must not: call try_send there, or write to a \
                 shared queue and call wake"
            }
        })
    }
}

impl std::error::Error for SendError {}

/// A handle into one connection, for any thread. How to choose between its methods: see
/// [`Remote::wake`].
#[derive(Clone)]
pub struct Remote {
    mailbox: Arc<dyn MailboxSender>,
    to: Key,
    credit: Arc<Credit>,
}

impl Remote {
    /// So many messages may wait.
    pub const MESSAGES: u32 = 16;

    pub(crate) fn new(mailbox: Arc<dyn MailboxSender>, to: Key, credit: Arc<Credit>) -> Self {
        Self { mailbox, to, credit }
    }

    /// Sends a message; waits while the connection has [`Remote::MESSAGES`] waiting. For threads
    /// of one's own and for work on the pool.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`] when the connection is over. [`SendError::OnEventLoop`] inside of any
    /// connection, whether or not there is room.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        if self.mailbox.is_on_event_loop() {
            return Err(SendError::OnEventLoop(message));
        }
        let mut state = self.credit.lock();
        while state.free == 0 && !state.gone {
            state = self.credit.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.take_and_send(state, message)
    }

    /// Sends a message, or says at once that it can't.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] or [`SendError::Gone`], with the message.
    pub fn try_send(&self, message: Message) -> Result<(), SendError> {
        let state = self.credit.lock();
        if state.free == 0 && !state.gone {
            return Err(SendError::Full(message));
        }
        self.take_and_send(state, message)
    }

    /// Wakes the connection: it gets [`Event::Woken`]. Never waits and never fails; what wakes a
    /// connection that is over does nothing.
    ///
    /// Wake-ups coalesce: any number of calls before the connection is told are one event. None
    /// is lost: what the caller wrote before the call is seen by the connection in an event that
    /// begins after it.
    ///
    /// So write to something shared first, then wake, and read it in the event:
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use sockeye_proto::{Event, Fault, Protocol, Remote, Time, Consumed, Turn};
    /// # use sockeye_proto::harness::Harness;
    ///
    /// /// What is said here is sent to everybody who has joined.
    /// #[derive(Default)]
    /// struct Room {
    ///     said: Mutex<Vec<u8>>, // A real one has a bound: see the example `chat`.
    ///     members: Mutex<Vec<Remote>>,
    /// }
    ///
    /// impl Room {
    ///     fn say(&self, text: &[u8]) {
    ///         self.said.lock().unwrap().extend_from_slice(text);
    ///         self.members.lock().unwrap().iter().for_each(Remote::wake);
    ///     }
    /// }
    ///
    /// struct Member { room: Arc<Room>, read: usize }
    ///
    /// impl Protocol for Member {
    ///     fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
    ///         self.room.say(input);
    ///         Ok(Consumed::more(input.len()))
    ///     }
    ///
    ///     fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
    ///         match event {
    ///             Event::Open(_) => self.room.members.lock().unwrap().push(turn.remote()),
    ///             Event::Woken | Event::Room if turn.is_full() => turn.want_room(),
    ///             Event::Woken | Event::Room => {
    ///                 let said = self.room.said.lock().unwrap();
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
    /// let room = Arc::<Room>::default();
    /// let mut peer = Harness::new(Member { room: room.clone(), read: 0 });
    /// for _ in 0..100 {
    ///     room.say(b"hello\n"); // From any thread, or from within another conversation.
    /// }
    /// peer.deliver();
    /// assert_eq!(peer.output(), b"hello\n".repeat(100));
    /// ```
    pub fn wake(&self) {
        // A wake-up whose flag is set already is told of later than now: `Credit::take_wake` clears
        // the flag before the connection looks.
        if !self.credit.woken.swap(true, Ordering::AcqRel) {
            let content = Delivery::Wake(Arc::clone(&self.credit));
            self.mailbox.send(Envelope { to: self.to, content });
        }
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.credit.lock().gone
    }

    fn take_and_send(
        &self,
        mut state: MutexGuard<'_, CreditState>,
        message: Message,
    ) -> Result<(), SendError> {
        if state.gone {
            return Err(SendError::Gone(message));
        }
        state.free -= 1;
        drop(state);
        let content = Delivery::Sent(message, Arc::clone(&self.credit));
        self.mailbox.send(Envelope { to: self.to, content });
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
    struct Box1(Mutex<Vec<Envelope>>);

    impl MailboxSender for Box1 {
        fn send(&self, envelope: Envelope) {
            self.0.lock().unwrap().push(envelope);
        }

        fn is_on_event_loop(&self) -> bool {
            false
        }
    }

    impl Box1 {
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
    fn a_promise_is_settled_once_whether_kept_or_dropped() {
        let mailbox = Arc::new(Box1::default());
        Promise::new(mailbox.clone(), Key(1), Ticket(7)).keep(Box::new(5_u8));
        drop(Promise::new(mailbox.clone(), Key(1), Ticket(8)));
        let envelopes = mailbox.0.lock().unwrap();
        assert_eq!(envelopes.len(), 2);
        assert!(matches!(envelopes[0].content, Delivery::Settled(Ticket(7), Ok(_))));
        assert!(matches!(envelopes[1].content, Delivery::Settled(Ticket(8), Err(Abandoned))));
    }

    #[test]
    fn a_remote_sends_under_credit_and_learns_that_the_conversation_is_gone() {
        let mailbox = Arc::new(Box1::default());
        let credit = Arc::new(Credit::new());
        let remote = Remote::new(mailbox.clone(), Key(1), Arc::clone(&credit));
        for _ in 0..Remote::MESSAGES {
            remote.try_send(Box::new(())).unwrap();
        }
        assert!(matches!(remote.try_send(Box::new(())), Err(SendError::Full(_))));
        credit.give_back(1);
        remote.try_send(Box::new(())).unwrap();

        // One that waits for credit is woken by the end of the connection.
        let waiting = std::thread::spawn({
            let remote = remote.clone();
            move || matches!(remote.send(Box::new(())), Err(SendError::Gone(_)))
        });
        credit.close();
        assert!(waiting.join().unwrap());
        assert!(remote.is_gone());
    }

    #[test]
    fn wake_ups_coalesce_until_the_conversation_is_told() {
        let mailbox = Arc::new(Box1::default());
        let credit = Arc::new(Credit::new());
        let remote = Remote::new(mailbox.clone(), Key(1), Arc::clone(&credit));
        for _ in 0..3 {
            (0..1000).for_each(|_| remote.wake());
            let envelopes = mailbox.take();
            assert_eq!(envelopes.len(), 1);
            for envelope in envelopes {
                take_wake(&envelope);
            }
        }
        // Nobody is told any more, so nothing is put in the mailbox.
        credit.close();
        remote.wake();
        assert!(mailbox.take().is_empty());
    }

    /// Threads count up and wake; whoever is told looks at the count. However they interleave, the
    /// last look finds all of it, and the mailbox never holds a second wake-up.
    #[test]
    fn no_wake_up_is_lost_while_another_is_told() {
        use std::sync::atomic::AtomicU64;
        const THREADS: u64 = 4;
        const WAKES: u64 = 20_000;

        let mailbox = Arc::new(Box1::default());
        let remote = Remote::new(mailbox.clone(), Key(1), Arc::new(Credit::new()));
        let (said, seen) = (AtomicU64::new(0), AtomicU64::new(0));
        let look = || {
            let envelopes = mailbox.take();
            assert!(envelopes.len() <= 1, "{envelopes:?}");
            for envelope in envelopes {
                take_wake(&envelope);
                // Relaxed, as the flag alone has to order it.
                seen.store(said.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            let wakers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..WAKES {
                            said.fetch_add(1, Ordering::Relaxed);
                            remote.wake();
                        }
                    })
                })
                .collect();
            while wakers.iter().any(|waker| !waker.is_finished()) {
                look();
            }
        });
        look();
        assert_eq!(seen.into_inner(), THREADS * WAKES);
    }
}
