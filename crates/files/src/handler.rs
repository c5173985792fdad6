//! Answers the requests of one connection. Almost everything is the [`Site`]'s; this remembers what
//! was asked while a look-up is under way.

use sockeye_proto::http1::{Answer, Handler, Method, Reply, Request, Status};
use sockeye_proto::{Abandoned, Message, Ticket, Time};

use crate::asked::Asked;
use crate::cache::FRESH;
use crate::flight::Landing;
use crate::path::Wanted;
use crate::site::{ALLOW, Progress, Site};

/// The handler of one connection.
#[derive(Debug)]
pub struct Files {
    site: Site,
    /// The request that waits for a look-up: at most one. On the heap, since few connections do.
    pending: Option<Box<Pending>>,
}

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    /// When the request came.
    since: Time,
    key: Box<[u8]>,
    asked: Asked<'static>,
}

impl Files {
    pub(crate) fn new(site: Site) -> Self {
        Self { site, pending: None }
    }

    fn read(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer {
        let (asked, since) = (Asked::of(request), reply.now());
        let mut key = None;
        match self.site.answer(&asked, reply, |name| key = Some(Box::from(name))) {
            Progress::Answered(answer) => answer,
            Progress::Waiting(ticket, reply) => {
                let (key, asked) = (key.unwrap_or_default(), asked.into_owned());
                self.pending = Some(Box::new(Pending { ticket, since, key, asked }));
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
        self.site.land(&pending.key, landing, reply.now());
        if pending.since.since(landing.started) < FRESH {
            return self.site.send(&landing.entry, &pending.asked, reply);
        }
        match self.site.look_up(Wanted::from_key(&pending.key), &pending.asked, reply) {
            Progress::Answered(answer) => answer,
            Progress::Waiting(ticket, reply) => {
                pending.ticket = ticket;
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
            Method::Options => self.site.allow(Status::NO_CONTENT, reply),
            _ => self.site.allow(Status::METHOD_NOT_ALLOWED, reply),
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        let Some(pending) = self.pending.take_if(|pending| pending.ticket == ticket) else {
            return reply.later();
        };
        match body.map(Message::downcast::<Landing>) {
            Ok(Ok(landing)) => self.landed(pending, &landing, reply),
            Ok(Err(_)) | Err(Abandoned) => self.site.fail(&pending.key, reply),
        }
    }

    fn allow(&self) -> &'static str {
        ALLOW
    }
}
