//! What requests wait for: jobs off the loop, begun, joined, and what they bring.

use std::sync::Arc;

use sockeye_proto::http1::{Answer, Fields, Reply, Status};
use sockeye_proto::{Job, JobKind, Ticket, Time, Waiter};

use super::{Progress, Site};
use crate::asked::Asked;
use crate::cache::FRESH;
use crate::coding::Coding;
use crate::entry::{Entry, What};
use crate::in_flight::{Found, Join};
use crate::lookup_job::{LookupJob, place};
use crate::stage::Stage;

/// A look-up that a request waits for.
#[derive(Debug)]
pub(crate) struct Awaited {
    pub(crate) ticket: Ticket,
    pub(crate) key: Box<[u8]>,
    pub(crate) stage: Stage,
    /// The name of the job that packs the file, where that is what is waited for.
    pub(super) packing: Option<Box<[u8]>>,
    /// Another request's job was joined.
    pub(super) joined: bool,
    /// Without it, the job is cancelled.
    pub(super) _waiter: Waiter,
}

/// A file that is to be packed.
pub(super) struct Packing {
    pub(super) entry: Arc<Entry>,
    pub(super) stage: Stage,
    pub(super) coding: Coding,
}

/// What is known under a name now, or will be.
pub(super) enum Looked<'r, 't> {
    Found(Arc<Entry>, Reply<'r, 't>),
    Waiting { ticket: Ticket, waiter: Waiter, joined: bool, reply: Reply<'r, 't> },
    Full(Reply<'r, 't>),
}

impl Site {
    /// Waits for a file to be packed; where that can't be had now, it is sent as it is.
    ///
    /// Whoever asks first waits with the others: packing takes no longer than sending what it saves,
    /// as a rule, and a cache in front of us would keep what is sent for long.
    pub(super) fn pack<'r, 't>(
        &self,
        key: &[u8],
        packing: Packing,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Progress<'r, 't> {
        let Packing { entry, stage, coding } = packing;
        let folder = entry.mount.map(|mount| &self.inner.mounts.get(mount).folder);
        let (Some(folder), What::File(file)) = (folder, &entry.what) else {
            return Progress::Answered(self.finish(&entry, stage, asked, reply));
        };
        // Nothing is packed for who only wants to know what would come.
        if asked.is_head() {
            return Progress::Answered(self.head_of_unmade(&entry, stage, coding, asked, reply));
        }
        let now = reply.now();
        // No name holds a NUL: this is no look-up's.
        let name = [key, b"\0", coding.name().as_bytes(), file.tag.as_bytes()].concat();
        let mut in_flight = self.inner.in_flight.borrow_mut();
        if !in_flight.is_pending(&name) && !folder.coder.may_make(file, coding, now) {
            return Progress::Answered(self.finish(&entry, stage, asked, reply));
        }
        let (ticket, waiter, joined) = match in_flight.join(&name, now, || reply.promise()) {
            Join::Joined(ticket, waiter) => (ticket, waiter, true),
            Join::Started(ticket, waiter, completer) => {
                let (coder, cancel) = (Arc::clone(&folder.coder), completer.cancel());
                let client = reply.client(asked.request());
                let (known, stop) = (Arc::clone(&entry), cancel.clone());
                let job = Job::new(JobKind::Compress, client, move || {
                    let packed = known.with_coding(&coder, coding, now, stop);
                    completer.complete(Arc::new(packed));
                });
                let job = job.at(place(&self.inner.mounts, key)).unless(cancel);
                if reply.spawn(job).is_err() {
                    return Progress::Answered(self.finish(&entry, stage, asked, reply));
                }
                (ticket, waiter, false)
            }
        };
        let (key, packing) = (key.into(), Some(name.into_boxed_slice()));
        Progress::Waiting(Awaited { ticket, key, stage, packing, joined, _waiter: waiter }, reply)
    }

    /// Answers HEAD for a file in a coding that it would have to be packed in first.
    fn head_of_unmade(
        &self,
        entry: &Entry,
        stage: Stage,
        coding: Coding,
        asked: Asked<'_>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        match &entry.what {
            // A condition needs an ETag: then it is the file as it is that is spoken of.
            What::File(file) if stage == Stage::Asked && asked.is_plain() => {
                let fields = file.fields_of_unmade(coding);
                let fields = self.cors(entry.mount).grant(&fields, asked.origin());
                reply.send_head(Status::OK, &fields)
            }
            _ => self.finish(entry, stage, asked, reply),
        }
    }

    /// Waits for a look-up of `key`, beginning one where none is under way. Where too many are, what
    /// is known has to do, however old it is.
    pub(super) fn look_up<'r, 't>(
        &self,
        key: &[u8],
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Looked<'r, 't> {
        let now = reply.now();
        let join = self.inner.in_flight.borrow_mut().join(key, now, || reply.promise());
        let (ticket, waiter, completer) = match join {
            Join::Joined(ticket, waiter) => {
                return Looked::Waiting { ticket, waiter, joined: true, reply };
            }
            Join::Started(ticket, waiter, completer) => (ticket, waiter, completer),
        };
        let known = self.known(key, now);
        let job = LookupJob {
            mounts: self.inner.mounts.clone(),
            key: key.into(),
            known: known.clone(),
            client: reply.client(asked.request()),
            completer,
            spawner: reply.spawner(),
        };
        match (reply.spawn(job.job()), known) {
            (Ok(()), _) => Looked::Waiting { ticket, waiter, joined: false, reply },
            (Err(_), Some(known)) => Looked::Found(known, reply),
            (Err(_), None) => Looked::Full(reply),
        }
    }

    pub(super) fn known(&self, key: &[u8], now: Time) -> Option<Arc<Entry>> {
        self.inner.cache.borrow_mut().get(key, now).map(|slot| Arc::clone(&slot.entry))
    }

    /// Says that too many look-ups wait.
    pub(super) fn too_busy(&self, reply: Reply<'_, '_>) -> Answer {
        let text = "Too many files are being looked for. Try again.";
        reply.error(Status::SERVICE_UNAVAILABLE, &self.inner.retry, text)
    }

    /// Takes what a job found, and answers with it, or looks again where the look-up was begun too
    /// long before the request, which came at `since`: what it found may be older than the request
    /// may see.
    pub(crate) fn take<'r, 't>(
        &self,
        awaited: &Awaited,
        found: &Found,
        since: Time,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Progress<'r, 't> {
        let Awaited { key, stage, packing, .. } = awaited;
        let (now, entry) = (reply.now(), &found.entry);
        self.forget(awaited);
        if packing.is_some() {
            self.inner.cache.borrow_mut().put_coded(key, entry);
            // Packed or not: it is not packed a second time for this request.
            return Progress::Answered(self.finish(entry, *stage, asked, reply));
        }
        self.inner.cache.borrow_mut().put(key, Arc::clone(entry), found.started, now);
        if since.since(found.started) < FRESH {
            self.respond(key, entry, *stage, asked, reply)
        } else {
            self.go(key, *stage, asked, reply)
        }
    }

    /// Answers where the job was refused: with what is known, or not at all. One that joined another
    /// client's job tries for itself.
    pub(crate) fn refused<'r, 't>(
        &self,
        awaited: &Awaited,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Progress<'r, 't> {
        let Awaited { key, stage, packing, joined, .. } = awaited;
        self.forget(awaited);
        if packing.is_none() && *joined {
            return self.go(key, *stage, asked, reply);
        }
        Progress::Answered(match self.known(key, reply.now()) {
            Some(entry) => self.finish(&entry, *stage, asked, reply),
            None => self.too_busy(reply),
        })
    }

    /// Answers for a job that panicked. Without a coding, a file is sent as it is.
    pub(crate) fn fail(&self, awaited: &Awaited, asked: Asked<'_>, reply: Reply<'_, '_>) -> Answer {
        let Awaited { key, stage, packing, .. } = awaited;
        self.forget(awaited);
        match self.known(key, reply.now()).filter(|_| packing.is_some()) {
            Some(entry) => self.finish(&entry, *stage, asked, reply),
            None => reply.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), ""),
        }
    }

    fn forget(&self, awaited: &Awaited) {
        let name = awaited.packing.as_ref().unwrap_or(&awaited.key);
        self.inner.in_flight.borrow_mut().forget(name);
    }
}
