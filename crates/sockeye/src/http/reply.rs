//! What a handler returns: a response, or what it will be made by.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use sockeye_proto::{Permit, Promise, Protocol, Remote};

use super::stream::{Hears, Pieces, Sender, Source, Telling, Wake};

/// A response, or where it will come from.
///
/// It is made from a [`Response`] whose body is in memory (`&'static str`, [`String`], `Vec<u8>`,
/// [`Bytes`], ...), from such a body alone (200, with a Content-Type of plain text or of bytes), from
/// a [`StatusCode`] (a short page in plain text), from a `Result` of two of these, or by a function
/// below or of [`Body`](super::Body).
///
/// Of the fields of a response the server writes some by itself. `Date`, `Server`, `Keep-Alive`,
/// `Trailer` and `Upgrade` of a handler are left out. `Connection: close` is honoured, and its other
/// options left out. `Content-Length` is that of the body; one that a handler sets counts where the
/// body comes bit by bit, which then has to keep it (or the connection is cut), and in a response to
/// HEAD without a body. What can't be sent is the handler's fault and a 500: a status below 200, any
/// `Transfer-Encoding`, a `Content-Length` that is not one number.
///
/// A response to HEAD has the `Content-Length` that GET's has, or none (RFC 9110, 8.6): that of a body
/// that isn't empty, which is not sent; else the one that the handler sets. An empty body without one
/// says nothing of GET's. Bit by bit, `Transfer-Encoding: chunked` says what GET's is sent in. On a
/// 204 and a 304 both are left out.
pub struct Reply(pub(super) Kind);

pub(super) enum Kind {
    Now(Response<Bytes>),
    /// 200, with a Content-Type and no more: the map of a [`Response`] would be two allocations.
    Plain(&'static str, Bytes),
    Page(StatusCode, String),
    Later(Box<dyn FnOnce(Later) + Send>),
    Run(Box<dyn FnOnce() -> Reply + Send>),
    Collect {
        limit: u64,
        /// How long the body is, where that is known.
        expected: Option<u64>,
        then: Then,
    },
    Receive {
        limit: u64,
        receiver: Box<dyn Receive>,
    },
    Stream(Response<()>, Content),
    Upgrade {
        name: String,
        fields: HeaderMap,
        make: Box<dyn FnOnce() -> Box<dyn Protocol> + Send>,
    },
}

/// Where the content of a response comes from that is sent bit by bit.
pub(super) enum Content {
    /// A thread.
    Sender {
        /// It has no end of its own.
        endless: bool,
        start: Box<dyn FnOnce(Sender) + Send>,
    },
    /// The loop.
    Source(Box<dyn Source>),
    /// The loop, whenever there is something.
    Follow(Box<dyn FnOnce(Wake) -> Box<dyn Source> + Send>),
}

impl Reply {
    /// A page in plain text: the status, and `text` below it.
    pub fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self(Kind::Page(status, text.into()))
    }

    /// A response that comes later, by the [`Later`] that `take` gets before this thread goes on to
    /// anything else. It can be kept, or given to another thread.
    ///
    /// ```
    /// # use sockeye::http::{Body, Reply, Request};
    /// fn handler(request: Request<Body>) -> Reply {
    ///     Reply::later(move |later| {
    ///         std::thread::spawn(move || later.answer(format!("{}\n", request.uri())));
    ///     })
    /// }
    /// ```
    pub fn later(take: impl FnOnce(Later) + Send + 'static) -> Self {
        Self(Kind::Later(Box::new(take)))
    }

    /// The response is what `work` gives, which may block: it is run by one of the server's threads for
    /// that, of which there are a few. When it panics the response is 500; when more wait than the
    /// pool has room for (100,000), 503. Work that takes longer than
    /// [`Limits::response_timeout`](super::Limits::response_timeout) is not stopped, nor dropped where
    /// it has not begun; the client gets 503, and what `work` gives is dropped.
    pub fn run<R: Into<Self>>(work: impl FnOnce() -> R + Send + 'static) -> Self {
        Self(Kind::Run(Box::new(move || work().into())))
    }

    /// A response whose content a thread sends bit by bit: `start` gets the [`Sender`] before this
    /// thread goes on to anything else, and gives it to another one. A response without content (to
    /// HEAD, a 204, a 304) has none to send, and `start` is dropped.
    pub fn stream(head: Response<()>, start: impl FnOnce(Sender) + Send + 'static) -> Self {
        let start = Box::new(start);
        Self(Kind::Stream(head, Content::Sender { endless: false, start }))
    }

    /// As [`Reply::stream`], for a response without an end of its own: when the server stops it is
    /// ended in order, and the sender is told that it has gone.
    ///
    /// A client that closes its connection without a reset looks like one that ended its side and still
    /// reads. The response is cancelled once nothing has been sent to such a client for
    /// [`Limits::half_closed_timeout`](super::Limits::half_closed_timeout), 15 s by default. To keep a
    /// quiet stream open, send an [`Event::comment`](super::Event::comment) more often than that.
    pub fn endless(head: Response<()>, start: impl FnOnce(Sender) + Send + 'static) -> Self {
        let start = Box::new(start);
        Self(Kind::Stream(head, Content::Sender { endless: true, start }))
    }

    /// Server-sent events, each an [`Event`](super::Event): [`Reply::endless`] with the fields that
    /// belong to them. A client that leaves is noticed as described there.
    pub fn events(start: impl FnOnce(Sender) + Send + 'static) -> Self {
        Self::endless(event_stream(), start)
    }

    /// Server-sent events that many clients follow: [`Reply::follow`] with the fields that belong to
    /// them. Each piece that the source gives is an [`Event`](super::Event).
    pub fn follow_events<S: Source>(make: impl FnOnce(Wake) -> S + Send + 'static) -> Self {
        Self::follow(event_stream(), make)
    }

    /// A response whose content comes from `source`, on the loop, as there is room for it. No thread
    /// waits for a slow client.
    pub fn pull(head: Response<()>, source: impl Source) -> Self {
        Self(Kind::Stream(head, Content::Source(Box::new(source))))
    }

    /// As [`Reply::pull`], from a source that may have nothing to give for now ([`Wait`](super::Give::Wait)).
    /// `make` gets what wakes it, and keeps that where others find it. When the
    /// server stops, the response is ended in order as soon as its source waits.
    ///
    /// For a broadcast: all responses read one log, which is bounded, each at its own pace. A client
    /// that reads slowly costs its output and a place in the log, and holds nobody up. A [`Sender`]
    /// takes 16 pieces for such a client and no more, so that a burst is lost for it.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use sockeye::http::{Bytes, Event, Give, Reply, Source, Wake};
    ///
    /// /// What is said to all. A real one has a bound: see the example `http_events`.
    /// #[derive(Default)]
    /// struct Said { log: Vec<Bytes>, listeners: Vec<Wake> }
    ///
    /// fn say(said: &Mutex<Said>, text: &str) {
    ///     let mut said = said.lock().unwrap();
    ///     said.log.push(Event::new(text).into());
    ///     said.listeners.retain(|listener| !listener.is_gone());
    ///     said.listeners.iter().for_each(Wake::wake);
    /// }
    ///
    /// struct Listener { said: Arc<Mutex<Said>>, cursor: usize }
    ///
    /// impl Source for Listener {
    ///     fn next(mut self: Box<Self>) -> Give {
    ///         let event = self.said.lock().unwrap().log.get(self.cursor).cloned();
    ///         match event {
    ///             Some(event) => {
    ///                 self.cursor += 1;
    ///                 Give::Piece(event, self)
    ///             }
    ///             None => Give::Wait(self),
    ///         }
    ///     }
    /// }
    ///
    /// fn listen(said: Arc<Mutex<Said>>) -> Reply {
    ///     Reply::follow_events(move |wake| {
    ///         said.lock().unwrap().listeners.push(wake);
    ///         Listener { said, cursor: 0 }
    ///     })
    /// }
    /// ```
    pub fn follow<S: Source>(
        head: Response<()>,
        make: impl FnOnce(Wake) -> S + Send + 'static,
    ) -> Self {
        Self(Kind::Stream(head, Content::Follow(Box::new(|wake| Box::new(make(wake))))))
    }

    /// The same as [`Reply::pull`] of an iterator, which must not block. Empty pieces send nothing; 1,024 of them in a row
    /// abort the response.
    pub fn pieces<I>(head: Response<()>, pieces: I) -> Self
    where
        I: IntoIterator<Item: Into<Bytes>, IntoIter: Send + 'static>,
    {
        Self::pull(head, Pieces(pieces.into_iter()))
    }

    /// Hands the connection to another protocol: a 101 that says `name` and has `fields`, then all
    /// that the protocol does which `make` makes. It is given [`Event::Open`](crate::Event::Open)
    /// and the bytes behind the request.
    ///
    /// What the client asks for is in the request's `Upgrade` field. Where it may not be upgraded
    /// (it did not ask, has a body, or speaks HTTP/1.0) the response is 400.
    pub fn upgrade(
        name: impl Into<String>,
        fields: HeaderMap,
        make: impl FnOnce() -> Box<dyn Protocol> + Send + 'static,
    ) -> Self {
        Self(Kind::Upgrade { name: name.into(), fields, make: Box::new(make) })
    }
}

/// The head of server-sent events.
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
        Self(Kind::Now(response.map(Into::into)))
    }
}

impl From<&'static str> for Reply {
    fn from(text: &'static str) -> Self {
        Self(Kind::Plain(TEXT, text.into()))
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self(Kind::Plain(TEXT, text.into()))
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Plain(BYTES, bytes.into()))
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Plain(BYTES, bytes))
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
        match &self.0 {
            Kind::Now(response) => f.debug_tuple("Now").field(&response.status()).finish(),
            Kind::Plain(_, body) => f.debug_tuple("Plain").field(&body.len()).finish(),
            Kind::Page(status, text) => f.debug_tuple("Page").field(status).field(text).finish(),
            Kind::Later(_) => f.write_str("Later"),
            Kind::Run(_) => f.write_str("Run"),
            Kind::Collect { limit, .. } => f.debug_tuple("Collect").field(limit).finish(),
            Kind::Receive { limit, .. } => f.debug_tuple("Receive").field(limit).finish(),
            Kind::Stream(head, _) => f.debug_tuple("Stream").field(&head.status()).finish(),
            Kind::Upgrade { name, .. } => f.debug_tuple("Upgrade").field(name).finish(),
        }
    }
}

/// The duty to answer one request, from any thread. Dropping it is a 500.
///
/// A client that resets its connection no longer waits for the answer: [`Later::is_gone`] says so. A
/// client that only ends its side is still answered, for it may be reading. With
/// [`Limits::response_timeout`](super::Limits::response_timeout), it has been answered with 503 once
/// that is over.
#[derive(Debug)]
pub struct Later {
    promise: Promise,
    remote: Remote,
    hears: Arc<Hears>,
    /// What is charged for a body that the answer is made from.
    permit: Option<Arc<Permit>>,
}

impl Later {
    pub(super) fn new(
        promise: Promise,
        remote: Remote,
        permit: Option<Arc<Permit>>,
    ) -> (Self, Telling) {
        let (hears, telling) = Hears::new();
        (Self { promise, remote, hears, permit }, telling)
    }

    /// Whether nobody receives an answer any more: the connection is closed, or the answer is too
    /// late.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.hears.is_over() || self.remote.is_gone()
    }

    /// Answers, with all that a handler may return. What comes too late is dropped.
    pub fn answer(self, reply: impl Into<Reply>) {
        drop(self.permit);
        let reply: Reply = reply.into();
        self.promise.keep(Box::new(reply));
    }
}

/// What is called with a body that was collected.
pub(super) type Then = Box<dyn FnOnce(Result<Bytes, Incomplete>) -> Reply + Send>;

/// A request's body is not complete and never will be: its client has left, ended its side, was too
/// slow, or sent what is no body or too large a one; or there is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete;

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body ended before it was complete")
    }
}

impl std::error::Error for Incomplete {}

/// Takes a request's body as it comes.
pub trait Receive: Send + 'static {
    /// Takes a piece of the body: at least one byte, at most 64 KiB. What it returns says what is
    /// next, and has the receiver in it, so that a job can have it meanwhile.
    ///
    /// This is called on the server's loop: what blocks belongs into [`Take::run`].
    fn piece(self: Box<Self>, piece: &[u8]) -> Take;

    /// The body is complete. `trailers` has the fields behind a body in chunks, mostly none.
    fn end(self: Box<Self>, trailers: HeaderMap) -> Reply;

    /// The body is not complete and never will be. The server has answered by itself, where it could.
    /// By default the receiver is dropped.
    ///
    /// A receiver that a job of [`Take::run`] has at that moment is told when the job has returned it;
    /// with a job that does not run any more, because its client has gone, it is dropped. This may be
    /// called on the server's loop, and should not block.
    fn incomplete(self: Box<Self>, why: Incomplete) {
        let _ = why;
    }
}

/// What comes next when a piece of a body was taken.
pub enum Take {
    /// More of it.
    More(Box<dyn Receive>),
    /// This work, on the pool; then what it returns.
    Run(Box<dyn FnOnce() -> Self + Send>),
    /// The response: what is left of the body is not read.
    Reply(Reply),
}

impl Take {
    /// Has `work`, which may block, done by a thread of the pool. Nothing is read meanwhile. When it
    /// panics the response is 500, and 503 when the pool's queue is full.
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
