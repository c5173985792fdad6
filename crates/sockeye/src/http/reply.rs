//! What a handler returns: a response, or how it will be made.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use sockeye_http::{Answer, Responder};
use sockeye_proto::{Permit, Promise, Protocol};
use tracing::error;

use super::link::{Gone, ResponseLink};
use super::sender::{Sender, SourceWaker};
use super::source::{BodySource, Pieces};
use super::websockets::WebSocketConfigs;

/// What a handler returns: a response, or how it will be made.
///
/// | a response that | is made by |
/// |---|---|
/// | is ready | `into()` from a [`Response`] with its body in memory, from text, bytes, a [`StatusCode`] (a short page), or a `Result` of two of these |
/// | is JSON | [`Reply::json`] |
/// | another thread makes | [`Reply::later`] |
/// | blocking work makes | [`Reply::run`] |
/// | needs the request's body | [`Body::collect`](super::Body::collect), [`Body::receive`](super::Body::receive) |
/// | a thread sends piece by piece | [`Reply::stream`]; without an end: [`Reply::endless`], [`Reply::events`] |
/// | is sent as the output has room | [`Reply::pull`], [`Reply::pieces`] |
/// | sends the same news to many clients | [`Reply::follow`], [`Reply::follow_events`] |
/// | opens a WebSocket | [`ws::on_message`](super::ws::on_message), [`ws::upgrade`](super::ws::upgrade()) |
/// | switches to another protocol | [`Reply::upgrade`] |
///
/// These can be combined, because work and the functions that get a body return a [`Reply`], too.
/// For example, blocking work may decide to collect the body, whose content is then answered with a
/// stream.
///
/// # Header fields
///
/// `Date`, `Server` and `Keep-Alive` of a handler are ignored, and `Upgrade` unless the status is
/// 426, which requires it. The server writes `Date`, and `Server` and `Upgrade` where they apply.
/// Of `Connection`, only `close` has an effect.
///
/// The handler sets the fields that a status requires, and the server adds none of them: `Allow` in
/// a 405, `WWW-Authenticate` in a 401, and `Upgrade` in a 426. A handler that sends trailers
/// announces them with `Trailer` (RFC 9110, 6.6.2).
///
/// The server writes the `Content-Length` of a body in memory. For content that is sent piece by
/// piece, a handler may set `Content-Length`. If the content then has another length, the
/// connection closes, or in HTTP/2 the stream is reset.
///
/// A response to HEAD has the `Content-Length` of the response to GET, or none (RFC 9110, 8.6):
///
/// - For a body in memory, the server sends the body's length, but not the body. If the body is
///   empty, the handler may set the `Content-Length`.
/// - For content that would be sent piece by piece, the handler may set the `Content-Length`. If it
///   doesn't, HTTP/1.1 has `Transfer-Encoding: chunked` instead.
///
/// Responses with the status 204 or 304 have neither `Content-Length` nor `Transfer-Encoding`.
///
/// If a handler sets a status below 200 or above 599, a `Transfer-Encoding` or an invalid
/// `Content-Length`, the server answers 500 and logs why.
pub struct Reply(pub(super) ReplyKind);

/// Makes a [`Reply`]. It may block.
pub(super) type Work = Box<dyn FnOnce() -> Reply + Send>;

/// Makes a [`Reply`] from a collected body.
pub(super) type CollectFn = Box<dyn FnOnce(Result<Bytes, Incomplete>) -> Reply + Send>;

/// Answers a request by calling its responder.
pub(super) type RespondFn = Box<dyn FnOnce(&WebSocketConfigs, Responder<'_, '_>) -> Answer + Send>;

/// The kinds of [`Reply`]. A kind without a comment is described at the function that makes it,
/// such as [`Reply::later`].
pub(super) enum ReplyKind {
    Response(Response<Bytes>),
    /// 200 with a Content-Type and no other field. A [`Response`] would allocate twice for its
    /// [`HeaderMap`].
    Content(&'static str, Bytes),
    /// A page in plain text: see [`Reply::error`].
    Page(StatusCode, String),
    Later(Box<dyn FnOnce(PendingReply) + Send>),
    Run(Work),
    Collect {
        limit: u64,
        length: Option<u64>,
        then: BodyWaiter<CollectFn>,
    },
    Receive {
        limit: u64,
        receiver: BodyWaiter<Box<dyn BodyReceiver>>,
    },
    ReadMore(BodyWaiter<Box<dyn BodyReceiver>>),
    Stream(Response<()>, ContentSource),
    Upgrade {
        name: String,
        fields: HeaderMap,
        make: Box<dyn FnOnce() -> Box<dyn Protocol> + Send>,
    },
    /// An answer that calls the responder itself: the handshake of a WebSocket, or its refusal.
    Respond(RespondFn),
}

/// The source of content that is sent piece by piece.
pub(super) enum ContentSource {
    Sender {
        /// The content has no end of its own.
        endless: bool,
        start: Box<dyn FnOnce(Sender) + Send>,
    },
    Source(Box<dyn BodySource>),
    /// A source that may wait until its [`SourceWaker`] is called.
    Follow(Box<dyn FnOnce(SourceWaker) -> Box<dyn BodySource> + Send>),
}

impl Reply {
    /// Responds with a page in plain text: the status, and `text` below it.
    pub fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self(ReplyKind::Page(status, text.into()))
    }

    /// Responds with `value` as JSON. If it can't be written as JSON, the response is a 500, and
    /// the log says why.
    ///
    /// ```
    /// use sockeye::http::{Reply, StatusCode};
    ///
    /// // The value may also be of a type that derives `serde::Serialize`.
    /// fn created() -> Reply {
    ///     Reply::json(StatusCode::CREATED, &serde_json::json!({ "id": 7 }))
    /// }
    /// ```
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let content = match serde_json::to_vec(value) {
            Ok(content) => content,
            Err(error) => {
                error!(target: "sockeye", %error, "a response can't be written as JSON");
                return StatusCode::INTERNAL_SERVER_ERROR.into();
            }
        };
        let mut response = Response::new(Bytes::from(content));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response.into()
    }

    /// Responds later: `take` gets a [`PendingReply`], which it can keep or pass to another thread.
    ///
    /// ```
    /// # use sockeye::http::{Body, Reply, Request};
    /// fn handler(request: Request<Body>) -> Reply {
    ///     Reply::later(move |pending| {
    ///         std::thread::spawn(move || pending.send(format!("{}\n", request.uri())));
    ///     })
    /// }
    /// ```
    pub fn later(take: impl FnOnce(PendingReply) + Send + 'static) -> Self {
        Self(ReplyKind::Later(Box::new(take)))
    }

    /// Runs `work`, which may block, on a thread of the pool, and responds with its result. The
    /// response is a 500 if `work` panics, and a 503 if too many jobs wait already: 100,000 in
    /// total, or 25,000 of this client (50,000 if it is on the same machine).
    /// [`Config::job_threads`](crate::Config::job_threads) sets how many jobs run at a time.
    ///
    /// After [`Limits::response_timeout`](super::Limits::response_timeout), the client gets a 503.
    /// `work` isn't stopped then, but its result is dropped.
    pub fn run<R: Into<Self>>(work: impl FnOnce() -> R + Send + 'static) -> Self {
        Self(ReplyKind::Run(Box::new(move || work().into())))
    }

    /// Passes the next piece of the request's body to `receiver`. Only [`BodyReceiver::piece`], and
    /// the work that it starts, may return this; otherwise the response is a 500.
    #[must_use]
    pub fn read_more(receiver: Box<dyn BodyReceiver>) -> Self {
        Self(ReplyKind::ReadMore(BodyWaiter::receiver(receiver)))
    }

    /// Sends content from another thread: `start` gets a [`Sender`], and passes it to that thread.
    /// If the response has no content, because it answers HEAD or has the status 204, 205 or 304,
    /// `start` is dropped.
    pub fn stream(head: Response<()>, start: impl FnOnce(Sender) + Send + 'static) -> Self {
        let start = Box::new(start);
        Self(ReplyKind::Stream(head, ContentSource::Sender { endless: false, start }))
    }

    /// As [`Reply::stream`], for content without an end. When the server drains, the response is
    /// completed, and [`Sender::is_gone`] becomes `true`.
    ///
    /// A reset of the connection is noticed at once. A client that closes without a reset looks
    /// like one that has only closed its sending side and still reads. Its response is cancelled
    /// when nothing has been sent for
    /// [`Limits::half_closed_timeout`](super::Limits::half_closed_timeout). Default: 15 s. To keep
    /// a quiet stream to such a client open, send an [`Event::comment`](super::Event::comment) more
    /// often than that.
    pub fn endless(head: Response<()>, start: impl FnOnce(Sender) + Send + 'static) -> Self {
        let start = Box::new(start);
        Self(ReplyKind::Stream(head, ContentSource::Sender { endless: true, start }))
    }

    /// Sends server-sent events: [`Reply::endless`] with their header fields. Each piece is an
    /// [`Event`](super::Event).
    pub fn events(start: impl FnOnce(Sender) + Send + 'static) -> Self {
        Self::endless(event_stream(), start)
    }

    /// Sends server-sent events to many clients: [`Reply::follow`] with their header fields. Each
    /// piece is an [`Event`](super::Event).
    pub fn follow_events<S: BodySource>(
        make: impl FnOnce(SourceWaker) -> S + Send + 'static,
    ) -> Self {
        Self::follow(event_stream(), make)
    }

    /// Sends content from `source`, which the event loop calls whenever the output buffer has room.
    /// No thread waits for a slow client.
    pub fn pull(head: Response<()>, source: impl BodySource) -> Self {
        Self(ReplyKind::Stream(head, ContentSource::Source(Box::new(source))))
    }

    /// As [`Reply::pull`], for a source that may have nothing to send yet
    /// ([`SourceNext::Wait`](super::SourceNext::Wait)). `make` gets a [`SourceWaker`], which wakes
    /// the source. When the server drains, the response is completed as soon as its source waits.
    ///
    /// Use this for a broadcast: each response reads a shared, bounded log at its own pace. A slow
    /// client costs its output buffer and a position in the log, and slows nobody else down. A
    /// [`Sender`] buffers 16 pieces for such a client, and then blocks (`send`) or rejects more
    /// (`try_send`).
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use sockeye::http::{BodySource, Bytes, Reply, SourceNext, SourceWaker};
    ///
    /// /// Appending to the log must wake the followers. This log grows without limit; that of the
    /// /// example `http_events` doesn't.
    /// #[derive(Default)]
    /// struct News { log: Vec<Bytes>, followers: Vec<SourceWaker> }
    ///
    /// struct Follower { news: Arc<Mutex<News>>, position: usize }
    ///
    /// impl BodySource for Follower {
    ///     fn next(mut self: Box<Self>) -> SourceNext {
    ///         let event = self.news.lock().unwrap().log.get(self.position).cloned();
    ///         let Some(event) = event else { return SourceNext::Wait(self) };
    ///         self.position += 1;
    ///         SourceNext::Piece(event, self)
    ///     }
    /// }
    ///
    /// fn follow(news: Arc<Mutex<News>>) -> Reply {
    ///     Reply::follow_events(move |waker| {
    ///         news.lock().unwrap().followers.push(waker);
    ///         Follower { news, position: 0 }
    ///     })
    /// }
    /// ```
    pub fn follow<S: BodySource>(
        head: Response<()>,
        make: impl FnOnce(SourceWaker) -> S + Send + 'static,
    ) -> Self {
        Self(ReplyKind::Stream(
            head,
            ContentSource::Follow(Box::new(|waker| Box::new(make(waker)))),
        ))
    }

    /// As [`Reply::pull`], from an iterator that doesn't block. Empty pieces send nothing; 1,024 of
    /// them in a row abort the response.
    pub fn pieces<I>(head: Response<()>, pieces: I) -> Self
    where
        I: IntoIterator<Item: Into<Bytes>, IntoIter: Send + 'static>,
    {
        Self::pull(head, Pieces(pieces.into_iter()))
    }

    /// Switches to the protocol that `make` returns: in HTTP/1.1 the connection, by a 101 with
    /// `name` in `Upgrade` and with `fields`; in HTTP/2 the request's stream, by a 200 with
    /// `fields` (RFC 8441). The protocol gets [`Event::Open`](crate::Event::Open), then the bytes
    /// after the request. For WebSockets, use [`ws`](super::ws).
    ///
    /// [`Upgrade`](super::Upgrade), in the request's extensions, names the protocols that the
    /// client asks for. The server answers 400 if the request can't be upgraded: it doesn't ask for
    /// an upgrade to `name`, it has a body in HTTP/1.1, or the server is stopping.
    pub fn upgrade(
        name: impl Into<String>,
        fields: HeaderMap,
        make: impl FnOnce() -> Box<dyn Protocol> + Send + 'static,
    ) -> Self {
        Self(ReplyKind::Upgrade { name: name.into(), fields, make: Box::new(make) })
    }
}

/// The head of a response with server-sent events.
fn event_stream() -> Response<()> {
    let mut head = Response::new(());
    let fields = head.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head
}

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

impl<B: Into<Bytes>> From<Response<B>> for Reply {
    fn from(response: Response<B>) -> Self {
        Self(ReplyKind::Response(response.map(Into::into)))
    }
}

impl From<&'static str> for Reply {
    fn from(text: &'static str) -> Self {
        Self(ReplyKind::Content(TEXT, text.into()))
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self(ReplyKind::Content(TEXT, text.into()))
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Self(ReplyKind::Content(BYTES, bytes.into()))
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Self(ReplyKind::Content(BYTES, bytes))
    }
}

impl From<StatusCode> for Reply {
    fn from(status: StatusCode) -> Self {
        Self::error(status, "")
    }
}

impl<T: Into<Self>, E: Into<Self>> From<Result<T, E>> for Reply {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(Into::into, Into::into)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// Responds to one request, from any thread. If this is dropped, the response is a 500.
///
/// [`PendingReply::is_gone`] says whether the client has left. A client that only closes its
/// sending side of the connection may still read, so it counts as waiting. A client that resets the
/// connection has left. After [`Limits::response_timeout`](super::Limits::response_timeout), the
/// server has responded with 503, and it is too late for another response.
#[derive(Debug)]
pub struct PendingReply {
    pub(super) promise: Promise,
    pub(super) link: ResponseLink,
    /// Charges a collected body to the budget until the response starts.
    pub(super) permit: Option<Arc<Permit>>,
}

impl PendingReply {
    /// Whether the connection is closed, or the response would be too late.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.link.is_gone()
    }

    /// A future that is ready when [`PendingReply::is_gone`] becomes `true`. It borrows nothing and
    /// works in any executor, so that async code can stop its work for a client that has left. Of
    /// several futures of one value, only the one that was polled last is woken.
    ///
    /// The function `sockeye_tower::spawn` uses this to end the task of a client that has left.
    pub fn gone(&self) -> Gone {
        self.link.gone()
    }

    /// Responds. A `reply` that is too late is dropped.
    pub fn send(self, reply: impl Into<Reply>) {
        drop(self.permit);
        let reply: Reply = reply.into();
        self.promise.fulfill(Box::new(reply));
    }
}

/// Receives a request's body as it arrives: see [`Body::receive`](super::Body::receive).
pub trait BodyReceiver: Send + 'static {
    /// Receives a piece of the body, of 1 byte to 68 KiB. To get the next piece, return
    /// [`Reply::read_more`] with `self`. The work of a [`Reply::run`] may return it, too; until
    /// then, nothing is read. With any other [`Reply`], the rest of the body is not read.
    ///
    /// This runs on the event loop: don't block.
    fn piece(self: Box<Self>, piece: &[u8]) -> Reply;

    /// Receives the end of the body, with its trailers, and makes the response.
    fn end(self: Box<Self>, trailers: HeaderMap) -> Reply;

    /// The body is incomplete. The server has answered the request itself, if it could. Default:
    /// drops the receiver.
    ///
    /// If the work of a [`Reply::run`] owns the receiver, this is called when the work returns the
    /// receiver. If the work never runs, because too many jobs wait, the receiver is dropped
    /// instead. This method may run on the event loop: don't block.
    fn incomplete(self: Box<Self>, why: Incomplete) {
        let _ = why;
    }
}

/// The rest of a request's body will never arrive: the client left, closed its sending side of the
/// connection, was too slow, or sent an invalid or too large body; or the budget for bodies is
/// spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete;

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body is incomplete")
    }
}

impl std::error::Error for Incomplete {}

/// Holds the function or the [`BodyReceiver`] that waits for the rest of a body. If this is dropped
/// while it holds one, the body is incomplete, and `on_incomplete` is called.
pub(super) struct BodyWaiter<T> {
    inner: Option<T>,
    on_incomplete: fn(T),
}

impl<T> BodyWaiter<T> {
    pub(super) fn new(inner: T, on_incomplete: fn(T)) -> Self {
        Self { inner: Some(inner), on_incomplete }
    }

    /// Takes `inner` out, because the part of the body that it waits for has arrived.
    pub(super) fn into_inner(mut self) -> Option<T> {
        self.inner.take()
    }
}

impl<T> Drop for BodyWaiter<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            // A panic must not end the connection. The panic hook has already reported it.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.on_incomplete)(inner)));
        }
    }
}

impl BodyWaiter<Box<dyn BodyReceiver>> {
    pub(super) fn receiver(receiver: Box<dyn BodyReceiver>) -> Self {
        Self::new(receiver, |receiver| receiver.incomplete(Incomplete))
    }
}
