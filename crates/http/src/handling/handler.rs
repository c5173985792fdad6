//! Handlers, which answer requests.

use bytes::Bytes;
use sockeye_proto::{Abandoned, Message, Peer, Ticket, Time};

use crate::{Answer, Fields, Request, Responder, Status, Stream, StreamEvent, Trailers};

/// Makes the handlers of a connection's requests. Closures `Fn(&Peer) -> impl Handler` implement
/// it.
pub trait Handlers {
    /// The type of the handlers.
    type Handler: Handler;

    /// A handler for one request of `peer`. A panic here ends the connection without a response.
    fn handler(&self, peer: &Peer) -> Self::Handler;
}

impl<F: Fn(&Peer) -> H, H: Handler> Handlers for F {
    type Handler = H;

    #[inline]
    fn handler(&self, peer: &Peer) -> H {
        self(peer)
    }
}

/// Answers one request.
///
/// [`Handler::on_request`] is called first. An answer can say what the handler waits for: content,
/// room in the output, or messages that other threads send by promises and remotes. The handler is
/// called for content and room only if it waits for them, for messages at any time. It is dropped
/// when the response is complete, or can't be completed, for example because the client has left.
///
/// A panic ends the request, and in HTTP/1.1 the connection. If the response had not started, the
/// client gets a 500.
pub trait Handler {
    /// Answers a request, asks for its content, or waits for a message to answer later. If the
    /// handler doesn't ask for the content, the server discards it; if there is too much, the
    /// server closes the connection, or in HTTP/2 resets the stream. The server itself refuses
    /// TRACE and CONNECT, except a CONNECT for a protocol that [`Handler::can_upgrade`] allows. A
    /// handler should answer 501 to a method that it doesn't know (RFC 9110, 9.1).
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer;

    /// Whether the handler may answer an HTTP/2 request by [`Responder::upgrade`] to the protocol
    /// `name`, such as `websocket`. If so, the handler gets the client's request for an upgrade,
    /// which has the method CONNECT (RFC 8441). The handler must not send another successful
    /// response (2xx): the client would read its content as the protocol's bytes.
    ///
    /// Default: false. Then the server answers 501.
    fn can_upgrade(&self, name: &[u8]) -> bool {
        let _ = name;
        false
    }

    /// Receives a message that comes before the response has started. `ticket` identifies the
    /// promise, or is [`Ticket::REMOTE`] for a [`Remote`](sockeye_proto::Remote). In HTTP/1.1 the
    /// message may be meant for an earlier request of the connection: ignore an unexpected one with
    /// [`Responder::keep_waiting`].
    ///
    /// Default: ignores messages while the handler reads the request's content. Otherwise it
    /// answers 500, because a handler that waits only for messages would never answer.
    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let _ = (ticket, body);
        if responder.exchange.wait_for.content.is_some() {
            return responder.keep_waiting();
        }
        let text = "Nothing takes messages here.";
        responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), text)
    }

    /// Receives a piece of the request's content, at least one byte. Return [`Responder::read`] for
    /// more, or [`Responder::later`] to receive no more until a later answer asks for content.
    ///
    /// Default: discards the piece, and asks for more.
    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        let _ = piece;
        responder.read()
    }

    /// Receives the end of the request's content, and its trailers.
    ///
    /// Default: answers 500.
    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let _ = trailers;
        let text = "Nothing reads bodies here.";
        responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), text)
    }

    /// Called when the request's content will never be complete, whether or not the handler has
    /// asked for it: the connection or stream ends, or the client has closed its sending side, was
    /// too slow, or sent malformed or too much content. The server has answered 400, 408 or 413 if
    /// it could. `now` is the current time.
    fn on_incomplete(&mut self, now: Time) {
        let _ = now;
    }

    /// Continues a response that [`Responder::stream`] started.
    ///
    /// Default: aborts the response.
    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        let _ = event;
        stream.abort()
    }

    /// Called when the response has not started within [`Limits::response_timeout`](crate::Limits).
    /// If the handler continues to wait, the timeout starts again.
    ///
    /// Default: answers 503. In HTTP/1.1, it also closes the connection, because a late message for
    /// this request would be delivered to the handler of a later request. If your handlers compare
    /// tickets, they can answer without closing the connection.
    fn on_response_timeout(&mut self, responder: Responder<'_, '_>) -> Answer {
        responder.closing().time_out()
    }

    /// The page for a request that the server itself refuses, or whose handler panicked: the page's
    /// fields, with a Content-Type, and its content. With `None`, or if this method panics, the
    /// server sends a short page in plain text. Default: `None`.
    ///
    /// `code` is the stable code of the refusal, in `snake_case`. `what` is the end of a sentence
    /// that begins with "the client"; it is empty if a handler panicked.
    fn page(&self, status: Status, code: &'static str, what: &str) -> Option<(Fields, Bytes)> {
        let _ = (status, code, what);
        None
    }

    /// The methods that the handler supports, for the `Allow` field if the server refuses a method.
    fn allow(&self) -> &'static str {
        "GET, HEAD"
    }
}
