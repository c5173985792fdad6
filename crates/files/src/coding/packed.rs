//! What was packed as it goes, for all shards: made once, kept in bounded memory.
//!
//! - A result is found by the tag of the content that it was made of, so it outlives a look-up, a
//!   `touch` and a deployment that changes nothing.
//! - Two shards that want the same result make it once: the second waits, on its job's thread.
//! - So many bytes may wait to be packed; beyond them a client gets the file as it is, at once. That
//!   bounds how long a reply waits for packing, however many files are asked for.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Coding;
use super::recent::Recent;

/// Smaller files are sent as they are: they fit a packet or two with their head, packed or not.
pub(crate) const SHORTEST: u64 = 1024;
/// Larger files are sent as they are: packing this much takes 0.1 to 0.3 s.
pub(crate) const LONGEST: u64 = 8 * 1024 * 1024;

/// So many bytes of files may wait to be packed, or be packed: up to about half a second's work for
/// one core, and two of the largest files.
const WAITING: u64 = 2 * LONGEST;

/// What a result costs besides its bytes, roughly.
const OVERHEAD: usize = 256;

/// A result: nothing, where packing doesn't pay.
pub(crate) type Outcome = Option<Bytes>;

#[derive(Debug)]
pub(crate) struct Packed {
    state: Mutex<State>,
    /// Bytes of files that wait to be packed, or are.
    waiting: AtomicU64,
    /// The most memory that results may take.
    memory: usize,
}

#[derive(Debug)]
struct State {
    kept: Recent<Key, Outcome>,
    /// What is being made, and where those who want it wait.
    under_way: HashMap<Key, Arc<Mutex<Option<Outcome>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tag: Box<str>,
    coding: Coding,
}

impl Packed {
    pub(crate) fn new(memory: usize) -> Self {
        let state = State { kept: Recent::new(memory), under_way: HashMap::new() };
        Self { state: Mutex::new(state), waiting: AtomicU64::new(0), memory }
    }

    /// Whether files of this length are packed at all: those whose result is sure to be kept.
    pub(crate) fn takes(&self, len: u64) -> bool {
        // What `Recent` keeps weighs at most half of all.
        let room = (self.memory / 2).saturating_sub(OVERHEAD) as u64;
        (SHORTEST..=LONGEST.min(room)).contains(&len)
    }

    /// Asks for leave to pack a file of `len` bytes; `None` while too much waits. The leave lasts
    /// until it is dropped.
    pub(crate) fn admit(self: &Arc<Self>, len: u64) -> Option<Leave> {
        let add = |waiting: u64| waiting.checked_add(len).filter(|sum| *sum <= WAITING);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Leave { packed: Arc::clone(self), len })
    }

    /// The content of this tag in a coding: what is kept, or what `make` makes. Blocks.
    ///
    /// # Errors
    ///
    /// Those of `make`. Nothing is kept then.
    pub(crate) fn get(
        &self,
        tag: &str,
        coding: Coding,
        make: impl FnOnce() -> io::Result<Outcome>,
    ) -> io::Result<Outcome> {
        let key = Key { tag: tag.into(), coding };
        let place = {
            let mut state = lock(&self.state);
            if let Some(kept) = state.kept.get(&key) {
                return Ok(kept.clone());
            }
            Arc::clone(state.under_way.entry(key.clone()).or_default())
        };
        let mut place = lock(&place);
        if let Some(outcome) = &*place {
            return Ok(outcome.clone());
        }
        // However this ends, those who come later don't wait in this place any more; those who wait
        // already find what is in it, or try for themselves.
        let made = Maker { packed: self, key: &key }.make(make)?;
        *place = Some(made.clone());
        Ok(made)
    }
}

/// Makes what goes into a place, and takes the place away afterwards.
struct Maker<'a> {
    packed: &'a Packed,
    key: &'a Key,
}

impl Maker<'_> {
    fn make(self, make: impl FnOnce() -> io::Result<Outcome>) -> io::Result<Outcome> {
        let made = make()?;
        let weight = OVERHEAD + made.as_ref().map_or(0, Bytes::len);
        lock(&self.packed.state).kept.put(self.key.clone(), made.clone(), weight);
        Ok(made)
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        lock(&self.packed.state).under_way.remove(self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leave to pack so many bytes.
#[derive(Debug)]
pub(crate) struct Leave {
    packed: Arc<Packed>,
    len: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.packed.waiting.fetch_sub(self.len, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const TAG: &str = "\"tag\"";

    fn outcome(text: &'static str) -> io::Result<Outcome> {
        Ok(Some(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn a_result_is_made_once_for_each_tag_and_coding() {
        let packed = Packed::new(1 << 20);
        let made = Cell::new(0);
        let get = |tag, coding| {
            let make = || {
                made.set(made.get() + 1);
                outcome("packed")
            };
            packed.get(tag, coding, make).unwrap()
        };
        for _ in 0..3 {
            assert_eq!(get(TAG, Coding::Zstd), outcome("packed").unwrap());
            assert_eq!(get(TAG, Coding::Gzip), outcome("packed").unwrap());
            assert_eq!(get("\"other\"", Coding::Gzip), outcome("packed").unwrap());
        }
        assert_eq!(made.get(), 3);
        // That it doesn't pay is a result too.
        assert_eq!(packed.get("\"noise\"", Coding::Zstd, || Ok(None)).unwrap(), None);
        assert_eq!(packed.get("\"noise\"", Coding::Zstd, || outcome("made")).unwrap(), None);
    }

    #[test]
    fn what_went_wrong_is_tried_again_and_leaves_nothing_behind() {
        let packed = Packed::new(1 << 20);
        let failed = packed.get(TAG, Coding::Zstd, || Err(io::ErrorKind::UnexpectedEof.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            packed.get(TAG, Coding::Zstd, || panic!("on purpose"))
        }));
        assert!(panicked.is_err());
        assert!(lock(&packed.state).under_way.is_empty());
        assert_eq!(packed.get(TAG, Coding::Zstd, || outcome("made")).unwrap().unwrap(), "made");
        assert!(lock(&packed.state).under_way.is_empty());
    }

    #[test]
    fn a_second_shard_waits_for_the_first() {
        let packed = Packed::new(1 << 20);
        let (started, hears_of_it) = mpsc::channel();
        let (release, waits) = mpsc::channel();
        let packed = &packed;
        thread::scope(|scope| {
            let first = scope.spawn(move || {
                packed.get(TAG, Coding::Zstd, || {
                    started.send(()).unwrap();
                    waits.recv().unwrap();
                    outcome("first")
                })
            });
            hears_of_it.recv().unwrap();
            let second = scope.spawn(|| packed.get(TAG, Coding::Zstd, || outcome("second")));
            release.send(()).unwrap();
            assert_eq!(first.join().unwrap().unwrap().unwrap(), "first");
            assert_eq!(second.join().unwrap().unwrap().unwrap(), "first");
        });
    }

    #[test]
    fn what_is_kept_stays_within_the_memory() {
        let packed = Packed::new(100_000);
        let make = || Ok(Some(Bytes::from(vec![0; 10_000])));
        for number in 0..100 {
            packed.get(&number.to_string(), Coding::Zstd, make).unwrap();
        }
        let again = |number: usize| {
            let made = Cell::new(false);
            let make = || {
                made.set(true);
                make()
            };
            packed.get(&number.to_string(), Coding::Zstd, make).unwrap();
            made.get()
        };
        assert!(!again(99), "the last one is there");
        assert!(again(0), "the first one is not");
    }

    #[test]
    fn only_what_is_sure_to_be_kept_is_packed() {
        let takes = |memory, len| Packed::new(memory).takes(len);
        assert!(takes(1 << 30, SHORTEST) && takes(1 << 30, LONGEST));
        assert!(!takes(1 << 30, SHORTEST - 1) && !takes(1 << 30, LONGEST + 1));
        assert!(takes(100_000, 40_000) && !takes(100_000, 50_000));
        assert!(!takes(0, SHORTEST) && !takes(0, 0));
    }

    #[test]
    fn only_so_much_may_wait() {
        let packed = Arc::new(Packed::new(1 << 20));
        let leave = packed.admit(LONGEST).unwrap();
        let second = packed.admit(LONGEST).unwrap();
        assert!(packed.admit(1).is_none());
        drop(leave);
        assert!(packed.admit(LONGEST + 1).is_none());
        assert!(packed.admit(1).is_some(), "and it is given back");
        assert!(packed.admit(LONGEST).is_some());
        drop(second);
        assert_eq!(packed.waiting.load(Ordering::Relaxed), 0);
    }
}
