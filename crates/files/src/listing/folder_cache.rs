//! Caches listings, HTML pages or archive manifests (lists of an archive's entries) for a second,
//! so that many requests for one folder read it once.
//!
//! If a folder is being read, the jobs of other requests wait for the result: a second read at the
//! same time would slow down both reads.

use std::sync::{Arc, Mutex};

use crate::limits::clock_map::ClockMap;
use crate::limits::lock::lock;
use crate::limits::single_flight::SingleFlight;
use crate::store::identity::Stamp;
use crate::store::traits::FRESH;

/// The most bytes that are cached.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The minimum weight of a value, in bytes, so that at most 16 are cached.
const MIN_WEIGHT: usize = MAX_BYTES / 16;

/// Cached values. The key contains the name of the folder or file, and what else the value depends
/// on.
#[derive(Debug)]
pub(crate) struct FolderCache<T> {
    folders: Mutex<ClockMap<Box<[u8]>, Timestamped<T>>>,
    reading: SingleFlight<Box<[u8]>, Timestamped<T>>,
    /// The bytes of memory that a value holds; `None` if it must not be cached.
    weigh: fn(&T) -> Option<usize>,
}

/// When a folder was read, and the value.
pub(crate) type Timestamped<T> = (Stamp, Arc<T>);

impl<T> FolderCache<T> {
    pub(crate) fn new(weigh: fn(&T) -> Option<usize>) -> Self {
        Self { folders: Mutex::default(), reading: SingleFlight::default(), weigh }
    }

    /// The value of `key`, and the time when it was read: the cached value if it was read less than
    /// [`FRESH`] before `now`, else the result of `read`. Errors are not cached. If `always_read`
    /// is set, the result is always that of `read`, and is not cached.
    pub(crate) fn get<E>(
        &self,
        key: &[u8],
        now: Stamp,
        always_read: bool,
        mut read: impl FnMut() -> Result<(Stamp, T), E>,
    ) -> Result<Timestamped<T>, E> {
        if always_read {
            return read().map(|(at, value)| (at, Arc::new(value)));
        }
        let key: Box<[u8]> = key.into();
        loop {
            let (at, found) = self.reading.run(&key, || {
                let known = lock(&self.folders).get(&key).cloned();
                if let Some(known) = known.filter(|(at, _)| is_fresh(*at, now)) {
                    return Ok(known);
                }
                let (at, value) = read()?;
                let known = (at, Arc::new(value));
                if let Some(weight) = (self.weigh)(&known.1) {
                    let weight = weight.max(MIN_WEIGHT);
                    lock(&self.folders).insert_within(
                        MAX_BYTES,
                        key.clone(),
                        known.clone(),
                        weight,
                    );
                }
                Ok(known)
            })?;
            // If another thread was reading the same folder, this is its value. If that thread
            // began too long before `now`, or after `now`, the folder is read again.
            if is_fresh(at, now) {
                return Ok((at, found));
            }
        }
    }

    /// Drops the values that are not fresh at `now`.
    pub(crate) fn remove_stale(&self, now: Stamp) {
        lock(&self.folders).retain(|(at, _)| is_fresh(*at, now));
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.folders).len() == 0
    }
}

/// Whether a value that was read at `at` is fresh at `now`. A value from after `now` is not: the
/// clock may have been set back.
fn is_fresh(at: Stamp, now: Stamp) -> bool {
    let until = Stamp { secs: at.secs.saturating_add(FRESH.as_secs() as i64), nanos: at.nanos };
    at <= now && now < until
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Read(usize);

    fn cache() -> FolderCache<Read> {
        FolderCache::new(|read| Some(read.0))
    }

    fn at(secs: i64) -> Stamp {
        Stamp { secs, nanos: 5 }
    }

    fn get(cache: &FolderCache<Read>, name: &str, now: Stamp, weight: usize) -> usize {
        let read = || Ok::<_, ()>((now, Read(weight)));
        cache.get(name.as_bytes(), now, false, read).unwrap().1.0
    }

    #[test]
    fn folders_are_read_at_most_once_per_second() {
        let cache = cache();
        assert_eq!(get(&cache, "a", at(10), 1), 1);
        assert_eq!(get(&cache, "a", Stamp { secs: 11, nanos: 4 }, 2), 1);
        assert_eq!(get(&cache, "b", at(10), 3), 3);
        assert_eq!(get(&cache, "a", at(11), 4), 4);
        assert_eq!(get(&cache, "a", at(10), 5), 5, "a clock that was set back");
    }

    #[test]
    fn failures_are_not_cached() {
        let cache = cache();
        assert_eq!(cache.get(b"a", at(10), false, || Err("no")).map(|read| read.1.0), Err("no"));
        assert_eq!(get(&cache, "a", at(10), 1), 1);
    }

    #[test]
    fn only_a_few_light_folders_are_cached() {
        let cache = cache();
        for name in 0..100 {
            get(&cache, &name.to_string(), at(10), 1);
        }
        assert_eq!(lock(&cache.folders).len(), 16);
        assert_eq!(get(&cache, "99", at(10), 2), 1, "the latest is still known");
        assert_eq!(get(&cache, "0", at(10), 2), 2, "the first is not");
        cache.remove_stale(at(10));
        assert!(!cache.is_empty());
        cache.remove_stale(at(11));
        assert!(cache.is_empty());
        get(&cache, "heavy", at(10), MAX_BYTES + 1);
        assert_eq!(get(&cache, "heavy", at(10), 7), 7, "too heavy to remember");
        get(&cache, "half", at(10), MAX_BYTES / 2 + 1);
        get(&cache, "other half", at(10), MAX_BYTES / 2 + 1);
        assert_eq!(get(&cache, "half", at(10), 9), 9);
    }
}
