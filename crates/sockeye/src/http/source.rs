//! Content of a response that the event loop pulls from a source.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

/// A source of a response's content. The event loop asks it for the next piece whenever the output
/// buffer has room, and drops it when the client leaves.
pub trait BodySource: Send + 'static {
    /// Returns the next piece, together with the source. This method takes the source by value, so
    /// that the source can be moved into a job. The job then returns the piece and the source.
    ///
    /// This runs on the event loop: don't block. Blocking work: [`SourceNext::run`].
    fn next(self: Box<Self>) -> SourceNext;
}

/// What a [`BodySource`] returns.
pub enum SourceNext {
    /// A piece of content, and the source of the next piece. An empty piece sends nothing; 1,024
    /// empty pieces in a row abort the response.
    Piece(Bytes, Box<dyn BodySource>),
    /// Nothing yet. The source is called again after
    /// [`SourceWaker::wake`](super::SourceWaker::wake), and sometimes without a wake-up. When the
    /// server drains, the response is completed instead. Only a source of
    /// [`Reply::follow`](super::Reply::follow) may return this. If another source does, its
    /// response is aborted, since nothing could wake the source.
    Wait(Box<dyn BodySource>),
    /// Run this work on the thread pool, and continue with its result: see [`SourceNext::run`].
    Run(Box<dyn FnOnce() -> Self + Send>),
    /// The content is complete.
    End,
    /// The content is complete, with these trailers: see
    /// [`Sender::finish_with`](super::Sender::finish_with).
    EndWith(HeaderMap),
    /// The content can't be completed. The connection closes, or in HTTP/2 the stream is reset, so
    /// that the client notices.
    Abort,
}

impl SourceNext {
    /// Runs `work`, which may block, on the thread pool, and continues with its result. The
    /// response is aborted if `work` panics or the pool is full.
    pub fn run(work: impl FnOnce() -> Self + Send + 'static) -> Self {
        Self::Run(Box::new(work))
    }
}

impl fmt::Debug for SourceNext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceNext").finish_non_exhaustive()
    }
}

/// A source that sends the items of an iterator.
pub(super) struct Pieces<I>(pub(super) I);

impl<I> BodySource for Pieces<I>
where
    I: Iterator<Item: Into<Bytes>> + Send + 'static,
{
    fn next(mut self: Box<Self>) -> SourceNext {
        match self.0.next() {
            Some(piece) => SourceNext::Piece(piece.into(), self),
            None => SourceNext::End,
        }
    }
}
