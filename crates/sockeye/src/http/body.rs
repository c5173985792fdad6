//! A request's body, and the ways to take it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::StatusCode;
use sockeye_http::Content;

use super::reply::{Incomplete, Kind, Receive, Reply, Then};

/// A request's body, none of which has been read.
///
/// It is taken by what a handler returns: [`Body::collect`] or [`Body::receive`]. One that is
/// dropped is not read: the server throws a small one away, and closes the connection behind the
/// response where there is more.
#[derive(Debug)]
pub struct Body {
    content: Content,
}

impl Body {
    pub(super) fn new(content: Content) -> Self {
        Self { content }
    }

    /// How long it is, in bytes, where the request says so: not with the chunked coding.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self.content {
            Content::None => Some(0),
            Content::Length(length) => Some(length),
            Content::Chunked => None,
        }
    }

    /// Whether the request has none, as most have not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content == Content::None
    }

    /// Has it read into memory, and what `then` makes of it be the response. `then` is called at once
    /// where there is no body.
    ///
    /// A body of more than `limit` bytes is answered with 413: at once if the request says its
    /// length, else as soon as it is known. Memory grows with what has come, not with what was
    /// announced. The connection closes behind a 413, for nobody reads the rest.
    ///
    /// All bodies that are collected and not answered, or that work for an answer still holds, may have
    /// 256 MiB together, not counting the first 64 KiB of each; those of one client a quarter of that,
    /// of a local one half ([`Options::collected`](super::Options::collected)). What comes beyond it is
    /// answered with 503 and Retry-After, and not read.
    ///
    /// Where the body is not complete, `then` is dropped and not called: [`Body::try_collect`] tells.
    pub fn collect<R: Into<Reply>>(
        self,
        limit: u64,
        then: impl FnOnce(Bytes) -> R + Send + 'static,
    ) -> Reply {
        self.try_collect(limit, move |body| match body {
            Ok(bytes) => then(bytes).into(),
            // Nobody is told of it.
            Err(Incomplete) => StatusCode::BAD_REQUEST.into(),
        })
    }

    /// As [`Body::collect`], and `then` is called also where the body is not complete and never will
    /// be: with [`Incomplete`]. The server has answered by itself then, where it could, so what `then`
    /// returns is dropped. It may be called on the server's loop, and should not block.
    ///
    /// ```
    /// # use sockeye::http::{Body, Reply, Request};
    /// fn handler(request: Request<Body>) -> Reply {
    ///     request.into_body().try_collect(1 << 20, |body| match body {
    ///         Ok(bytes) => format!("{} bytes\n", bytes.len()),
    ///         Err(incomplete) => incomplete.to_string(), // Tell a log, say.
    ///     })
    /// }
    /// ```
    pub fn try_collect<R: Into<Reply>>(
        self,
        limit: u64,
        then: impl FnOnce(Result<Bytes, Incomplete>) -> R + Send + 'static,
    ) -> Reply {
        let then = Box::new(move |body| then(body).into());
        Reply(Kind::Collect { limit, expected: self.length(), then })
    }

    /// Has it handed to `receiver` as it comes, whose [`Receive::end`] gives the response. At most one
    /// piece is held here, and a client that sends faster than `receiver` takes has to wait.
    ///
    /// A body of more than `limit` bytes is answered as by [`Body::collect`]; `u64::MAX` is none.
    pub fn receive(self, limit: u64, receiver: impl Receive) -> Reply {
        Reply(Kind::Receive { limit, receiver: Box::new(receiver) })
    }
}

/// Whoever waits for the rest of a body. Dropped before it is taken out, it is told that this will not
/// come.
pub(super) struct UntilEnd<T: BreakOff>(Option<T>);

/// What can be told that a body is incomplete.
pub(super) trait BreakOff {
    fn break_off(self);
}

impl BreakOff for Then {
    fn break_off(self) {
        drop(self(Err(Incomplete)));
    }
}

impl BreakOff for Box<dyn Receive> {
    fn break_off(self) {
        self.incomplete(Incomplete);
    }
}

impl<T: BreakOff> UntilEnd<T> {
    pub(super) fn new(waiting: T) -> Self {
        Self(Some(waiting))
    }

    /// Takes it out, for what has come.
    pub(super) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: BreakOff> Drop for UntilEnd<T> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            // Whoever drops it has nothing to do with a panic, which its hook has told of.
            let _ = catch_unwind(AssertUnwindSafe(|| waiting.break_off()));
        }
    }
}
