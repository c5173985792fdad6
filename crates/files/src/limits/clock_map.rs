//! A map for the caches of this crate. It evicts entries by the clock algorithm.
//!
//! A hand moves round the entries. To make room, the hand moves on to the next entry that is not
//! marked as used, and evicts this entry. The hand removes the marks of the entries that it passes.
//! Using an entry only sets its mark. A new entry has no mark.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

use foldhash::quality::RandomState;

/// A map whose entries have weights. Callers limit the sum of the weights.
#[derive(Debug)]
pub(crate) struct ClockMap<K, V> {
    // Invariant: `index[slots[i].key] == i` for every slot, and nothing else is in the index.
    // The hasher has a random seed and maps are bounded, so colliding keys cost little.
    index: HashMap<K, usize, RandomState>,
    slots: Vec<Slot<K, V>>,
    hand: usize,
    /// The sum of the weights.
    weight: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    weight: usize,
    /// Whether the entry is marked as used: see [`ClockMap::evict`].
    used: bool,
}

impl<K, V> Default for ClockMap<K, V> {
    fn default() -> Self {
        Self { index: HashMap::default(), slots: Vec::new(), hand: 0, weight: 0 }
    }
}

impl<K: Clone + Eq + Hash, V> ClockMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// The value of `key`. Marks it as used. Allocates nothing.
    #[inline(always)] // Runs for each request.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let slot = &mut self.slots[*self.index.get(key)?];
        slot.used = true;
        Some(&mut slot.value)
    }

    /// The value of `key`. Doesn't mark it as used.
    pub(crate) fn peek<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.index.get(key).map(|at| &self.slots[*at].value)
    }

    /// Sets the value of `key`, and marks it as not used. Evicts nothing.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: usize) {
        self.remove(&key);
        self.weight += weight;
        self.index.insert(key.clone(), self.slots.len());
        self.slots.push(Slot { key, value, weight, used: false });
    }

    /// Sets the value of `key`, and evicts others until the sum of the weights is at most
    /// `max_weight`. A value that alone weighs more is not kept, and the old value of `key` is
    /// removed.
    pub(crate) fn insert_within(&mut self, max_weight: usize, key: K, value: V, weight: usize) {
        self.remove(&key);
        if weight > max_weight {
            return;
        }
        while self.weight + weight > max_weight {
            self.evict(|_| true);
        }
        self.insert(key, value, weight);
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = *self.index.get(key)?;
        Some(self.remove_at(at).1)
    }

    /// Evicts the next entry for which `is_evictable` is true and that is not marked as used.
    /// Removes the mark from the evictable entries that the hand passes. Returns `None` if
    /// `is_evictable` is true for no entry.
    pub(crate) fn evict(&mut self, mut is_evictable: impl FnMut(&V) -> bool) -> Option<(K, V)> {
        // The first round clears `used`, the second finds an entry that is not used. A round has
        // one step more than there are entries: the step from the end to the start.
        for _ in 0..2 * (self.slots.len() + 1) {
            let Some(slot) = self.slots.get_mut(self.hand) else {
                self.hand = 0;
                continue;
            };
            if is_evictable(&slot.value) && !mem::take(&mut slot.used) {
                return Some(self.remove_at(self.hand));
            }
            self.hand += 1;
        }
        None
    }

    /// Moves the hand over at most `count` entries, and removes those for which `stale` is true.
    /// The others keep their marks.
    pub(crate) fn sweep(&mut self, count: usize, mut stale: impl FnMut(&V) -> bool) {
        for _ in 0..count {
            match self.slots.get(self.hand) {
                None => self.hand = 0,
                Some(slot) if stale(&slot.value) => drop(self.remove_at(self.hand)),
                Some(_) => self.hand += 1,
            }
        }
    }

    /// Removes the entries for which `keep` is false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        // From the end: removing an entry moves the last one into the gap. The last one was checked
        // before.
        for at in (0..self.slots.len()).rev() {
            if !keep(&self.slots[at].value) {
                self.remove_at(at);
            }
        }
    }

    fn remove_at(&mut self, at: usize) -> (K, V) {
        let slot = self.slots.swap_remove(at);
        self.index.remove(&slot.key);
        self.weight -= slot.weight;
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(moved.key.clone(), at);
        }
        (slot.key, slot.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn used_entries_stay_and_unused_ones_are_evicted() {
        let mut map = ClockMap::default();
        map.insert_within(8, 0, 'a', 1);
        for key in 1..100 {
            map.insert_within(8, key, 'b', 1);
            assert_eq!(map.get(&0), Some(&mut 'a'));
        }
        assert_eq!((map.len(), map.weight()), (8, 8));
        assert_eq!(map.peek(&1), None);
        assert_eq!(map.peek(&99), Some(&'b'));
    }

    #[test]
    fn too_heavy_values_remove_the_old_value_of_their_key_and_evict_no_other() {
        let mut map = ClockMap::default();
        map.insert_within(8, 1, 'a', 4);
        map.insert_within(8, 2, 'b', 4);
        map.insert_within(8, 3, 'c', 9);
        assert_eq!([1, 3].map(|key| map.peek(&key).copied()), [Some('a'), None]);
        map.insert_within(8, 1, 'd', 9);
        assert_eq!([1, 2].map(|key| map.peek(&key).copied()), [None, Some('b')]);
        map.insert_within(0, 4, 'e', 1);
        assert_eq!(map.peek(&4), None);
    }

    #[test]
    fn only_evictable_entries_are_evicted() {
        let mut map = ClockMap::default();
        (0..4).for_each(|key| map.insert(key, key, 1));
        map.get(&2);
        assert_eq!(map.evict(|value| *value >= 2), Some((3, 3)));
        assert_eq!(map.evict(|value| *value >= 2), Some((2, 2)));
        assert_eq!(map.evict(|value| *value >= 2), None);
        map.sweep(10, |value| *value == 0);
        map.retain(|value| *value != 1);
        assert_eq!((map.len(), map.weight()), (0, 0));
    }

    #[test]
    fn a_used_entry_just_before_the_hand_is_evicted() {
        let mut map = ClockMap::default();
        map.insert(1, 'a', 1);
        map.sweep(1, |_| false);
        map.get(&1);
        assert_eq!(map.evict(|_| true), Some((1, 'a')));
    }

    proptest! {
        #[test]
        fn weights_stay_within_the_limit_and_values_are_current(
            steps in proptest::collection::vec((0..12_u8, proptest::option::of(0..6_usize)), 0..200),
            max_weight in 0..20_usize,
        ) {
            let mut map = ClockMap::default();
            let mut last = HashMap::new();
            for (step, (key, put)) in steps.into_iter().enumerate() {
                match put {
                    Some(weight) => {
                        map.insert_within(max_weight, key, step as u8, weight);
                        last.insert(key, step as u8);
                    }
                    None => {
                        if let Some(value) = map.get(&key) {
                            prop_assert_eq!(Some(&*value), last.get(&key));
                        }
                    }
                }
                prop_assert!(map.weight() <= max_weight);
                let weights: usize = map.slots.iter().map(|slot| slot.weight).sum();
                prop_assert_eq!(weights, map.weight());
                prop_assert_eq!(map.index.len(), map.len());
            }
        }
    }
}
