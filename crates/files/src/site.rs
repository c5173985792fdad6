//! A folder as one shard sees it: what is known, what is being looked up, and how it is answered.

mod jobs;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, Reply, Request, Status};
use sockeye_proto::{JobKind, Time, Timed};

use crate::asked::Asked;
use crate::budgets::{BudgetLimits, Budgets};
use crate::cache::{Cache, CacheLimits, FRESH};
use crate::coding::{Choice, Form};
use crate::cors::Cors;
use crate::device::mark_loop;
use crate::entry::{Entry, FileEntry, Slash, What};
use crate::handler::Files;
use crate::in_flight::InFlight;
use crate::listing::{self, Exchange};
use crate::mounts::Mounts;
use crate::multipart::Boundary;
use crate::path::Wanted;
use crate::report;
use crate::send::{self, Charged, Manner};
use crate::stage::{self, Stage};
use crate::store::Absent;
pub(crate) use jobs::Awaited;
use jobs::Packing;

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

/// What became of an entry: the answer, or another one to look for.
enum Step<'r, 't> {
    Answered(Answer),
    Next(Stage, Reply<'r, 't>),
    /// The same, once it is packed.
    Pack(Packing, Reply<'r, 't>),
    /// The folder's listing.
    Listing(Reply<'r, 't>),
}

impl Site {
    pub(crate) fn new(mounts: Mounts, limits: CacheLimits) -> Self {
        mark_loop();
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
            Err(reply) => return self.look_up(key, stage, JobKind::Lookup, asked, reply),
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

    /// Whether a listing is asked for by name, whatever page there may be.
    fn is_listing(&self, wanted: Wanted<'_>, asked: Asked<'_>) -> bool {
        Exchange::is_wanted(&self.inner.mounts, wanted, asked.query())
    }

    /// Whether GET would be answered with a listing or an archive of the folder that `entry` was found
    /// for.
    fn is_listed(&self, entry: &Entry, asked: Asked<'_>) -> bool {
        match &entry.what {
            What::Listing => true,
            What::File(_) | What::Redirect(Slash::Drop) if asked.query().is_some() => {
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
                    self.note(entry, stage, asked, &reply);
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
                self.note(entry, stage, asked, &reply);
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
                let head = |form: &FileEntry| Cow::Owned(stage::fallback_head(form));
                send::send_as(form, head, file, manner, asked, reply)
            }
            Stage::ErrorPage { .. } => {
                let permit = match send::charge(form, manner, asked, &reply) {
                    Charged::Yes(permit) => permit,
                    Charged::SendPlain => {
                        let plain = Form::kept(file);
                        return self.send_form(&plain, file, entry, stage, asked, reply);
                    }
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
        self.note(entry, stage, asked, &reply);
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
        let Inner { boundary, retry, .. } = &*self.inner;
        let budgets = self.budgets(entry);
        Manner { cors: self.cors(entry.mount), boundary, budgets, retry }
    }

    fn budgets(&self, entry: &Entry) -> &Budgets {
        let Inner { mounts, budgets, .. } = &*self.inner;
        entry.mount.map_or(budgets, |mount| &mounts.get(mount).folder.budgets)
    }

    /// Tells the log why what was asked for is not sent, where that is so.
    fn note(&self, entry: &Entry, stage: Stage, asked: Asked<'_>, reply: &Reply<'_, '_>) {
        if let Some(absent) = stage.absent(entry) {
            let client = reply.client(asked.request());
            report::absent(absent, asked.path(), client, self.budgets(entry), reply.now());
        }
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

    /// Answers a method that is none of HTTP's own (RFC 9110, 9.1).
    pub(crate) fn unknown_method(&self, name: &str, reply: Reply<'_, '_>) -> Answer {
        let text = format!("Nothing here knows the method {name}. Files are only read here.");
        reply.error(Status::NOT_IMPLEMENTED, &Fields::new(), &text)
    }
}

/// The methods that a folder knows.
pub(crate) const ALLOW: &str = "GET, HEAD, OPTIONS";

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
