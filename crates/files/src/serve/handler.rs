//! Answers one request. Almost everything is the [`Site`]'s; this remembers what
//! was asked while a lookup is under way.

use std::sync::Arc;

use sockeye_http::{
    Answer, Handler, Handlers, KeptRequest, Method, Request, Responder, Status, Stream, StreamEvent,
};
use sockeye_proto::{Abandoned, Message, Peer, Ticket, Time};

use super::listing::{ListingAnswer, PendingListing};
use super::listing_body::ListingBody;
use super::progress::{Awaited, Progress};
use super::site::{ALLOW, Site};
use crate::lookup::entry::{Entry, What};
use crate::lookup::in_flight::LookupResult;
use crate::lookup::stage::Stage;
use crate::request::view::RequestView;

/// The handler of one request.
#[derive(Debug)]
pub struct Files {
    site: Site,
    /// What the request waits for.
    pending: Option<Box<Pending>>,
}

/// What a request waits for.
#[derive(Debug)]
enum Pending {
    Lookup(Waiting),
    Listing(PendingListing),
    ListingBody(ListingBody),
}

#[derive(Debug)]
struct Waiting {
    awaited: Awaited,
    /// When the request came.
    since: Time,
    request: KeptRequest,
}

impl Handlers for Site {
    type Handler = Files;

    #[inline]
    fn handler(&self, _: &Peer) -> Files {
        Files { site: self.clone(), pending: None }
    }
}

impl Files {
    fn wait(&mut self, pending: Pending) {
        self.pending = Some(Box::new(pending));
    }

    /// Does what has become of a request that came at `since`; `keep` gives it, where it has to be
    /// waited for something.
    fn settle(
        &mut self,
        progress: Progress<'_, '_>,
        since: Time,
        keep: impl FnOnce() -> KeptRequest,
    ) -> Answer {
        match progress {
            Progress::Answered(answer) => answer,
            Progress::Waiting(awaited, reply) => {
                self.wait(Pending::Lookup(Waiting { awaited, since, request: keep() }));
                reply.later()
            }
            Progress::Listing(reply) => {
                self.site.listed(reply.now());
                let (answer, exchange) = PendingListing::begin(self.site.mounts(), keep(), reply);
                exchange.into_iter().for_each(|exchange| self.wait(Pending::Listing(exchange)));
                answer
            }
        }
    }

    /// Answers with what a job brought.
    fn came(
        &mut self,
        waiting: Waiting,
        body: Result<Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        let Waiting { awaited, since, request } = waiting;
        let view = request.view();
        let asked = RequestView::of(&view);
        let progress = match body.map(Message::downcast::<LookupResult>) {
            Ok(Ok(outcome)) => match *outcome {
                LookupResult::Found { entry, started } => {
                    self.site.take(&awaited, &entry, started, since, asked, reply)
                }
                LookupResult::Unread => self.site.read(&awaited, asked, reply),
                LookupResult::Refused => self.site.refused(&awaited, asked, reply),
            },
            Ok(Err(_)) | Err(Abandoned) => {
                return self.site.fail(&awaited, asked, reply);
            }
        };
        self.settle(progress, since, || request)
    }

    /// Answers with what was found out about a folder.
    fn listed(
        &mut self,
        exchange: PendingListing,
        body: Result<Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        self.site.listed(reply.now());
        match exchange.on_made(body, reply) {
            ListingAnswer::Answered(answer, sending) => {
                sending.into_iter().for_each(|sending| self.wait(Pending::ListingBody(sending)));
                answer
            }
            ListingAnswer::Absent(mount, absent, request, reply) => {
                let entry = Arc::new(Entry { mount: Some(mount), what: What::Absent(absent) });
                let since = reply.now();
                // No lookup brought it, and none comes after it but that of a page.
                let view = request.view();
                let asked = RequestView::of(&view);
                let progress = self.site.respond(b"", &entry, Stage::Requested, asked, reply);
                self.settle(progress, since, || request)
            }
        }
    }
}

impl Handler for Files {
    fn on_request(&mut self, request: &Request<'_>, reply: Responder<'_, '_>) -> Answer {
        match request.method() {
            Method::Get | Method::Head => {
                let since = reply.now();
                let progress = self.site.answer(RequestView::of(request), reply);
                self.settle(progress, since, || request.keep())
            }
            Method::Options => self.site.options(request, reply),
            Method::Extension(name) => self.site.unknown_method(name, reply),
            _ => self.site.allow(Status::METHOD_NOT_ALLOWED, reply),
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        match self.pending.take().map(|pending| *pending) {
            Some(Pending::Lookup(waiting)) if waiting.awaited.ticket == ticket => {
                self.came(waiting, body, reply)
            }
            Some(Pending::Listing(exchange)) if exchange.ticket == ticket => {
                self.listed(exchange, body, reply)
            }
            // What an older request of this connection waited for.
            other => {
                self.pending = other.map(Box::new);
                reply.keep_waiting()
            }
        }
    }

    fn on_stream(&mut self, event: StreamEvent<'_>, stream: Stream<'_, '_>) -> Answer {
        let Some(Pending::ListingBody(sending)) = self.pending.take().map(|pending| *pending)
        else {
            return stream.abort();
        };
        let (answer, sending) = sending.on_stream(event, stream);
        sending.into_iter().for_each(|sending| self.wait(Pending::ListingBody(sending)));
        answer
    }

    fn allow(&self) -> &'static str {
        ALLOW
    }
}
