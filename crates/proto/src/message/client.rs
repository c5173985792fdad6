//! The client's side of a connection as a [`Protocol`].

use std::fmt;
use std::time::Duration;

use super::{ErrorReply, Limits, Message};
use crate::{Abandoned, Event, Fault, Protocol, Ticket, Time, Took, Turn};

/// How a client uses its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One request and one reply, as old servers want it.
    Single,
    /// Many, with ids: at most so many wait for their replies at a time. The first goes alone, so
    /// that an old server shows itself before anything is lost on it.
    KeepAlive {
        /// Requests that may wait for their replies, at least 1.
        in_flight: usize,
    },
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it uses its connection.
    pub style: Style,
    /// What is taken of a reply.
    pub limits: Limits,
    /// How long the server may neither take nor send anything while it owes a reply.
    pub silence: Duration,
    /// The `deadline-ms` of every request, where replies are of no use after it.
    pub deadline_ms: Option<u64>,
}

/// What the caller wants after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    On,
    /// Read no more until a promise taken from the turn is settled.
    Pause,
    /// End the conversation.
    Stop,
}

/// How a conversation ended. Told once, last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Every message that there was has its reply.
    Finished,
    /// The one reply of a server that knows no ids has come; what the source still has needs other
    /// connections.
    OldPeer,
    /// The caller stopped it.
    Stopped,
    /// The server closed while so many requests waited for replies. `inside` when in the middle of
    /// one.
    Closed {
        /// Requests without a reply.
        unanswered: usize,
        /// Part of a reply had come.
        inside: bool,
    },
    /// The server refused to go on.
    Refused(ErrorReply),
    /// The server was silent for too long while so many requests waited for replies.
    Silent {
        /// Requests without a reply.
        unanswered: usize,
    },
    /// What came was no reply.
    Garbage(String),
    /// The connection did not come to stand, or broke: why, as a sentence.
    Broken(String),
}

/// What a client asks, and what it does with the replies: one value per connection.
pub trait Asker {
    /// The next message to send; `None` when there is none left.
    fn next_message(&mut self) -> Option<Message>;

    /// Takes the reply to the message of this number, from 0 in the order of
    /// [`Asker::next_message`].
    fn on_reply(&mut self, number: u64, reply: Message, turn: &mut Turn<'_>) -> Next;

    /// After [`Next::Pause`]: takes what a promise brought.
    fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Result<crate::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Next {
        let _ = (ticket, body, turn);
        Next::On
    }

    /// The conversation is over.
    fn on_end(&mut self, ending: Ending);
}

/// The client's side of one connection.
pub struct Client<A> {
    settings: Settings,
    asker: A,
}

impl<A: Asker> Client<A> {
    /// A connection on which `asker` asks.
    pub fn new(settings: Settings, asker: A) -> Self {
        Self { settings, asker }
    }
}

impl<A: Asker> Protocol for Client<A> {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Took, Fault> {
        Ok(Took::more(input.len()))
    }

    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        let _ = (&self.settings, &mut self.asker);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl<A> fmt::Debug for Client<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}
