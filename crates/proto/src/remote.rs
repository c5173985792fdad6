//! What reaches a conversation from elsewhere: results of work done off the loop, and messages
//! from other threads.
//!
//! A conversation takes a [`Promise`] from its turn and gives it to whoever does the work; when it
//! is kept, or dropped without being kept (the work panicked, say), the conversation hears of it as
//! [`Event::Message`](crate::Event::Message) under the promise's [`Ticket`]. Nothing is lost, and
//! nobody waits for ever. A [`Remote`] is for a stream of messages: it can be cloned, used from any
//! thread, and sends under the conversation's credit, so that a fast sender waits for a slow peer.
//!
//! Both know the conversation by its [`Key`]; a message for one that is gone is dropped.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Which conversation of a shard: opaque outside of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub u64);

/// Which promise of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// The ticket of everything that a [`Remote`] sends.
    pub const REMOTE: Self = Self(0);
}

/// Anything that can cross threads. The conversation that asked knows what it is.
pub type Message = Box<dyn Any + Send>;

/// A promise was dropped without being kept: the work panicked or was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned;

/// A message on its way to a conversation.
pub struct Letter {
    /// The conversation.
    pub to: Key,
    /// The promise that it settles, or [`Ticket::REMOTE`].
    pub ticket: Ticket,
    /// What was sent.
    pub body: Result<Message, Abandoned>,
    /// To be given back when the letter has been dealt with.
    pub credit: Option<Arc<Credit>>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("to", &self.to).field("ticket", &self.ticket).finish()
    }
}

/// Takes letters, from any thread. A shard's mailbox.
pub trait Post: Send + Sync {
    /// Takes one. Room for it was reserved when its promise or credit was given out.
    fn post(&self, letter: Letter);
}

/// The duty to answer a conversation once. Dropping it says [`Abandoned`].
pub struct Promise {
    post: Arc<dyn Post>,
    to: Key,
    ticket: Ticket,
    kept: bool,
}

impl Promise {
    pub(crate) fn new(post: Arc<dyn Post>, to: Key, ticket: Ticket) -> Self {
        Self { post, to, ticket, kept: false }
    }

    /// What the conversation will know the answer by.
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
        self.post.post(Letter { to: self.to, ticket: self.ticket, body, credit: None });
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

/// How many messages from remotes one conversation may have waiting.
///
/// The driver of a conversation gives credit back when a letter was dealt with and the output is
/// below the high-water mark, and says when the conversation is gone.
#[derive(Debug)]
pub struct Credit {
    state: Mutex<CreditState>,
    changed: Condvar,
}

#[derive(Debug)]
struct CreditState {
    free: u32,
    gone: bool,
}

impl Credit {
    /// So many messages may wait.
    pub const MESSAGES: u32 = 16;

    pub(crate) fn new() -> Self {
        let state = CreditState { free: Self::MESSAGES, gone: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Gives back `count` places.
    pub fn give_back(&self, count: u32) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    /// Says that the conversation is gone: whoever waits, stops waiting.
    pub fn close(&self) {
        self.lock().gone = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, CreditState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a [`Remote`] could not send. The message comes back.
pub enum SendError {
    /// The conversation has as many messages waiting as it may. Only from [`Remote::try_send`].
    Full(Message),
    /// The conversation is over.
    Gone(Message),
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Gone(_) => "Gone",
        })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the conversation has as many messages waiting as it may",
            Self::Gone(_) => "the conversation is over",
        })
    }
}

impl std::error::Error for SendError {}

/// A handle into one conversation, for any thread.
#[derive(Clone)]
pub struct Remote {
    post: Arc<dyn Post>,
    to: Key,
    credit: Arc<Credit>,
}

impl Remote {
    pub(crate) fn new(post: Arc<dyn Post>, to: Key, credit: Arc<Credit>) -> Self {
        Self { post, to, credit }
    }

    /// Sends a message; waits while the conversation has as many waiting as it may. Not for use
    /// inside a conversation, which would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SendError::Gone`] when the conversation is over.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        let mut state = self.credit.lock();
        while state.free == 0 && !state.gone {
            state = self.credit.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.take_and_post(state, message)
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
        self.take_and_post(state, message)
    }

    /// Whether the conversation is over.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.credit.lock().gone
    }

    fn take_and_post(
        &self,
        mut state: MutexGuard<'_, CreditState>,
        message: Message,
    ) -> Result<(), SendError> {
        if state.gone {
            return Err(SendError::Gone(message));
        }
        state.free -= 1;
        drop(state);
        let credit = Some(Arc::clone(&self.credit));
        self.post.post(Letter { to: self.to, ticket: Ticket::REMOTE, body: Ok(message), credit });
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
    struct Box1(Mutex<Vec<Letter>>);

    impl Post for Box1 {
        fn post(&self, letter: Letter) {
            self.0.lock().unwrap().push(letter);
        }
    }

    #[test]
    fn a_promise_is_settled_once_whether_kept_or_dropped() {
        let mailbox = Arc::new(Box1::default());
        Promise::new(mailbox.clone(), Key(1), Ticket(7)).keep(Box::new(5_u8));
        drop(Promise::new(mailbox.clone(), Key(1), Ticket(8)));
        let letters = mailbox.0.lock().unwrap();
        assert_eq!(letters.len(), 2);
        assert_eq!(letters[0].ticket, Ticket(7));
        assert!(letters[0].body.is_ok());
        assert_eq!(letters[1].ticket, Ticket(8));
        assert!(letters[1].body.is_err());
    }

    #[test]
    fn a_remote_sends_under_credit_and_learns_that_the_conversation_is_gone() {
        let mailbox = Arc::new(Box1::default());
        let credit = Arc::new(Credit::new());
        let remote = Remote::new(mailbox.clone(), Key(1), Arc::clone(&credit));
        for _ in 0..Credit::MESSAGES {
            remote.try_send(Box::new(())).unwrap();
        }
        assert!(matches!(remote.try_send(Box::new(())), Err(SendError::Full(_))));
        credit.give_back(1);
        remote.try_send(Box::new(())).unwrap();

        // One that waits for credit is woken by the end of the conversation.
        let waiting = std::thread::spawn({
            let remote = remote.clone();
            move || matches!(remote.send(Box::new(())), Err(SendError::Gone(_)))
        });
        credit.close();
        assert!(waiting.join().unwrap());
        assert!(remote.is_gone());
    }
}
