//! Reads all entries of a folder, in a job (work on a thread that may block).

use std::ops::ControlFlow;

use sockeye_proto::{CancelToken, Permit};

use super::query::Sort;
use super::rows::{Row, Rows};
use crate::limits::lease::Lease;
use crate::store::absent::Absent;
use crate::store::omitted::Omitted;
use crate::store::traits::Store;

/// The most entries of a folder that are listed.
pub(crate) const MAX_ENTRIES: usize = 200_000;

/// Each time this many entries were read, the job checks whether the memory budget has room for
/// them, and whether the job was cancelled.
const ENTRIES_PER_CHECK: usize = 1024;

/// The entries of a folder.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Sorted by name.
    pub(crate) rows: Rows,
    /// Whether entries are missing: there are more than [`MAX_ENTRIES`], or a name can't be stored
    /// ([`Rows::push`]).
    pub(crate) truncated: bool,
    /// The entries that are left out, counted by reason.
    pub(crate) omitted: Omitted,
    /// The memory of the rows, as counted in the budget.
    _held: Permit,
}

impl Listing {
    /// Reads `folder`. Blocks.
    ///
    /// # Errors
    ///
    /// The error of the store; [`Absent::OutOfMemory`]; or [`Absent::Exhausted`] if `lease` (memory
    /// charged to the client) can't be resized for the entries, or `cancel` is set.
    pub(crate) fn read(
        store: &dyn Store,
        folder: &[u8],
        mut lease: Lease,
        cancel: &CancelToken,
    ) -> Result<Self, Absent> {
        let (mut rows, mut truncated, mut failure) = (Rows::default(), false, None);
        let omitted = store.list(folder, &mut |child| {
            let is_check = rows.len().is_multiple_of(ENTRIES_PER_CHECK);
            if is_check && (!lease.resize(rows.weight()) || cancel.is_cancelled()) {
                failure = Some(Absent::Exhausted);
                return ControlFlow::Break(());
            }
            if !rows.reserve(child.name.len()) {
                failure = Some(Absent::OutOfMemory);
                return ControlFlow::Break(());
            }
            if rows.len() == MAX_ENTRIES || !rows.push(Row::from(child)) {
                truncated = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        rows.shrink();
        if failure.is_none() && !lease.resize(rows.weight()) {
            failure = Some(Absent::Exhausted);
        }
        if let Some(absent) = failure {
            return Err(absent);
        }
        rows.sort(Sort::Name, false, 0..usize::MAX);
        // Responses to several clients may use the listing, so the client that asked for it first
        // is no longer charged for it. Each response charges its own client.
        Ok(Self { rows, truncated, omitted, _held: lease.stop_charging() })
    }
}

#[cfg(test)]
mod tests {
    use sockeye_proto::{Budget, Client, Waiter};

    use super::*;
    use crate::store::memory::Memory;

    fn read(store: &Memory, folder: &str, lease: Lease) -> Result<Listing, Absent> {
        Listing::read(store, folder.as_bytes(), lease, &CancelToken::default())
    }

    #[test]
    fn folders_beyond_the_memory_budget_are_not_listed() {
        let store = Memory::new();
        (0..100).for_each(|at| store.write(&at.to_string(), ""));
        // A row takes 24 bytes, and all names together take less than 200. The share of
        // `Client::Unix` is half of a budget.
        let listed = read(&store, "", crate::tests::lease(100 * 24));
        assert_eq!(listed.map(|listing| listing.rows.len()).err(), Some(Absent::Exhausted));
        let budget = Budget::new("listings", 2 * (100 * 24 + 200));
        let listed = read(&store, "", Lease::new(&budget, Client::Unix).unwrap()).unwrap();
        assert_eq!(budget.used(), listed.rows.weight() as u64);
        drop(listed);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn reading_a_folder_stops_when_nobody_waits() {
        let store = Memory::new();
        (0..3 * ENTRIES_PER_CHECK).for_each(|at| store.write(&at.to_string(), ""));
        let (waiter, cancel) = Waiter::new();
        let lease = || crate::tests::lease(1 << 30);
        assert!(Listing::read(&store, b"", lease(), &cancel).is_ok());
        drop(waiter);
        let listed = Listing::read(&store, b"", lease(), &cancel);
        assert_eq!(listed.map(|listing| listing.rows.len()).err(), Some(Absent::Exhausted));
    }
}
