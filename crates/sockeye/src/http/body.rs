//! A request's body, and the ways to take it.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use sockeye_proto::http1::Content;

use super::reply::{Kind, Reply};

/// A request's body, none of which has been read.
///
/// It is taken by what a handler returns: [`Body::collect`] or [`Body::receive`]. One that is
/// dropped is not read: the server throws a small one away, and closes the connection behind the
/// reply where there is more.
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

    /// Has it read into memory, and what `then` makes of it be the reply. `then` is called at once
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
    pub fn collect<R: Into<Reply>>(
        self,
        limit: u64,
        then: impl FnOnce(Bytes) -> R + Send + 'static,
    ) -> Reply {
        let then = Box::new(move |bytes| then(bytes).into());
        Reply(Kind::Collect { limit, expected: self.length(), then })
    }

    /// Has it handed to `receiver` as it comes, whose [`Receive::end`] gives the reply. At most one
    /// piece is held here, and a client that sends faster than `receiver` takes has to wait.
    ///
    /// A body of more than `limit` bytes is answered as by [`Body::collect`]; `u64::MAX` is none.
    pub fn receive(self, limit: u64, receiver: impl Receive) -> Reply {
        Reply(Kind::Receive { limit, receiver: Box::new(receiver) })
    }
}

/// Takes a request's body as it comes. It is dropped, without an end, when the client goes before
/// the body is complete.
pub trait Receive: Send + 'static {
    /// Takes a piece of the body: at least one byte, at most 64 KiB. What it returns says what is
    /// next, and has the receiver in it, so that a job can have it meanwhile.
    ///
    /// This is called on the server's loop: what blocks belongs into [`Take::run`].
    fn piece(self: Box<Self>, piece: &[u8]) -> Take;

    /// The body is complete. `trailers` has the fields behind a body in chunks, mostly none.
    fn end(self: Box<Self>, trailers: HeaderMap) -> Reply;
}

/// What comes next when a piece of a body was taken.
pub enum Take {
    /// More of it.
    More(Box<dyn Receive>),
    /// This work, on the pool; then what it returns.
    Run(Box<dyn FnOnce() -> Self + Send>),
    /// The reply: what is left of the body is not read.
    Reply(Reply),
}

impl Take {
    /// Has `work`, which may block, done by a thread of the pool. Nothing is read meanwhile. When it
    /// panics the reply is 500, and 503 when the pool's queue is full.
    pub fn run(work: impl FnOnce() -> Self + Send + 'static) -> Self {
        Self::Run(Box::new(work))
    }

    /// Answers before the body has come to its end.
    pub fn reply(reply: impl Into<Reply>) -> Self {
        Self::Reply(reply.into())
    }
}

impl fmt::Debug for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::More(_) => "More",
            Self::Run(_) => "Run",
            Self::Reply(_) => "Reply",
        })
    }
}
