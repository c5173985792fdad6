//! What was used lately, up to a weight: a map that forgets.
//!
//! It has two halves. What is put or asked for is in the young one; when that is full it becomes
//! the old one, and what the old one held and nobody asked for is forgotten. So nothing is walked
//! through, and whatever was used while half of the weight passed by is still there.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    young: HashMap<K, Weighed<V>>,
    old: HashMap<K, Weighed<V>>,
    /// What the young half weighs.
    weight: usize,
    /// The most that a half may weigh.
    half: usize,
}

#[derive(Debug)]
struct Weighed<V> {
    value: V,
    weight: usize,
}

impl<K: Eq + Hash, V> BoundedMap<K, V> {
    /// A map that holds at most `most` in weight, and nothing that weighs more than half of it.
    pub(crate) fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), weight: 0, half: most / 2 }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, Weighed { value, weight }) = self.old.remove_entry(key)?;
            self.put(key, value, weight);
        }
        self.young.get(key).map(|weighed| &weighed.value)
    }

    /// Keeps a value, in the place of another with that key.
    pub(crate) fn put(&mut self, key: K, value: V, weight: usize) {
        self.old.remove(&key);
        if let Some(before) = self.young.remove(&key) {
            self.weight -= before.weight;
        }
        if weight > self.half {
            return;
        }
        if self.weight + weight > self.half {
            self.old = mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        self.young.insert(key, Weighed { value, weight });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weight(map: &BoundedMap<u8, u8>) -> usize {
        map.young.values().chain(map.old.values()).map(|weighed| weighed.weight).sum()
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_goes() {
        let mut map = BoundedMap::new(8);
        map.put(0, 'a', 1);
        for key in 1..100 {
            map.put(key, 'b', 1);
            assert_eq!(map.get(&0), Some(&'a'));
        }
        assert_eq!(map.get(&1), None);
        assert_eq!(map.get(&99), Some(&'b'));
    }

    #[test]
    fn what_is_too_heavy_is_not_kept_and_takes_nothing_with_it_but_its_namesake() {
        let mut map = BoundedMap::new(8);
        map.put(1, 'a', 4);
        map.put(2, 'b', 4);
        map.put(3, 'c', 5);
        assert_eq!([1, 3].map(|key| map.get(&key).copied()), [Some('a'), None]);
        map.put(1, 'd', 5);
        assert_eq!([1, 2].map(|key| map.get(&key).copied()), [None, Some('b')]);
        assert_eq!(BoundedMap::<u8, u8>::new(0).get(&1), None);
    }

    proptest! {
        #[test]
        fn the_weight_holds_and_no_old_value_comes_back(
            steps in proptest::collection::vec((0..12_u8, proptest::option::of(0..6_usize)), 0..200),
            most in 0..20_usize,
        ) {
            let mut map = BoundedMap::new(most);
            let mut last = HashMap::new();
            for (step, (key, put)) in steps.into_iter().enumerate() {
                match put {
                    Some(weight) => {
                        map.put(key, step as u8, weight);
                        last.insert(key, step as u8);
                    }
                    None => {
                        if let Some(value) = map.get(&key) {
                            prop_assert_eq!(Some(value), last.get(&key));
                        }
                    }
                }
                prop_assert!(weight(&map) <= most);
                let young: usize = map.young.values().map(|weighed| weighed.weight).sum();
                prop_assert_eq!(young, map.weight);
            }
        }
    }
}
