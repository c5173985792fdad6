//! What a handler returns, and what it can do besides answering.

use sockeye_proto::Fault;

use crate::semantics::exchange::WaitFor;

/// What a handler returns: that the response is complete or aborted, that the connection or stream
/// switches to another protocol, or what the handler waits for. Made by the methods of
/// [`Responder`](crate::Responder) and [`Stream`](crate::Stream).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a handler must return it"]
pub struct Answer(pub(crate) AnswerKind);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// The response is complete.
    Done,
    /// The handler waits.
    Wait(WaitFor),
    /// The connection, or the stream, switches to another protocol.
    Switched,
    /// The response has started, and can't be completed.
    Abort(&'static Fault),
}

/// The methods that a [`Responder`](crate::Responder) and a [`Stream`](crate::Stream) share. They
/// give access to the turn, the current call into the connection's protocol.
macro_rules! context_methods {
    () => {
        /// The time of this turn (call into the connection's protocol).
        #[must_use]
        pub fn now(&self) -> Time {
            self.turn.now()
        }

        /// The wall clock at this turn.
        #[must_use]
        pub fn wall(&self) -> WallTime {
            self.turn.wall()
        }

        /// The peer of the connection.
        #[must_use]
        pub fn peer(&self) -> &Peer {
            self.turn.peer()
        }

        /// Makes a promise, by which any thread can send this request's handler one message: see
        /// [`Turn::promise`].
        #[must_use]
        pub fn promise(&self) -> Promise {
            self.turn.promise()
        }

        /// A handle by which any thread can send messages and wake-ups: see [`Turn::remote`].
        #[must_use]
        pub fn remote(&mut self) -> Remote {
            self.turn.remote()
        }

        /// Runs `work` on another thread: see [`Turn::run`]. The job is charged to the peer of the
        /// connection, and not to the client of the request
        /// ([`Responder::client`](crate::Responder::client)), which a trusted proxy may name.
        pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Ticket {
            self.turn.run(work)
        }

        /// Runs `job` on another thread: see [`Turn::spawn`].
        ///
        /// # Errors
        ///
        /// As for [`Turn::spawn`].
        pub fn spawn(&self, job: Job) -> Result<(), Job> {
            self.turn.spawn(job)
        }

        /// Keeps `permit`, a part of a budget, until the shared bytes or the file range written
        /// next have been sent or dropped. Don't call it for a response without content, or before
        /// content that is copied ([`Stream::write`](crate::Stream::write),
        /// [`Body::Copied`](crate::Body::Copied), a body in memory of up to 1,024 bytes): a later
        /// piece would keep the permit instead.
        pub fn attach_permit(&mut self, permit: Permit) {
            self.turn.out.attach_permit(permit);
        }
    };
}
pub(crate) use context_methods;
