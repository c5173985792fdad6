//! A folder as one shard sees it: what is known, what is being looked up, and how it is answered.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_proto::http1::{Answer, Body, Fields, Reply, Request, Status};
use sockeye_proto::{Job, JobKind, Ticket, Time, Timed, Waiter};

use crate::asked::Asked;
use crate::budgets::{BudgetLimits, Budgets};
use crate::cache::{Cache, CacheLimits, FRESH};
use crate::coding::{Choice, Coding, Form};
use crate::cors::Cors;
use crate::entry::{Entry, FileEntry, Slash, What};
use crate::handler::Files;
use crate::in_flight::{Found, InFlight, Join};
use crate::listing::{self, Exchange};
use crate::lookup_job::{LookupJob, place};
use crate::mounts::{Mounts, Place};
use crate::multipart::Boundary;
use crate::path::Wanted;
use crate::send::{self, Charged, Manner};
use crate::stage::{self, Stage};
use crate::store::Absent;

/// Where no folder answers, no other site's script may read the answer.
static NOBODY: Cors = Cors::nobody();

/// A folder on one shard. Cheap to clone; clones share everything.
///
/// It is [`Timed`]: a file that is too large for memory stays open between requests, and is closed
/// when nobody has asked for it for 5 s, or a second more. Without a driver of that deadline, it
/// stays open until other files need its place.
#[derive(Clone)]
pub struct Site {
    inner: Rc<Inner>,
}

struct Inner {
    mounts: Mounts,
    cache: RefCell<Cache>,
    in_flight: RefCell<InFlight>,
    /// Where paths are decoded. Never longer than the longest request line.
    scratch: RefCell<Vec<u8>>,
    boundary: Boundary,
    allow: Fields,
    retry: Fields,
    /// When to forget what was read of folders to be listed.
    forget_listings: Cell<Option<Time>>,
    /// For what is in no folder.
    budgets: Arc<Budgets>,
}

/// What became of a request: an answer, or a look-up to wait for.
pub(crate) enum Progress<'r, 't> {
    Answered(Answer),
    Waiting(Awaited, Reply<'r, 't>),
    /// A folder is to be listed, or sent as an archive.
    Listing(Reply<'r, 't>),
}

/// A look-up that a request waits for.
#[derive(Debug)]
pub(crate) struct Awaited {
    pub(crate) ticket: Ticket,
    pub(crate) key: Box<[u8]>,
    pub(crate) stage: Stage,
    /// The name of the job that packs the file, where that is what is waited for.
    packing: Option<Box<[u8]>>,
    /// Another request's job was joined.
    joined: bool,
    /// Without it, the job is cancelled.
    _waiter: Waiter,
}

/// What became of an entry: the answer, or another one to look for.
enum Step<'r, 't> {
    Answered(Answer),
    Next(Stage, Reply<'r, 't>),
    /// The same, once it is packed.
    Pack(Packing, Reply<'r, 't>),
    /// The folder's listing.
    Listing(Reply<'r, 't>),
}

/// A file that is to be packed.
struct Packing {
    entry: Arc<Entry>,
    stage: Stage,
    coding: Coding,
}

/// What is known under a name now, or will be.
enum Looked<'r, 't> {
    Found(Arc<Entry>, Reply<'r, 't>),
    Waiting { ticket: Ticket, waiter: Waiter, joined: bool, reply: Reply<'r, 't> },
    Full(Reply<'r, 't>),
}

impl Site {
    pub(crate) fn new(mounts: Mounts, limits: CacheLimits) -> Self {
        let fields = |name, value: &[u8]| {
            Fields::new().with(name, value).expect("a constant that is a valid field")
        };
        let inner = Inner {
            mounts,
            cache: RefCell::new(Cache::new(limits)),
            in_flight: RefCell::default(),
            scratch: RefCell::default(),
            boundary: Boundary::new(),
            allow: fields("Allow", ALLOW.as_bytes()),
            retry: fields("Retry-After", b"1"),
            forget_listings: Cell::new(None),
            budgets: Budgets::new(BudgetLimits::default()),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Answers the requests of one connection.
    #[must_use]
    pub fn handler(&self) -> Files {
        Files::new(self.clone())
    }

    /// Answers what is asked, if that is known and fresh; else there is a look-up to wait for.
    pub(crate) fn answer<'r, 't>(
        &self,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Progress<'r, 't> {
        // Most paths are known, and need no decoding: then nothing in them is left to check.
        if let (Some(name), None) = (asked.path().strip_prefix(b"/"), asked.query()) {
            let now = reply.now();
            let mut cache = self.inner.cache.borrow_mut();
            if let Some(entry) = cache.good_as_sent(name, now)
                && let What::File(file) = &entry.what
            {
                // Of these, most are small and have one form only.
                if file.is_all_in_memory()
                    && asked.is_plain()
                    && self.cors(entry.mount).is_same_for_all()
                {
                    return Progress::Answered(reply.send_ready(file.ready()));
                }
                if let Choice::Send(form) = file.choose(asked) {
                    let manner = self.manner(entry);
                    return Progress::Answered(send::send(&form, file, manner, asked, reply));
                }
            }
        }
        let mut scratch = self.inner.scratch.borrow_mut();
        match Wanted::parse(asked.path(), &mut scratch) {
            Ok(wanted) if self.is_listing(wanted, asked) && !asked.is_head() => {
                Progress::Listing(reply)
            }
            Ok(wanted) => self.go(wanted.key(), Stage::Asked, asked, reply),
            Err(refusal) => {
                let what = What::Absent(Absent::Refused(refusal));
                let entry = Arc::new(Entry { mount: self.inner.mounts.root(), what });
                self.respond(b"", &entry, Stage::Asked, asked, reply)
            }
        }
    }

    /// Answers with what is known under `key`, or waits until it is.
    pub(crate) fn go<'r, 't>(
        &self,
        key: &[u8],
        stage: Stage,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Progress<'r, 't> {
        let step = match self.cached(key, stage, asked, reply) {
            Ok(step) => step,
            Err(reply) => match self.look_up(key, asked, reply) {
                Looked::Found(entry, reply) => self.step(&entry, stage, asked, reply),
                Looked::Waiting { ticket, waiter, joined, reply } => {
                    let (key, packing, _waiter) = (key.into(), None, waiter);
                    let awaited = Awaited { ticket, key, stage, packing, joined, _waiter };
                    return Progress::Waiting(awaited, reply);
                }
                Looked::Full(reply) => Step::Answered(self.too_busy(reply)),
            },
        };
        self.follow(key, step, asked)
    }

    /// Answers with `entry`, which is known under `key`, or with what comes after it.
    pub(crate) fn respond<'r, 't>(
        &self,
        key: &[u8],
        entry: &Arc<Entry>,
        stage: Stage,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Progress<'r, 't> {
        self.follow(key, self.step(entry, stage, asked, reply), asked)
    }

    /// Goes on where there is another entry to look for: at most two times.
    fn follow<'r, 't>(&self, key: &[u8], step: Step<'r, 't>, asked: Asked<'_>) -> Progress<'r, 't> {
        match step {
            Step::Answered(answer) => Progress::Answered(answer),
            Step::Next(stage, reply) => self.go(stage.key(&self.inner.mounts), stage, asked, reply),
            Step::Pack(packing, reply) => self.pack(key, packing, asked, reply),
            Step::Listing(reply) => Progress::Listing(reply),
        }
    }

    /// Waits for a file to be packed; where that can't be had now, it is sent as it is.
    ///
    /// Whoever asks first waits with the others: packing takes no longer than sending what it saves,
    /// as a rule, and a cache in front of us would keep what is sent for long.
    fn pack<'r, 't>(
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

    /// Whether a listing is asked for by name, whatever page there may be.
    fn is_listing(&self, wanted: Wanted<'_>, asked: Asked<'_>) -> bool {
        asked.query().is_some()
            && self.inner.mounts.place(wanted.key()).is_some_and(|(mount, place)| {
                let folder = &self.inner.mounts.get(mount).folder;
                matches!(place, Place::In(wanted) if wanted.is_folder())
                    && folder.options.listing
                    && !folder.is_file()
            })
            && Exchange::is_wanted(asked.query())
    }

    /// Whether GET would be answered with a listing or an archive of the folder that `entry` was found
    /// for.
    fn is_listed(&self, entry: &Entry, asked: Asked<'_>) -> bool {
        match &entry.what {
            What::Listing => true,
            What::File(_) if asked.query().is_some() => {
                let mut scratch = Vec::new();
                Wanted::parse(asked.path(), &mut scratch)
                    .is_ok_and(|wanted| self.is_listing(wanted, asked))
            }
            _ => false,
        }
    }

    /// A folder was read at `now` to be listed. What was read is kept a little longer than it may be
    /// shown, and then forgotten, also when nobody asks for anything any more.
    pub(crate) fn listed(&self, now: Time) {
        if self.inner.forget_listings.get().is_none() {
            self.inner.forget_listings.set(Some(now + 2 * FRESH));
        }
    }

    /// The folders and their places.
    pub(crate) fn mounts(&self) -> &Mounts {
        &self.inner.mounts
    }

    /// Answers with what is fresh in the cache; gives the reply back where nothing is.
    fn cached<'r, 't>(
        &self,
        key: &[u8],
        stage: Stage,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Result<Step<'r, 't>, Reply<'r, 't>> {
        let now = reply.now();
        let mut cache = self.inner.cache.borrow_mut();
        match cache.good(key, now) {
            Some(entry) => Ok(self.step(entry, stage, asked, reply)),
            None => Err(reply),
        }
    }

    /// Waits for a look-up of `key`, beginning one where none is under way. Where too many are, what
    /// is known has to do, however old it is.
    fn look_up<'r, 't>(
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

    fn known(&self, key: &[u8], now: Time) -> Option<Arc<Entry>> {
        self.inner.cache.borrow_mut().get(key, now).map(|slot| Arc::clone(&slot.entry))
    }

    /// Says that too many look-ups wait.
    fn too_busy(&self, reply: Reply<'_, '_>) -> Answer {
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

    /// Answers with an entry, if it is the answer and nothing is to be made of it first.
    fn step<'r, 't>(
        &self,
        entry: &Arc<Entry>,
        stage: Stage,
        asked: Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Step<'r, 't> {
        if asked.is_head() && stage == Stage::Asked && self.is_listed(entry, asked) {
            return Step::Answered(listing::answer_head(&self.inner.mounts, asked, reply));
        }
        match &entry.what {
            What::File(file) => match file.choose(asked) {
                Choice::Send(form) => {
                    note(entry, stage, asked);
                    Step::Answered(self.send_form(&form, file, entry, stage, asked, reply))
                }
                Choice::Pack(coding) => {
                    Step::Pack(Packing { entry: Arc::clone(entry), stage, coding }, reply)
                }
            },
            What::Redirect(slash) if stage == Stage::Asked => {
                Step::Answered(self.redirect(*slash, entry, asked, reply))
            }
            What::Listing if stage == Stage::Asked => Step::Listing(reply),
            _ => match stage.after(&self.inner.mounts, entry, asked.navigates()) {
                Some(next) => Step::Next(next, reply),
                None => Step::Answered(self.instead(entry, stage, asked, reply)),
            },
        }
    }

    /// Answers with an entry as it is now.
    fn finish(
        &self,
        entry: &Entry,
        stage: Stage,
        asked: Asked<'_>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        match &entry.what {
            What::File(file) => {
                note(entry, stage, asked);
                self.send_form(&file.choose_now(asked), file, entry, stage, asked, reply)
            }
            _ => self.instead(entry, stage, asked, reply),
        }
    }

    /// Answers with one form of a file: as what was asked for, or in its stead.
    fn send_form(
        &self,
        form: &Form<'_>,
        file: &FileEntry,
        entry: &Entry,
        stage: Stage,
        asked: Asked<'_>,
        mut reply: Reply<'_, '_>,
    ) -> Answer {
        let manner = self.manner(entry);
        match stage {
            Stage::Asked => send::send(form, file, manner, asked, reply),
            Stage::Fallback { .. } => {
                let head = stage::fallback_head(form.file);
                send::send_as(form, &head, file, manner, asked, reply)
            }
            Stage::ErrorPage { .. } => {
                let plain = Form::kept(file);
                let (form, permit) = match send::charge(form, manner, asked, &reply) {
                    Charged::Yes(permit) => (form, permit),
                    Charged::SendPlain => match send::charge(&plain, manner, asked, &reply) {
                        Charged::Yes(permit) => (&plain, permit),
                        Charged::SendPlain | Charged::No => return send::busy(manner, reply),
                    },
                    Charged::No => return send::busy(manner, reply),
                };
                if let Some(permit) = permit {
                    reply.hold(permit);
                }
                let fields = stage::error_page_fields(form.file);
                let fields = manner.cors.grant(&fields, asked.origin());
                reply.send(Status::NOT_FOUND, &fields, form.body())
            }
        }
    }

    /// Answers where there is nothing to send.
    fn instead(
        &self,
        entry: &Entry,
        stage: Stage,
        asked: Asked<'_>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        note(entry, stage, asked);
        let absent = stage.absent(entry).unwrap_or(Absent::Missing);
        let cors = self.cors(entry.mount);
        let status = stage::status(absent);
        if status == Status::SERVICE_UNAVAILABLE {
            return reply.error(status, &self.inner.retry, "");
        }
        reply.error(status, &cors.grant(&cors.standing(), asked.origin()), "")
    }

    /// Sends the client to the same path with a slash more, so that the relative links of the
    /// folder's page lead into the folder, or with one less, for a page.
    fn redirect(
        &self,
        slash: Slash,
        entry: &Entry,
        asked: Asked<'_>,
        reply: Reply<'_, '_>,
    ) -> Answer {
        let cors = self.cors(entry.mount);
        match stage::location(asked.path(), asked.query(), slash) {
            Ok(mut location) => {
                cors.stand_in(&mut location);
                let fields = cors.grant(&location, asked.origin());
                reply.error(Status::MOVED_PERMANENTLY, &fields, "")
            }
            Err(_) => reply.error(Status::NOT_FOUND, &Fields::new(), ""),
        }
    }

    fn manner(&self, entry: &Entry) -> Manner<'_> {
        let Inner { mounts, boundary, retry, budgets, .. } = &*self.inner;
        let budgets = entry.mount.map_or(budgets, |mount| &mounts.get(mount).folder.budgets);
        Manner { cors: self.cors(entry.mount), boundary, budgets, retry }
    }

    /// Who may read the replies of a folder.
    fn cors(&self, mount: Option<usize>) -> &Cors {
        mount.map_or(&NOBODY, |mount| &self.inner.mounts.get(mount).folder.options.cors)
    }

    /// Answers to OPTIONS: to a browser that asks before its script reads, what it may, and to
    /// everybody which methods there are.
    pub(crate) fn options(&self, request: &Request<'_>, reply: Reply<'_, '_>) -> Answer {
        let mut scratch = self.inner.scratch.borrow_mut();
        let mut allowed = || {
            let (origin, _) =
                (request.field("origin")?, request.field("access-control-request-method")?);
            let wanted = Wanted::parse(request.path(), &mut scratch).ok()?;
            let (mount, _) = self.inner.mounts.place(wanted.key())?;
            let names = request.field("access-control-request-headers");
            self.cors(Some(mount)).preflight(origin, names)
        };
        match allowed() {
            Some(fields) => reply.send(Status::NO_CONTENT, &fields, Body::Empty),
            None => self.allow(Status::NO_CONTENT, reply),
        }
    }

    /// Says which methods there are: to OPTIONS as the answer, to others as the reason.
    pub(crate) fn allow(&self, status: Status, reply: Reply<'_, '_>) -> Answer {
        reply.error(status, &self.inner.allow, "Files are only read here.")
    }
}

/// The methods that a folder knows.
pub(crate) const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Tells a log why there is not what was asked for, where that is so.
fn note(entry: &Entry, stage: Stage, asked: Asked<'_>) {
    if let Some(absent) = stage.absent(entry) {
        // A target has RFC 3986's characters only: nothing in it disturbs a log.
        let path = str::from_utf8(asked.path()).unwrap_or_default();
        tracing::debug!(path, why = %absent, "there is not what was asked for");
    }
}

impl Timed for Site {
    fn deadline(&self) -> Option<Time> {
        let cache = self.inner.cache.borrow().deadline();
        let listed = self.inner.forget_listings.get();
        cache.into_iter().chain(listed).min()
    }

    fn on_deadline(&mut self, now: Time) {
        self.inner.cache.borrow_mut().close_idle(now);
        if self.inner.forget_listings.get().is_some_and(|time| time <= now) {
            self.inner.forget_listings.set(None);
            if self.inner.mounts.forget_listings() {
                self.listed(now);
            }
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("mounts", &self.inner.mounts)
            .field("cache", &self.inner.cache)
            .field("in_flight", &self.inner.in_flight.borrow().len())
            .finish_non_exhaustive()
    }
}
