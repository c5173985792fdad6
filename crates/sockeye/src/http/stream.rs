//! Responses that are sent bit by bit: by a thread that has something to say, or from a source as
//! there is room.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use sockeye_proto::{Promise, Remote, SendError};

/// The content of one response, from any thread.
///
/// What it sends goes out in order. A client that doesn't read holds it back: at most 16 pieces wait
/// on their way to the loop, and none of them is taken up while as much is unsent as may be
/// ([`Config::max_buffered_output`](crate::Config)). So a piece should be neither tiny nor huge.
///
/// Dropping it says that the response can't be completed: the connection is cut, so that the client
/// sees it. (One that speaks HTTP/1.0, and was told no length, can't.)
///
/// [`Sender::is_gone`] says when the client has left. A client that resets its connection is noticed
/// at once. A client that ends its side may still be reading, so the response goes on; it is cancelled
/// once nothing has been sent for
/// [`Limits::half_closed_timeout`](super::Limits::half_closed_timeout), 15 s by default.
#[derive(Debug)]
pub struct Sender {
    remote: Remote,
    end: Promise,
    exchange: u64,
    hears: Arc<Hears>,
}

/// What a [`Sender`] or a [`Later`](super::Later) hears of its response.
#[derive(Debug, Default)]
pub(super) struct Hears {
    over: AtomicBool,
    stopping: AtomicBool,
}

/// The response's end of that. Dropping it says that the response is over.
#[derive(Debug)]
pub(super) struct Telling(Arc<Hears>);

impl Hears {
    /// Both ends.
    pub(super) fn new() -> (Arc<Self>, Telling) {
        let hears = Arc::new(Self::default());
        (Arc::clone(&hears), Telling(hears))
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

impl Telling {
    pub(super) fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// A piece on its way, for one exchange of the connection.
pub(super) struct Sent {
    pub(super) exchange: u64,
    pub(super) piece: Bytes,
}

/// The end on its way.
pub(super) struct Finished {
    pub(super) trailers: HeaderMap,
}

impl Sender {
    pub(super) fn new(remote: Remote, end: Promise, exchange: u64) -> (Self, Telling) {
        let (hears, telling) = Hears::new();
        (Self { remote, end, exchange, hears }, telling)
    }

    /// Sends a piece; waits while as many are on their way as may be.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the response is over: the client has gone, or the server stops.
    ///
    /// # Panics
    ///
    /// When it would have to wait on the thread of an event loop, all of whose connections would wait
    /// with it. Where a handler sends by itself, [`Sender::try_send`] is the one to use.
    pub fn send(&self, piece: impl Into<Bytes>) -> Result<(), Gone> {
        let piece = piece.into();
        if self.is_gone() {
            return Err(Gone);
        }
        if piece.is_empty() {
            return Ok(());
        }
        let sent = Sent { exchange: self.exchange, piece };
        match self.remote.send(Box::new(sent)) {
            Ok(()) => Ok(()),
            Err(SendError::OnEventLoop(sent)) => match self.remote.try_send(sent) {
                Ok(()) => Ok(()),
                Err(SendError::Gone(_)) => Err(Gone),
                Err(_) => panic!("a piece would wait for an event loop, on an event loop"),
            },
            Err(_) => Err(Gone),
        }
    }

    /// Sends a piece, or says at once that it can't.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the piece.
    pub fn try_send(&self, piece: impl Into<Bytes>) -> Result<(), TrySendError> {
        let piece = piece.into();
        if self.is_gone() {
            return Err(TrySendError::Gone(piece));
        }
        if piece.is_empty() {
            return Ok(());
        }
        let sent = Sent { exchange: self.exchange, piece };
        self.remote.try_send(Box::new(sent)).map_err(|error| {
            let back = |message: sockeye_proto::Message| {
                message.downcast::<Sent>().map(|sent| sent.piece).unwrap_or_default()
            };
            match error {
                SendError::Full(message) => TrySendError::Full(back(message)),
                SendError::Gone(message) | SendError::OnEventLoop(message) => {
                    TrySendError::Gone(back(message))
                }
            }
        })
    }

    /// The response is complete. Never waits.
    pub fn finish(self) {
        self.finish_with(HeaderMap::new());
    }

    /// The response is complete, with these fields behind its content. They are left out where the
    /// content has a length, and to HTTP/1.0; one that frames a response is a fault, and the connection
    /// is cut.
    pub fn finish_with(self, trailers: HeaderMap) {
        self.end.keep(Box::new(Finished { trailers }));
    }

    /// Whether nothing that is sent goes anywhere any more: the client has left, or the response is
    /// over for another reason.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.hears.is_over() || self.remote.is_gone()
    }

    /// Whether the server wants to stop. The response has until the drain deadline to be completed.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.hears.stopping.load(Ordering::Relaxed)
    }
}

/// A response is over before everything was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reply is over: nobody receives it any more")
    }
}

impl std::error::Error for Gone {}

/// Why a piece was not sent. It comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrySendError {
    /// As many are on their way as may be.
    Full(Bytes),
    /// The response is over.
    Gone(Bytes),
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("as many pieces are on their way as may be"),
            Self::Gone(_) => Gone.fmt(f),
        }
    }
}

impl std::error::Error for TrySendError {}

/// Wakes the source of a response that [`Reply::follow`](super::Reply::follow) began, from any thread.
#[derive(Clone, Debug)]
pub struct Wake {
    remote: Remote,
    hears: Arc<Hears>,
}

impl Wake {
    pub(super) fn new(remote: Remote) -> (Self, Telling) {
        let hears = Arc::new(Hears::default());
        let telling = Telling(Arc::clone(&hears));
        (Self { remote, hears }, telling)
    }

    /// Has the source asked for more, if it waits. Never waits and never fails, on an event loop, too.
    /// Any number of calls before the source is asked are one. None is lost: what was written
    /// before the call is there when the source is asked after it.
    pub fn wake(&self) {
        self.remote.wake();
    }

    /// Whether the response is over, or its client has gone: nobody is left to wake.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.hears.over.load(Ordering::Relaxed) || self.remote.is_gone()
    }
}

/// Gives a response's content, as there is room for it. It is dropped when the client goes.
pub trait Source: Send + 'static {
    /// The next of it. What it returns has the source in it, so that a job can have it meanwhile.
    ///
    /// This is called on the server's loop: what blocks belongs into [`Give::run`].
    fn next(self: Box<Self>) -> Give;
}

/// What comes next of a response's content.
pub enum Give {
    /// A piece, and what gives the one after it. An empty piece sends nothing; with 1,024 of them
    /// in a row the response is aborted.
    Piece(Bytes, Box<dyn Source>),
    /// Nothing for now: it is asked again when [`Wake::wake`] is called, and may be asked without
    /// need. Only for a source of [`Reply::follow`](super::Reply::follow): any other aborts the response
    /// by it, as nothing could wake it.
    Wait(Box<dyn Source>),
    /// This work, on the pool; then what it returns.
    Run(Box<dyn FnOnce() -> Self + Send>),
    /// Nothing: the response is complete.
    End,
    /// Nothing but these fields behind the content, where they can be sent: as
    /// [`Sender::finish_with`] has it.
    EndWith(HeaderMap),
    /// Nothing, though something is missing: the connection is cut.
    Abort,
}

impl Give {
    /// Has `work`, which may block, done by a thread of the pool. When it panics, or the pool's
    /// queue is full, the connection is cut.
    pub fn run(work: impl FnOnce() -> Self + Send + 'static) -> Self {
        Self::Run(Box::new(work))
    }
}

impl fmt::Debug for Give {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Piece(piece, _) => f.debug_tuple("Piece").field(&piece.len()).finish(),
            Self::Wait(_) => f.write_str("Wait"),
            Self::Run(_) => f.write_str("Run"),
            Self::End => f.write_str("End"),
            Self::EndWith(trailers) => f.debug_tuple("EndWith").field(&trailers.len()).finish(),
            Self::Abort => f.write_str("Abort"),
        }
    }
}

/// The pieces that an iterator gives.
pub(super) struct Pieces<I>(pub(super) I);

impl<I> Source for Pieces<I>
where
    I: Iterator<Item: Into<Bytes>> + Send + 'static,
{
    fn next(mut self: Box<Self>) -> Give {
        match self.0.next() {
            Some(piece) => Give::Piece(piece.into(), self),
            None => Give::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::{Arc, mpsc};

    use http::{Request, Response};
    use sockeye_http as http_core;

    use sockeye_proto::harness::Harness;

    use super::*;
    use crate::http::{Body, Edge, Reply};

    /// Whoever sends a piece may be overtaken, after it has looked whether the response is over, by
    /// what ends the response and by the connection's next request.
    #[test]
    fn a_late_piece_of_an_older_reply_does_not_get_into_a_newer_one() {
        let (out, senders) = mpsc::channel();
        let edge = Edge::new(Arc::new(move |_: Request<Body>| {
            let out = out.clone();
            Reply::stream(Response::new(()), move |sender| out.send(sender).unwrap())
        }));
        let mut connection = Harness::new(http_core::Server::new(Rc::default(), edge.handlers()));
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        connection.input(request);
        let Sender { remote, end, exchange, .. } = senders.recv().unwrap();
        end.keep(Box::new(Finished { trailers: HeaderMap::new() }));
        connection.deliver();
        connection.input(request);
        let newer = senders.recv().unwrap();
        connection.output();

        let late = Sent { exchange, piece: "old".into() };
        assert!(remote.try_send(Box::new(late)).is_ok(), "the connection is there");
        newer.try_send("new").unwrap();
        newer.finish();
        connection.deliver();
        assert_eq!(connection.output(), b"3\r\nnew\r\n0\r\n\r\n");
    }
}
