//! Handlers, which answer messages.

use sockeye_proto::{Abandoned, Peer, Ticket};

use super::{Answer, Header, Message, Responder};

/// The result of a promise ([`Responder::promise`]): the value that fulfilled it, or that it was
/// abandoned.
pub type Settled = Result<sockeye_proto::Message, Abandoned>;

/// How a handler takes the content of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentMode {
    /// Collected, and passed to [`Handler::on_message`].
    Whole,
    /// Passed piece by piece to [`Handler::on_content`]; then [`Handler::on_end`] is called.
    Stream,
}

/// Whether the next piece of content may be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Yes.
    More,
    /// Not yet. The pause ends when a promise of this request is settled and
    /// [`Handler::on_settled`] answers with [`Responder::later`], which continues the request.
    /// Without an open promise, and after the last piece, this is the same as [`Flow::More`].
    Pause,
}

/// Answers the messages of one connection.
pub trait Handler {
    /// How the handler takes the content that follows `header`. Called once for each request,
    /// before its content.
    fn content_mode(&mut self, header: &Header) -> ContentMode {
        let _ = header;
        ContentMode::Whole
    }

    /// Answers a message.
    fn on_message(&mut self, message: Message, peer: &Peer, responder: Responder<'_, '_>)
    -> Answer;

    /// Takes a piece of content in [`ContentMode::Stream`]. Over HTTP/2, pieces of several requests
    /// can alternate: [`Responder::request`] tells the requests apart. Otherwise, the content of
    /// one request is complete before that of the next arrives.
    fn on_content(&mut self, piece: &[u8], responder: &mut Responder<'_, '_>) -> Flow {
        let _ = (piece, responder);
        Flow::More
    }

    /// Answers a request whose content was streamed and is complete.
    fn on_end(&mut self, responder: Responder<'_, '_>) -> Answer {
        responder.fail("this service does not take content piece by piece")
    }

    /// Takes the result of the promise that `ticket` identifies, and answers the promise's request
    /// or waits for another promise, or for more of the content. Not called for a request that was
    /// answered or cancelled.
    ///
    /// Default: fails the request.
    fn on_settled(
        &mut self,
        ticket: Ticket,
        body: Settled,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let _ = (ticket, body);
        responder.fail("this service does not take the results of promises")
    }

    /// Called when a request is cancelled. `request` is its number ([`Responder::request`]). A
    /// request is cancelled if its deadline passes before it is answered. Over HTTP and WebSocket,
    /// it is also cancelled if its connection, HTTP/2 stream or WebSocket ends, and over HTTP if
    /// its content is malformed, incomplete or late, or chunked and too large. When a connection of
    /// frames without HTTP closes, the handler is dropped instead.
    fn on_cancelled(&mut self, request: u64) {
        let _ = request;
    }
}
