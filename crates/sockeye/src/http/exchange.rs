//! Passes a request from the connection to the closure that answers it, and carries out the
//! [`Reply`] that the closure returns. `collected` makes room for collected bodies, and `streaming`
//! writes content that is sent piece by piece.

mod collected;
mod streaming;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use sockeye_http::{
    self as http_core, Answer, Fields, Handler, Responder, Status, Stream, StreamEvent, Trailers,
};
use sockeye_proto::{
    Abandoned, Budget, Client, Job, JobKind, Message, Peer, Permit, Promise, Protocol, Ticket, Time,
};
use tracing::warn;

use self::collected::{UNCHARGED, reserve};
use super::body::Body;
use super::convert::{self, ResponseHead};
use super::link::{OpenResponse, ResponseLink};
use super::reply::{
    BodyReceiver, BodyWaiter, CollectFn, ContentSource, PendingReply, Reply, ReplyKind, Work,
};
use super::sender::{Sender, SourceWaker};
use super::source::BodySource;
use super::upgrade::Upgrade;
use super::websockets::WebSocketConfigs;

/// The closure that answers requests. All workers of a server share it.
pub(super) type RequestFn = dyn Fn(Request<Body>) -> Reply + Send + Sync;

/// What the connections of a worker (event loop) share.
pub(super) struct WorkerState {
    pub(super) request_fn: Arc<RequestFn>,
    /// The budget for collected bodies. All workers of a server share it.
    pub(super) collected: Arc<Budget>,
    /// Memory for the fields of a response, reused by each response.
    pub(super) fields: RefCell<Fields>,
    /// The number of the next request.
    pub(super) next_number: Cell<u64>,
    pub(super) websockets: WebSocketConfigs,
}

/// A request that is being answered.
pub(super) struct Exchange {
    worker: Rc<WorkerState>,
    peer: Peer,
    /// The client that is charged for the body of the request and for jobs: see
    /// [`http_core::ServerConfig::clients`]. The peer, if the response needs neither.
    client: Client,
    /// The number of the request in its worker. A [`Sender`] of an older request on the same
    /// connection has another number, so that its late content is recognised and dropped.
    number: u64,
    /// Whether the method is HEAD.
    head_only: bool,
    /// Whether the method is CONNECT. If so, only an upgrade can succeed: the client would read the
    /// content of any other successful response as bytes of the protocol that it asks for (RFC
    /// 8441).
    is_connect: bool,
    /// How many bytes of a collected body are not charged to the budget.
    uncharged: u64,
    request_body: RequestBody,
    /// Number of empty pieces in a row that the source has returned.
    empty_pieces: u32,
    /// Charges a collected body to the budget until both the response has started and the work that
    /// makes the response has ended.
    permit: Option<Arc<Permit>>,
    /// For [`Reply::follow`] and its variants: the state of the source.
    follow: Option<FollowState>,
    expects: Expects,
}

/// How much of the request's body has been read.
#[derive(PartialEq, Eq)]
enum RequestBody {
    Unread,
    Reading,
    Complete,
}

/// The state of a source that may wait for a [`SourceWaker`].
struct FollowState {
    /// When this is dropped, the source's waker learns that the response is over.
    _open: OpenResponse,
    /// The source was woken while it was not waiting. When it begins to wait, it is called again.
    woken: bool,
    /// The server drains.
    draining: bool,
}

/// What an exchange expects next.
#[derive(Default)]
enum Expects {
    #[default]
    Nothing,
    /// The [`Reply`] from a job or a [`PendingReply`].
    Reply {
        /// Identifies the message with the `Reply`.
        ticket: Ticket,
        /// When this is dropped, [`PendingReply::is_gone`] becomes true.
        _open: Option<OpenResponse>,
    },
    /// The rest of a body that is collected. It can have at most `max` bytes.
    WholeBody { collected: Vec<u8>, max: u64, permit: Permit, then: BodyWaiter<CollectFn> },
    /// The next piece of a body.
    BodyPiece(BodyWaiter<Box<dyn BodyReceiver>>),
    /// Content from a [`Sender`], or its end.
    Sender {
        /// Identifies the message of the promise that the sender fulfills at the end.
        end: Ticket,
        /// The content has no end of its own: it ends when the server drains.
        endless: bool,
        /// When this is dropped, [`Sender::is_gone`] becomes true.
        open: OpenResponse,
    },
    /// Space in the output for the next piece of the source.
    Room(Box<dyn BodySource>),
    /// A wake-up of the source.
    Woken(Box<dyn BodySource>),
    /// The result of a job that the source has started.
    SourceJob(Ticket),
}

impl Handler for Exchange {
    fn on_request(
        &mut self,
        request: &http_core::Request<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        self.head_only = request.method() == http_core::Method::Head;
        self.is_connect = request.method() == http_core::Method::Connect;
        let is_http2 = request.version() == http_core::Version::Http2;
        self.uncharged = if is_http2 { 0 } else { UNCHARGED };
        let Ok(head) = convert::request(request, &self.peer) else {
            return convert::refuse_unsupported(responder);
        };
        let upgrade = Upgrade::of(request, self.peer.tls.is_some());
        let mut given = head.map(|()| Body { content: request.content() });
        given.extensions_mut().insert(self.peer.clone());
        if let Some(upgrade) = upgrade {
            given.extensions_mut().insert(upgrade);
        }
        let reply = (self.worker.request_fn)(given);
        // Any other `Reply` reads the body, or may start a job.
        if !matches!(reply.0, ReplyKind::Response(_) | ReplyKind::Content(..) | ReplyKind::Page(..))
        {
            self.client = responder.client(request);
        }
        self.carry_out(reply, responder)
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        if !matches!(self.expects, Expects::Reply { ticket: expected, .. } if expected == ticket) {
            return responder.keep_waiting();
        }
        self.expects = Expects::Nothing;
        match body.ok().and_then(|body| body.downcast::<Reply>().ok()) {
            Some(reply) => self.carry_out(*reply, responder),
            None => self.fail("a job panicked or a PendingReply was dropped", responder),
        }
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        let receiver = match mem::take(&mut self.expects) {
            Expects::WholeBody { mut collected, max, mut permit, then } => {
                if !reserve(&mut collected, &mut permit, piece.len(), max, self.uncharged) {
                    drop((collected, permit, then));
                    return self.refuse_body(responder);
                }
                collected.extend_from_slice(piece);
                self.expects = Expects::WholeBody { collected, max, permit, then };
                return responder.read();
            }
            Expects::BodyPiece(receiver) => receiver.into_inner(),
            _ => None,
        };
        match receiver {
            Some(receiver) => self.carry_out(receiver.piece(piece), responder),
            None => self.fail("part of a body arrived that no handler reads", responder),
        }
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        self.request_body = RequestBody::Complete;
        let reply = match mem::take(&mut self.expects) {
            Expects::WholeBody { collected, permit, then, .. } => {
                self.permit = (permit.amount() > 0).then(|| Arc::new(permit));
                then.into_inner().map(|then| then(Ok(collected.into())))
            }
            Expects::BodyPiece(receiver) => {
                let trailers = convert::trailers(trailers).unwrap_or_default();
                receiver.into_inner().map(|receiver| receiver.end(trailers))
            }
            _ => None,
        };
        match reply {
            Some(reply) => self.carry_out(reply, responder),
            None => self.fail("a body ended that no handler reads", responder),
        }
    }

    fn on_response_timeout(&mut self, responder: Responder<'_, '_>) -> Answer {
        (self.expects, self.permit) = (Expects::Nothing, None);
        responder.time_out()
    }

    fn on_incomplete(&mut self, _: Time) {
        // Dropping the `BodyWaiter` tells the user's code that the body is incomplete.
        self.expects = Expects::Nothing;
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        self.on_event(event, stream)
    }

    fn allow(&self) -> &'static str {
        convert::ALLOW
    }

    fn can_upgrade(&self, _: &[u8]) -> bool {
        // Only the closure knows which protocols it can switch to. If it answers CONNECT with a
        // success and doesn't switch, `with_head` sends 501 instead.
        true
    }
}

impl Exchange {
    /// An exchange for a request that has not arrived yet.
    pub(super) fn new(worker: Rc<WorkerState>, peer: Peer) -> Self {
        let number = worker.next_number.replace(worker.next_number.get() + 1);
        Self {
            worker,
            client: Client::of(peer.address),
            peer,
            number,
            head_only: false,
            is_connect: false,
            uncharged: 0,
            request_body: RequestBody::Unread,
            empty_pieces: 0,
            permit: None,
            follow: None,
            expects: Expects::Nothing,
        }
    }

    /// Carries out `reply`: sends the response, or starts what must happen first, such as a job or
    /// reading the body.
    fn carry_out(&mut self, reply: Reply, mut responder: Responder<'_, '_>) -> Answer {
        if !matches!(reply.0, ReplyKind::Later(_) | ReplyKind::Run(_)) {
            self.permit = None;
        }
        match reply.0 {
            ReplyKind::Response(response) => {
                let (head, body) = response.into_parts();
                self.with_head(head.status, &head.headers, responder, |this, head, fields, r| {
                    this.send(&head, fields, &body, r)
                })
            }
            ReplyKind::Content(content_type, body) => {
                let (status, empty) = (StatusCode::OK, HeaderMap::new());
                self.with_head(status, &empty, responder, |this, head, fields, r| {
                    match fields.push("content-type", content_type.as_bytes()) {
                        Ok(()) => this.send(&head, fields, &body, r),
                        Err(error) => this.fail(&error.to_string(), r),
                    }
                })
            }
            ReplyKind::Page(status, text) => {
                self.with_head(status, &HeaderMap::new(), responder, |_, head, fields, r| {
                    r.error(head.status, fields, &text)
                })
            }
            ReplyKind::Later(take) => {
                let promise = responder.promise();
                let ticket = promise.ticket();
                let (link, open) = ResponseLink::new(responder.remote());
                self.expects = Expects::Reply { ticket, _open: Some(open) };
                take(PendingReply { promise, link, permit: self.permit.clone() });
                responder.later()
            }
            ReplyKind::Run(work) => self.run(work, responder),
            ReplyKind::Collect { .. } | ReplyKind::Receive { .. }
                if self.request_body != RequestBody::Unread =>
            {
                self.fail("a handler tried to read the body twice", responder)
            }
            ReplyKind::Collect { limit, length, then } => {
                self.request_body = RequestBody::Reading;
                let max = length.unwrap_or(u64::MAX).min(limit);
                // At most UNCHARGED, so it fits into a `usize`.
                let capacity = length.unwrap_or(0).min(self.uncharged).min(limit) as usize;
                let collected = Vec::with_capacity(capacity);
                let permit = self.worker.collected.empty_permit(self.client);
                self.expects = Expects::WholeBody { collected, max, permit, then };
                responder.read_up_to(limit)
            }
            ReplyKind::Receive { limit, receiver } => {
                self.request_body = RequestBody::Reading;
                self.expects = Expects::BodyPiece(receiver);
                responder.read_up_to(limit)
            }
            ReplyKind::ReadMore(_) if self.request_body != RequestBody::Reading => {
                self.fail("a handler returned Reply::read_more without a body to read", responder)
            }
            ReplyKind::ReadMore(receiver) => {
                self.expects = Expects::BodyPiece(receiver);
                responder.read()
            }
            ReplyKind::Stream(head, content) => self.stream(head, content, responder),
            ReplyKind::Upgrade { name, fields, make } => {
                self.upgrade(&name, &fields, make, responder)
            }
            ReplyKind::Respond(respond) => respond(&self.worker.websockets, responder),
        }
    }

    /// Runs `work` on the thread pool.
    fn run(&mut self, work: Work, responder: Responder<'_, '_>) -> Answer {
        let promise = responder.promise();
        self.expects = Expects::Reply { ticket: promise.ticket(), _open: None };
        // The job may outlive its request. The body is charged until the job has ended.
        let permit = self.permit.clone();
        let work: Work = Box::new(move || {
            let reply = work();
            drop(permit);
            reply
        });
        let mut job = ReplyJob(Some((promise, work)));
        // If the pool is full, the job is dropped here, and responds with 503.
        drop(responder.spawn(Job::new(JobKind::Other, self.client, move || job.run())));
        responder.later()
    }

    /// Sends a response whose body is in memory.
    fn send(
        &self,
        head: &ResponseHead,
        fields: &Fields,
        body: &Bytes,
        responder: Responder<'_, '_>,
    ) -> Answer {
        // In a response to HEAD, the handler may have left out the content that GET would get. Then
        // the Content-Length is the one that the handler has set.
        if self.head_only && body.is_empty() {
            return responder.send_head(head.status, fields, head.length);
        }
        responder.send(head.status, fields, http_core::Body::Shared(body))
    }

    /// Sends the head of a response, and starts the source of its content.
    fn stream(
        &mut self,
        head: Response<()>,
        content: ContentSource,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let (head, ()) = head.into_parts();
        self.with_head(head.status, &head.headers, responder, |this, head, fields, responder| {
            let mut stream = responder.stream(head.status, fields, head.length);
            if !stream.has_content() {
                return stream.end();
            }
            match content {
                ContentSource::Source(source) => this.advance(source.next(), stream),
                ContentSource::Follow(make) => {
                    let (link, open) = ResponseLink::new(stream.remote());
                    this.follow = Some(FollowState { _open: open, woken: false, draining: false });
                    this.advance(make(SourceWaker(link)).next(), stream)
                }
                ContentSource::Sender { endless, start } => {
                    let promise = stream.promise();
                    let end = promise.ticket();
                    let (link, open) = ResponseLink::new(stream.remote());
                    this.expects = Expects::Sender { end, endless, open };
                    start(Sender { link, end: promise, exchange: this.number });
                    stream.later()
                }
            }
        })
    }

    /// Switches to the protocol that `make` returns, or answers 400 if that isn't possible.
    fn upgrade(
        &mut self,
        name: &str,
        fields: &HeaderMap,
        make: Box<dyn FnOnce() -> Box<dyn Protocol> + Send>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        // `Responder::upgrade` writes the status. The one that is passed here is not sent: it only
        // has to pass the checks of `with_head`, which allows no success for CONNECT.
        self.with_head(StatusCode::BAD_REQUEST, fields, responder, |_, _, fields, responder| {
            responder.upgrade(name, fields, make()).unwrap_or_else(|responder| {
                let text = format!("This needs an upgrade of the connection to {name}.");
                responder.error(Status::BAD_REQUEST, &Fields::new(), &text)
            })
        })
    }

    /// Converts and checks the head of a response, and calls `then` with it and its fields. Answers
    /// 501 to CONNECT if the status is a success, and 500 if the head is invalid.
    fn with_head<'r, 't>(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        responder: Responder<'r, 't>,
        then: impl FnOnce(&mut Self, ResponseHead, &mut Fields, Responder<'r, 't>) -> Answer,
    ) -> Answer {
        if self.is_connect && status.is_success() {
            let text = "No other protocol is spoken here.";
            return responder.error(Status::NOT_IMPLEMENTED, &Fields::new(), text);
        }
        // The fields are moved out of the cell: a borrow would last during `then`, which needs
        // `&mut self`.
        let mut fields = self.worker.fields.take();
        fields.clear();
        let answer = match convert::response(status, headers, &mut fields) {
            Ok(head) => {
                let responder = if head.close { responder.closing() } else { responder };
                // A 426 offers the protocols of its `Upgrade` fields.
                match convert::offering(status, headers, responder) {
                    Ok(responder) => then(self, head, &mut fields, responder),
                    Err((invalid, responder)) => self.fail(&invalid.to_string(), responder),
                }
            }
            Err(invalid) => self.fail(&invalid.to_string(), responder),
        };
        self.worker.fields.replace(fields);
        answer
    }

    /// Answers 503 because the budget for collected bodies, or the client's share of it, is spent.
    /// The rest of the body is not collected.
    fn refuse_body(&mut self, responder: Responder<'_, '_>) -> Answer {
        let (budget, client) = (&self.worker.collected, self.client);
        if let Some(requests) = budget.report(responder.now()) {
            warn!(
                target: "sockeye", budget = budget.name(), total = budget.total(),
                used = budget.used(), %client, requests,
                "a budget is spent: some requests are refused"
            );
        }
        let retry = Fields::new().with("Retry-After", b"1").unwrap_or_default();
        responder.error(Status::SERVICE_UNAVAILABLE, &retry, "")
    }

    /// Logs `what` went wrong on the server's side, and answers 500.
    fn fail(&mut self, what: &str, responder: Responder<'_, '_>) -> Answer {
        (self.expects, self.permit) = (Expects::Nothing, None);
        convert::fail(what, responder)
    }
}

/// A job that fulfills `promise` with the [`Reply`] of `work`. If the job is dropped instead of
/// run, because the pool is full, it fulfills the promise with a 503. If `work` panics, the promise
/// is abandoned.
struct ReplyJob(Option<(Promise, Work)>);

impl ReplyJob {
    fn run(&mut self) {
        if let Some((promise, work)) = self.0.take() {
            promise.fulfill(Box::new(work()));
        }
    }
}

impl Drop for ReplyJob {
    fn drop(&mut self) {
        if let Some((promise, _)) = self.0.take() {
            promise.fulfill(Box::new(Reply::from(StatusCode::SERVICE_UNAVAILABLE)));
        }
    }
}
