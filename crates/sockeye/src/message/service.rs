//! Makes a service, which the engine runs, from a closure that answers messages.

use std::rc::Rc;
use std::sync::Arc;

use sockeye_engine::ListenAddr;
use sockeye_message::{Answer, Handler, LARGE_CONTENT, Message, Responder};
use sockeye_proto::{Abandoned, Client, Job, JobKind, Peer, Ticket, Time};

use super::options::Options;
use super::reply::{Error, ErrorKind, PendingReply, Reply, ReplyKind, Request};
use crate::serving::{ServeError, Serving};

/// Answers messages at `addresses` with the closure `answer`.
///
/// The service has threads of its own, which share `answer`. It runs until [`Serving::handle`]
/// stops it or the returned value is dropped.
///
/// `answer` runs on the event loop: don't block, and use [`Reply::run`] or [`Reply::later`] for
/// slow work. A request with more than 64 KiB of content is answered on a thread of the pool
/// instead, so that parsing it doesn't delay other connections. A panic on the event loop ends the
/// connection; a panic on the pool is answered with the error `internal`.
///
/// # Errors
///
/// [`ServeError`] if the service could not start.
pub fn serve<R: Into<Reply>>(
    addresses: &[ListenAddr],
    options: Options,
    answer: impl Fn(Request) -> R + Send + Sync + 'static,
) -> Result<Serving, ServeError> {
    let answer: Arc<RequestFn> = Arc::new(move |request| answer(request).into());
    let (workers, config) = (options.workers, options.config.clone());
    Serving::start(addresses, workers, config, move |_, bound_addresses| {
        let config = Rc::new(options.server_config(bound_addresses));
        let answer = Arc::clone(&answer);
        move |_: &Peer| config.open(ClosureHandler { answer: Arc::clone(&answer) })
    })
}

/// Answers requests. All shards of a server share it.
type RequestFn = dyn Fn(Request) -> Reply + Send + Sync;

/// Answers the messages of one connection.
struct ClosureHandler {
    answer: Arc<RequestFn>,
}

impl Handler for ClosureHandler {
    fn on_message(
        &mut self,
        message: Message,
        peer: &Peer,
        mut responder: Responder<'_, '_>,
    ) -> Answer {
        let deadline = Some(responder.deadline()).filter(|deadline| *deadline != Time::NEVER);
        let time_left = deadline.map(|deadline| deadline - responder.now());
        let request = Request { message, peer: peer.clone(), time_left };
        if request.message.content.len() > LARGE_CONTENT {
            let (answer, promise) = (Arc::clone(&self.answer), responder.promise());
            let work = move || match answer(request).0 {
                ReplyKind::Now(result) => promise.fulfill(Box::new(result)),
                ReplyKind::Later(take) => take(PendingReply(promise)),
                ReplyKind::Run(work) => promise.fulfill(Box::new(work())),
            };
            // If the pool is full, the job is dropped. That abandons its promise, and `on_settled`
            // answers `internal`.
            drop(responder.spawn(Job::new(JobKind::Other, Client::of(peer.address), work)));
            return responder.later();
        }
        match (self.answer)(request).0 {
            ReplyKind::Now(result) => return send(result, responder),
            ReplyKind::Later(take) => take(PendingReply(responder.promise())),
            ReplyKind::Run(work) => {
                responder.run(work);
            }
        }
        responder.later()
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body.ok().and_then(|body| body.downcast::<Result<Message, Error>>().ok()) {
            Some(result) => send(*result, responder),
            None => responder.fail("the handler panicked, was refused or gave no response"),
        }
    }
}

/// Sends what the closure has returned. The kind of the error decides who is blamed for it.
fn send(result: Result<Message, Error>, responder: Responder<'_, '_>) -> Answer {
    match result {
        Ok(message) => responder.send(message),
        Err(Error(ErrorKind::Handler { code, text })) => responder.error(&code, &text),
        Err(Error(ErrorKind::Content(error))) => responder.refuse(error),
        Err(Error(ErrorKind::Internal(what))) => responder.fail(&what),
    }
}
