//! Work that several threads need at the same time: one does it, the others wait for its result.

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
    /// Whether a thread works on `key`.
    pub(crate) fn contains(&self, key: &K) -> bool {
        lock(&self.results).contains_key(key)
    }

    /// The result for `key`: waits for the thread that works on it, or calls `work`. Blocks.
    ///
    /// `work` should first check whether the result exists: another thread may have just finished.
    ///
    /// # Errors
    ///
    /// Those of `work`. Each thread that waited then calls its own `work`.
    pub(crate) fn run<E>(&self, key: &K, work: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let result = Arc::clone(lock(&self.results).entry(key.clone()).or_default());
        let mut result = lock(&result);
        if let Some(value) = &*result {
            return Ok(value.clone());
        }
        // Removes the entry, also after an error or a panic, so that later threads don't wait for
        // it.
        let _remove = RemoveOnDrop { work: self, key };
        let value = work()?;
        *result = Some(value.clone());
        Ok(value)
    }
}

struct RemoveOnDrop<'a, K: Eq + Hash, V> {
    work: &'a SingleFlight<K, V>,
    key: &'a K,
}

impl<K: Eq + Hash, V> Drop for RemoveOnDrop<'_, K, V> {
    fn drop(&mut self) {
        lock(&self.work.results).remove(self.key);
    }
}
