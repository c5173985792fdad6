//! Work that several threads want at a time: one does it, the others wait for its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use super::lock::lock;

/// The work in progress, by key.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, V> {
    results: Mutex<HashMap<K, Arc<Mutex<Option<V>>>>>,
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self { results: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> SingleFlight<K, V> {
    /// Whether somebody works on `key`.
    pub(crate) fn contains(&self, key: &K) -> bool {
        lock(&self.results).contains_key(key)
    }

    /// The result for `key`: that of a thread which works on it now, else that of `work`. Blocks.
    ///
    /// `work` looks for a result that is known already first: another thread may have just ended.
    ///
    /// # Errors
    ///
    /// Those of `work`. A thread that waited tries for itself then.
    pub(crate) fn run<E>(&self, key: &K, work: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let result = Arc::clone(lock(&self.results).entry(key.clone()).or_default());
        let mut result = lock(&result);
        if let Some(value) = &*result {
            return Ok(value.clone());
        }
        // However this ends, threads that come later don't wait here.
        let _remove = Remove { flight: self, key };
        let value = work()?;
        *result = Some(value.clone());
        Ok(value)
    }
}

struct Remove<'a, K: Eq + Hash, V> {
    flight: &'a SingleFlight<K, V>,
    key: &'a K,
}

impl<K: Eq + Hash, V> Drop for Remove<'_, K, V> {
    fn drop(&mut self) {
        lock(&self.flight.results).remove(self.key);
    }
}
