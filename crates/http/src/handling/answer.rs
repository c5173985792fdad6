//! What a handler returns, and what it can do besides answering.

use sockeye_proto::Fault;

use crate::semantics::exchange::Waits;

/// What a handler returns: that it has answered, or what it waits for. Only a
/// [`Responder`](crate::Responder) and a [`Stream`](crate::Stream) make one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a handler returns it"]
pub struct Answer(pub(crate) Given);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// The response is complete.
    Done,
    /// It comes when what is waited for has.
    Wait(Waits),
    /// Another protocol has the connection.
    Switched,
    /// It was begun, and can't be completed: why.
    Broken(&'static Fault),
}

/// What a handler can do besides answering: the same for a [`Responder`](crate::Responder)
/// and a [`Stream`](crate::Stream).
macro_rules! means {
    () => {
        /// The time of this turn.
        #[must_use]
        pub fn now(&self) -> Time {
            self.turn.now()
        }

        /// The wall clock at this turn.
        #[must_use]
        pub fn wall(&self) -> WallTime {
            self.turn.wall()
        }

        /// Reserves a place for one answer from elsewhere: see [`Turn::promise`].
        #[must_use]
        pub fn promise(&self) -> Promise {
            self.turn.promise()
        }

        /// A handle into this connection for other threads: see [`Turn::remote`].
        #[must_use]
        pub fn remote(&mut self) -> Remote {
            self.turn.remote()
        }

        /// Runs `work` on another thread: see [`Turn::run`].
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

        /// Keeps `permit` until the content that is written next, shared or of a file, has been
        /// sent, or never will be. Not for content of up to 1,024 bytes, which is copied, nor for
        /// a response that has none: nothing of it keeps the permit, and what is written next would.
        pub fn hold(&mut self, permit: Permit) {
            self.turn.out.hold(permit);
        }

        /// Who is at the other end of the connection.
        #[must_use]
        pub fn peer(&self) -> &Peer {
            self.turn.peer()
        }
    };
}
pub(crate) use means;
