//! Between those who answer and the connection: what a handler of messages is told, handed to
//! [`Respond`], and what comes of that, sent.

use std::rc::Rc;

use sockeye_engine::Service;
use sockeye_engine::driver::Bound;
use sockeye_message::{Answer, Handler, LARGE, Message, Responder, ServerConfig};
use sockeye_proto::{Abandoned, Client, Job, JobKind, Peer, Promise, Protocol, Ticket, Time};

use super::options::Options;
use super::respond::{Error, Kind, Later, Request, Respond, Why};
use crate::serving::check_hosts_on_loopback;

/// What each worker's service is made by.
pub(super) fn service<R: Respond>(
    options: Options,
    respond: R,
) -> impl Fn(usize, &[Bound]) -> Worker<R> + Send + Sync + 'static {
    move |_, bound| {
        let mut shared = ServerConfig::new(options.limits.clone())
            .frames_only(options.frames_only)
            .allowing_origins(options.allowed_origins.clone());
        if let Some(hosts) = &options.allowed_hosts {
            shared = shared.checking_hosts(check_hosts_on_loopback(hosts.clone(), bound));
        }
        Worker { shared: Rc::new(shared), respond: respond.clone() }
    }
}

/// The service of one worker.
pub(super) struct Worker<R> {
    shared: Rc<ServerConfig>,
    respond: R,
}

impl<R: Respond> Service for Worker<R> {
    fn open(&mut self, _: &Peer) -> Box<dyn Protocol> {
        self.shared.open(Adapter { respond: self.respond.clone() })
    }
}

/// Answers the messages of one connection.
struct Adapter<R> {
    respond: R,
}

impl<R: Respond> Handler for Adapter<R> {
    fn on_message(
        &mut self,
        message: Message,
        peer: &Peer,
        mut reply: Responder<'_, '_>,
    ) -> Answer {
        let deadline = Some(reply.deadline()).filter(|deadline| *deadline != Time::NEVER);
        let time_left = deadline.map(|deadline| deadline - reply.now());
        let request = Request { message, peer: *peer, time_left };
        if request.message.content.len() > LARGE {
            let (respond, promise) = (self.respond.clone(), reply.promise());
            let work = move || respond_elsewhere(&respond, request, promise);
            // Refused, it is dropped, and its promise says so.
            drop(reply.spawn(Job::new(JobKind::Other, Client::of(peer.address), work)));
            return reply.later();
        }
        match self.respond.respond(request).0 {
            Kind::Now(answer) => send(reply, answer),
            Kind::Later(take) => {
                take(Later::new(reply.promise()));
                reply.later()
            }
            Kind::Run(work) => {
                // The promise is settled with the answer, whichever way it came.
                reply.run(work);
                reply.later()
            }
        }
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        let answer = body.ok().and_then(|body| body.downcast::<Result<Message, Error>>().ok());
        match answer {
            Some(answer) => send(reply, *answer),
            None => reply.fail("whoever had to answer has given up"),
        }
    }
}

/// Has a request answered by a thread of the pool, which may read its content.
fn respond_elsewhere<R: Respond>(respond: &R, request: Request, promise: Promise) {
    match respond.respond(request).0 {
        Kind::Now(answer) => promise.keep(Box::new(answer)),
        Kind::Later(take) => take(Later::new(promise)),
        Kind::Run(work) => promise.keep(Box::new(work())),
    }
}

fn send(reply: Responder<'_, '_>, answer: Result<Message, Error>) -> Answer {
    match answer {
        Ok(message) => reply.send(message),
        Err(Error(Why::Said { code, text })) => reply.error(&code, &text),
        Err(Error(Why::Content(error))) => reply.refuse(error),
        Err(Error(Why::Failed(what))) => reply.fail(&what),
    }
}
