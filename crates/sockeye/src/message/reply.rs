//! The request that a message handler gets, and the response that it returns.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_message::{Message, Refusal};
use sockeye_proto::{Peer, Permit, Promise};

/// A message that waits for a response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The message.
    pub message: Message,
    /// The client that sent it.
    pub peer: Peer,
    /// How long the client still waits, if the request has a deadline. A later response is not
    /// sent.
    pub time_left: Option<Duration>,
}

/// What a handler returns: a response now, a response later, or work that returns the response. A
/// [`Message`], an [`Error`] and a `Result` of both convert into a [`Reply`].
pub struct Reply(pub(super) ReplyKind);

pub(super) enum ReplyKind {
    Now(Result<Message, Error>),
    Later(Box<dyn FnOnce(PendingReply)>),
    Run(Box<dyn FnOnce() -> Result<Message, Error> + Send>),
}

impl Reply {
    /// Responds later: `take` gets a [`PendingReply`], which it can keep or pass to another thread.
    pub fn later(take: impl FnOnce(PendingReply) + 'static) -> Self {
        Self(ReplyKind::Later(Box::new(take)))
    }

    /// Runs `work`, which may block, on a thread of the pool, and responds with its result. The
    /// response is the error `internal` if `work` panics, or if too many jobs wait already:
    /// 100,000, or a quarter of that for this client (half for a client on the same machine).
    pub fn run(work: impl FnOnce() -> Result<Message, Error> + Send + 'static) -> Self {
        Self(ReplyKind::Run(Box::new(work)))
    }
}

impl From<Message> for Reply {
    fn from(message: Message) -> Self {
        Self(ReplyKind::Now(Ok(message)))
    }
}

impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        Self(ReplyKind::Now(Err(error)))
    }
}

impl<T: Into<Self>> From<Result<T, Error>> for Reply {
    fn from(result: Result<T, Error>) -> Self {
        result.map_or_else(Into::into, Into::into)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// Responds to one request, from any thread. If this is dropped, the response is the error
/// `internal`.
#[derive(Debug)]
pub struct PendingReply {
    pub(super) promise: Promise,
    /// Charges the client for the content of the request.
    pub(super) permit: Option<Arc<Permit>>,
}

impl PendingReply {
    /// Sends the response. If [`Request::time_left`] has passed, the response is dropped.
    pub fn send(self, response: Result<Message, Error>) {
        drop(self.permit);
        self.promise.fulfill(Box::new(response));
    }
}

/// An error response: a code for programs and a sentence for people.
///
/// In a frame (over TCP), the content is a `text/json` object: `result` is `Error: ` followed by
/// the sentence, and `error.code` is the code. Over HTTP, the response also has a status: 404 for
/// `not_found`, the status that the message protocol defines for its own codes, and 422 for any
/// other code.
///
/// Two error types convert into this one. A [`Refusal`] is logged as the client's fault. A
/// [`serde_json::Error`] means that the response can't be written as JSON: it gets the code
/// `internal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub(super) ErrorKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// Made by the handler, with [`Error::new`].
    Handler { code: Cow<'static, str>, text: Cow<'static, str> },
    /// The content of the request can't be read.
    Content(Refusal),
    /// The server's fault.
    Internal(String),
}

impl Error {
    /// `code` is a stable name in `snake_case`. `text` is a sentence without its full stop.
    pub fn new(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self(ErrorKind::Handler { code: code.into(), text: text.into() })
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        match &self.0 {
            ErrorKind::Handler { code, .. } => code,
            ErrorKind::Content(error) => error.code,
            ErrorKind::Internal(_) => "internal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ErrorKind::Handler { text, .. } => f.write_str(text),
            ErrorKind::Content(error) => error.fmt(f),
            ErrorKind::Internal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(error: Refusal) -> Self {
        Self(ErrorKind::Content(error))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self(ErrorKind::Internal(format!("the response could not be written as JSON: {error}")))
    }
}
