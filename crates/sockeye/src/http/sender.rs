//! What other threads send to a response: its content, or wake-ups for the source that the event
//! loop gets the content from.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use sockeye_proto::{Message, Promise, Remote, SendError};

use super::link::ResponseLink;

/// Sends the content of one response, from any thread.
///
/// Pieces are sent in order. A client that reads slowly slows the sender down: at most 16 pieces
/// wait. A piece waits until the event loop has taken it and the output is not full
/// ([`Config::max_buffered_output`](crate::Config); in HTTP/2, each stream has an output of its
/// own). The limit counts pieces, not bytes, so a piece should be neither tiny nor huge.
///
/// If the sender is dropped before [`Sender::finish`], the response is aborted: the connection
/// closes, or in HTTP/2 the stream is reset, so that the client notices. (A client of HTTP/1.0 that
/// got no Content-Length can't notice.)
///
/// [`Sender::is_gone`] says whether the client has left. The documentation of
/// [`Reply::endless`](super::Reply::endless) says when the server notices that.
#[derive(Debug)]
pub struct Sender {
    pub(super) link: ResponseLink,
    /// The promise that sends [`Finished`] to the event loop at the end of the content.
    pub(super) end: Promise,
    /// The number of the exchange whose response this sends.
    pub(super) exchange: u64,
}

/// Content from a [`Sender`], for one exchange of the connection.
pub(super) struct SentPiece {
    pub(super) exchange: u64,
    pub(super) piece: Bytes,
}

/// The end of the content from a [`Sender`].
pub(super) struct Finished {
    pub(super) trailers: HeaderMap,
}

impl Sender {
    /// Sends a piece. Blocks while 16 pieces wait.
    ///
    /// # Errors
    ///
    /// [`ClientGone`] if the response is over.
    ///
    /// # Panics
    ///
    /// If it would have to block on the thread of an event loop. Use [`Sender::try_send`] there.
    pub fn send(&self, piece: impl Into<Bytes>) -> Result<(), ClientGone> {
        match self.send_by(Remote::send, piece.into()) {
            Err(SendError::OnEventLoop(sent)) => match self.link.remote.try_send(sent) {
                Err(SendError::Full(_)) => {
                    panic!("Sender::send would block an event loop: use Sender::try_send")
                }
                sent => sent.map_err(|_| ClientGone),
            },
            sent => sent.map_err(|_| ClientGone),
        }
    }

    /// Sends a piece, if it can without blocking.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the piece.
    pub fn try_send(&self, piece: impl Into<Bytes>) -> Result<(), TrySendError> {
        let returned = |message: Message| {
            message.downcast::<SentPiece>().map(|sent| sent.piece).unwrap_or_default()
        };
        self.send_by(Remote::try_send, piece.into()).map_err(|error| match error {
            SendError::Full(message) => TrySendError::Full(returned(message)),
            SendError::Gone(message) | SendError::OnEventLoop(message) => {
                TrySendError::ClientGone(returned(message))
            }
        })
    }

    /// Sends a piece by calling `send`. An empty piece sends nothing.
    fn send_by(
        &self,
        send: fn(&Remote, Message) -> Result<(), SendError>,
        piece: Bytes,
    ) -> Result<(), SendError> {
        let is_empty = piece.is_empty();
        let message = Box::new(SentPiece { exchange: self.exchange, piece });
        if self.is_gone() {
            return Err(SendError::Gone(message));
        }
        if is_empty { Ok(()) } else { send(&self.link.remote, message) }
    }

    /// Completes the response. Never blocks.
    pub fn finish(self) {
        self.finish_with(HeaderMap::new());
    }

    /// Completes the response with `trailers`. They are left out if the length of the content was
    /// announced, or the client speaks HTTP/1.0. An invalid trailer aborts the response: the
    /// connection closes, or in HTTP/2 the stream is reset.
    pub fn finish_with(self, trailers: HeaderMap) {
        self.end.fulfill(Box::new(Finished { trailers }));
    }

    /// Whether the response is over, so that nothing more can be sent.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.link.is_gone()
    }

    /// Whether the server drains. A response that is not completed before the drain deadline is
    /// cut.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.link.is_draining()
    }
}

/// The response is over before its content was complete: the client left, or the server stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientGone;

impl fmt::Display for ClientGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response is over: the client has left or the server has stopped it")
    }
}

impl std::error::Error for ClientGone {}

/// Why [`Sender::try_send`] failed. The piece is returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrySendError {
    /// 16 pieces wait already.
    Full(Bytes),
    /// The response is over.
    ClientGone(Bytes),
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("too many pieces wait to be sent"),
            Self::ClientGone(_) => ClientGone.fmt(f),
        }
    }
}

impl std::error::Error for TrySendError {}

/// Wakes the [`BodySource`](super::BodySource) of a response that was made by
/// [`Reply::follow`](super::Reply::follow), from any thread.
#[derive(Clone, Debug)]
pub struct SourceWaker(pub(super) ResponseLink);

impl SourceWaker {
    /// Makes the event loop call the source again, if the source waits. This never blocks and never
    /// fails, even on an event loop. Several wake-ups may be combined, but none is lost: after each
    /// wake-up, the source is called at least once, and sees what was written before the wake-up.
    pub fn wake(&self) {
        self.0.remote.wake();
    }

    /// Whether the response is over, so that there is no source to wake.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.is_gone()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::mpsc;

    use http::{Request, Response};
    use sockeye_http as http_core;
    use sockeye_proto::harness::Harness;

    use super::*;
    use crate::http::{Body, HttpService, Reply};

    /// Between a sender's check that its response is not over and the arrival of its piece, the
    /// response may end and the next request of the connection may begin.
    #[test]
    fn a_late_piece_does_not_get_into_the_next_response() {
        let (out, senders) = mpsc::channel();
        let service = HttpService::new(move |_: Request<Body>| {
            let out = out.clone();
            Reply::stream(Response::new(()), move |sender| out.send(sender).unwrap())
        });
        let mut connection =
            Harness::new(http_core::Server::new(Rc::default(), service.handlers()));
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        connection.input(request);
        let Sender { link, end, exchange } = senders.recv().unwrap();
        end.fulfill(Box::new(Finished { trailers: HeaderMap::new() }));
        connection.deliver();
        connection.input(request);
        let newer = senders.recv().unwrap();
        connection.output();

        let late = SentPiece { exchange, piece: "old".into() };
        assert!(link.remote.try_send(Box::new(late)).is_ok(), "the connection is there");
        newer.try_send("new").unwrap();
        newer.finish();
        connection.deliver();
        assert_eq!(connection.output(), b"3\r\nnew\r\n0\r\n\r\n");
    }
}
