//! Jobs that requests wait for: starting or joining one, and answering with its result.

use std::sync::Arc;

use sockeye_http::{Answer, Fields, Responder, Status, Version};
use sockeye_proto::{Budget, Client, Job, JobKind, Permit, Ticket, Time, Waiter};

use super::site::Site;
use crate::file::reader::ReadScope;
use crate::file::representation::Representation;
use crate::lookup::entry::{Entry, Target};
use crate::lookup::find::{OpenedEarlier, Unfinished, look_up};
use crate::lookup::in_flight::Completer;
use crate::options::codings::Coding;
use crate::request::conditional::Precondition;
use crate::request::view::RequestView;
use crate::respond::send::{Attempt, wait_for_file};
use crate::respond::substitutes::Purpose;
use crate::store::traits::FRESH;

/// The most lookups that an event loop does itself in one turn, for all its connections. Each
/// takes a few system calls. Threads do further lookups.
const MAX_LOOKUPS_PER_TURN: u32 = 16;

/// The progress of a request: answered, or what it needs next.
pub(crate) enum Progress<'r, 't> {
    Answered(Answer),
    /// The request waits for this job.
    Waiting(AwaitedJob, Responder<'r, 't>),
    /// The request waits for a permit for an open file. The promise with this ticket delivers the
    /// permit.
    WaitingForFile(Ticket, Responder<'r, 't>),
    /// The response is a listing or an archive of a folder, or a page of a Markdown file. The job
    /// that makes it is not started yet.
    NeedsListing(Responder<'r, 't>),
}

impl<'r, 't> From<Attempt<'r, 't>> for Progress<'r, 't> {
    #[inline]
    fn from(attempt: Attempt<'r, 't>) -> Self {
        match attempt {
            Attempt::Answered(answer) => Self::Answered(answer),
            Attempt::WaitForFile(ticket, responder) => Self::WaitingForFile(ticket, responder),
        }
    }
}

/// What is looked up for a request, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookupRequest<'a> {
    /// The name, with its final slash if it has one (`RequestPath::key`). Results are cached by it.
    pub(super) key: &'a [u8],
    pub(super) purpose: Purpose,
    pub(super) view: RequestView<'a>,
}

impl<'a> LookupRequest<'a> {
    pub(crate) fn requested(key: &'a [u8], view: RequestView<'a>) -> Self {
        Self { key, purpose: Purpose::Requested, view }
    }
}

/// A job that a request waits for.
#[derive(Debug)]
pub(crate) struct AwaitedJob {
    pub(crate) ticket: Ticket,
    key: Box<[u8]>,
    purpose: Purpose,
    /// A lookup, a lookup that may read whole files ([`JobKind::ReadWhole`]), or compression.
    kind: JobKind,
    /// The name of the job among the jobs in flight.
    name: Box<[u8]>,
    /// Whether another request started the job, and this one joined it.
    joined: bool,
    /// Dropping it cancels the job, unless other requests wait for the same job.
    _waiter: Waiter,
}

impl AwaitedJob {
    fn lookup<'a>(&'a self, view: RequestView<'a>) -> LookupRequest<'a> {
        LookupRequest { key: &self.key, purpose: self.purpose, view }
    }
}

impl Site {
    /// Makes the request wait for a lookup, which may read whole files if `kind` is
    /// [`JobKind::ReadWhole`]. If the queue for jobs of this kind is full, answers with the cached
    /// result, however old it is, or with 503 if there is none.
    ///
    /// Most lookups take a few system calls, on threads that longer jobs don't use. Unless `kind`
    /// is [`JobKind::ReadWhole`], a lookup that would have to read a whole file ends without a
    /// result. Then each client that waits for it starts a [`JobKind::ReadWhole`] lookup of its
    /// own, so that no client waits in another client's queue. `opened` is the file to be read, if
    /// it is open already.
    pub(super) fn look_up<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        kind: JobKind,
        opened: Option<OpenedEarlier>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let LookupRequest { key, view, .. } = lookup;
        let (now, client) = (responder.now(), responder.client(view.request()));
        let name = match kind {
            JobKind::ReadWhole => job_name(key, &["read", &client.to_string()]),
            _ => key.into(),
        };
        let known = self.cached(key, now);
        let budget = self.must_charge(view).then(|| self.open_files(key)).flatten();
        let awaited = self.wait(lookup, kind, name, &responder, |completer| {
            let (mounts, key, known) = (self.inner.mounts.clone(), Box::from(key), known.clone());
            let cancel = completer.cancel();
            Job::new(kind, client, move || {
                let mut charge = Charge { budget, client, permit: None };
                let mut opened = opened;
                if kind == JobKind::ReadWhole && !charge.take(opened.as_mut()) {
                    return completer.no_permit();
                }
                let scope = match kind {
                    JobKind::ReadWhole => ReadScope::WholeFiles(&cancel),
                    _ => ReadScope::SmallFiles,
                };
                let earlier = known.clone();
                match look_up(&mounts, &key, known, opened, scope) {
                    Ok(entry) if !is_new_file(&entry, earlier.as_ref()) => {
                        completer.complete(&entry, None);
                    }
                    Ok(entry) if charge.take(None) => completer.complete(&entry, charge.permit),
                    Ok(entry) => {
                        // Close the file before the waiting requests continue.
                        drop(entry);
                        completer.no_permit();
                    }
                    Err(Unfinished::NeedsFullRead(_) | Unfinished::WouldBlock) => {
                        completer.needs_full_read();
                    }
                }
            })
        });
        match awaited {
            Some(awaited) => Progress::Waiting(awaited, responder),
            None => self.answer_cached(lookup, known, responder),
        }
    }

    /// Does the lookup on the event loop, if `may_look_up_here` allows it and the kernel has in
    /// memory everything that the lookup needs. Otherwise, makes the request wait for a job.
    pub(super) fn look_up_here_or_wait<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let LookupRequest { key, view, .. } = lookup;
        let now = responder.now();
        if !self.may_look_up_here(key, now) {
            return self.look_up(lookup, JobKind::Lookup, None, responder);
        }
        let (mounts, known) = (&self.inner.mounts, self.cached(key, now));
        match look_up(mounts, key, known, None, ReadScope::Cached) {
            Ok(entry) => {
                self.put(key, &entry, now, now);
                self.respond(lookup, &entry, responder)
            }
            Err(Unfinished::NeedsFullRead(opened)) => {
                // If the client gets no permit, the file is closed here, and the job opens it
                // again.
                let opened = opened.and_then(|opened| {
                    let (mount, _) = mounts.find(key)?;
                    let budgets = &mounts.get(mount).folder.budgets;
                    let permit = budgets.take_waiting_file(responder.client(view.request()))?;
                    Some(opened.charged(permit))
                });
                self.look_up(lookup, JobKind::ReadWhole, opened, responder)
            }
            Err(Unfinished::WouldBlock) => self.look_up(lookup, JobKind::Lookup, None, responder),
        }
    }

    /// Whether the folder `key` has an index page or is listed. If a lookup on the event loop is
    /// not allowed now or would block, the cached result decides, however old it is; without one,
    /// `false`.
    pub(super) fn shows_something(&self, key: &[u8], now: Time) -> bool {
        let shows = |entry: &Arc<Entry>| matches!(entry.target, Target::File(..) | Target::Listing);
        let fresh = self.inner.cache.borrow_mut().get_fresh(key, now).map(Arc::clone);
        let known = fresh.clone().or_else(|| self.cached(key, now));
        if fresh.is_some() || !self.may_look_up_here(key, now) {
            return known.as_ref().is_some_and(shows);
        }
        match look_up(&self.inner.mounts, key, known.clone(), None, ReadScope::Cached) {
            Ok(entry) => {
                self.put(key, &entry, now, now);
                shows(&entry)
            }
            Err(Unfinished::NeedsFullRead(_)) => true,
            Err(Unfinished::WouldBlock) => known.as_ref().is_some_and(shows),
        }
    }

    /// Whether to try a lookup on the event loop: the limit per turn is not reached, and no lookup
    /// of the same key is in flight that this request may join. Each call counts toward the limit.
    fn may_look_up_here(&self, key: &[u8], now: Time) -> bool {
        let (turn, count) = self.inner.lookup_attempts.get();
        let count = if turn == now { count + 1 } else { 1 };
        self.inner.lookup_attempts.set((now, count));
        count <= MAX_LOOKUPS_PER_TURN
            && (self.looks_up_always(key) || !self.inner.in_flight.borrow().is_in_flight(key))
    }

    /// Makes the request wait until the file of `entry` is compressed. If no compression can be
    /// started now, sends the file uncompressed.
    ///
    /// The first request for a file waits, too: compressing usually takes less time than it saves
    /// when sending, and a cache between server and client would keep an uncompressed response for
    /// long.
    pub(super) fn compress<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        entry: &Arc<Entry>,
        coding: Coding,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let LookupRequest { key, purpose, view } = lookup;
        let Entry { mount: Some(mount), target: Target::File(rule, file) } = &**entry else {
            return self.finish(lookup, entry, responder);
        };
        let encoder = &self.inner.mounts.get(*mount).folder.encoder;
        let (now, client) = (responder.now(), responder.client(view.request()));
        let name = job_name(key, &[coding.name(), &file.original.etag, &client.to_string()]);
        let is_in_flight = self.inner.in_flight.borrow().is_in_flight(&name);
        if !is_in_flight && !encoder.may_compress(file, coding, now) {
            return self.finish(lookup, entry, responder);
        }
        // A HEAD starts no compression. Its conditions are evaluated with the ETag of the original
        // file. If they are met, the response has neither Content-Length nor ETag: those of the
        // response to GET are unknown before the file is compressed, and those of the original
        // file would be wrong (RFC 9110, 8.6).
        if view.is_head() {
            let Representation { etag, modified, .. } = &file.original;
            let status = match purpose {
                Purpose::ErrorPage { .. } => Status::NOT_FOUND,
                _ if view.evaluate(etag.as_bytes(), *modified) == Precondition::Send => Status::OK,
                _ => return self.finish(lookup, entry, responder),
            };
            self.log_absent(entry, purpose, view, &responder);
            let fields = purpose.head(&file.original).fields_before_encoding(coding);
            let fields = self.cors(Some(*mount)).with_allowed_origin(&fields, view.origin());
            return Progress::Answered(responder.send_head(status, &fields, None));
        }
        let awaited = self.wait(lookup, JobKind::Compress, name, &responder, |completer| {
            let (encoder, file) = (Arc::clone(encoder), Arc::clone(file));
            let (mount, rule, cancel) = (Some(*mount), *rule, completer.cancel());
            Job::new(JobKind::Compress, client, move || {
                let file = encoder.compress(&file, coding, (client, now), cancel);
                let target = Target::File(rule, file);
                completer.complete(&Arc::new(Entry { mount, target }), None);
            })
        });
        match awaited {
            Some(awaited) => Progress::Waiting(awaited, responder),
            None => self.finish(lookup, entry, responder),
        }
    }

    /// Makes the request wait for the job with this name. If none is in flight, starts the one that
    /// `make` returns. `None` if too many jobs wait.
    fn wait(
        &self,
        LookupRequest { key, purpose, .. }: LookupRequest<'_>,
        kind: JobKind,
        name: Box<[u8]>,
        responder: &Responder<'_, '_>,
        make: impl FnOnce(Completer) -> Job,
    ) -> Option<AwaitedJob> {
        let now = responder.now();
        let mut in_flight = self.inner.in_flight.borrow_mut();
        // With `--fresh`, don't join a lookup in flight, which may have read the file before this
        // request arrived.
        if kind != JobKind::Compress && self.looks_up_always(key) {
            in_flight.remove(&name);
        }
        let (ticket, _waiter, completer) = in_flight.join(&name, now, responder.promise());
        drop(in_flight);
        let joined = completer.is_none();
        if let Some(completer) = completer {
            let (job_group, cancel) = (self.inner.mounts.job_group(key), completer.cancel());
            responder.spawn(make(completer).in_group(job_group).cancel_with(cancel)).ok()?;
        }
        Some(AwaitedJob { ticket, key: key.into(), purpose, kind, name, joined, _waiter })
    }

    /// Answers with `known`, the cached result of any age, or with 503 if there is none. Called
    /// when no lookup can be started now.
    fn answer_cached<'r, 't>(
        &self,
        lookup: LookupRequest<'_>,
        known: Option<Arc<Entry>>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        match known {
            Some(known) => self.respond(lookup, &known, responder),
            None => {
                let text = "Too many files are being looked up. Try again.";
                let status = Status::SERVICE_UNAVAILABLE;
                let LookupRequest { key, view, .. } = lookup;
                let fields = self.cors_of(key).add_to(&self.inner.retry, view.origin());
                Progress::Answered(responder.error(status, &fields, text))
            }
        }
    }

    /// Caches the result of a job that started at `started`, and answers the request, which arrived
    /// at `arrived`, with it. If a lookup started [`FRESH`] or more before the request arrived, its
    /// result may be too old, so the name is looked up again. With `--fresh`, and for a file of
    /// unknown size (its size on disk is not that of its content), each request needs a lookup that
    /// started after the request arrived.
    pub(crate) fn on_found<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        entry: &Arc<Entry>,
        started: Time,
        arrived: Time,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let lookup = awaited.lookup(view);
        self.remove_finished(&awaited.name);
        if awaited.kind == JobKind::Compress {
            self.inner.cache.borrow_mut().add_encoding(lookup.key, entry);
            // Whether the file could be compressed or not, this request starts no second
            // compression.
            return self.finish(lookup, entry, responder);
        }
        self.put(lookup.key, entry, started, responder.now());
        let looks_up_always = entry.has_unknown_size() || self.looks_up_always(lookup.key);
        let is_new = started >= arrived;
        if is_new || !looks_up_always && arrived.since(started) < FRESH {
            self.respond(lookup, entry, responder)
        } else {
            self.respond_or_look_up(lookup, responder)
        }
    }

    /// Starts a lookup that may read whole files, because the awaited lookup would have had to read
    /// one.
    pub(crate) fn on_needs_full_read<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        self.remove_finished(&awaited.name);
        self.look_up(awaited.lookup(view), JobKind::ReadWhole, None, responder)
    }

    /// Called when the job got no permit for an open file. The job may belong to another client,
    /// whose lookup this request joined. The request waits for a permit if it needs one; otherwise,
    /// the lookup is started again.
    pub(crate) fn on_no_permit<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        self.remove_finished(&awaited.name);
        let mount = self.inner.mounts.find(&awaited.key);
        let Some((mount, _)) = mount.filter(|_| self.must_charge(view)) else {
            return self.look_up(awaited.lookup(view), awaited.kind, None, responder);
        };
        let budgets = &self.inner.mounts.get(mount).folder.budgets;
        budgets.log_spent(&budgets.open_files, responder.client(view.request()), responder.now());
        let (cors, retry) = (self.cors(Some(mount)), &self.inner.retry);
        wait_for_file(budgets, cors, retry, view, responder).into()
    }

    /// Whether a job charges the client for a file that the job opens: over HTTP/2, unless the
    /// request has a permit. One connection of HTTP/2 starts many lookups, and each result may hold
    /// an open file until the event loop takes it.
    fn must_charge(&self, view: RequestView<'_>) -> bool {
        view.request().version() == Version::Http2 && self.inner.granted.borrow().is_none()
    }

    /// The budget for open files of the folder that contains `key`.
    fn open_files(&self, key: &[u8]) -> Option<Arc<Budget>> {
        let (mount, _) = self.inner.mounts.find(key)?;
        Some(Arc::clone(&self.inner.mounts.get(mount).folder.budgets.open_files))
    }

    /// Answers when the job was refused: with the cached result (uncompressed, if the job was a
    /// compression), or with a 503 if there is none. Exception: a request that had joined another
    /// request's lookup looks the name up again, because the queue may have been full only for the
    /// other request's client.
    pub(crate) fn on_refused<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let lookup = awaited.lookup(view);
        self.remove_finished(&awaited.name);
        match (awaited.kind, self.cached(lookup.key, responder.now())) {
            (JobKind::Compress, Some(known)) => self.finish(lookup, &known, responder),
            (JobKind::Lookup, _) if awaited.joined => self.respond_or_look_up(lookup, responder),
            (_, known) => self.answer_cached(lookup, known, responder),
        }
    }

    /// Answers when the job panicked. If the job was a compression and the file is still cached,
    /// sends the file uncompressed, otherwise a 500.
    pub(crate) fn on_panic<'r, 't>(
        &self,
        awaited: &AwaitedJob,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let is_compress = awaited.kind == JobKind::Compress;
        self.remove_finished(&awaited.name);
        match self.cached(&awaited.key, responder.now()).filter(|_| is_compress) {
            Some(entry) => self.finish(awaited.lookup(view), &entry, responder),
            None => {
                let status = Status::INTERNAL_SERVER_ERROR;
                let none = Fields::new();
                let fields = self.cors_of(&awaited.key).add_to(&none, view.origin());
                Progress::Answered(responder.error(status, &fields, ""))
            }
        }
    }
}

/// Charges a client for the file that a job opens.
struct Charge {
    /// `None` if the client isn't charged.
    budget: Option<Arc<Budget>>,
    client: Client,
    /// The permit that was taken.
    permit: Option<Permit>,
}

impl Charge {
    /// Takes a permit: the one of `opened`, the file that an earlier lookup opened, or a new one.
    /// Returns whether the job may open the file, or keep it open.
    fn take(&mut self, opened: Option<&mut OpenedEarlier>) -> bool {
        let Self { budget: Some(budget), client, permit } = self else { return true };
        *permit = permit.take().or_else(|| opened?.take_permit());
        *permit = permit.take().or_else(|| budget.take(*client, 1));
        permit.is_some()
    }
}

/// Whether `found` holds open files that the earlier result `known` doesn't hold.
fn is_new_file(found: &Arc<Entry>, known: Option<&Arc<Entry>>) -> bool {
    found.descriptors() > 0 && known.is_none_or(|known| !Arc::ptr_eq(found, known))
}

/// The name of a [`JobKind::ReadWhole`] lookup or a compression for `key`. No key contains a NUL,
/// so the name differs from those of other lookups, which are named by their keys alone.
fn job_name(key: &[u8], parts: &[&str]) -> Box<[u8]> {
    let mut name = key.to_vec();
    for part in parts {
        name.push(0);
        name.extend_from_slice(part.as_bytes());
    }
    name.into()
}
