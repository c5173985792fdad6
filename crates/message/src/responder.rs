//! Responses: what a handler says of one request.

use sockeye_http as http_core;
use sockeye_proto::{Fault, Job, Peer, Promise, Ticket, Time, Turn};

use super::answer::Given;
use super::exchange::Exchange;
use super::{Answer, ContentError, Message, error_reply};

/// The call in which a request is answered: of a connection of frames, or of a request of HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'r, 't> {
    Frames(&'r Turn<'t>),
    Http(&'r http_core::Responder<'r, 't>),
}

/// The duty to answer one request, and the means.
#[derive(Debug)]
pub struct Responder<'r, 't> {
    pub(super) call: Call<'r, 't>,
    pub(super) peer: &'r Peer,
    pub(super) exchange: &'r mut Exchange,
}

impl Responder<'_, '_> {
    /// Answers with `message`. Past the request's deadline nothing is sent.
    pub fn send(self, message: Message) -> Answer {
        Answer(Given::Now(message))
    }

    /// Answers with an error response: `code` is a stable name in `snake_case`, `text` says what was
    /// wrong, where, and what would be right.
    pub fn error(self, code: &str, text: &str) -> Answer {
        Answer(Given::Now(error_reply(code, text)))
    }

    /// Refuses a request whose content can't be read, under [`ContentError::code`]. It is logged as
    /// the peer's fault.
    pub fn refuse(self, error: ContentError) -> Answer {
        Answer(Given::Refused(error.into()))
    }

    /// Answers `internal`: we could not do our part, and the log says so. `text` is for the peer.
    pub fn fail(self, text: &str) -> Answer {
        let fault = Fault::ours("internal", format!("could not answer: {text}"));
        Answer(Given::Failed(error_reply("internal", text), fault))
    }

    /// Answers later: in [`Handler::on_settled`](super::Handler::on_settled), when a promise of
    /// this response is settled. A handler that gave out no promise can't: it is answered `internal`.
    pub fn later(self) -> Answer {
        Answer(Given::Later)
    }

    /// Which request of this connection it is, from 0: what a handler knows it by when several
    /// wait.
    #[must_use]
    pub fn request(&self) -> u64 {
        self.exchange.number
    }

    /// Who asked.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// When the answer is of no use any more; [`Time::NEVER`] where the peer didn't say.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.exchange.deadline
    }

    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Time {
        match self.call {
            Call::Frames(turn) => turn.now(),
            Call::Http(reply) => reply.now(),
        }
    }

    /// Reserves a place for one answer from elsewhere: see [`Turn::promise`].
    #[must_use]
    pub fn promise(&mut self) -> Promise {
        let promise = match self.call {
            Call::Frames(turn) => turn.promise(),
            Call::Http(reply) => reply.promise(),
        };
        self.exchange.tickets.push(promise.ticket());
        promise
    }

    /// Runs `work` on another thread: see [`Turn::run`].
    pub fn run<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Ticket {
        let ticket = match self.call {
            Call::Frames(turn) => turn.run(work),
            Call::Http(reply) => reply.run(work),
        };
        self.exchange.tickets.push(ticket);
        ticket
    }

    /// Runs `job` on another thread: see [`Turn::spawn`]. What it has to say it says by a
    /// [`Responder::promise`].
    ///
    /// # Errors
    ///
    /// As for [`Turn::spawn`].
    pub fn spawn(&self, job: Job) -> Result<(), Job> {
        match self.call {
            Call::Frames(turn) => turn.spawn(job),
            Call::Http(reply) => reply.spawn(job),
        }
    }
}
