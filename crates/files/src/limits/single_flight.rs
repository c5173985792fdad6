//! Work that several threads need at the same time: one does it, the others wait for its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use super::lock::lock;

/// The work in progress, by key. The thread that works on a key holds the lock of the key's entry
/// until its work has ended; the others wait for this lock.
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
    /// Those of `work`. The threads that waited don't get them: one of these threads calls its own
    /// `work`, and the others wait for its result.
    pub(crate) fn run<E>(&self, key: &K, work: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let current_entry = || Arc::clone(lock(&self.results).entry(key.clone()).or_default());
        let mut entry = current_entry();
        let mut result = loop {
            let result = lock(&entry);
            if let Some(value) = &*result {
                return Ok(value.clone());
            }
            let current = current_entry();
            if Arc::ptr_eq(&current, &entry) {
                break result;
            }
            // The thread that this one waited for has failed, and removed its entry.
            drop(result);
            entry = current;
        };
        // Removes the entry after the work, also after an error or a panic. Otherwise later calls
        // would get the old result, and `contains` would stay true.
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn one_thread_works_at_a_time_also_after_an_error() {
        let flight = &SingleFlight::<u8, u8>::default();
        let in_progress = &AtomicUsize::new(0);
        // The thread that works and `waiting` others hold the entry, and so does the map.
        let until_others = |waiting: usize| {
            while lock(&flight.results).get(&1).map_or(0, Arc::strong_count) != waiting + 2 {
                assert!(in_progress.load(Ordering::SeqCst) <= 1, "two threads work");
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            let run = |result: Result<u8, ()>| {
                let (begun, has_begun) = channel();
                let (end, may_end) = channel::<()>();
                let thread = scope.spawn(move || {
                    flight.run(&1, || {
                        in_progress.fetch_add(1, Ordering::SeqCst);
                        begun.send(()).unwrap();
                        let _ = may_end.recv();
                        in_progress.fetch_sub(1, Ordering::SeqCst);
                        result
                    })
                });
                (thread, has_begun, end)
            };
            let (first, has_begun, end_first) = run(Err(()));
            has_begun.recv().unwrap();
            let (second, has_begun, end_second) = run(Ok(2));
            until_others(1);
            drop(end_first);
            assert_eq!(first.join().unwrap(), Err(()));
            has_begun.recv().unwrap();
            let (third, _has_begun, _end) = run(Ok(3));
            until_others(1);
            drop(end_second);
            assert_eq!(second.join().unwrap(), Ok(2));
            assert_eq!(third.join().unwrap(), Ok(2));
            assert!(!flight.contains(&1));
        });
    }
}
