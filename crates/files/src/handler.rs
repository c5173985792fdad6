//! Answers the requests of one connection. Almost everything is the [`Site`]'s; this remembers what
//! was asked while a look-up is under way.

use sockeye_proto::http1::{Answer, Handler, Method, Reply, Request, Status};
use sockeye_proto::{Abandoned, Message, Ticket, Time};

use crate::asked::Asked;
use crate::cache::FRESH;
use crate::flight::Landing;
use crate::site::{ALLOW, Awaited, Progress, Site};

/// The handler of one connection.
#[derive(Debug)]
pub struct Files {
    site: Site,
    /// The request that waits for a look-up: at most one. On the heap, since few connections do.
    pending: Option<Box<Pending>>,
}

#[derive(Debug)]
struct Pending {
    awaited: Awaited,
    /// When the request came.
    since: Time,
    asked: Asked<'static>,
}

impl Files {
    pub(crate) fn new(site: Site) -> Self {
        Self { site, pending: None }
    }

    fn read(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer {
        let (asked, since) = (Asked::of(request), reply.now());
        match self.site.answer(&asked, reply) {
            Progress::Answered(answer) => answer,
            Progress::Waiting(awaited, reply) => {
                let asked = asked.into_owned();
                self.pending = Some(Box::new(Pending { awaited, since, asked }));
                reply.later()
            }
        }
    }

    /// Answers with what was found, or looks again where the look-up began too long before the
    /// request: what it found may be older than the request may see.
    fn landed(
        &mut self,
        mut pending: Box<Pending>,
        landing: &Landing,
        reply: Reply<'_, '_>,
    ) -> Answer {
        let Pending { awaited, since, asked } = &*pending;
        self.site.land(awaited, landing, reply.now());
        let Awaited { key, stage, .. } = awaited;
        let progress = if since.since(landing.started) < FRESH {
            self.site.respond(key, &landing.entry, *stage, asked, reply)
        } else {
            self.site.go(key, *stage, asked, reply)
        };
        match progress {
            Progress::Answered(answer) => answer,
            Progress::Waiting(awaited, reply) => {
                pending.awaited = awaited;
                self.pending = Some(pending);
                reply.later()
            }
        }
    }
}

impl Handler for Files {
    fn on_request(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer {
        self.pending = None;
        match request.method() {
            Method::Get | Method::Head => self.read(request, reply),
            Method::Options => self.site.options(request, reply),
            _ => self.site.allow(Status::METHOD_NOT_ALLOWED, reply),
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        let Some(pending) = self.pending.take_if(|pending| pending.awaited.ticket == ticket) else {
            return reply.later();
        };
        match body.map(Message::downcast::<Landing>) {
            Ok(Ok(landing)) => self.landed(pending, &landing, reply),
            Ok(Err(_)) | Err(Abandoned) => self.site.fail(&pending.awaited, &pending.asked, reply),
        }
    }

    fn allow(&self) -> &'static str {
        ALLOW
    }
}
