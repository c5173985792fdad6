//! Connects one request's task with its connection. The event loop passes the request's body to the
//! task, and sends the task's response to the client.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body as HttpBody;
use sockeye::http::convert;
use sockeye::http_core::{
    self, Answer, Body, Content, Fields, Handler, Responder, Stream, StreamEvent, Trailers,
};
use sockeye::proto::{Abandoned, Blame, Budget, Fault, Message, Promise, Ticket};
use sockeye::{Peer, Time};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tower_service::Service;

use crate::RequestBody;
use crate::body::{self, BodyWriter, HasRoom, Written};
use crate::ending::{AbortOnDrop, EndingTasks};
use crate::task::{self, Batch, BodyEnd, ResponseStart};
#[cfg(feature = "upgrade")]
use crate::upgrade::PendingUpgrade;
use crate::watch::Watchdog;

/// What the connections of a worker (an event loop) share.
pub(crate) struct WorkerState<S> {
    pub(crate) service: S,
    pub(crate) runtime: Handle,
    /// The budget for what request bodies and upgrades buffer over HTTP/2.
    pub(crate) buffered: Arc<Budget>,
    /// Warns if the runtime does not poll a new task.
    pub(crate) watchdog: Watchdog,
    pub(crate) ending: EndingTasks,
}

/// Answers one request.
pub(crate) struct Exchange<S> {
    worker: Rc<WorkerState<S>>,
    peer: Peer,
    active: Option<ActiveRequest>,
}

/// The request that is being answered.
struct ActiveRequest {
    /// Whether the method is HEAD.
    head_only: bool,
    /// The ticket (number) of the promise with which the task sends its next message: first the
    /// [`ResponseStart`], then one [`Batch`] of the response's body at a time.
    awaited: Option<Ticket>,
    /// Asks the task for the next [`Batch`].
    batch_requests: mpsc::UnboundedSender<Promise>,
    request_body: BodyWriter,
    /// The ticket of the promise that is fulfilled when the request's body has room again.
    room: Option<Ticket>,
    /// Whether the event loop reads the request's body.
    reads_body: bool,
    /// Whether the output is full.
    output_full: bool,
    /// Whether the response consists of server-sent events. If so, it ends when the server drains
    /// (shuts down).
    is_event_stream: bool,
    /// The upgrade that the client asks for. Taken when the response starts.
    #[cfg(feature = "upgrade")]
    upgrade: Option<Box<PendingUpgrade>>,
    /// The task is aborted when the request ends.
    task: AbortOnDrop,
}

impl<S> Exchange<S> {
    pub(crate) fn new(worker: Rc<WorkerState<S>>, peer: Peer) -> Self {
        Self { worker, peer, active: None }
    }
}

impl<S, B> Handler for Exchange<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: fmt::Display + Send,
    B: HttpBody<Data: Send> + Send + 'static,
    B::Error: fmt::Display,
{
    fn on_request(
        &mut self,
        request: &http_core::Request<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let Ok(head) = convert::request(request, &self.peer) else {
            return convert::refuse_unsupported(responder);
        };
        let is_http2 = request.version() == http_core::Version::Http2;
        let permit = is_http2.then(|| self.worker.buffered.empty_permit(responder.client(request)));
        let (request_body, body) = body::body(request.content(), permit);
        let mut service_request = head.map(|()| body);
        service_request.extensions_mut().insert(self.peer.clone());
        #[cfg(feature = "upgrade")]
        let mut upgrade = None;
        #[cfg(feature = "upgrade")]
        if let Some(names) = request.upgrade() {
            let charged = is_http2.then(|| (&self.worker.buffered, responder.client(request)));
            match PendingUpgrade::new(names, service_request.extensions_mut(), charged) {
                Ok(pending) => upgrade = Some(Box::new(pending)),
                Err(spent) => return spent.answer(responder),
            }
        }

        // A client that expects `100 Continue` gets it when the service first polls the body. The
        // poll fulfills the promise `room`, and then the event loop reads the body.
        let has_body = request.content() != Content::None;
        let expects_continue = has_body && request.field("expect").is_some();
        let room = expects_continue.then(|| {
            let room = responder.promise();
            let ticket = room.ticket();
            request_body.notify_when_room(room);
            ticket
        });
        let promise = responder.promise();
        let awaited = Some(promise.ticket());
        let (batch_requests, batch_receiver) = mpsc::unbounded_channel();
        let service = self.worker.service.clone();
        let poll_token = self.worker.watchdog.watch_next(responder.now());
        let task = task::answer(service, service_request, promise, batch_receiver, poll_token);
        let task = self.worker.runtime.spawn(task);
        self.active = Some(ActiveRequest {
            head_only: request.method() == http_core::Method::Head,
            awaited,
            batch_requests,
            request_body,
            room,
            reads_body: has_body && !expects_continue,
            output_full: false,
            is_event_stream: false,
            #[cfg(feature = "upgrade")]
            upgrade,
            task: AbortOnDrop(task.abort_handle()),
        });
        self.wait(responder)
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        if let Some(active) = &mut self.active {
            active.on_body(piece, || responder.promise());
        }
        self.wait(responder)
    }

    fn on_body_end(&mut self, trailers: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        if let Some(active) = &mut self.active {
            active.on_body_end(trailers);
        }
        self.wait(responder)
    }

    fn on_incomplete(&mut self, now: Time) {
        let Some(ActiveRequest { request_body, task, .. }) = self.active.take() else { return };
        // `abort` returns whether the task will get an error from the body. If so, the task has 5 s
        // to clean up. Otherwise it is aborted at once.
        if request_body.abort() {
            self.worker.ending.push(task, now);
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let Some(active) = &mut self.active else { return self.wait(responder) };
        if active.on_room(ticket, &body) || active.awaited != Some(ticket) {
            return self.wait(responder);
        }
        match body.ok().and_then(|body| body.downcast::<ResponseStart>().ok()) {
            Some(start) => self.start_response(*start, responder),
            None => {
                self.fail("the service panicked or failed, or its runtime has shut down", responder)
            }
        }
    }

    fn on_response_timeout(&mut self, responder: Responder<'_, '_>) -> Answer {
        self.finish(responder.time_out())
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        let Some(active) = &mut self.active else { return stream.abort() };
        match event {
            StreamEvent::Message(ticket, body) => {
                if active.on_room(ticket, &body) || active.awaited != Some(ticket) {
                    return self.wait_streaming(stream);
                }
                match body.ok().and_then(|body| body.downcast::<Batch>().ok()) {
                    Some(batch) => self.write_batch(*batch, stream),
                    None => self.finish(stream.abort()),
                }
            }
            StreamEvent::Body(piece) => {
                active.on_body(piece, || stream.promise());
                self.wait_streaming(stream)
            }
            StreamEvent::BodyEnd(trailers) => {
                active.on_body_end(trailers);
                self.wait_streaming(stream)
            }
            StreamEvent::Room => {
                active.output_full = false;
                self.request_batch(stream)
            }
            StreamEvent::Drain if active.is_event_stream => self.finish(stream.end()),
            _ => self.wait_streaming(stream),
        }
    }

    fn allow(&self) -> &'static str {
        convert::ALLOW
    }

    /// Called only over HTTP/2, for a request for an upgrade. Every protocol is allowed here: the
    /// service itself refuses those that it doesn't want, as it does over HTTP/1.1.
    #[cfg(feature = "upgrade")]
    fn can_upgrade(&self, _: &[u8]) -> bool {
        true
    }
}

impl ActiveRequest {
    /// Passes a piece of the request's body to the task.
    fn on_body(&mut self, piece: &[u8], promise: impl FnOnce() -> Promise) {
        match self.request_body.write(piece) {
            Written::HasRoom => {}
            Written::Full => {
                let room = promise();
                self.room = Some(room.ticket());
                self.request_body.notify_when_room(room);
                self.reads_body = false;
            }
            Written::BodyDropped => self.reads_body = false,
        }
    }

    /// Tells the task that the request's body is complete.
    fn on_body_end(&mut self, trailers: &Trailers<'_>) {
        self.reads_body = false;
        self.request_body.end(convert::trailers(trailers).unwrap_or_default());
    }

    /// If `ticket` is that of the promise for room in the request's body, handles its result and
    /// returns true. If that promise was abandoned, the service has dropped the body, and the rest
    /// of the body is not read.
    fn on_room(&mut self, ticket: Ticket, body: &Result<Message, Abandoned>) -> bool {
        if self.room != Some(ticket) {
            return false;
        }
        self.room = None;
        self.reads_body = body.as_ref().is_ok_and(|body| body.is::<HasRoom>());
        true
    }
}

impl<S> Exchange<S> {
    /// Sends the response if it is complete. Otherwise sends its head and the part of its body that
    /// was ready.
    fn start_response(&mut self, start: ResponseStart, responder: Responder<'_, '_>) -> Answer {
        let ResponseStart { mut head, length, mut first_batch } = start;
        #[cfg(feature = "upgrade")]
        if let Some(pending) = self.active.as_mut().and_then(|active| active.upgrade.take())
            && pending.is_accepted_by(&head)
        {
            return match pending.accept(&head, responder) {
                Ok(answer) => self.finish(answer),
                Err((what, responder)) => self.fail(&what, responder),
            };
        }
        // The server sets Transfer-Encoding itself, and sends chunks if the length is unknown.
        if is_chunked(&head.headers) {
            head.headers.remove(TRANSFER_ENCODING);
        }
        let mut fields = Fields::new();
        let sent = match convert::response(head.status, &head.headers, &mut fields) {
            Ok(sent) => sent,
            Err(invalid) => return self.fail(&invalid.to_string(), responder),
        };
        let head_only = self.active.as_ref().is_some_and(|active| active.head_only);
        // If the body of a response to HEAD is empty, the length of the response to GET is unknown,
        // because the service may have left the content out. A Content-Length of 0 says nothing,
        // either, because axum adds that to every empty body.
        let is_known = |length: &u64| *length > 0 || !head_only;
        let (declared, actual) = (sent.length.filter(is_known), length.filter(is_known));
        if let (Some(declared), Some(actual)) = (declared, actual)
            && declared != actual
            && sent.status.has_content()
        {
            let what = format!(
                "the Content-Length is {declared}, and the body has {actual} bytes: leave the field \
                 out, or set it to the body's length"
            );
            return self.fail(&what, responder);
        }
        let length = declared.or(actual);
        let responder = if sent.close { responder.closing() } else { responder };
        // A 426 offers the protocols of its `Upgrade` fields.
        let responder = match convert::offering(head.status, &head.headers, responder) {
            Ok(responder) => responder,
            Err((invalid, responder)) => return self.fail(&invalid.to_string(), responder),
        };
        if head_only {
            return self.finish(responder.send_head(sent.status, &fields, length));
        }
        let complete =
            matches!(&first_batch.end, Some(BodyEnd::Complete(trailers)) if trailers.is_empty());
        if complete && first_batch.pieces.len() <= 1 {
            let content = first_batch.pieces.pop().unwrap_or_default();
            if declared.is_none_or(|length| length == content.len() as u64) {
                return self.finish(responder.send(sent.status, &fields, Body::Shared(&content)));
            }
            first_batch.pieces.push(content);
        }
        let stream = responder.stream(sent.status, &fields, length);
        if !stream.has_content() {
            return self.finish(stream.end());
        }
        if let Some(active) = &mut self.active {
            active.is_event_stream = head.headers.get(CONTENT_TYPE).is_some_and(is_event_stream);
        }
        self.write_batch(first_batch, stream)
    }

    /// Writes a part of the response's body.
    fn write_batch(&mut self, batch: Batch, mut stream: Stream<'_, '_>) -> Answer {
        for piece in batch.pieces {
            convert::write(piece, &mut stream);
        }
        match batch.end {
            None => self.request_batch(stream),
            Some(BodyEnd::Failed) => self.finish(stream.abort()),
            Some(BodyEnd::EmptyFrames) => self.finish(stream.abort_with(&EMPTY_FRAMES)),
            Some(BodyEnd::Complete(trailers)) => self.finish(convert::end(&trailers, stream)),
        }
    }

    /// Asks the task for more of the response's body, unless the output is full.
    fn request_batch(&mut self, stream: Stream<'_, '_>) -> Answer {
        if let Some(active) = &mut self.active {
            active.output_full = stream.is_full();
            active.awaited = None;
            if !active.output_full {
                let promise = stream.promise();
                active.awaited = Some(promise.ticket());
                // If the task has ended, this drops the promise, and the response is aborted.
                let _ = active.batch_requests.send(promise);
            }
        }
        self.wait_streaming(stream)
    }

    /// Waits for the request's body and the task, before the response starts.
    fn wait(&mut self, responder: Responder<'_, '_>) -> Answer {
        match &self.active {
            // The service limits the body. There is no limit here, because the body is never
            // buffered as a whole.
            Some(active) if active.reads_body => responder.read_up_to(u64::MAX),
            _ => responder.later(),
        }
    }

    /// Waits after the response has started: for room, if the output is full, else for the task and
    /// the request's body.
    fn wait_streaming(&mut self, stream: Stream<'_, '_>) -> Answer {
        match &self.active {
            Some(active) if active.output_full => stream.more(),
            Some(active) if active.reads_body => stream.read(),
            _ => stream.later(),
        }
    }

    /// Ends the exchange. This aborts the task if it still runs.
    fn finish(&mut self, answer: Answer) -> Answer {
        self.active = None;
        answer
    }

    /// Logs the error `what`, for which the client isn't to blame, and answers 500.
    fn fail(&mut self, what: &str, responder: Responder<'_, '_>) -> Answer {
        self.finish(convert::fail(what, responder))
    }
}

static EMPTY_FRAMES: Fault = Fault {
    blame: Blame::Ours,
    code: "empty_body_frames",
    what: Cow::Borrowed("had a response whose body returned 1,024 empty frames in a row"),
};

/// Whether there is exactly one transfer coding, `chunked`.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next();
    first.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

/// Whether a Content-Type is that of server-sent events. Such a response usually never ends by
/// itself.
fn is_event_stream(content_type: &HeaderValue) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let content_type = content_type.as_bytes();
    content_type.get(..EVENT_STREAM.len()).is_some_and(|it| it.eq_ignore_ascii_case(EVENT_STREAM))
        && !content_type.get(EVENT_STREAM.len()).is_some_and(u8::is_ascii_alphanumeric)
}
