//! Between those who answer and the connection: what a handler of [`http1`] is told, handed to
//! [`Respond`], and what comes of that, sent. What a response that has begun gets is in `streaming`.

mod streaming;

use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use sockeye_http::{
    self as http_core, Answer, Fields, Handler, Status, Stream, StreamEvent, Trailers,
};
use sockeye_proto::{Abandoned, Client, Message, Peer, Permit, Protocol, Ticket, Time};
use tracing::{error, warn};

use super::body::{Body, UntilEnd};
use super::convert::{self, BadReply, Framing};
use super::job::{Came, job};
use super::reply::{Content, Kind, Later, Receive, Reply, Take, Then};
use super::respond::{Common, Respond};
use super::stream::{Sender, Source, Telling, Wake};

/// A request that is being answered.
pub(super) struct Exchange<R> {
    shared: Rc<Common<R>>,
    peer: Peer,
    /// Which of the shard's it is: what was sent for an older one of its connection is not for this.
    number: u64,
    /// Its method is HEAD.
    head_only: bool,
    body_asked_for: bool,
    /// Empty pieces that a source has just given in a row.
    empty_pieces: u32,
    /// What is charged for a body that was collected, until the response begins and whoever makes it has
    /// let go of the body.
    permit: Option<Arc<Permit>>,
    /// The response's source may wait to be woken.
    follows: Option<Follows>,
    expects: Expects,
}

/// What is known of a response whose source may wait to be woken.
struct Follows {
    /// Told when the response is over: by being dropped.
    _telling: Telling,
    /// A wake-up has come while the source was not waiting: it may have looked before that.
    woken: bool,
    /// The server wants to stop.
    stopping: bool,
}

/// What an exchange expects next.
#[derive(Default)]
enum Expects {
    /// Nothing: it is over.
    #[default]
    Nothing,
    /// What this promise brings.
    Kept(Ticket),
    /// What a [`Later`] brings.
    Answer { ticket: Ticket, _telling: Telling },
    /// The body, for this buffer.
    BodyWhole {
        collected: Vec<u8>,
        /// What is charged for it.
        permit: Permit,
        then: UntilEnd<Then>,
    },
    /// The body, piece by piece.
    BodyPiece(UntilEnd<Box<dyn Receive>>),
    /// What a sender sends, or its end by this promise.
    Sent { end: Ticket, endless: bool, telling: Telling },
    /// Room for what this source gives.
    Room(Box<dyn Source>),
    /// A wake-up for this source.
    Woken(Box<dyn Source>),
}

/// So much is reserved for a body whose length was announced; what comes beyond makes it grow, and
/// is charged.
const RESERVED: u64 = 64 * 1024;

impl<R: Respond> Handler for Exchange<R> {
    fn on_request(
        &mut self,
        request: &http_core::Request<'_>,
        reply: http_core::Responder<'_, '_>,
    ) -> Answer {
        self.head_only = request.method() == http_core::Method::Head;
        let Ok(head) = convert::request(request) else {
            let text = "The request has a target or fields that nothing here understands.";
            return reply.error(Status::BAD_REQUEST, &Fields::new(), text);
        };
        let mut request = head.map(|()| Body::new(request.content()));
        request.extensions_mut().insert(self.peer);
        let given = self.shared.respond.respond(request);
        self.answer(given, reply)
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: http_core::Responder<'_, '_>,
    ) -> Answer {
        match self.came(ticket, body) {
            Some(Some(Came::Reply(given))) => self.answer(given, reply),
            Some(Some(Came::Take(take))) => self.take(take, reply),
            Some(Some(Came::More(receiver))) => {
                self.expects = Expects::BodyPiece(receiver);
                reply.read()
            }
            Some(Some(Came::NotRun)) => self.answer(StatusCode::SERVICE_UNAVAILABLE.into(), reply),
            Some(Some(Came::Give(_)) | None) => {
                self.failed("whoever had to answer has panicked or given up", reply)
            }
            None => reply.keep_waiting(),
        }
    }

    fn on_body(&mut self, piece: &[u8], reply: http_core::Responder<'_, '_>) -> Answer {
        let receiver = match mem::take(&mut self.expects) {
            Expects::BodyWhole { mut collected, mut permit, then } => {
                if !reserve(&mut collected, &mut permit, piece.len()) {
                    drop((collected, permit, then));
                    return self.busy(reply);
                }
                collected.extend_from_slice(piece);
                self.expects = Expects::BodyWhole { collected, permit, then };
                return reply.read();
            }
            Expects::BodyPiece(receiver) => receiver.into_inner(),
            _ => None,
        };
        match receiver {
            Some(receiver) => self.take(receiver.piece(piece), reply),
            None => self.failed("a body came that nobody had asked for", reply),
        }
    }

    fn on_body_end(
        &mut self,
        trailers: &Trailers<'_>,
        reply: http_core::Responder<'_, '_>,
    ) -> Answer {
        let given = match mem::take(&mut self.expects) {
            Expects::BodyWhole { collected, permit, then } => {
                self.permit = (permit.amount() > 0).then(|| Arc::new(permit));
                then.into_inner().map(|then| then(Ok(collected.into())))
            }
            Expects::BodyPiece(receiver) => {
                let trailers = convert::trailers(trailers).unwrap_or_default();
                receiver.into_inner().map(|receiver| receiver.end(trailers))
            }
            _ => None,
        };
        match given {
            Some(given) => self.answer(given, reply),
            None => self.failed("a body ended that nobody had asked for", reply),
        }
    }

    fn on_response_timeout(&mut self, reply: http_core::Responder<'_, '_>) -> Answer {
        (self.expects, self.permit) = (Expects::Nothing, None);
        reply.time_out()
    }

    fn on_incomplete(&mut self, _: Time) {
        // What waits for the body is told by being dropped.
        self.expects = Expects::Nothing;
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        self.on_event(event, stream)
    }

    fn allow(&self) -> &'static str {
        "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    }
}

impl<R> Exchange<R> {
    /// For one request, which has yet to come.
    pub(super) fn new(shared: Rc<Common<R>>, peer: Peer) -> Self {
        let number = shared.next.replace(shared.next.get() + 1);
        Self {
            shared,
            peer,
            number,
            head_only: false,
            body_asked_for: false,
            empty_pieces: 0,
            permit: None,
            follows: None,
            expects: Expects::Nothing,
        }
    }
}

/// Before the response has begun.
impl<R: Respond> Exchange<R> {
    /// Does what `given` says.
    fn answer(&mut self, given: Reply, mut reply: http_core::Responder<'_, '_>) -> Answer {
        if !matches!(given.0, Kind::Later(_) | Kind::Run(_)) {
            self.permit = None;
        }
        match given.0 {
            Kind::Now(response) => self.send(response, reply),
            Kind::Plain(kind, body) => self.plain(kind, &body, reply),
            Kind::Page(status, text) => match convert::status(status) {
                Ok(status) => reply.error(status, &Fields::new(), &text),
                Err(bad) => self.bad(&bad, reply),
            },
            Kind::Later(take) => {
                let promise = reply.promise();
                let ticket = promise.ticket();
                let (later, telling) = Later::new(promise, reply.remote(), self.permit.clone());
                self.expects = Expects::Answer { ticket, _telling: telling };
                take(later);
                reply.later()
            }
            Kind::Run(work) => {
                // The work may be under way when its time is over, or its client gone.
                let permit = self.permit.clone();
                let work = move || {
                    let given = work();
                    drop(permit);
                    Came::Reply(given)
                };
                self.run(work, reply)
            }
            Kind::Collect { .. } | Kind::Receive { .. } if self.body_asked_for => {
                self.failed("a body was asked for twice", reply)
            }
            Kind::Collect { limit, expected, then } => {
                self.body_asked_for = true;
                // At most RESERVED, which any machine's addresses have room for.
                let reserved = expected.unwrap_or(0).min(RESERVED).min(limit) as usize;
                let collected = Vec::with_capacity(reserved);
                let permit = self.shared.collected.account(Client::of(self.peer.address));
                let then = UntilEnd::new(then);
                self.expects = Expects::BodyWhole { collected, permit, then };
                reply.read_up_to(limit)
            }
            Kind::Receive { limit, receiver } => {
                self.body_asked_for = true;
                self.expects = Expects::BodyPiece(UntilEnd::new(receiver));
                reply.read_up_to(limit)
            }
            Kind::Stream(head, content) => self.stream(head, content, reply),
            Kind::Upgrade { name, fields, make } => self.upgrade(&name, &fields, make, reply),
        }
    }

    /// Does what a receiver says.
    fn take(&mut self, take: Take, reply: http_core::Responder<'_, '_>) -> Answer {
        match take {
            Take::More(receiver) => {
                self.expects = Expects::BodyPiece(UntilEnd::new(receiver));
                reply.read()
            }
            Take::Run(work) => {
                let work = move || match work() {
                    Take::More(receiver) => Came::More(UntilEnd::new(receiver)),
                    take => Came::Take(take),
                };
                self.run(work, reply)
            }
            Take::Reply(given) => self.answer(given, reply),
        }
    }

    fn run(
        &mut self,
        work: impl FnOnce() -> Came + Send + 'static,
        reply: http_core::Responder<'_, '_>,
    ) -> Answer {
        let promise = reply.promise();
        self.expects = Expects::Kept(promise.ticket());
        // Refused, it is dropped, and says so.
        drop(reply.spawn(job(Client::of(self.peer.address), promise, work)));
        reply.later()
    }

    /// What a promise brought that is waited for: nothing, if it was abandoned. `None` for another
    /// one's.
    fn came(&mut self, ticket: Ticket, body: Result<Message, Abandoned>) -> Option<Option<Came>> {
        match self.expects {
            Expects::Kept(awaited) | Expects::Answer { ticket: awaited, .. }
                if awaited == ticket =>
            {
                self.expects = Expects::Nothing;
                Some(body.ok().and_then(Came::of))
            }
            _ => None,
        }
    }

    fn send(&mut self, response: Response<Bytes>, reply: http_core::Responder<'_, '_>) -> Answer {
        let (head, body) = response.into_parts();
        self.with_fields(
            head.status,
            &head.headers,
            reply,
            |this, status, fields, length, reply| {
                // GET may have content that the handler has not made: only it knows the length.
                if this.head_only && body.is_empty() {
                    return reply.send_head(status, fields, length);
                }
                reply.send(status, fields, http_core::Body::Shared(&body))
            },
        )
    }

    fn plain(&mut self, kind: &str, body: &Bytes, reply: http_core::Responder<'_, '_>) -> Answer {
        let mut fields = self.shared.fields.take();
        fields.clear();
        let answer = match fields.push("content-type", kind.as_bytes()) {
            Ok(()) if self.head_only && body.is_empty() => {
                reply.send_head(Status::OK, &fields, None)
            }
            Ok(()) => reply.send(Status::OK, &fields, http_core::Body::Shared(body)),
            Err(error) => self.bad(&BadReply::Field(CONTENT_TYPE, error), reply),
        };
        self.shared.fields.replace(fields);
        answer
    }

    fn stream(
        &mut self,
        head: Response<()>,
        content: Content,
        reply: http_core::Responder<'_, '_>,
    ) -> Answer {
        let (head, ()) = head.into_parts();
        self.with_fields(
            head.status,
            &head.headers,
            reply,
            |this, status, fields, length, reply| {
                let mut stream = reply.stream(status, fields, length);
                if !stream.has_content() {
                    return stream.end();
                }
                match content {
                    Content::Source(source) => this.give(source.next(), stream),
                    Content::Follow(make) => {
                        let (wake, telling) = Wake::new(stream.remote());
                        let follows = Follows { _telling: telling, woken: false, stopping: false };
                        this.follows = Some(follows);
                        this.give(make(wake).next(), stream)
                    }
                    Content::Sender { endless, start } => {
                        let end = stream.promise();
                        let ticket = end.ticket();
                        let (sender, telling) = Sender::new(stream.remote(), end, this.number);
                        this.expects = Expects::Sent { end: ticket, endless, telling };
                        start(sender);
                        stream.later()
                    }
                }
            },
        )
    }

    fn upgrade(
        &mut self,
        name: &str,
        fields: &HeaderMap,
        make: Box<dyn FnOnce() -> Box<dyn Protocol> + Send>,
        reply: http_core::Responder<'_, '_>,
    ) -> Answer {
        // The status is the server's: 101 is sent if it is an upgrade at all.
        self.with_fields(StatusCode::OK, fields, reply, |_, _, fields, _, reply| {
            reply.upgrade(name, fields, make()).unwrap_or_else(|reply| {
                let text = format!("This has to be asked for as an upgrade to {name}.");
                reply.error(Status::BAD_REQUEST, &Fields::new(), &text)
            })
        })
    }

    /// Hands `then` the status and the fields as they are sent, if they can be.
    fn with_fields<'r, 't>(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        reply: http_core::Responder<'r, 't>,
        then: impl FnOnce(
            &mut Self,
            Status,
            &Fields,
            Option<u64>,
            http_core::Responder<'r, 't>,
        ) -> Answer,
    ) -> Answer {
        // Taken out: what is called here may get here again, and then makes its own.
        let mut fields = self.shared.fields.take();
        fields.clear();
        let checked = convert::status(status)
            .and_then(|status| Ok((status, convert::fields(headers, &mut fields)?)));
        let answer = match checked {
            Ok((status, Framing { close, length })) => {
                let reply = if close { reply.closing() } else { reply };
                then(self, status, &fields, length, reply)
            }
            Err(bad) => self.bad(&bad, reply),
        };
        self.shared.fields.replace(fields);
        answer
    }

    fn bad(&mut self, bad: &BadReply, reply: http_core::Responder<'_, '_>) -> Answer {
        self.failed(&bad.to_string(), reply)
    }

    /// There is no memory for a body: the rest of it is not read.
    fn busy(&mut self, reply: http_core::Responder<'_, '_>) -> Answer {
        let (budget, client) = (&self.shared.collected, Client::of(self.peer.address));
        if let Some(requests) = budget.report(reply.now()) {
            warn!(
                target: "sockeye", budget = budget.name(), total = budget.total(),
                used = budget.used(), %client, requests,
                "a budget is spent: some requests are refused"
            );
        }
        let retry = Fields::new().with("Retry-After", b"1").unwrap_or_default();
        reply.error(Status::SERVICE_UNAVAILABLE, &retry, "")
    }

    /// Something is wrong with our side of it: the log is told what, the client is not.
    fn failed(&mut self, what: &str, reply: http_core::Responder<'_, '_>) -> Answer {
        error!(target: "sockeye", peer = %self.peer.address, what, "a request could not be answered");
        (self.expects, self.permit) = (Expects::Nothing, None);
        reply.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "")
    }
}

/// Makes room in `collected` for so many bytes more, if the budget has it. Memory at least doubles
/// when it grows, so that the budget is asked a few times for a body, and not for each piece.
fn reserve(collected: &mut Vec<u8>, permit: &mut Permit, more: usize) -> bool {
    let wanted = collected.len() + more;
    if wanted <= collected.capacity() {
        return true;
    }
    let room = wanted.max(2 * collected.capacity());
    let charge = (room as u64).saturating_sub(RESERVED);
    if charge > 0 && !permit.resize(charge) {
        return false;
    }
    collected.reserve_exact(room - collected.len());
    true
}
