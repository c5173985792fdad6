//! The folders that one worker (event loop) serves, with their cache and the jobs that requests
//! wait for.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_http::{Fields, Responder};
use sockeye_proto::{Permit, Time, Timed};

use super::error_page::ErrorFields;
use super::live::LivePages;
use crate::lookup::cache::{CacheLimits, LookupCache};
use crate::lookup::entry::Entry;
use crate::lookup::folder::Folder;
use crate::lookup::in_flight::InFlight;
use crate::lookup::mounts::Mounts;
use crate::options::cors::Cors;
use crate::request::view::RequestView;
use crate::respond::budgets::{BudgetLimits, Budgets};
use crate::respond::multipart::Boundary;
use crate::respond::send::ResponseContext;
use crate::respond::substitutes::Purpose;
use crate::store::device::mark_event_loop;
use crate::store::traits::FRESH;

/// The CORS options for paths outside all folders.
static NO_CORS: Cors = Cors::none();

/// The folders that one worker (event loop) serves. Cheap to clone; clones share everything.
///
/// The code that owns a site has to call its methods of [`Timed`]. At its deadlines, the site
/// closes cached files that were not requested for 5 to 6 s (without these calls they stay open
/// until they are evicted), drops stale listings, and logs, at most once a minute, how many
/// requests failed or found a budget spent (a limit on a resource, such as open files). When the
/// last clone is dropped, it logs how many such requests were not logged yet.
#[derive(Clone)]
pub struct Site {
    pub(super) inner: Rc<Inner>,
}

/// What the clones of a [`Site`] share.
pub(super) struct Inner {
    pub(super) mounts: Mounts,
    pub(super) cache: RefCell<LookupCache>,
    pub(super) in_flight: RefCell<InFlight>,
    /// A buffer for decoded paths, at most as long as a request line.
    pub(super) scratch: RefCell<Vec<u8>>,
    /// The boundary between the parts of `multipart/byteranges`.
    pub(super) boundary: Boundary,
    /// The field `Allow` with [`ALLOW`].
    pub(super) allow: Fields,
    /// The field `Retry-After`, for 503.
    pub(super) retry: Fields,
    pub(super) error_fields: ErrorFields,
    /// The time of the last turn (pass of the event loop) in which a lookup on the event loop was
    /// considered, and how many were.
    pub(super) lookup_attempts: Cell<(Time, u32)>,
    /// When to drop stale listings.
    pub(super) listings_deadline: Cell<Option<Time>>,
    /// The permit for an open file, if the request that is being answered already has one.
    pub(super) granted: RefCell<Option<Permit>>,
    /// The budgets for paths outside all folders.
    pub(super) budgets: Arc<Budgets>,
    /// With `--live`: answers requests for the script in pages, and for its WebSocket.
    pub(super) live: Option<LivePages>,
    /// The budgets of the folders, without duplicates.
    folder_budgets: Vec<Arc<Budgets>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.folder_budgets.iter().for_each(|budgets| budgets.report_rest());
    }
}

impl Mounts {
    /// Makes a site of these folders for one worker. Call it on the worker's thread.
    #[must_use]
    pub fn site(&self, limits: CacheLimits) -> Site {
        Site::new(self.clone(), limits)
    }
}

impl Folder {
    /// Makes a site of this folder for one worker. Call it on the worker's thread.
    #[must_use]
    pub fn site(&self, limits: CacheLimits) -> Site {
        Mounts::from(self.clone()).site(limits)
    }
}

impl Site {
    fn new(mounts: Mounts, limits: CacheLimits) -> Self {
        mark_event_loop();
        let fields = |name, value: &[u8]| {
            Fields::new().with(name, value).expect("a constant that is a valid field")
        };
        let mut folder_budgets = mounts.budgets();
        folder_budgets.sort_by_key(Arc::as_ptr);
        folder_budgets.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let inner = Inner {
            live: mounts.live().map(LivePages::new),
            mounts,
            folder_budgets,
            cache: RefCell::new(LookupCache::new(limits)),
            in_flight: RefCell::default(),
            scratch: RefCell::default(),
            boundary: Boundary::new(),
            allow: fields("Allow", ALLOW.as_bytes()),
            retry: fields("Retry-After", b"1"),
            error_fields: ErrorFields::new(),
            lookup_attempts: Cell::default(),
            listings_deadline: Cell::new(None),
            granted: RefCell::new(None),
            budgets: Budgets::new(BudgetLimits::default()),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Lets stale listings be dropped at `now` plus twice [`FRESH`], unless a time is set already.
    /// A listing is stale after [`FRESH`].
    pub(super) fn set_listings_deadline(&self, now: Time) {
        if self.inner.listings_deadline.get().is_none() {
            self.inner.listings_deadline.set(Some(now + 2 * FRESH));
        }
    }

    /// What a response made of `entry` needs from this site.
    pub(super) fn context(&self, entry: &Entry) -> ResponseContext<'_> {
        let Inner { boundary, retry, granted, .. } = &*self.inner;
        let budgets = self.budgets(entry);
        ResponseContext { cors: self.cors(entry.mount), boundary, budgets, retry, granted }
    }

    /// The budgets of the folder that `entry` is from.
    pub(super) fn budgets(&self, entry: &Entry) -> &Budgets {
        let Inner { mounts, budgets, .. } = &*self.inner;
        entry.mount.map_or(budgets, |mount| &mounts.get(mount).folder.budgets)
    }

    /// If the requested name is neither served nor redirected, logs why.
    pub(super) fn log_absent(
        &self,
        entry: &Entry,
        purpose: Purpose,
        view: RequestView<'_>,
        responder: &Responder<'_, '_>,
    ) {
        if let Some(why) = purpose.absent(entry) {
            let client = responder.client(view.request());
            self.budgets(entry).log_absent(why, view.path(), client, responder.now());
        }
    }

    /// The CORS options of a folder.
    pub(super) fn cors(&self, mount: Option<usize>) -> &Cors {
        mount.map_or(&NO_CORS, |mount| &self.inner.mounts.get(mount).folder.options.cors)
    }

    /// The CORS options of the folder that contains `key`, a decoded path: see
    /// [`RequestPath::key`](crate::naming::path::RequestPath::key).
    pub(super) fn cors_of(&self, key: &[u8]) -> &Cors {
        self.cors(self.inner.mounts.find(key).map(|(mount, _)| mount))
    }

    /// The cached result for `key`, however old it is.
    pub(super) fn cached(&self, key: &[u8], now: Time) -> Option<Arc<Entry>> {
        self.inner.cache.borrow_mut().get(key, now).map(|cached| Arc::clone(&cached.entry))
    }

    /// Caches the result of a lookup that started at `looked_up`.
    pub(super) fn put(&self, key: &[u8], entry: &Arc<Entry>, looked_up: Time, now: Time) {
        let max_age = if self.looks_up_always(key) { Duration::ZERO } else { FRESH };
        self.inner.cache.borrow_mut().put(key, Arc::clone(entry), looked_up, max_age, now);
    }

    /// Whether `key` is in a folder with [`Options::fresh`](crate::Options::fresh).
    pub(super) fn looks_up_always(&self, key: &[u8]) -> bool {
        let mounts = &self.inner.mounts;
        mounts.find(key).is_some_and(|(mount, _)| mounts.get(mount).folder.options.fresh)
    }

    /// Removes the job with this name from the jobs in flight, because it has finished.
    pub(super) fn remove_finished(&self, name: &[u8]) {
        self.inner.in_flight.borrow_mut().remove_finished(name);
    }
}

/// The methods that folders allow, for the field `Allow`.
pub(crate) const ALLOW: &str = "GET, HEAD, OPTIONS";

impl Timed for Site {
    fn deadline(&self) -> Option<Time> {
        let cache = self.inner.cache.borrow().deadline;
        let listed = self.inner.listings_deadline.get();
        let reports = self.inner.folder_budgets.iter().filter_map(|budgets| budgets.reports_due());
        cache.into_iter().chain(listed).chain(reports).min()
    }

    fn on_deadline(&mut self, now: Time) {
        self.inner.cache.borrow_mut().close_idle(now);
        for budgets in &self.inner.folder_budgets {
            if budgets.reports_due().is_some_and(|due| due <= now) {
                budgets.report_due(now);
            }
        }
        if self.inner.listings_deadline.get().is_some_and(|time| time <= now) {
            self.inner.listings_deadline.set(None);
            if self.inner.mounts.remove_stale_listings() {
                self.set_listings_deadline(now);
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
