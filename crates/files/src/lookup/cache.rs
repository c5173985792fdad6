//! The results of the lookups of a worker (event loop), limited in entries, bytes and descriptors.
//!
//! Entries that are requested only once (a scan, a flood of misses) are evicted first: see
//! [`ClockMap`]. An entry that is not requested any more keeps its memory until others are
//! inserted, unless it has descriptors: then it is dropped after a few seconds without a request
//! ([`LookupCache::close_idle`]), because an open file occupies disk space after it was deleted,
//! and prevents unmounting.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{Access, FileSource, Time};

use super::entry::{Entry, Target};
use crate::limits::clock_map::ClockMap;

/// How long a cached descriptor is used without checking that its file is unchanged. If the check
/// finds a change, the file is looked up again. If a file changes while a response sends it, the
/// response is cut.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The approximate memory of an entry besides its key and content, in bytes: its fields, its
/// prepared response and its slot. So the limit in bytes holds for many tiny entries, too.
const ENTRY_OVERHEAD: usize = 1536;

/// The number of slots that each insertion checks for stale entries.
const SWEPT_SLOTS: usize = 2;

/// An entry is stale if it was not requested for this long.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// An entry with descriptors is dropped if it was not requested for this long.
const IDLE_OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The minimum time between two searches for descriptors to close.
const MIN_CLOSE_INTERVAL: Duration = Duration::from_secs(1);

/// The limits of a worker's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Names that were looked up, found or not. Default: 4,096.
    pub entries: usize,
    /// Bytes of memory. Default: 16 MiB.
    pub bytes: usize,
    /// Descriptors of files that are too large to be kept in memory. Default: 256.
    pub descriptors: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries: 4096, bytes: 16 * 1024 * 1024, descriptors: 256 }
    }
}

/// The result of a lookup, and how long it may be used.
pub(crate) struct CachedEntry {
    pub(crate) entry: Arc<Entry>,
    /// Whether a requested path that has the bytes of the key, and is not decoded yet, is a path of
    /// this entry. False if the key contains `%` or a backslash, which a client must send as `%25`
    /// and `%5C`.
    key_is_raw_path: bool,
    /// When its lookup started; `None` once the result is known to be outdated.
    looked_up: Option<Time>,
    /// How long the result may be used.
    max_age: Duration,
    /// When its open files were last known to be unchanged.
    checked: Time,
    /// When it was last requested.
    requested: Time,
}

/// The entries of one worker.
pub(crate) struct LookupCache {
    limits: CacheLimits,
    entries: ClockMap<Rc<[u8]>, CachedEntry>,
    descriptors: usize,
    /// When [`LookupCache::close_idle`] is to be called. `None`: no entry holds a descriptor.
    pub(crate) deadline: Option<Time>,
}

impl CachedEntry {
    /// Whether a request may be answered with this entry: its lookup is recent, and its open files
    /// are unchanged.
    #[inline(always)] // Runs for each request.
    fn is_fresh(&mut self, now: Time) -> bool {
        let is_fresh = self.looked_up.is_some_and(|looked_up| now < looked_up + self.max_age);
        is_fresh && (now < self.checked + CHECK_INTERVAL || self.check(now))
    }

    /// Checks that all open files are unchanged. If not, or if checking might block, marks the
    /// entry as outdated, so that the name is looked up again.
    fn check(&mut self, now: Time) -> bool {
        let mut files = self.entry.open_files();
        let unchanged = files.all(|file| file.access() != Access::Thread && file.is_current());
        if unchanged {
            self.checked = now;
        } else {
            self.looked_up = None;
        }
        unchanged
    }
}

impl LookupCache {
    pub(crate) fn new(limits: CacheLimits) -> Self {
        Self { limits, entries: ClockMap::default(), descriptors: 0, deadline: None }
    }

    /// The entry of `key`, fresh or not.
    pub(crate) fn get(&mut self, key: &[u8], now: Time) -> Option<&mut CachedEntry> {
        let cached = self.entries.get(key)?;
        cached.requested = now;
        Some(cached)
    }

    /// The entry of `key`, if it is fresh.
    pub(crate) fn get_fresh(&mut self, key: &[u8], now: Time) -> Option<&Arc<Entry>> {
        let cached = self.get(key, now)?;
        cached.is_fresh(now).then_some(&cached.entry)
    }

    /// As [`LookupCache::get_fresh`], for a path as the client sent it, without its first slash.
    /// Also `None` if the path needs decoding. A path that equals a key needs no validation,
    /// because the key was validated.
    #[inline(always)] // Runs for each request.
    pub(crate) fn get_fresh_by_raw_path(&mut self, path: &[u8], now: Time) -> Option<&Arc<Entry>> {
        let cached = self.entries.get(path).filter(|cached| cached.key_is_raw_path)?;
        cached.requested = now;
        cached.is_fresh(now).then_some(&cached.entry)
    }

    /// Inserts the result of a lookup that started at `looked_up`, unless the result of a later
    /// lookup is cached. The result may be used for `max_age`. Evicts other entries to make room. A
    /// result that doesn't fit even then is dropped.
    pub(crate) fn put(
        &mut self,
        key: &[u8],
        entry: Arc<Entry>,
        looked_up: Time,
        max_age: Duration,
        now: Time,
    ) {
        // A lack of resources and a forbidden system call don't depend on the name, so they are not
        // cached.
        if matches!(entry.target, Target::Absent(absent) if absent.is_transient()) {
            return;
        }
        // A file whose size on disk is not that of its content, as in `/proc`, is read for each
        // request.
        if entry.has_unknown_size() {
            self.remove(key);
            return;
        }
        if let Some(known) = self.entries.get(key) {
            if known.looked_up > Some(looked_up) {
                return;
            }
            // The lookup has found that this entry is still right, or another request that waited
            // for the same lookup has inserted it.
            if Arc::ptr_eq(&known.entry, &entry) {
                (known.looked_up, known.checked) = (Some(looked_up), now);
                return;
            }
            self.remove(key);
        }
        self.sweep(now);
        let key_is_raw_path = !key.iter().any(|byte| matches!(byte, b'%' | b'\\'));
        let (looked_up, checked, requested) = (Some(looked_up), now, now);
        self.add(
            key,
            CachedEntry { entry, key_is_raw_path, looked_up, max_age, checked, requested },
        );
    }

    /// Replaces the entry of `key` with `entry`, the same file with one more encoding. Does nothing
    /// if another file is cached by now. Keeps the time of the lookup.
    pub(crate) fn add_encoding(&mut self, key: &[u8], entry: &Arc<Entry>) {
        let Some(known) = self.entries.peek(key) else { return };
        if Arc::ptr_eq(&known.entry, entry) || !entry.is_same_file_as(&known.entry) {
            return;
        }
        let CachedEntry { key_is_raw_path, looked_up, max_age, checked, requested, .. } = *known;
        self.remove(key);
        let entry = Arc::clone(entry);
        self.add(
            key,
            CachedEntry { entry, key_is_raw_path, looked_up, max_age, checked, requested },
        );
        // Marks the new entry as used, which inserting it doesn't.
        self.entries.get(key);
    }

    fn add(&mut self, key: &[u8], cached: CachedEntry) {
        let weight = ENTRY_OVERHEAD + key.len() + cached.entry.weight();
        let descriptors = cached.entry.descriptors();
        if !self.make_room(weight, descriptors) {
            return;
        }
        self.descriptors += descriptors;
        if descriptors > 0 {
            self.deadline = self.deadline.or(Some(cached.requested + IDLE_OPEN_TIMEOUT));
        }
        self.entries.insert(Rc::from(key), cached, weight);
    }

    /// Evicts entries until one with this weight and number of descriptors fits. Returns false if
    /// no entry is left to evict.
    fn make_room(&mut self, weight: usize, descriptors: usize) -> bool {
        loop {
            let CacheLimits { entries, bytes, descriptors: max_descriptors } = self.limits;
            let is_full =
                self.entries.len() + 1 > entries || self.entries.weight() + weight > bytes;
            let lacks_descriptors =
                descriptors > 0 && self.descriptors + descriptors > max_descriptors;
            if !is_full && !lacks_descriptors {
                return true;
            }
            // If only descriptors are lacking, only entries that hold some are evicted.
            let evicted = self.entries.evict(|old| is_full || old.entry.descriptors() > 0);
            let Some((_, evicted)) = evicted else { return false };
            self.descriptors -= evicted.entry.descriptors();
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(removed) = self.entries.remove(key) {
            self.descriptors -= removed.entry.descriptors();
        }
    }

    /// Drops stale entries, a few at a time.
    fn sweep(&mut self, now: Time) {
        let descriptors = &mut self.descriptors;
        self.entries.sweep(SWEPT_SLOTS, |cached| {
            let stale = now.since(cached.requested) > STALE_AFTER;
            if stale {
                *descriptors -= cached.entry.descriptors();
            }
            stale
        });
    }

    /// Drops entries that hold descriptors and were not requested for [`IDLE_OPEN_TIMEOUT`].
    pub(crate) fn close_idle(&mut self, now: Time) {
        let (mut next, descriptors) = (Time::NEVER, &mut self.descriptors);
        self.entries.retain(|cached| {
            let (held, until) = (cached.entry.descriptors(), cached.requested + IDLE_OPEN_TIMEOUT);
            if held > 0 && until <= now {
                *descriptors -= held;
                return false;
            }
            if held > 0 {
                next = next.min(until);
            }
            true
        });
        self.deadline = (next != Time::NEVER).then(|| next.max(now + MIN_CLOSE_INTERVAL));
    }
}

impl fmt::Debug for LookupCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupCache")
            .field("entries", &self.entries.len())
            .field("bytes", &self.entries.weight())
            .field("descriptors", &self.descriptors)
            .finish_non_exhaustive()
    }
}
