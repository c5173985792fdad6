//! Compressed forms that were made as they were asked for: each made once, shared by all who ask for
//! it, and counted for as long as anybody holds it.
//!
//! - A form is found by its folder and the ETag of the content that it was made of, so it outlives a
//!   lookup, a `touch` and a deployment that changes nothing.
//! - The forms of all folders together are within a budget. When it is spent, forms that nobody is being sent are
//!   dropped, the least used first; where that isn't enough, the file is sent uncompressed.
//! - A form that is dropped again and again is not made any more for a while: more is asked for than
//!   fits, and compressing it anew for each request costs more than it saves.
//! - Two shards that want the same form make it once: the second waits, on its job's thread.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockeye_proto::{Budget, Permit, Time};

use crate::file::content::Compressed;
use crate::limits::bounded_map::BoundedMap;
use crate::options::codings::Coding;

/// Smaller files are sent as they are: they fit a packet or two with their head, compressed or not.
pub(crate) const SHORTEST: u64 = 1024;
/// Larger files are sent as they are: compressing this much takes 0.1 to 0.3 s.
pub(crate) const LONGEST: u64 = 8 * 1024 * 1024;

/// What a form costs besides its bytes, roughly.
const OVERHEAD: u64 = 256;
/// So often a form is made within [`CHURN`]; then the file is sent as it is until that has passed.
const MOST_OFTEN: u32 = 2;
/// See [`MOST_OFTEN`].
const CHURN: Duration = Duration::from_secs(60);
/// So many forms are known not to pay, or to have been made lately.
const REMEMBERED: usize = 8192;

/// What came of asking for a form.
#[derive(Clone, Debug)]
pub(crate) enum CompressionResult {
    Made(Arc<Compressed>),
    /// It would hardly be smaller than the file.
    Futile,
    /// There is no memory for it now.
    Refused,
}

#[derive(Debug)]
pub(crate) struct CompressedCache {
    compressed: Arc<Budget>,
    working: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many folders there are.
    folders: u32,
    forms: HashMap<Key, Arc<Compressed>>,
    /// The same keys, in the order in which they are looked at for being dropped.
    order: VecDeque<Key>,
    futile: BoundedMap<Key, ()>,
    lately: BoundedMap<Key, Lately>,
    /// What is being made, and where those who want it wait.
    under_way: HashMap<Key, Arc<Mutex<Option<CompressionResult>>>>,
}

/// How often a form was made since then.
#[derive(Clone, Copy, Debug)]
struct Lately {
    since: Time,
    times: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Without a digest, files of two folders may have one tag.
    pub(crate) folder: u32,
    pub(crate) etag: Box<str>,
    pub(crate) coding: Coding,
}

impl CompressedCache {
    pub(crate) fn new(compressed: &Arc<Budget>, working: &Arc<Budget>) -> Self {
        let state = State {
            folders: 0,
            forms: HashMap::new(),
            order: VecDeque::new(),
            futile: BoundedMap::new(REMEMBERED),
            lately: BoundedMap::new(REMEMBERED),
            under_way: HashMap::new(),
        };
        let (compressed, working) = (Arc::clone(compressed), Arc::clone(working));
        Self { compressed, working, state: Mutex::new(state) }
    }

    /// What compressing takes is taken from this.
    pub(crate) fn working(&self) -> &Arc<Budget> {
        &self.working
    }

    /// What another folder is called here.
    pub(crate) fn add_folder(&self) -> u32 {
        let mut state = self.lock();
        state.folders += 1;
        state.folders
    }

    /// Whether files of this length are compressed at all: those whose form is sure to fit.
    pub(crate) fn takes(&self, len: u64) -> bool {
        (SHORTEST..=LONGEST).contains(&len) && len <= self.compressed.total() / 4
    }

    /// Whether the form may be made at `now`; otherwise it was made too often lately.
    pub(crate) fn may_make(&self, key: Key, now: Time) -> bool {
        let mut state = self.lock();
        if state.forms.contains_key(&key) || state.under_way.contains_key(&key) {
            return true;
        }
        state.lately(&key, now).times < MOST_OFTEN
    }

    /// The form of a content: the one that there is, or the one that `make` makes
    /// (`None`: it doesn't pay), at most `most` bytes long, for a request that came at `now`. Blocks.
    ///
    /// # Errors
    ///
    /// Those of `make`. Nothing is kept then.
    pub(crate) fn get(
        &self,
        key: Key,
        most: u64,
        now: Time,
        make: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<CompressionResult> {
        let place = {
            let mut state = self.lock();
            if let Some(form) = state.forms.get(&key) {
                return Ok(CompressionResult::Made(Arc::clone(form)));
            }
            if state.futile.get(&key).is_some() {
                return Ok(CompressionResult::Futile);
            }
            Arc::clone(state.under_way.entry(key.clone()).or_default())
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = &*place {
            return Ok(outcome.clone());
        }
        // However this ends, those who come later don't wait in this place any more; those who wait
        // already find what is in it, or try for themselves.
        let outcome = Maker { forms: self, key: &key }.make(most, now, make)?;
        *place = Some(outcome.clone());
        Ok(outcome)
    }

    /// Takes `amount` of the budget, dropping forms that nobody is being sent for it.
    fn reserve(&self, amount: u64) -> Option<Permit> {
        loop {
            if let Some(permit) = self.compressed.hold(amount) {
                return Some(permit);
            }
            // Dropped outside of the lock.
            let dropped = self.lock().drop_one()?;
            drop(dropped);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lately(&mut self, key: &Key, now: Time) -> Lately {
        let lately = self.lately.get(key).copied().filter(|it| now.since(it.since) < CHURN);
        lately.unwrap_or(Lately { since: now, times: 0 })
    }

    /// Takes out the form that was used least lately, of those that nobody has.
    fn drop_one(&mut self) -> Option<Compressed> {
        // At most two rounds: the first takes the marks off.
        for _ in 0..2 * self.order.len() {
            let key = self.order.pop_front()?;
            let Some(form) = self.forms.remove(&key) else { continue };
            let form = if form.take_used() || !form.is_unique() {
                form
            } else {
                // From here on nobody can get at it by the entries that know it.
                match Arc::try_unwrap(form) {
                    Ok(form) if form.is_unique() => return Some(form),
                    // Somebody got at it since: the entries find it again when it is made anew.
                    Ok(form) => Arc::new(form),
                    Err(form) => form,
                }
            };
            self.forms.insert(key.clone(), form);
            self.order.push_back(key);
        }
        None
    }
}

/// Makes a form for a place, and takes the place away afterwards.
struct Maker<'a> {
    forms: &'a CompressedCache,
    key: &'a Key,
}

impl Maker<'_> {
    fn make(
        self,
        most: u64,
        now: Time,
        make: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<CompressionResult> {
        let working = working_memory(self.key.coding, most);
        let Some(_working) = self.forms.working.hold(working) else {
            return Ok(CompressionResult::Refused);
        };
        let Some(mut permit) = self.forms.reserve(most + OVERHEAD) else {
            return Ok(CompressionResult::Refused);
        };
        // A compressor that finds no memory would end the process.
        if !is_available(working) {
            return Ok(CompressionResult::Refused);
        }
        let Some(content) = make()? else {
            self.forms.lock().futile.put(self.key.clone(), (), 1);
            return Ok(CompressionResult::Futile);
        };
        let is_less = permit.resize(content.len() as u64 + OVERHEAD);
        debug_assert!(is_less, "no form is longer than it may be");
        let form = Arc::new(Compressed::new(content, permit));
        let mut state = self.forms.lock();
        let Lately { since, times } = state.lately(self.key, now);
        state.lately.put(self.key.clone(), Lately { since, times: times + 1 }, 1);
        state.forms.insert(self.key.clone(), Arc::clone(&form));
        state.order.push_back(self.key.clone());
        Ok(CompressionResult::Made(form))
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.forms.lock().under_way.remove(self.key);
    }
}

/// How much memory compressing `len` bytes takes at the most besides what comes of it: measured at
/// the levels of [`super::compress`], and rounded up.
pub(crate) fn working_memory(coding: Coding, len: u64) -> u64 {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match coding {
        Coding::Gzip => MIB,
        Coding::Zstd if len <= 128 * KIB => 2 * MIB,
        Coding::Zstd => 17 * MIB,
        Coding::Brotli => (8 * MIB + 8 * len).min(20 * MIB),
    }
}

/// Whether the process can have so much memory at this moment.
pub(crate) fn is_available(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

/// Takes what comparing a file with a compressed form of it needs: the largest window that a form may
/// have, and what a decoder has besides.
pub(crate) fn hold_for_comparing(working: &Arc<Budget>) -> Option<Permit> {
    const WINDOWS: u64 = 20 * 1024 * 1024;
    working.hold(WINDOWS).filter(|_| is_available(WINDOWS))
}

#[cfg(test)]
mod tests;
