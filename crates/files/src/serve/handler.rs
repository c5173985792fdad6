//! The handler of one request: calls the [`Site`], and keeps the request while it waits for a job
//! or a permit.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use sockeye_http::{
    Answer, Fields, Handler, Handlers, Method, OwnedRequest, Request, Responder, Status, Stream,
    StreamEvent,
};
use sockeye_proto::{Abandoned, Message, Peer, Permit, Ticket, Time};

use super::jobs::{AwaitedJob, LookupRequest, Progress};
use super::listing::{ListingAnswer, PendingListing};
use super::listing_body::ListingBody;
use super::site::{ALLOW, Site};
use crate::lookup::entry::{Entry, Target};
use crate::lookup::in_flight::JobResult;
use crate::request::view::RequestView;

/// The handler of one request.
#[derive(Debug)]
pub struct FileHandler {
    site: Site,
    /// What the request waits for. Boxed, since few requests wait. `ManuallyDrop`, because
    /// [`FileHandler::drop`] drops the value: the check inlined there costs less per request than
    /// the call that the compiler would generate.
    pending: ManuallyDrop<Option<Box<Pending>>>,
}

impl Drop for FileHandler {
    #[inline(always)] // Runs for each request.
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            drop_pending(pending);
        }
    }
}

/// Not inlined, so that [`FileHandler::drop`] stays small.
#[cold]
fn drop_pending(_: Box<Pending>) {}

/// What a request waits for.
#[derive(Debug)]
enum Pending {
    /// A lookup or a compression.
    Job(WaitingRequest),
    /// A permit for an open file.
    File(WaitingForFile),
    /// The job that reads a folder or a Markdown file.
    Listing(PendingListing),
    /// Room in the output, or the job that makes more content.
    ListingBody(ListingBody),
}

/// A request that waits for a lookup or a compression.
#[derive(Debug)]
struct WaitingRequest {
    awaited: AwaitedJob,
    /// When the request arrived. If it has waited for a permit or a listing: when that wait ended.
    arrived: Time,
    request: OwnedRequest,
    /// The permit for an open file, if this request already has one.
    granted: Option<Permit>,
}

/// A request that waits for a permit for an open file.
#[derive(Debug)]
struct WaitingForFile {
    ticket: Ticket,
    request: OwnedRequest,
}

impl Handlers for Site {
    type Handler = FileHandler;

    #[inline]
    fn handler(&self, _: &Peer) -> FileHandler {
        FileHandler { site: self.clone(), pending: ManuallyDrop::new(None) }
    }
}

impl FileHandler {
    /// Stores what the request waits for.
    fn wait(&mut self, pending: Pending) {
        *self.pending = Some(Box::new(pending));
    }

    /// Returns the answer to a request (`arrived`: see [`WaitingRequest`]). If the request has to
    /// wait, stores what it waits for, with the copy of the request that `keep` makes.
    #[inline(always)] // Runs for each request.
    fn progress(
        &mut self,
        progress: Progress<'_, '_>,
        arrived: Time,
        keep: impl FnOnce() -> OwnedRequest,
    ) -> Answer {
        match progress {
            Progress::Answered(answer) => answer,
            Progress::Waiting(awaited, responder) => {
                let (request, granted) = (keep(), self.site.inner.granted.take());
                let waiting = WaitingRequest { awaited, arrived, request, granted };
                self.wait(Pending::Job(waiting));
                responder.later()
            }
            Progress::WaitingForFile(ticket, responder) => {
                self.wait(Pending::File(WaitingForFile { ticket, request: keep() }));
                responder.later()
            }
            Progress::NeedsListing(responder) => {
                self.site.set_listings_deadline(responder.now());
                let mounts = &self.site.inner.mounts;
                let (answer, listing) = PendingListing::start(mounts, keep(), responder);
                listing.into_iter().for_each(|listing| self.wait(Pending::Listing(listing)));
                answer
            }
        }
    }

    /// Answers with the result of a lookup or a compression.
    fn on_job_result(
        &mut self,
        waiting: WaitingRequest,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let WaitingRequest { awaited, arrived, request, granted } = waiting;
        self.site.inner.granted.replace(granted);
        let http = request.view();
        let view = RequestView::of(&http);
        let progress = match body.map(Message::downcast::<JobResult>) {
            Ok(Ok(result)) => match *result {
                JobResult::Found { entry, started, permit } => {
                    if let Some(permit) = permit {
                        self.site.inner.granted.replace(Some(permit));
                    }
                    self.site.on_found(&awaited, &entry, started, arrived, view, responder)
                }
                JobResult::NeedsFullRead => self.site.on_needs_full_read(&awaited, view, responder),
                JobResult::NoPermit => self.site.on_no_permit(&awaited, view, responder),
                JobResult::Refused => self.site.on_refused(&awaited, view, responder),
            },
            Ok(Err(_)) | Err(Abandoned) => self.site.on_panic(&awaited, view, responder),
        };
        self.progress_with_permit(progress, arrived, || request)
    }

    /// Answers a request after its wait for a permit for an open file.
    fn on_permit(
        &mut self,
        request: OwnedRequest,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let permit = body.ok().and_then(|body| body.downcast::<Permit>().ok());
        self.site.inner.granted.replace(permit.map(|permit| *permit));
        let (arrived, http) = (responder.now(), request.view());
        let progress = self.site.answer(RequestView::of(&http), responder);
        self.progress_with_permit(progress, arrived, || request)
    }

    /// Like [`Self::progress`]. Then drops the permit of the request, if nothing has taken it.
    fn progress_with_permit(
        &mut self,
        progress: Progress<'_, '_>,
        arrived: Time,
        keep: impl FnOnce() -> OwnedRequest,
    ) -> Answer {
        let answer = self.progress(progress, arrived, keep);
        drop(self.site.inner.granted.take());
        answer
    }

    /// Answers with the result of reading a folder or a Markdown file.
    fn on_listing(
        &mut self,
        listing: PendingListing,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        self.site.set_listings_deadline(responder.now());
        match listing.on_result(body, responder) {
            ListingAnswer::Answered(answer, body) => {
                body.into_iter().for_each(|body| self.wait(Pending::ListingBody(body)));
                answer
            }
            ListingAnswer::Absent(mount, absent, request, responder) => {
                let entry = Arc::new(Entry { mount: Some(mount), target: Target::Absent(absent) });
                let arrived = responder.now();
                let http = request.view();
                let view = RequestView::of(&http);
                // The key for a lookup is empty, because the entry is known and is not looked up.
                // A lookup of an error page uses a key of its own.
                let progress =
                    self.site.respond(LookupRequest::requested(b"", view), &entry, responder);
                self.progress(progress, arrived, || request)
            }
        }
    }
}

impl Handler for FileHandler {
    #[inline(always)] // Inlined once per wire (HTTP version), because it runs for most requests.
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match request.method() {
            Method::Get | Method::Head => {
                let arrived = responder.now();
                let progress = self.site.answer(RequestView::of(request), responder);
                self.progress(progress, arrived, || request.to_owned_request())
            }
            Method::Options => self.site.options(request, responder),
            Method::Connect => self.site.connect(request, responder),
            // Neither a method of RFC 9110 nor PATCH: 501 (RFC 9110, 9.1).
            Method::Extension(name) => {
                let text = format!(
                    "This server does not support the method {name}. The files here are \
                     read-only: use GET or HEAD."
                );
                responder.error(Status::NOT_IMPLEMENTED, &Fields::new(), &text)
            }
            _ => self.site.allow(Status::METHOD_NOT_ALLOWED, responder),
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match self.pending.take().map(|pending| *pending) {
            Some(Pending::Job(waiting)) if waiting.awaited.ticket == ticket => {
                self.on_job_result(waiting, body, responder)
            }
            Some(Pending::File(waiting)) if waiting.ticket == ticket => {
                self.on_permit(waiting.request, body, responder)
            }
            Some(Pending::Listing(listing)) if listing.ticket == ticket => {
                self.on_listing(listing, body, responder)
            }
            // The message is for an older request of this connection.
            other => {
                *self.pending = other.map(Box::new);
                responder.keep_waiting()
            }
        }
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        let Some(Pending::ListingBody(body)) = self.pending.take().map(|pending| *pending) else {
            return stream.abort();
        };
        let (answer, body) = body.on_stream(event, stream);
        body.into_iter().for_each(|body| self.wait(Pending::ListingBody(body)));
        answer
    }

    fn allow(&self) -> &'static str {
        ALLOW
    }

    fn can_upgrade(&self, protocol: &[u8]) -> bool {
        // With `--live`, pages learn of changes by a WebSocket.
        protocol == b"websocket" && self.site.inner.live.is_some()
    }
}
