//! Responders, with which handlers answer requests.

use std::sync::Arc;

use sockeye_http::{self as http_core, ws};
use sockeye_proto::{Client, Job, JobKind, Peer, Permit, Promise, Ticket, Time, Turn};

use super::request::PendingRequest;
use super::{Answer, Message, Refusal, error_response};

/// The call in which a request is answered: a call into the protocol of a connection that carries
/// frames (this crate's format) without HTTP, or a call of the handler of an HTTP request or of a
/// WebSocket. The client is the one that sent the HTTP request or opened the WebSocket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'r, 't> {
    Frames(&'r Turn<'t>),
    Http(&'r http_core::Responder<'r, 't>, Client),
    WebSocket(&'r ws::Socket<'r, 't>, Client),
}

impl Call<'_, '_> {
    fn spawn(self, job: Job) -> Result<(), Job> {
        match self {
            Self::Frames(turn) => turn.spawn(job),
            Self::Http(responder, _) => responder.spawn(job),
            Self::WebSocket(socket, _) => socket.spawn(job),
        }
    }
}

/// Answers one request. Each request must be answered.
#[derive(Debug)]
pub struct Responder<'r, 't> {
    pub(super) call: Call<'r, 't>,
    pub(super) peer: &'r Peer,
    pub(super) request: &'r mut PendingRequest,
}

impl<'r, 't> Responder<'r, 't> {
    pub(super) fn frames(
        turn: &'r Turn<'t>,
        peer: &'r Peer,
        request: &'r mut PendingRequest,
    ) -> Self {
        Self { call: Call::Frames(turn), peer, request }
    }

    /// Sends `message` as the response, unless the request's deadline has passed.
    pub fn send(self, message: Message) -> Answer {
        Answer::now(message)
    }

    /// Sends an error response: `code` is a stable name in `snake_case`, `text` says what is wrong,
    /// where, and what would be right.
    pub fn error(self, code: &str, text: &str) -> Answer {
        Answer::now(error_response(code, text))
    }

    /// Refuses a request whose content can't be read. If the connection ends after this response,
    /// the log blames the peer.
    pub fn refuse(self, refusal: Refusal) -> Answer {
        Answer::refusal(refusal)
    }

    /// Sends an error response with the code `internal` and this text. If the connection ends after
    /// this response, the log blames this server.
    pub fn fail(self, text: &str) -> Answer {
        Answer::failure(text)
    }

    /// Sends no response yet. When the result of a [`promise`](Self::promise) or of a
    /// [`run`](Self::run) arrives, [`Handler::on_settled`](super::Handler::on_settled) is called to
    /// return the response. If all content has arrived and no such result is pending, the response
    /// is the error `internal`.
    pub fn later(self) -> Answer {
        Answer::LATER
    }

    /// The number of the request on this connection, from 0.
    #[must_use]
    pub fn request(&self) -> u64 {
        self.request.number
    }

    /// Who sent the request.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// The client that is charged for the request: over HTTP and WebSocket, the one that a trusted
    /// proxy names ([`ServerConfig::clients`](http_core::ServerConfig::clients)), else the peer.
    #[must_use]
    pub fn client(&self) -> Client {
        match self.call {
            Call::Frames(_) => Client::of(self.peer.address),
            Call::Http(_, client) | Call::WebSocket(_, client) => client,
        }
    }

    /// The time after which the peer has no use for a response; [`Time::NEVER`] if it set none.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.request.deadline
    }

    /// The time of this call, on the event loop's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        match self.call {
            Call::Frames(turn) => turn.now(),
            Call::Http(responder, _) => responder.now(),
            Call::WebSocket(socket, _) => socket.now(),
        }
    }

    /// Makes a promise: see [`Turn::promise`].
    #[must_use]
    pub fn promise(&mut self) -> Promise {
        let promise = match self.call {
            Call::Frames(turn) => turn.promise(),
            Call::Http(responder, _) => responder.promise(),
            Call::WebSocket(socket, _) => socket.promise(),
        };
        self.request.tickets.push(promise.ticket());
        promise
    }

    /// The permit that charges the client for the content of the request
    /// ([`Limits::collected`](super::Limits::collected)), until all its clones are dropped. `None`
    /// if nothing is charged. The request and the jobs of this responder keep clones. Code that
    /// passes the content to a thread of its own should keep a clone for as long as it keeps the
    /// content, even if the connection ends before.
    #[must_use]
    pub fn permit(&self) -> Option<Arc<Permit>> {
        self.request.permit.clone()
    }

    /// Runs `work` on another thread, as [`Turn::run`] does, for the client of the request
    /// ([`Responder::client`]). The client is charged for the content of the request until `work`
    /// has ended, even if the connection ends before.
    pub fn run<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Ticket {
        let (promise, permit) = (self.promise(), self.permit());
        let ticket = promise.ticket();
        let job = Job::new(JobKind::Other, self.client(), move || {
            let result = work();
            drop(permit);
            promise.fulfill(Box::new(result));
        });
        // Dropping a refused job abandons its promise.
        drop(self.call.spawn(job));
        ticket
    }

    /// Runs `job` on another thread: see [`Turn::spawn`]. The job returns its result by a
    /// [`Responder::promise`]. The client is charged for the content of the request until the job
    /// has ended.
    ///
    /// # Errors
    ///
    /// As for [`Turn::spawn`].
    pub fn spawn(&self, job: Job) -> Result<(), Job> {
        let job = match self.permit() {
            Some(permit) => job.holding(permit),
            None => job,
        };
        self.call.spawn(job)
    }
}
