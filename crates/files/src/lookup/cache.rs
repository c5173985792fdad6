//! What a shard has looked up lately: bounded in entries, in bytes and in descriptors.
//!
//! Eviction is by the clock algorithm: a hand goes round; what was asked for since it last came by
//! stays, what wasn't goes. Names that are asked for once (a scan, a flood of misses) go first, and
//! no hit moves anything. An entry that nobody asks for holds its memory until the hand comes by, and
//! descriptors for a few seconds ([`Cache::deadline`]): an open file keeps its space on the disk
//! after it was deleted, and its file system from being unmounted.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use sockeye_proto::{Access, Time};

use super::entry::{Entry, Target};
use crate::store::traits::FRESH;

/// How long a kept descriptor is taken for the current file without asking. A change that is seen
/// before a response begins gives the new content; one that is seen later cuts the response.
const CHECKED: Duration = Duration::from_millis(10);

/// What an entry costs besides its key and its content: the entry, its fields, the response that is made
/// of them, its place. Counted roughly, so that a flood of tiny entries is bounded in bytes as well.
const OVERHEAD: usize = 1536;

/// How many slots are looked at for entries that have gone stale, each time one is put.
const SWEEP: usize = 2;

/// An entry that was not asked for in so long is let go when the hand comes by.
const STALE: Duration = Duration::from_secs(60);

/// An entry that holds descriptors is let go when it was not asked for in so long. Its lookup is
/// out of date by then.
const OPEN: Duration = Duration::from_secs(5);

/// Entries with descriptors are looked through no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// How much one shard keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Names that were looked up, found or not. 4,096.
    pub entries: usize,
    /// Bytes of memory, all in all. 16 MiB.
    pub bytes: usize,
    /// Descriptors of files too large for memory. 256.
    pub descriptors: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries: 4096, bytes: 16 * 1024 * 1024, descriptors: 256 }
    }
}

/// A place in the cache.
pub(crate) struct Slot {
    key: Rc<[u8]>,
    /// Whether a path that is sent as the key is means this key: one with a `%` would mean another.
    plain: bool,
    pub(crate) entry: Arc<Entry>,
    /// When its lookup began; `None` once it is known to be out of date.
    looked: Option<Time>,
    /// When it was last seen that the open file is the one that was looked up.
    checked: Time,
    view: Time,
    /// Asked for since the hand came by.
    used: bool,
}

/// The entries of one shard.
pub(crate) struct Cache {
    limits: CacheLimits,
    // Invariant: `index[slots[i].key] == i` for every slot, and nothing else is in the index.
    // Keyed anew in each process, and bounded: names that collide on purpose cost little.
    index: HashMap<Rc<[u8]>, usize, RandomState>,
    slots: Vec<Slot>,
    hand: usize,
    bytes: usize,
    descriptors: usize,
    /// When to look for descriptors to close. `None` while there are none.
    deadline: Option<Time>,
}

impl Slot {
    /// Whether a request may be answered with it: its lookup is fresh, and the files that it holds
    /// open are still the ones that were looked up.
    fn is_fresh(&mut self, now: Time) -> bool {
        let is_fresh = self.looked.is_some_and(|looked| now < looked + FRESH);
        is_fresh && (now < self.checked + CHECKED || self.check(now))
    }

    /// Looks at the open files; the name is looked up again where one has changed, or where looking
    /// might block: then the lookup, which a thread makes, is the look.
    fn check(&mut self, now: Time) -> bool {
        let mut files = self.entry.open_files();
        let unchanged = files.all(|file| file.access() != Access::Thread && file.is_unchanged());
        if unchanged {
            self.checked = now;
        } else {
            self.looked = None;
        }
        unchanged
    }

    /// It was asked for.
    fn touch(&mut self, now: Time) {
        self.used = true;
        self.view = now;
    }

    fn weight(&self) -> usize {
        OVERHEAD + self.key.len() + self.entry.weight()
    }
}

fn is_plain(key: &[u8]) -> bool {
    !key.contains(&b'%')
}

impl Cache {
    pub(crate) fn new(limits: CacheLimits) -> Self {
        let (index, slots) = (HashMap::default(), Vec::new());
        Self { limits, index, slots, hand: 0, bytes: 0, descriptors: 0, deadline: None }
    }

    /// What is known under `key`, fresh or not. Allocates nothing.
    pub(crate) fn get(&mut self, key: &[u8], now: Time) -> Option<&mut Slot> {
        let slot = &mut self.slots[*self.index.get(key)?];
        slot.touch(now);
        Some(slot)
    }

    /// What is known under `key`, if a request may be answered with it.
    pub(crate) fn fresh(&mut self, key: &[u8], now: Time) -> Option<&Arc<Entry>> {
        let slot = self.get(key, now)?;
        slot.is_fresh(now).then_some(&slot.entry)
    }

    /// As [`Cache::fresh`], of a `name` as it was sent, if that needs no decoding. What stands here
    /// as a key was checked when it came here.
    pub(crate) fn fresh_as_sent(&mut self, name: &[u8], now: Time) -> Option<&Arc<Entry>> {
        let slot = &mut self.slots[*self.index.get(name)?];
        if !slot.plain {
            return None;
        }
        slot.touch(now);
        slot.is_fresh(now).then_some(&slot.entry)
    }

    /// Keeps what a lookup that began at `looked` has found, unless a later one is known. Makes
    /// room for it first; what can't fit at all is not kept.
    pub(crate) fn put(&mut self, key: &[u8], entry: Arc<Entry>, looked: Time, now: Time) {
        // What we lacked says nothing about the name, and may be there for the next request.
        if matches!(entry.what, Target::Absent(absent) if absent.is_ours()) {
            return;
        }
        if let Some(at) = self.index.get(key) {
            if self.slots[*at].looked > Some(looked) {
                return;
            }
            // Many wait for the same lookup; all but the first put what is there already.
            if Arc::ptr_eq(&self.slots[*at].entry, &entry) {
                self.slots[*at].looked = Some(looked);
                self.slots[*at].checked = now;
                return;
            }
            self.remove(*at);
        }
        self.sweep(now);
        self.add(Slot {
            key: Rc::from(key),
            plain: is_plain(key),
            entry,
            looked: Some(looked),
            checked: now,
            view: now,
            used: false,
        });
    }

    /// Keeps the same file with another coding, unless something else is known by now. When it was
    /// looked up stays as it was.
    pub(crate) fn put_coded(&mut self, key: &[u8], entry: &Arc<Entry>) {
        let Some(&at) = self.index.get(key) else { return };
        let Slot { entry: known, looked, checked, view, .. } = &self.slots[at];
        if Arc::ptr_eq(known, entry) || !entry.goes_on_from(known) {
            return;
        }
        let (looked, checked, view) = (*looked, *checked, *view);
        self.remove(at);
        let (plain, key, entry) = (is_plain(key), Rc::from(key), Arc::clone(entry));
        self.add(Slot { key, plain, entry, looked, checked, view, used: true });
    }

    fn add(&mut self, slot: Slot) {
        let (weight, descriptors) = (slot.weight(), slot.entry.descriptors());
        if !self.make_room(weight, descriptors) {
            return;
        }
        self.bytes += weight;
        self.descriptors += descriptors;
        if descriptors > 0 {
            self.deadline = self.deadline.or(Some(slot.view + OPEN));
        }
        self.index.insert(Rc::clone(&slot.key), self.slots.len());
        self.slots.push(slot);
    }

    /// Evicts until one more entry fits. At most two rounds of the hand: the first takes the marks
    /// off, the second takes the entries.
    fn make_room(&mut self, weight: usize, descriptors: usize) -> bool {
        for _ in 0..=2 * self.slots.len() {
            let CacheLimits { entries, bytes, descriptors: most } = self.limits;
            let crowded = self.slots.len() + 1 > entries || self.bytes + weight > bytes;
            let short = descriptors > 0 && self.descriptors + descriptors > most;
            if !crowded && !short {
                return true;
            }
            let Some(slot) = self.slots.get_mut(self.hand) else {
                if self.slots.is_empty() {
                    return false;
                }
                self.hand = 0;
                continue;
            };
            // For want of a descriptor, only those that hold one go.
            if (crowded || slot.entry.descriptors() > 0) && !std::mem::take(&mut slot.used) {
                self.remove(self.hand);
            } else {
                self.hand += 1;
            }
        }
        false
    }

    /// Looks at a few slots under the hand and lets go of those that nobody asks for any more.
    fn sweep(&mut self, now: Time) {
        for _ in 0..SWEEP {
            match self.slots.get(self.hand) {
                Some(slot) if now.since(slot.view) > STALE => self.remove(self.hand),
                Some(_) => self.hand += 1,
                None => self.hand = 0,
            }
        }
    }

    /// When [`Cache::close_idle`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// Lets go of entries with descriptors that nobody asks for any more.
    pub(crate) fn close_idle(&mut self, now: Time) {
        let mut next = Time::NEVER;
        // From the end: what takes the place of a removed entry was looked at.
        for at in (0..self.slots.len()).rev() {
            let slot = &self.slots[at];
            if slot.entry.descriptors() == 0 {
                continue;
            }
            match slot.view + OPEN {
                until if until <= now => self.remove(at),
                until => next = next.min(until),
            }
        }
        self.deadline = (next != Time::NEVER).then(|| next.max(now + PAUSE));
    }

    fn remove(&mut self, at: usize) {
        let slot = self.slots.swap_remove(at);
        self.index.remove(&slot.key);
        self.bytes -= slot.weight();
        self.descriptors -= slot.entry.descriptors();
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(Rc::clone(&moved.key), at);
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("entries", &self.slots.len())
            .field("bytes", &self.bytes)
            .field("descriptors", &self.descriptors)
            .finish_non_exhaustive()
    }
}
