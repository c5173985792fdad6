//! Work for the pool, whose result comes back by a promise.

use sockeye_proto::{Client, Job, JobKind, Message, Promise};

use super::body::UntilEnd;
use super::reply::{Receive, Reply, Take};
use super::stream::Give;

/// What reaches a request whose answer waits.
pub(super) enum Came {
    /// The response.
    Reply(Reply),
    /// What is next with the request's body.
    Take(Take),
    /// More of the request's body is.
    More(UntilEnd<Box<dyn Receive>>),
    /// What is next of the response's content.
    Give(Give),
    /// Nothing: too many jobs waited.
    NotRun,
}

impl Came {
    /// What a promise brought: a response of [`Later`](super::Later), or what a [`job`] came to.
    pub(super) fn of(body: Message) -> Option<Self> {
        match body.downcast() {
            Ok(reply) => Some(Self::Reply(*reply)),
            Err(body) => body.downcast().ok().map(|came| *came),
        }
    }
}

/// Makes a job of `work`. Its promise says what came of it; that it is abandoned says that `work`
/// panicked.
pub(super) fn job(
    client: Client,
    promise: Promise,
    work: impl FnOnce() -> Came + Send + 'static,
) -> Job {
    let mut waiting = Waiting(Some((promise, work)));
    Job::new(JobKind::Other, client, move || waiting.run())
}

/// Work that has not begun.
struct Waiting<F>(Option<(Promise, F)>);

impl<F: FnOnce() -> Came> Waiting<F> {
    fn run(&mut self) {
        if let Some((promise, work)) = self.0.take() {
            promise.keep(Box::new(work()));
        }
    }
}

impl<F> Drop for Waiting<F> {
    fn drop(&mut self) {
        if let Some((promise, _)) = self.0.take() {
            promise.keep(Box::new(Came::NotRun));
        }
    }
}
