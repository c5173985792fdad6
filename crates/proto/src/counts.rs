//! Counts by key, for limits per client and the like.

use std::collections::HashMap;
use std::hash::Hash;

/// Counts by key. A key whose count is 0 takes no memory.
#[derive(Debug)]
pub struct Counts<K>(HashMap<K, u64>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Counts<K> {
    /// Whether all counts are 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The count of `key`.
    #[must_use]
    pub fn get(&self, key: K) -> u64 {
        self.0.get(&key).copied().unwrap_or(0)
    }

    /// Adds to a count.
    pub fn add(&mut self, key: K, more: u64) {
        if more > 0 {
            *self.0.entry(key).or_default() += more;
        }
    }

    /// Subtracts from a count what was added before.
    pub fn subtract(&mut self, key: K, less: u64) {
        if let Some(count) = self.0.get_mut(&key) {
            *count -= less;
            if *count == 0 {
                self.0.remove(&key);
            }
        }
    }
}
