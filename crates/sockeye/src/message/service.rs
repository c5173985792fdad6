//! Makes a service, which the engine runs, from a closure that answers messages (content with a
//! type and an encoding).

use std::rc::Rc;
use std::sync::Arc;

use sockeye_engine::ListenAddr;
use sockeye_message::{Answer, Handler, LARGE_CONTENT, Message, Responder};
use sockeye_proto::{Abandoned, Job, JobKind, Peer, Ticket, Time};

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
/// connection, or in HTTP/2 only the request. A panic on the pool is answered with the error
/// `internal`.
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

/// Answers requests. All threads of the service share it.
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
            let permit = responder.permit();
            let work = move || match answer(request).0 {
                ReplyKind::Now(result) => promise.fulfill(Box::new(result)),
                ReplyKind::Later(take) => take(PendingReply { promise, permit }),
                ReplyKind::Run(work) => promise.fulfill(Box::new(work())),
            };
            let job = Job::new(JobKind::Other, responder.client(), work);
            // If the pool is full, the job is dropped. That abandons its promise, and `on_settled`
            // answers `internal`.
            drop(responder.spawn(job));
            return responder.later();
        }
        match (self.answer)(request).0 {
            ReplyKind::Now(result) => return send(result, responder),
            ReplyKind::Later(take) => {
                let (promise, permit) = (responder.promise(), responder.permit());
                take(PendingReply { promise, permit });
            }
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
            None => {
                responder.fail("the handler panicked or gave no response, or its job was refused")
            }
        }
    }
}

/// Sends what the closure has returned. The kind of an error decides whether the log blames the
/// peer, this server or nobody.
fn send(result: Result<Message, Error>, responder: Responder<'_, '_>) -> Answer {
    match result {
        Ok(message) => responder.send(message),
        Err(Error(ErrorKind::Handler { code, text })) => responder.error(&code, &text),
        Err(Error(ErrorKind::Content(error))) => responder.refuse(error),
        Err(Error(ErrorKind::Internal(what))) => responder.fail(&what),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use sockeye_http as http_core;
    use sockeye_message::{Header, Http, Limits, Server, frame};
    use sockeye_proto::harness::Harness;
    use sockeye_proto::{Budget, Client, Reason};

    use super::*;

    #[test]
    fn a_reset_ends_no_charge_for_content_that_a_job_or_a_pending_reply_holds() {
        let collected = Budget::new("bytes", 1 << 20);
        let limits = Limits { collected: Arc::clone(&collected), ..Limits::default() };
        let (out, replies) = mpsc::channel();
        let answer: Arc<RequestFn> = Arc::new(move |request: Request| {
            let out = out.clone();
            Reply::later(move |reply| out.send((request, reply)).unwrap())
        });
        let mut client = Harness::new(Server::new(Rc::new(limits), ClosureHandler { answer }));
        let message = Message::json_text(format!("\"{}\"", "x".repeat(200 << 10)));
        let head = frame::head(&Header::of(&message)).unwrap();
        client.input(&[&head[..], &message.content].concat());
        let held = collected.used();
        assert!(held >= 100 << 10, "{held}");
        client.end_for(&Reason::Reset);
        assert_eq!(collected.used(), held, "the job holds the content");
        assert_eq!((client.run_jobs_only(), collected.used()), (1, held));
        let (request, reply) = replies.try_recv().unwrap();
        drop(request);
        reply.send(Ok(message));
        assert_eq!(collected.used(), 0);
    }

    /// Names one client for all requests, as a proxy might.
    #[derive(Debug)]
    struct OneClient(Client);

    impl http_core::Clients for OneClient {
        fn client(&self, _: &Peer, _: &http_core::Request<'_>) -> Client {
            self.0
        }
    }

    #[test]
    fn a_job_for_a_large_request_is_charged_to_the_client_that_a_proxy_names() {
        let named = Client::V4([192, 0, 2, 1]);
        let config = http_core::ServerConfig::default().clients(Rc::new(OneClient(named)));
        let answer: Arc<RequestFn> = Arc::new(|request: Request| Ok(request.message).into());
        let http = Http::new(Rc::new(Limits::default()), ClosureHandler { answer });
        let mut client = Harness::new(http_core::Server::new(Rc::new(config), http));
        let content = format!("\"{}\"", "x".repeat(LARGE_CONTENT));
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/json\r\n";
        let len = content.len();
        client.input(format!("{head}Content-Length: {len}\r\n\r\n{content}").as_bytes());
        assert_eq!(client.job_clients(), [named]);
        client.run_jobs();
        assert!(client.output().starts_with(b"HTTP/1.1 200 "));
    }
}
