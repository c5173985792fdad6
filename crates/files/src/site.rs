//! A folder as one shard sees it: what is known, what is being looked up, and how it is answered.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::http1::{Answer, Fields, Reply, Status};
use sockeye_proto::{FileSource, Ticket, Time};

use crate::asked::Asked;
use crate::cache::{Cache, CacheLimits, FRESH};
use crate::entry::Entry;
use crate::flight::{Boarding, Flights, Landing};
use crate::handler::Files;
use crate::options::Options;
use crate::path::{Refusal, Wanted};
use crate::send;
use crate::store::{Absent, Store};

/// How long a kept descriptor is taken for the current file without asking. A change that is seen
/// before a reply begins gives the new content; one that is seen later cuts the reply.
const CHECKED: Duration = Duration::from_millis(10);

/// A folder on one shard. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Site {
    inner: Rc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    options: Arc<Options>,
    cache: RefCell<Cache>,
    flights: RefCell<Flights>,
    /// Where paths are decoded. Never longer than the longest request line.
    scratch: RefCell<Vec<u8>>,
    allow: Fields,
    retry: Fields,
}

/// What became of a request: an answer, or a look-up to wait for.
pub(crate) enum Progress<'r, 't> {
    Answered(Answer),
    Waiting(Ticket, Reply<'r, 't>),
}

impl Site {
    pub(crate) fn new(store: Arc<dyn Store>, options: Arc<Options>, limits: CacheLimits) -> Self {
        let fields = |name, value: &[u8]| {
            Fields::new().with(name, value).expect("a constant that is a valid field")
        };
        let inner = Inner {
            store,
            options,
            cache: RefCell::new(Cache::new(limits)),
            flights: RefCell::default(),
            scratch: RefCell::default(),
            allow: fields("Allow", ALLOW.as_bytes()),
            retry: fields("Retry-After", b"1"),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Answers the requests of one connection.
    #[must_use]
    pub fn handler(&self) -> Files {
        Files::new(self.clone())
    }

    /// Answers what is asked, if that is known and fresh; else
    /// `keep` is told the name, and a look-up is waited for.
    pub(crate) fn answer<'r, 't>(
        &self,
        asked: &Asked<'_>,
        reply: Reply<'r, 't>,
        keep: impl FnOnce(&[u8]),
    ) -> Progress<'r, 't> {
        let mut scratch = self.inner.scratch.borrow_mut();
        let wanted = match Wanted::parse(&asked.path, &mut scratch) {
            Ok(wanted) => wanted,
            Err(refusal) => return Progress::Answered(self.refuse(refusal, reply)),
        };
        let now = reply.now();
        if let Some(slot) = self.inner.cache.borrow_mut().get(wanted.key(), now) {
            let fresh = slot.is_fresh(now);
            if fresh && now.since(slot.checked) >= CHECKED {
                if slot.entry.open_file().is_none_or(FileSource::is_unchanged) {
                    slot.checked = now;
                } else {
                    slot.expire();
                }
            }
            if slot.is_fresh(now) {
                return Progress::Answered(self.send(&slot.entry, asked, reply));
            }
        }
        keep(wanted.key());
        self.look_up(wanted, asked, reply)
    }

    /// Waits for a look-up of `wanted`, beginning one where none is under way.
    pub(crate) fn look_up<'r, 't>(
        &self,
        wanted: Wanted<'_>,
        asked: &Asked<'_>,
        reply: Reply<'r, 't>,
    ) -> Progress<'r, 't> {
        let (key, now) = (wanted.key(), reply.now());
        let mut flights = self.inner.flights.borrow_mut();
        let mut boarding = flights.board(key, now, || reply.promise());
        if let Boarding::Landed(landing) = boarding {
            flights.forget_landed(key);
            self.inner.cache.borrow_mut().put(
                key,
                Arc::clone(&landing.entry),
                landing.started,
                now,
            );
            if now.since(landing.started) < FRESH {
                return Progress::Answered(self.send(&landing.entry, asked, reply));
            }
            boarding = flights.board(key, now, || reply.promise());
        }
        match boarding {
            Boarding::Joined(ticket) => Progress::Waiting(ticket, reply),
            Boarding::Started(ticket, pilot) => {
                let (store, options) =
                    (Arc::clone(&self.inner.store), Arc::clone(&self.inner.options));
                let key: Box<[u8]> = Box::from(key);
                let known = self.known(&key, now);
                reply.spawn(Box::new(move || {
                    pilot.land(Entry::look_up(&*store, &options, Wanted::from_key(&key), known));
                }));
                Progress::Waiting(ticket, reply)
            }
            // A flight that was forgotten a moment ago has not landed again.
            Boarding::Landed(_) | Boarding::Full => {
                let text = "Too many files are being looked for. Try again.";
                let status = Status::SERVICE_UNAVAILABLE;
                Progress::Answered(reply.error(status, &self.inner.retry, text))
            }
        }
    }

    fn known(&self, key: &[u8], now: Time) -> Option<Arc<Entry>> {
        self.inner.cache.borrow_mut().get(key, now).map(|slot| Arc::clone(&slot.entry))
    }

    /// Takes what a look-up found into the cache.
    pub(crate) fn land(&self, key: &[u8], landing: &Landing, now: Time) {
        self.inner.flights.borrow_mut().forget_landed(key);
        let entry = Arc::clone(&landing.entry);
        self.inner.cache.borrow_mut().put(key, entry, landing.started, now);
    }

    /// Answers for a look-up that panicked.
    pub(crate) fn fail(&self, key: &[u8], reply: Reply<'_, '_>) -> Answer {
        self.inner.flights.borrow_mut().forget_landed(key);
        reply.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), "")
    }

    /// Answers with what is known under a name.
    pub(crate) fn send(&self, entry: &Entry, asked: &Asked<'_>, reply: Reply<'_, '_>) -> Answer {
        match entry {
            Entry::File(file) => send::send(file, asked, reply),
            Entry::Folder => redirect(asked, reply),
            Entry::Absent(absent) => self.send_absent(*absent, reply),
        }
    }

    fn send_absent(&self, absent: Absent, reply: Reply<'_, '_>) -> Answer {
        let none = Fields::new();
        let (status, fields) = match absent {
            Absent::Missing
            | Absent::NoIndex
            | Absent::NotAFolder
            | Absent::Outside
            | Absent::NotRegular => (Status::NOT_FOUND, &none),
            Absent::Denied => (Status::FORBIDDEN, &none),
            Absent::Changing | Absent::Exhausted => {
                (Status::SERVICE_UNAVAILABLE, &self.inner.retry)
            }
            Absent::Failed(_) => (Status::INTERNAL_SERVER_ERROR, &none),
        };
        reply.error(status, fields, "")
    }

    fn refuse(&self, refusal: Refusal, reply: Reply<'_, '_>) -> Answer {
        let malformed = refusal.is_malformed();
        let status = if malformed { Status::BAD_REQUEST } else { Status::NOT_FOUND };
        reply.error(status, &Fields::new(), "")
    }

    /// Says which methods there are: to OPTIONS as the answer, to others as the reason.
    pub(crate) fn allow(&self, status: Status, reply: Reply<'_, '_>) -> Answer {
        reply.error(status, &self.inner.allow, "Files are only read here.")
    }
}

/// The methods that a folder knows.
pub(crate) const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Sends the client to the same path with a slash at its end, so that the relative links of the
/// folder's page lead into the folder.
fn redirect(asked: &Asked<'_>, reply: Reply<'_, '_>) -> Answer {
    let (path, query) = (&*asked.path, asked.query.as_deref());
    let parts = [path, b"/", query.map_or(b"", |_| b"?"), query.unwrap_or_default()];
    // A path with an empty first segment was refused: two slashes in front would be another host.
    debug_assert!(!path.starts_with(b"//"));
    match Fields::new().with("Location", &parts.concat()) {
        Ok(location) => reply.error(Status::MOVED_PERMANENTLY, &location, ""),
        Err(_) => reply.error(Status::NOT_FOUND, &Fields::new(), ""),
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("store", &self.inner.store)
            .field("cache", &self.inner.cache)
            .field("flights", &self.inner.flights.borrow().len())
            .finish_non_exhaustive()
    }
}
