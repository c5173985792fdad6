//! The server's side of a connection as a [`Protocol`].

use std::fmt;
use std::rc::Rc;

use super::fault::Refusal;
use super::{Header, Limits, Message, Reply};
use crate::{Abandoned, Event, Fault, Peer, Protocol, Ticket, Time, Took, Turn};

/// How the content of a request is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Collected, then handed over in [`Handler::on_message`].
    Whole,
    /// Piece by piece in [`Handler::on_content`], then [`Handler::on_end`].
    Stream,
}

/// Whether more content may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It may.
    More,
    /// Not before a promise of this request is settled and [`Handler::on_settled`] has said
    /// [`Reply::later`].
    Pause,
}

/// What a handler returns: that it has answered, or will. Only a [`Reply`] makes one.
#[derive(Debug)]
#[must_use = "a handler returns it"]
pub struct Answer(pub(super) Given);

#[derive(Debug)]
pub(super) enum Given {
    Now(Message),
    Refused(Refusal),
    Later,
}

/// Answers messages: one value per connection.
pub trait Handler {
    /// How the content behind `header` is wanted.
    fn wants(&mut self, header: &Header) -> Wants {
        let _ = header;
        Wants::Whole
    }

    /// Answers a message, or says that the answer comes later.
    fn on_message(&mut self, message: Message, peer: &Peer, reply: Reply<'_, '_>) -> Answer;

    /// Takes a piece of content that was wanted as a stream. One request's content comes at a time.
    fn on_content(&mut self, piece: &[u8], reply: &mut Reply<'_, '_>) -> Flow {
        let _ = (piece, reply);
        Flow::More
    }

    /// The content that was wanted as a stream is complete: answers, or says that it will.
    fn on_end(&mut self, reply: Reply<'_, '_>) -> Answer {
        reply.error("internal", "nothing takes content piece by piece here")
    }

    /// Takes what a promise of a request brought, and answers that request or waits on. Not called
    /// for a request that was answered or whose deadline has passed.
    fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Result<crate::Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer;
}

/// The server's side of one connection.
pub struct Server<H> {
    limits: Rc<Limits>,
    handler: H,
}

impl<H: Handler> Server<H> {
    /// A connection that `handler` answers.
    pub fn new(limits: Rc<Limits>, handler: H) -> Self {
        Self { limits, handler }
    }
}

impl<H: Handler> Protocol for Server<H> {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Took, Fault> {
        Ok(Took::more(input.len()))
    }

    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        let _ = (&self.limits, &mut self.handler);
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}
