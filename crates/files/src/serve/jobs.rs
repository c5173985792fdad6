//! What requests wait for: jobs off the loop, begun, joined, and what they bring.

use std::sync::Arc;

use sockeye_http::{Answer, Fields, Responder, Status};
use sockeye_proto::{Job, JobKind, Time};

use super::progress::{AwaitedJob, Compression, Progress};
use super::site::Site;
use crate::lookup::entry::{Entry, Target};
use crate::lookup::in_flight::{Completer, Join};
use crate::lookup::job::{LookupJob, place};
use crate::lookup::purpose::Purpose;
use crate::options::codings::Coding;
use crate::request::view::RequestView;
use crate::store::traits::FRESH;

impl Site {
    /// Waits for a file to be compressed; where that can't be had now, it is sent as it is.
    ///
    /// Whoever asks first waits with the others: compressing takes no longer than sending what it saves,
    /// as a rule, and a cache in front of us would keep what is sent for long.
    pub(super) fn compress<'r, 't>(
        &self,
        key: &[u8],
        compression: Compression,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let Compression { entry, purpose, coding } = compression;
        let folder = entry.mount.map(|mount| &self.inner.mounts.get(mount).folder);
        let (Some(folder), Target::File(_, file)) = (folder, &entry.target) else {
            return Progress::Answered(self.finish(&entry, purpose, view, responder));
        };
        let (now, client) = (responder.now(), responder.client(view.request()));
        let name = name(key, &[coding.name(), &file.plain.etag, &client.to_string()]);
        let is_pending = self.inner.in_flight.borrow().is_pending(&name);
        if !is_pending && !folder.coder.may_make(file, coding, now) {
            return Progress::Answered(self.finish(&entry, purpose, view, responder));
        }
        // Nothing is compressed for who only wants to know what would come.
        if view.is_head() {
            return Progress::Answered(
                self.head_of_unmade(&entry, purpose, coding, view, responder),
            );
        }
        let awaited = self.wait(key, purpose, JobKind::Compress, name, &responder, |completer| {
            let (coder, cancel) = (Arc::clone(&folder.coder), completer.cancel());
            let (known, stop) = (Arc::clone(&entry), cancel.clone());
            let job = Job::new(JobKind::Compress, client, move || {
                let compressed = known.with_coding(&coder, coding, now, stop);
                completer.complete(Arc::new(compressed));
            });
            job.at(place(&self.inner.mounts, key)).unless(cancel)
        });
        match awaited {
            Some(awaited) => Progress::Waiting(awaited, responder),
            None => Progress::Answered(self.finish(&entry, purpose, view, responder)),
        }
    }

    /// Waits for the job of this name: one that is under way, or the one that `make` makes. `None`
    /// where too many wait already.
    fn wait(
        &self,
        key: &[u8],
        purpose: Purpose,
        kind: JobKind,
        name: Box<[u8]>,
        responder: &Responder<'_, '_>,
        make: impl FnOnce(Completer) -> Job,
    ) -> Option<AwaitedJob> {
        let now = responder.now();
        let join = self.inner.in_flight.borrow_mut().join(&name, now, || responder.promise());
        let (ticket, _waiter, joined) = match join {
            Join::Joined(ticket, waiter) => (ticket, waiter, true),
            Join::Started(ticket, waiter, completer) => {
                responder.spawn(make(completer)).ok()?;
                (ticket, waiter, false)
            }
        };
        Some(AwaitedJob { ticket, key: key.into(), purpose, kind, name, joined, _waiter })
    }

    /// Answers HEAD for a file in a coding that it would have to be compressed in first.
    fn head_of_unmade(
        &self,
        entry: &Entry,
        purpose: Purpose,
        coding: Coding,
        view: RequestView<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match &entry.target {
            // A condition needs an ETag: then it is the file as it is that is spoken of.
            Target::File(_, file) if purpose == Purpose::Requested && view.is_plain() => {
                let fields = file.plain.fields_of_unmade(coding);
                let fields = self.cors(entry.mount).grant(&fields, view.origin());
                responder.send_head(Status::OK, &fields, None)
            }
            _ => self.finish(entry, purpose, view, responder),
        }
    }

    /// Waits for a lookup of `key`, beginning one where none is under way: one that reads whole files
    /// if `kind` is [`JobKind::Hash`]. Where too many are, what is known has to do, however old it is.
    pub(super) fn look_up<'r, 't>(
        &self,
        key: &[u8],
        purpose: Purpose,
        kind: JobKind,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let (now, client) = (responder.now(), responder.client(view.request()));
        let name = match kind {
            JobKind::Hash => name(key, &["read", &client.to_string()]),
            _ => key.into(),
        };
        let awaited = self.wait(key, purpose, kind, name, &responder, |completer| {
            let (mounts, known) = (self.inner.mounts.clone(), self.known(key, now));
            LookupJob { mounts, key: key.into(), known, kind, completer }.job(client)
        });
        match awaited {
            Some(awaited) => Progress::Waiting(awaited, responder),
            None => self.answer_known(self.known(key, now), key, purpose, view, responder),
        }
    }

    /// Answers with what is known, where nobody can look now.
    fn answer_known<'r, 't>(
        &self,
        known: Option<Arc<Entry>>,
        key: &[u8],
        purpose: Purpose,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        match known {
            Some(known) => self.respond(key, &known, purpose, view, responder),
            None => {
                let text = "Too many files are being looked for. Try again.";
                let status = Status::SERVICE_UNAVAILABLE;
                Progress::Answered(responder.error(status, &self.inner.retry, text))
            }
        }
    }

    /// Takes what a job found, and answers with it, or looks again where the lookup was begun too
    /// long before the request, which came at `since`: what it found may be older than the request
    /// may see.
    pub(crate) fn take<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        entry: &Arc<Entry>,
        started: Time,
        since: Time,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let AwaitedJob { key, purpose, kind, .. } = awaited;
        let now = responder.now();
        self.forget(&awaited.name);
        if *kind == JobKind::Compress {
            self.inner.cache.borrow_mut().put_encoded(key, entry);
            // Compressed or not: it is not compressed a second time for this request.
            return Progress::Answered(self.finish(entry, *purpose, view, responder));
        }
        self.inner.cache.borrow_mut().put(key, Arc::clone(entry), started, now);
        if since.since(started) < FRESH {
            self.respond(key, entry, *purpose, view, responder)
        } else {
            self.go(key, *purpose, view, responder)
        }
    }

    /// Has a file read whole that a lookup found, and could not do more with.
    pub(crate) fn read<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        self.forget(&awaited.name);
        self.look_up(&awaited.key, awaited.purpose, JobKind::Hash, view, responder)
    }

    /// Answers where the job was refused: with what is known, or not at all. One that joined another
    /// client's job tries for itself.
    pub(crate) fn refused<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let AwaitedJob { key, purpose, kind, joined, .. } = awaited;
        self.forget(&awaited.name);
        let known = self.known(key, responder.now());
        match (kind, known) {
            (JobKind::Compress, Some(known)) => {
                Progress::Answered(self.finish(&known, *purpose, view, responder))
            }
            (JobKind::Lookup, _) if *joined => self.go(key, *purpose, view, responder),
            (_, known) => self.answer_known(known, key, *purpose, view, responder),
        }
    }

    /// Answers for a job that panicked. Without a coding, a file is sent as it is.
    pub(crate) fn fail(
        &self,
        awaited: &AwaitedJob,
        view: RequestView<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let AwaitedJob { key, purpose, kind, .. } = awaited;
        self.forget(&awaited.name);
        match self.known(key, responder.now()).filter(|_| *kind == JobKind::Compress) {
            Some(entry) => self.finish(&entry, *purpose, view, responder),
            None => responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), ""),
        }
    }
}

/// What a job for `key` is called. No key holds a NUL: this is no lookup's name.
fn name(key: &[u8], parts: &[&str]) -> Box<[u8]> {
    let mut name = key.to_vec();
    for part in parts {
        name.push(0);
        name.extend_from_slice(part.as_bytes());
    }
    name.into()
}
