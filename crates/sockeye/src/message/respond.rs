//! What a service's author writes against.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use sockeye_message::{Message, Refusal};
use sockeye_proto::{Peer, Promise};

/// One message that wants an answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// What was sent.
    pub message: Message,
    /// Who sent it.
    pub peer: Peer,
    /// How long an answer is of use to the peer, if it said so; what comes later isn't sent.
    pub time_left: Option<Duration>,
}

/// Answers requests: a closure or function of a [`Request`] that returns a [`Message`], an
/// [`Error`], a `Result` of them, or a [`Response`]; or a value of one's own.
///
/// Each of a server's threads has a clone, and one answers at a time there: an answer that has to
/// wait for something is a [`Response::later`] or a [`Response::run`]. A request whose content is
/// larger than [`LARGE`](super::LARGE) is answered by one of the threads that [`Response::run`] has, so that reading
/// it holds up nobody.
///
/// A panic ends the connection whose request it was, and nothing else; on such a thread it is
/// answered with an error, `internal`.
pub trait Respond: Clone + Send + Sync + 'static {
    /// Answers `request`.
    fn respond(&self, request: Request) -> Response;
}

impl<F, R> Respond for F
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Into<Response>,
{
    fn respond(&self, request: Request) -> Response {
        self(request).into()
    }
}

/// Work whose result is the answer.
pub(super) type Work = Box<dyn FnOnce() -> Result<Message, Error> + Send>;

/// An answer, or where it will come from.
pub struct Response(pub(super) Kind);

pub(super) enum Kind {
    Now(Result<Message, Error>),
    Later(Box<dyn FnOnce(Later)>),
    Run(Work),
}

impl Response {
    /// An answer that comes later, by the [`Later`] that `take` gets before this thread goes on to
    /// anything else. It can be kept, or given to another thread.
    ///
    /// ```
    /// # use sockeye::message::{Message, Request, Response};
    /// fn respond(request: Request) -> Response {
    ///     Response::later(|later| {
    ///         std::thread::spawn(move || later.answer(Ok(request.message)));
    ///     })
    /// }
    /// ```
    pub fn later(take: impl FnOnce(Later) + 'static) -> Self {
        Self(Kind::Later(Box::new(take)))
    }

    /// The answer is the result of `work`, which may block: it is run by one of the server's
    /// threads for that, of which there are a few. When more wait than it has room for (100,000),
    /// or `work` panics, the answer is an error.
    pub fn run(work: impl FnOnce() -> Result<Message, Error> + Send + 'static) -> Self {
        Self(Kind::Run(Box::new(work)))
    }
}

impl From<Message> for Response {
    fn from(message: Message) -> Self {
        Self(Kind::Now(Ok(message)))
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        Self(Kind::Now(Err(error)))
    }
}

impl From<Result<Message, Error>> for Response {
    fn from(result: Result<Message, Error>) -> Self {
        Self(Kind::Now(result))
    }
}

impl From<Result<Self, Error>> for Response {
    fn from(result: Result<Self, Error>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Kind::Later(_) => f.write_str("Later"),
            Kind::Run(_) => f.write_str("Run"),
        }
    }
}

/// The duty to answer one request, from any thread. Dropping it answers with an error, `internal`.
#[derive(Debug)]
pub struct Later(Promise);

impl Later {
    pub(super) fn new(promise: Promise) -> Self {
        Self(promise)
    }

    /// Answers.
    pub fn answer(self, answer: Result<Message, Error>) {
        self.0.keep(Box::new(answer));
    }
}

/// An answer that says what went wrong: a code for programs and a sentence for people.
///
/// On the wire it is a `text/json` object: `result` has `Error: ` and the sentence, `error.code` the
/// code. Over HTTP it has a status as well: 404 for `not_found`, 422 for any other code that is not
/// the protocol's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub(super) Why);

/// Blame fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Blame the handler says it is.
    Said { code: Cow<'static, str>, text: Cow<'static, str> },
    /// The peer's.
    Content(Refusal),
    /// Ours.
    Failed(String),
}

impl Error {
    /// `code` is a name that stays as it is, in small letters with `_`; `text` a sentence without
    /// its full stop.
    pub fn new(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Why::Said { code: code.into(), text: text.into() })
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        match &self.0 {
            Why::Said { code, .. } => code,
            Why::Content(error) => error.code,
            Why::Failed(_) => "internal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Said { text, .. } => f.write_str(text),
            Why::Content(error) => error.fmt(f),
            Why::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

/// The request's content can't be read. That is the peer's fault: it is told what is wrong, and so
/// is the log.
impl From<Refusal> for Error {
    fn from(error: Refusal) -> Self {
        Self(Why::Content(error))
    }
}

/// An answer can't be written as JSON. That is ours: the code is `internal`, and the log hears of
/// it.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self(Why::Failed(format!("the answer could not be written as JSON: {error}")))
    }
}
