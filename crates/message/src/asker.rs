//! What asks: where a client's messages come from, and where its responses go.

use std::time::Duration;

use sockeye_proto::{Abandoned, Ticket, Turn};

use super::{ErrorReply, Limits, Message};

/// How a client uses its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One request and one response, as old servers want it.
    Single,
    /// Many, with ids. The first goes alone, so that an old server shows itself before anything is
    /// lost on it.
    KeepAlive {
        /// Requests that may wait for their responses at a time; 0 counts as 1.
        in_flight: usize,
    },
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it uses its connection. [`Style::Single`].
    pub style: Style,
    /// What is taken of a response: the limits on header and content count, the others are a server's.
    pub limits: Limits,
    /// How long the server may neither take nor send anything while it owes a response. 60 s.
    pub silence: Duration,
    /// The `deadline-ms` of every request, counted here from when it was written. `None`.
    pub deadline_ms: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            style: Style::Single,
            limits: Limits::default(),
            silence: Duration::from_secs(60),
            deadline_ms: None,
        }
    }
}

/// What the asker wants after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    On,
    /// Take no response until a promise taken from the turn is settled.
    Pause,
    /// End the connection.
    Stop,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Every message that there was has its response.
    Finished,
    /// The server echoes no id, so its one response was the last. What is still to be asked needs
    /// other connections.
    OldPeer,
    /// The asker stopped it, or the program is stopping.
    Stopped,
    /// The server closed, or said that it will, before everything was asked and answered.
    Closed {
        /// Requests without a response.
        unanswered: usize,
        /// It was in the middle of a response.
        inside: bool,
    },
    /// The server said what it won't go on with: an error response to no request.
    Refused(ErrorReply),
    /// The server neither took nor sent anything for too long, or nothing before the deadline.
    Silent {
        /// Requests without a response.
        unanswered: usize,
    },
    /// What came was no response: what was wrong with it.
    Garbage(String),
    /// The connection did not come to stand, or broke: why, as a sentence.
    Broken(String),
}

/// What asks on one connection, and takes the responses.
pub trait Asker {
    /// The next message to send; `None` when there is none left. Not called again after that.
    fn next_message(&mut self) -> Option<Message>;

    /// Takes the response to the message of this number, from 0 in the order of
    /// [`Asker::next_message`]. An error is a response like any other: [`ErrorReply::of`] tells.
    fn on_reply(&mut self, number: u64, reply: Message, turn: &mut Turn<'_>) -> Next;

    /// Takes what a promise brought that the asker took from a turn. [`Next::On`] ends a pause.
    fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        turn: &mut Turn<'_>,
    ) -> Next {
        let _ = (ticket, body, turn);
        Next::On
    }

    /// The message of this number got no response before its deadline, and gets none any more.
    fn on_missed(&mut self, number: u64) {
        let _ = number;
    }

    /// The connection is over. Called once, last.
    fn on_end(&mut self, ending: Ending);
}
