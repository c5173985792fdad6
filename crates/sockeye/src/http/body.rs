//! A request's body, and the ways to read it.

use bytes::Bytes;
use http::StatusCode;
use sockeye_http::Content;

use super::reply::{BodyReceiver, BodyWaiter, CollectFn, Incomplete, Reply, ReplyKind};

/// A request's body, which has not been read yet.
///
/// A handler reads the body by returning the [`Reply`] of [`Body::collect`] or [`Body::receive`].
/// If the handler drops the body instead, the server discards a small body. A request with a larger
/// body gets its response, too. After that, the server closes the connection (HTTP/1.1) or resets
/// the stream (HTTP/2).
#[derive(Debug)]
pub struct Body {
    pub(super) content: Content,
}

impl Body {
    /// The length in bytes. `None` if it is unknown until the body ends: a chunked body in
    /// HTTP/1.1, or one without Content-Length in HTTP/2.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self.content {
            Content::None => Some(0),
            Content::Length(length) => Some(length),
            Content::Chunked => None,
        }
    }

    /// Whether the request has no body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content == Content::None
    }

    /// Reads the body into memory, and responds with the result of `then`. If there is no body,
    /// `then` is called at once.
    ///
    /// A request whose body has more than `limit` bytes gets 413: at once if it has a
    /// Content-Length, else when the limit is exceeded. In HTTP/1.1, the connection then closes.
    /// Memory grows with the bytes that arrived, not with the Content-Length.
    ///
    /// `then` runs on the event loop: don't block. For blocking work, return [`Reply::run`] from
    /// it.
    ///
    /// The body (over HTTP/1.1, its memory beyond 64 KiB) is charged to the budget
    /// [`Options::collected`](super::Options::collected), until the response begins and the work
    /// that makes it has ended. If the budget or the client's share of it is spent, the request
    /// gets 503 with Retry-After, and the rest of its body is not collected.
    ///
    /// `then` is dropped and not called if the body does not arrive as a whole, or was refused for
    /// one of these reasons: see [`Body::try_collect`].
    pub fn collect<R: Into<Reply>>(
        self,
        limit: u64,
        then: impl FnOnce(Bytes) -> R + Send + 'static,
    ) -> Reply {
        self.try_collect(limit, move |body| match body {
            Ok(bytes) => then(bytes).into(),
            // The server has already responded, if it could, so this response is not sent.
            Err(Incomplete) => StatusCode::BAD_REQUEST.into(),
        })
    }

    /// As [`Body::collect`], but also calls `then` if the body does not arrive as a whole, or was
    /// refused: it was too long, or its budget was spent. Then the server has already answered the
    /// request, if it could, and drops the result of `then`. Don't block in `then` in any case.
    pub fn try_collect<R: Into<Reply>>(
        self,
        limit: u64,
        then: impl FnOnce(Result<Bytes, Incomplete>) -> R + Send + 'static,
    ) -> Reply {
        let then: CollectFn = Box::new(move |body| then(body).into());
        let then = BodyWaiter::new(then, |then| drop(then(Err(Incomplete))));
        Reply(ReplyKind::Collect { limit, length: self.length(), then })
    }

    /// Passes the body to `receiver` as it arrives. [`BodyReceiver::end`] makes the response, if
    /// [`BodyReceiver::piece`] has not made it before. A client that sends faster than `receiver`
    /// takes the pieces is slowed down.
    ///
    /// A request whose body has more than `limit` bytes gets 413, as with [`Body::collect`].
    /// `u64::MAX` means no limit.
    pub fn receive(self, limit: u64, receiver: impl BodyReceiver) -> Reply {
        Reply(ReplyKind::Receive { limit, receiver: BodyWaiter::receiver(Box::new(receiver)) })
    }
}
