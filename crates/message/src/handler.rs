//! What answers messages.

use sockeye_proto::{Abandoned, Peer, Ticket};

use super::{Answer, Header, Message, Responder};

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
    /// Not before a promise of this request is settled and [`Handler::on_settled`] has returned
    /// [`Responder::later`]. Where no promise is open, and behind the last piece, it means
    /// [`Flow::More`]: nothing would end the pause.
    Pause,
}

/// Answers messages: one value per connection.
pub trait Handler {
    /// How the content behind `header` is wanted. Called once for each request, before anything of
    /// its content is taken.
    fn wants(&mut self, header: &Header) -> Wants {
        let _ = header;
        Wants::Whole
    }

    /// Answers a message, or says that the answer comes later.
    fn on_message(&mut self, message: Message, peer: &Peer, reply: Responder<'_, '_>) -> Answer;

    /// Takes a piece of content that was wanted as a stream. One request's content comes at a time.
    fn on_content(&mut self, piece: &[u8], reply: &mut Responder<'_, '_>) -> Flow {
        let _ = (piece, reply);
        Flow::More
    }

    /// The content that was wanted as a stream is complete: answers, or says that it will.
    fn on_end(&mut self, reply: Responder<'_, '_>) -> Answer {
        reply.fail("nothing takes content piece by piece here")
    }

    /// Takes what a promise of a request brought, and answers that request or waits on. Not called
    /// for a request that was answered or given up.
    ///
    /// Default: fails the request. A handler that makes promises takes what they bring.
    fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        let _ = (ticket, body);
        reply.fail("nothing takes what a promise brings here")
    }

    /// The deadline of a request that is not answered yet has passed, or its content, whose length
    /// nobody knew, is longer than is taken: an answer is of no use any more, and no more of its
    /// content comes. [`Responder::request`] gave its number.
    fn on_given_up(&mut self, request: u64) {
        let _ = request;
    }
}
