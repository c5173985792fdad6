//! How much memory all listings and archives that are being sent may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound on memory that many share.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    used: AtomicUsize,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: AtomicUsize::new(0) })
    }

    /// A lease of nothing yet.
    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        Lease { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Lease {
    /// Makes it a lease of `bytes`. Returns whether there was so much; if not it stays what it was.
    #[must_use]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let Self { budget, bytes: held } = self;
        if let Some(less) = held.checked_sub(bytes) {
            budget.used.fetch_sub(less, Ordering::Relaxed);
            *held = bytes;
            return true;
        }
        let more = bytes - *held;
        let grown = budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| *sum <= budget.most)
        });
        if grown.is_ok() {
            *held = bytes;
        }
        grown.is_ok()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_had_again_and_never_more() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.lease(), budget.lease());
        assert!(one.resize(6) && other.resize(4));
        assert!(!one.resize(7) && !other.resize(usize::MAX));
        assert!(one.resize(5) && other.resize(5));
        drop(one);
        assert!(other.resize(10));
        drop(other);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
