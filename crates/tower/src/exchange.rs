//! The loop's side of a request: its body goes to the task, the response comes from it, each as
//! there is room.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use http::header::{CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body as HttpBody;
use sockeye::http::convert::{self, BadReply};
use sockeye::http_core::{
    self, Answer, Body, Content, Fields, Handler, Responder, Status, Stream, StreamEvent, Trailers,
};
use sockeye::proto::{Abandoned, Blame, Fault, Message, Ticket};
use sockeye::{Peer, Time};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tower_service::Service;
use tracing::error;

use crate::RequestBody;
use crate::body::{self, Fed, Feed, Room};
use crate::ending::{EndingTasks, Task};
use crate::task::{self, Batch, Ended, Head};
use crate::watch::Watch;

/// What the connections of a shard share.
pub(crate) struct Common<S> {
    pub(crate) service: S,
    pub(crate) runtime: Handle,
    pub(crate) watch: Watch,
    pub(crate) ending: EndingTasks,
}

/// Answers one request.
pub(crate) struct Exchange<S> {
    common: Rc<Common<S>>,
    peer: Peer,
    current: Option<Current>,
}

/// The request that is being answered.
struct Current {
    /// Its method is HEAD.
    head_only: bool,
    /// What is awaited of the task: the head, or more of the body.
    awaited: Option<Ticket>,
    /// Asks the task for more.
    pulls: mpsc::UnboundedSender<sockeye::proto::Promise>,
    feed: Feed,
    /// What says that the request's body has room again.
    room: Option<Ticket>,
    /// The request's body is read.
    reads: bool,
    /// The response has to wait for room.
    full: bool,
    /// The response has no end of its own.
    endless: bool,
    task: Task,
}

impl<S> Exchange<S> {
    pub(crate) fn new(common: Rc<Common<S>>, peer: Peer) -> Self {
        Self { common, peer, current: None }
    }
}

impl<S, B> Handler for Exchange<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: fmt::Display + Send,
    B: HttpBody<Data: Send> + Send + 'static,
    B::Error: fmt::Display,
{
    fn on_request(&mut self, request: &http_core::Request<'_>, reply: Responder<'_, '_>) -> Answer {
        let Ok(head) = convert::request(request) else {
            let text = "The request has a target or fields that nothing here understands.";
            return reply.error(Status::BAD_REQUEST, &Fields::new(), text);
        };
        let (feed, body) = body::body(request.content());
        let mut for_task = head.map(|()| body);
        for_task.extensions_mut().insert(self.peer);

        // One who waits for a word before the body is sent gets it when the service wants the body.
        let has_body = request.content() != Content::None;
        let waits = has_body && request.field("expect").is_some();
        let room = waits.then(|| {
            let room = reply.promise();
            let ticket = room.ticket();
            feed.call_for_room(room);
            ticket
        });
        let promise = reply.promise();
        let awaited = Some(promise.ticket());
        let (pulls, to_task) = mpsc::unbounded_channel();
        let service = self.common.service.clone();
        let unpolled = self.common.watch.over_next(reply.now());
        let answer = task::answer(service, for_task, promise, to_task, unpolled);
        let task = self.common.runtime.spawn(answer);
        self.current = Some(Current {
            head_only: request.method() == http_core::Method::Head,
            awaited,
            pulls,
            feed,
            room,
            reads: has_body && !waits,
            full: false,
            endless: false,
            task: Task::new(task.abort_handle()),
        });
        self.wait(reply)
    }

    fn on_body(&mut self, piece: &[u8], reply: Responder<'_, '_>) -> Answer {
        if let Some(current) = &mut self.current {
            current.feed(piece, || reply.promise());
        }
        self.wait(reply)
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, reply: Responder<'_, '_>) -> Answer {
        if let Some(current) = &mut self.current {
            current.end(trailers);
        }
        self.wait(reply)
    }

    fn on_incomplete(&mut self, now: Time) {
        let Some(Current { feed, task, .. }) = self.current.take() else { return };
        if feed.break_off() {
            self.common.ending.push(task, now);
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        let Some(current) = &mut self.current else { return self.wait(reply) };
        if current.takes_room(ticket, &body) || current.awaited != Some(ticket) {
            return self.wait(reply);
        }
        match body.ok().and_then(|body| body.downcast::<Head>().ok()) {
            Some(head) => self.begin(*head, reply),
            // It has panicked, or failed, or its runtime has gone.
            None => self.failed("nothing came of a service", reply),
        }
    }

    fn on_response_timeout(&mut self, reply: Responder<'_, '_>) -> Answer {
        self.over(reply.time_out())
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        let Some(current) = &mut self.current else { return stream.abort() };
        match event {
            StreamEvent::Message(ticket, body) => {
                if current.takes_room(ticket, &body) || current.awaited != Some(ticket) {
                    return self.wait_on(stream);
                }
                match body.ok().and_then(|body| body.downcast::<Batch>().ok()) {
                    Some(batch) => self.write(*batch, stream),
                    None => self.over(stream.abort()),
                }
            }
            StreamEvent::Body(piece) => {
                current.feed(piece, || stream.promise());
                self.wait_on(stream)
            }
            StreamEvent::BodyEnd(trailers) => {
                current.end(trailers);
                self.wait_on(stream)
            }
            StreamEvent::Room => {
                current.full = false;
                self.pull(stream)
            }
            StreamEvent::Drain if current.endless => self.over(stream.end()),
            _ => self.wait_on(stream),
        }
    }

    fn allow(&self) -> &'static str {
        "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    }
}

impl Current {
    /// Hands a piece of the request's body to the task.
    fn feed(&mut self, piece: &[u8], promise: impl FnOnce() -> sockeye::proto::Promise) {
        match self.feed.piece(piece) {
            Fed::More => {}
            Fed::Full => {
                let room = promise();
                self.room = Some(room.ticket());
                self.feed.call_for_room(room);
                self.reads = false;
            }
            Fed::Unwanted => self.reads = false,
        }
    }

    fn end(&mut self, trailers: &Trailers<'_>) {
        self.reads = false;
        self.feed.end(convert::trailers(trailers).unwrap_or_default());
    }

    /// Whether a message is about room in the request's body. Abandoned, it says that nothing more
    /// of it is wanted.
    fn takes_room(&mut self, ticket: Ticket, body: &Result<Message, Abandoned>) -> bool {
        let is_it = self.room == Some(ticket);
        if is_it {
            self.room = None;
            self.reads = body.as_ref().is_ok_and(|body| body.is::<Room>());
        }
        is_it
    }
}

impl<S> Exchange<S> {
    /// Sends what has come of a response: all of it, or its head and what was ready.
    fn begin(&mut self, head: Head, reply: Responder<'_, '_>) -> Answer {
        let Head { mut head, length, mut first } = head;
        // How a response is framed is the server's to choose; chunked is what it would choose.
        if is_chunked(&head.headers) {
            head.headers.remove(TRANSFER_ENCODING);
        }
        let mut fields = Fields::new();
        let checked = convert::status(head.status)
            .and_then(|status| Ok((status, convert::fields(&head.headers, &mut fields)?)));
        let (status, framing) = match checked {
            Ok(checked) => checked,
            Err(bad) => return self.bad(&bad, reply),
        };
        let head_only = self.current.as_ref().is_some_and(|current| current.head_only);
        // An empty body in a response to HEAD says nothing of GET's: the service may have left that out.
        // Neither does a Content-Length of 0, which axum writes beside every empty body.
        let says = |length: &u64| *length > 0 || !head_only;
        let (declared, actual) = (framing.length.filter(says), length.filter(says));
        if let (Some(declared), Some(actual)) = (declared, actual)
            && declared != actual
            && status.has_content()
        {
            return self.bad(&BadReply::Length { declared, actual }, reply);
        }
        let length = declared.or(actual);
        let reply = if framing.close { reply.closing() } else { reply };
        if head_only {
            return self.over(reply.send_head(status, &fields, length));
        }
        let whole = matches!(&first.end, Some(Ended::Whole(trailers)) if trailers.is_empty());
        if whole && first.pieces.len() <= 1 {
            let content = first.pieces.pop().unwrap_or_default();
            if declared.is_none_or(|length| length == content.len() as u64) {
                return self.over(reply.send(status, &fields, Body::Shared(&content)));
            }
            first.pieces.push(content);
        }
        let stream = reply.stream(status, &fields, length);
        if !stream.has_content() {
            return self.over(stream.end());
        }
        if let Some(current) = &mut self.current {
            current.endless = head.headers.get(CONTENT_TYPE).is_some_and(is_events);
        }
        self.write(first, stream)
    }

    /// Writes what has come of the response's body.
    fn write(&mut self, batch: Batch, mut stream: Stream<'_, '_>) -> Answer {
        for piece in batch.pieces {
            if piece.len() <= SMALL {
                stream.write(&piece);
            } else {
                stream.write_shared(piece);
            }
        }
        match batch.end {
            None => self.pull(stream),
            Some(Ended::Failed) => self.over(stream.abort()),
            Some(Ended::Empty) => self.over(stream.abort_with(&EMPTY_FRAMES)),
            Some(Ended::Whole(trailers)) => match fields_of(&trailers) {
                Ok(fields) => self.over(stream.end_with(&fields)),
                Err(bad) => {
                    error!(target: "sockeye", peer = %self.peer.address, %bad, "bad trailers");
                    self.over(stream.abort())
                }
            },
        }
    }

    /// Asks for more of the response's body, when there is room for it.
    fn pull(&mut self, stream: Stream<'_, '_>) -> Answer {
        if let Some(current) = &mut self.current {
            current.full = stream.is_full();
            current.awaited = None;
            if !current.full {
                let promise = stream.promise();
                current.awaited = Some(promise.ticket());
                // A task that has gone drops it, and so we hear.
                let _ = current.pulls.send(promise);
            }
        }
        self.wait_on(stream)
    }

    /// Waits for what the exchange waits for, before the response has begun.
    fn wait(&mut self, reply: Responder<'_, '_>) -> Answer {
        match &self.current {
            // What it may be is the service's to say: it is never held as a whole here.
            Some(current) if current.reads => reply.read_up_to(u64::MAX),
            _ => reply.later(),
        }
    }

    /// The same when it has.
    fn wait_on(&mut self, stream: Stream<'_, '_>) -> Answer {
        match &self.current {
            Some(current) if current.full => stream.more(),
            Some(current) if current.reads => stream.read(),
            _ => stream.later(),
        }
    }

    /// The request is answered.
    fn over(&mut self, answer: Answer) -> Answer {
        self.current = None;
        answer
    }

    fn bad(&mut self, bad: &BadReply, reply: Responder<'_, '_>) -> Answer {
        self.failed(&bad.to_string(), reply)
    }

    /// Something is wrong with our side of it: the log is told what, the client is not.
    fn failed(&mut self, what: &str, reply: Responder<'_, '_>) -> Answer {
        error!(target: "sockeye", peer = %self.peer.address, what, "a request could not be answered");
        self.over(reply.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), ""))
    }
}

static EMPTY_FRAMES: Fault = Fault {
    blame: Blame::Ours,
    code: "empty_body_frames",
    what: Cow::Borrowed("had a response whose body gave 1,024 empty frames in a row"),
};

/// Up to so many bytes a copy is cheaper than to send a piece of its own.
const SMALL: usize = 1024;

fn fields_of(headers: &HeaderMap) -> Result<Fields, BadReply> {
    let mut fields = Fields::new();
    for (name, value) in headers {
        fields
            .push(name.as_str(), value.as_bytes())
            .map_err(|error| BadReply::Field(name.clone(), error))?;
    }
    Ok(fields)
}

fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next();
    first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

/// Whether a response is of server-sent events, which have no end of their own.
fn is_events(kind: &HeaderValue) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let kind = kind.as_bytes();
    kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
        && !kind.get(EVENTS.len()).is_some_and(u8::is_ascii_alphanumeric)
}
