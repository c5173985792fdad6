//! What answers requests.

use bytes::Bytes;
use sockeye_proto::{Abandoned, Message, Ticket, Time};

use crate::{Answer, Fields, Request, Responder, Status, Stream, StreamEvent, Trailers};

/// Answers requests: one value per connection.
///
/// Requests come one after the other: [`Handler::on_request`] begins one, and whatever else is
/// called belongs to it until its response is complete. What a call returns says what the handler waits
/// for next; nothing else is told it meanwhile, but for messages, which come at any time.
///
/// A panic is answered with 500, if the response had not begun, and ends the connection.
pub trait Handler {
    /// Answers a request whose head has come, asks for its body, or says that the answer comes
    /// later. A body that is not asked for is thrown away, or the connection closed behind the
    /// response, whichever is less to read. CONNECT and TRACE don't come here; any other method does,
    /// and one that the handler doesn't know earns 501 (RFC 9110, 9.1).
    fn on_request(&mut self, request: &Request<'_>, reply: Responder<'_, '_>) -> Answer;

    /// Takes what a promise of this connection brought, or a [`Remote`](sockeye_proto::Remote) sent, and
    /// answers or waits on. Called only while an answer is owed. The message may be meant for an earlier
    /// request of the connection: one that isn't expected is ignored with [`Responder::keep_waiting`].
    ///
    /// Default: ignores messages while the request's body is read. Otherwise nothing but a message
    /// could lead to an answer, and the response is 500.
    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        let _ = (ticket, body);
        if reply.exchange.waits.body.is_some() {
            return reply.keep_waiting();
        }
        reply.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "Nothing takes messages here.")
    }

    /// Takes a piece of the request's body, at least one byte. With [`Responder::read`] more may come;
    /// [`Responder::later`] holds the rest back until a message comes and something else is returned.
    fn on_body(&mut self, piece: &[u8], reply: Responder<'_, '_>) -> Answer {
        let _ = piece;
        reply.read()
    }

    /// The request's body is complete.
    fn on_body_end(&mut self, trailers: &Trailers<'_>, reply: Responder<'_, '_>) -> Answer {
        let _ = trailers;
        reply.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "Nothing reads bodies here.")
    }

    /// The request's body is not complete and never will be: the client has left, ended its side, was
    /// too slow, or sent what is no body or too large a one. Nothing can be answered any more: the
    /// server has done so where it could, with 400, 408 or 413. Also called where the body had not been
    /// asked for yet. `now` is the time.
    fn on_incomplete(&mut self, now: Time) {
        let _ = now;
    }

    /// Goes on with a response that [`Responder::stream`] began.
    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        let _ = event;
        stream.abort()
    }

    /// The response has not begun within [`Limits::response_timeout`](crate::Limits): answers in its
    /// stead, by default with 503. One who waits on gets the same time again.
    ///
    /// What was promised for this request may still come to [`Handler::on_message`], for a later one.
    /// So the default closes the connection; one who tells promises apart by their tickets need not.
    fn on_response_timeout(&mut self, reply: Responder<'_, '_>) -> Answer {
        reply.closing().time_out()
    }

    /// The page for a request that the server refuses by itself, where it is not to be the short one
    /// in plain text: its fields, a Content-Type among them, and its content. `code` is a stable
    /// name in `snake_case`, `what` the end of a sentence that begins with "the client". `what` is
    /// empty where the fault is ours: a call of this handler has panicked.
    fn page(&self, status: Status, code: &'static str, what: &str) -> Option<(Fields, Bytes)> {
        let _ = (status, code, what);
        None
    }

    /// The methods that the handler knows, for the `Allow` field where the server refuses a method
    /// by itself.
    fn allow(&self) -> &'static str {
        "GET, HEAD"
    }
}
