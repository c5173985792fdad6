//! What was read of folders a moment ago, so that many who ask for the same folder have it read
//! once.
//!
//! Whoever comes while it is read waits, on the job's thread: reading it beside the other would only
//! make both slower.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::identity::Stamp;
use crate::store::traits::FRESH;

/// So many folders are remembered.
const FOLDERS: usize = 16;
/// And so many bytes of what was read of them.
const BYTES: usize = 16 * 1024 * 1024;

/// What was read lately, each under the name of its folder; the latest last.
#[derive(Debug)]
pub(crate) struct FolderCache<T> {
    folders: Mutex<Vec<Named<T>>>,
    /// What a value weighs, in bytes; `None` where it is not to be remembered.
    weigh: fn(&T) -> Option<usize>,
}

/// The name of a folder, and what is known of it.
type Named<T> = (Box<[u8]>, Place<T>);
/// When something was read, and what.
type Place<T> = Arc<Mutex<Option<(Stamp, Arc<T>)>>>;

impl<T> FolderCache<T> {
    pub(crate) fn new(weigh: fn(&T) -> Option<usize>) -> Self {
        Self { folders: Mutex::default(), weigh }
    }

    /// What `folder` held less than [`FRESH`] before `now`, else what `read` finds.
    ///
    /// # Errors
    ///
    /// Those of `read`; they are not remembered.
    pub(crate) fn get<E>(
        &self,
        folder: &[u8],
        now: Stamp,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let place = self.place(folder);
        let mut place = lock(&place);
        if let Some((_, known)) = place.as_ref().filter(|(at, _)| is_fresh(*at, now)) {
            return Ok(Arc::clone(known));
        }
        *place = None;
        let found = Arc::new(read()?);
        if (self.weigh)(&found).is_some_and(|weight| weight <= BYTES) {
            *place = Some((now, Arc::clone(&found)));
        }
        drop(place);
        self.make_room();
        Ok(found)
    }

    /// Forgets what doesn't count at `now` any more.
    pub(crate) fn forget_stale(&self, now: Stamp) {
        let mut folders = lock(&self.folders);
        // One that is being read has a lock on it.
        folders.retain(|(_, place)| match place.try_lock() {
            Ok(place) => place.as_ref().is_some_and(|(at, _)| is_fresh(*at, now)),
            Err(_) => true,
        });
    }

    /// Whether nothing is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.folders).is_empty()
    }

    /// The place of a folder, which is the latest now.
    fn place(&self, folder: &[u8]) -> Place<T> {
        let mut folders = lock(&self.folders);
        let known = folders.iter().position(|(name, _)| **name == *folder);
        let this = match known {
            Some(at) => folders.remove(at),
            None => (Box::from(folder), Place::default()),
        };
        let place = Arc::clone(&this.1);
        folders.push(this);
        place
    }

    /// Forgets the oldest until all that is left is within the limits.
    fn make_room(&self) {
        let mut folders = lock(&self.folders);
        let mut bytes = 0;
        let mut kept = 0;
        // One that is being read has a lock on it, and no weight yet.
        let weight = |place: &Place<T>| {
            let place = place.try_lock().ok()?;
            place.as_ref().and_then(|(_, known)| (self.weigh)(known))
        };
        for (_, place) in folders.iter().rev() {
            bytes += weight(place).unwrap_or(0);
            if kept == FOLDERS || bytes > BYTES {
                break;
            }
            kept += 1;
        }
        let gone = folders.len() - kept;
        folders.drain(..gone);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left behind is read anew.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether what was read at `at` still counts. A clock that was set back says no.
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
        cache.get(name.as_bytes(), now, || Ok::<_, ()>(Read(weight))).unwrap().0
    }

    #[test]
    fn a_folder_is_read_once_in_a_second() {
        let cache = cache();
        assert_eq!(get(&cache, "a", at(10), 1), 1);
        assert_eq!(get(&cache, "a", Stamp { secs: 11, nanos: 4 }, 2), 1);
        assert_eq!(get(&cache, "b", at(10), 3), 3);
        assert_eq!(get(&cache, "a", at(11), 4), 4);
        assert_eq!(get(&cache, "a", at(10), 5), 5, "a clock that was set back");
    }

    #[test]
    fn a_failure_is_not_remembered() {
        let cache = cache();
        assert_eq!(cache.get(b"a", at(10), || Err("no")).map(|read| read.0), Err("no"));
        assert_eq!(get(&cache, "a", at(10), 1), 1);
    }

    #[test]
    fn few_and_light_ones_are_remembered() {
        let cache = cache();
        for name in 0..100 {
            get(&cache, &name.to_string(), at(10), 1);
        }
        assert_eq!(lock(&cache.folders).len(), FOLDERS);
        assert_eq!(get(&cache, "99", at(10), 2), 1, "the latest is still known");
        assert_eq!(get(&cache, "0", at(10), 2), 2, "the first is not");
        cache.forget_stale(at(10));
        assert!(!cache.is_empty());
        cache.forget_stale(at(11));
        assert!(cache.is_empty());
        get(&cache, "heavy", at(10), BYTES + 1);
        assert_eq!(get(&cache, "heavy", at(10), 7), 7, "too heavy to remember");
        get(&cache, "half", at(10), BYTES / 2 + 1);
        get(&cache, "other half", at(10), BYTES / 2 + 1);
        assert_eq!(get(&cache, "half", at(10), 9), 9);
    }
}
