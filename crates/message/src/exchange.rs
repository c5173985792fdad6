//! One request on its way through the server: what is known of it until it is answered.

use std::borrow::Cow;

use sockeye_proto::{Client, Permit, Ticket, Time, Turn};

use super::answer::Given;
use super::fault::Refusal;
use super::frame::Collected;
use super::nodes::Nodes;
use super::{Answer, ContentError, Header, Id, Limits, Message, error_reply, frame};

/// One request, and what its response depends on besides what the handler says.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Which request of the connection it is, from 0.
    pub(super) number: u64,
    /// To be echoed, and the sign that the connection goes on after the response; `None` for an old
    /// peer.
    pub(super) id: Option<Id>,
    /// When the response is of no use any more.
    pub(super) deadline: Time,
    /// How much content it has, in bytes: whoever works on it may hold that.
    pub(super) len: u64,
    /// The promises of it that are not settled.
    pub(super) tickets: Vec<Ticket>,
    /// What is charged for the content while somebody works on it.
    pub(super) permit: Option<Permit>,
}

impl Exchange {
    /// Whether the connection may go on after the response.
    pub(super) fn is_persistent(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn is_expired(&self, turn: &Turn<'_>) -> bool {
        self.deadline <= turn.now()
    }

    /// Writes the response, unless nobody wants it any more. `goes_on` says that more may follow.
    pub(super) fn write(&self, reply: Message, goes_on: bool, turn: &mut Turn<'_>) {
        if self.is_expired(turn) {
            return;
        }
        let header = |reply: &Message| {
            let id = self.id.clone();
            Header { keep_alive: goes_on && id.is_some(), id, ..Header::of(reply) }
        };
        if frame::write(&header(&reply), reply.content, turn.out).is_err() {
            let sorry = error_reply("internal", "the reply's content-type or encoding is too long");
            // An id has its limit: this one fits.
            let _ = frame::write(&header(&sorry), sorry.content, turn.out);
        }
    }
}

/// A request whose answer comes later.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) exchange: Exchange,
    /// Its deadline has passed. It keeps its place until the work for it has ended, so that a peer
    /// can't have more work under way than it may.
    pub(super) expired: bool,
}

/// A request whose content is coming.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) exchange: Exchange,
    pub(super) sink: Sink,
    /// When it is given up if nothing more has come.
    pub(super) progress: Time,
    /// The handler has said that nothing more may come for now.
    pub(super) paused: bool,
}

/// Where content goes.
#[derive(Debug)]
pub(super) enum Sink {
    /// Into a message.
    Whole {
        content_type: Cow<'static, str>,
        content_encoding: Cow<'static, str>,
        collected: Collected,
        /// Where it may have too many of them.
        nodes: Option<Nodes>,
    },
    /// Nowhere: it is JSON with more values and keys than are taken, which is answered at its end.
    TooComplex { left: u64 },
    /// Nowhere: there is no memory left for it ([`Limits::collected`]), which is answered at its end.
    Busy { left: u64 },
    /// To the handler, piece by piece. So many bytes are to come.
    Stream { left: u64 },
    /// Nowhere: the request was answered, or nobody waits for it any more.
    Nowhere { left: u64 },
}

impl Sink {
    /// For the content behind `header`, to be collected, which `client` is charged for.
    pub(super) fn whole(header: Header, limits: &Limits, client: Client) -> Self {
        let Header { content_type, content_encoding, content_length, .. } = header;
        let nodes = Nodes::of(&content_type, &content_encoding, content_length, limits);
        let collected = Collected::charged(content_length, limits.collected.account(client));
        Self::Whole { content_type, content_encoding, collected, nodes }
    }

    pub(super) fn left(&self) -> u64 {
        match self {
            Self::Whole { collected, .. } => collected.left(),
            Self::Stream { left }
            | Self::TooComplex { left }
            | Self::Busy { left }
            | Self::Nowhere { left } => *left,
        }
    }

    /// Takes a piece of the content, of at most [`Sink::left`] bytes. Of a stream it only counts it.
    pub(super) fn take(&mut self, piece: &[u8]) {
        let len = piece.len() as u64;
        match self {
            Self::Whole { collected, nodes, .. } => {
                let left = collected.left() - len;
                if !nodes.as_mut().is_none_or(|nodes| nodes.take(piece)) {
                    *self = Self::TooComplex { left };
                } else if !collected.take(piece) {
                    *self = Self::Busy { left };
                }
            }
            Self::Stream { left }
            | Self::TooComplex { left }
            | Self::Busy { left }
            | Self::Nowhere { left } => *left -= len,
        }
    }
}

/// What is answered to [`Sink::TooComplex`].
pub(super) fn too_complex(limits: &Limits) -> Answer {
    Answer(Given::Refused(ContentError::TooComplex { most: limits.json_nodes }.into()))
}

/// What is answered to [`Sink::Busy`].
pub(super) fn busy() -> Answer {
    Answer(Given::Refused(Refusal::busy()))
}

impl Content {
    /// When something has to be done about it.
    pub(super) fn until(&self) -> Time {
        let progress = if self.paused { Time::NEVER } else { self.progress };
        match self.sink {
            Sink::Nowhere { .. } => progress,
            _ => progress.min(self.exchange.deadline),
        }
    }

    /// From now on what comes is thrown away.
    pub(super) fn give_up(&mut self) {
        self.sink = Sink::Nowhere { left: self.sink.left() };
        self.paused = false;
    }
}
