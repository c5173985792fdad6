//! Reads all entries of a folder, in a job.

use std::ops::ControlFlow;

use sockeye_proto::{CancelToken, Permit};

use super::query::Sort;
use super::rows::{Row, Rows};
use crate::limits::lease::Lease;
use crate::naming::path::beneath;
use crate::store::absent::Absent;
use crate::store::omitted::Omitted;
use crate::store::traits::{Kind, Opened, Store};

/// The most entries of a folder that are listed.
pub(crate) const MAX_ENTRIES: usize = 200_000;

/// The most bytes of a README that are shown.
pub(crate) const MAX_README: usize = 64 * 1024;

/// The names of README files, in lower case. The first that exists is shown.
const READMES: [&[u8]; 3] = [b"readme.md", b"readme.txt", b"readme"];

/// The number of entries between two checks of the memory budget and for cancellation.
const ENTRIES_PER_CHECK: usize = 1024;

/// The entries of a folder.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Sorted by name.
    pub(crate) rows: Rows,
    /// Whether there are more than [`MAX_ENTRIES`].
    pub(crate) truncated: bool,
    /// The other entries of the folder.
    pub(crate) omitted: Omitted,
    _held: Permit,
}

impl Listing {
    /// Reads `folder`. Blocks.
    ///
    /// # Errors
    ///
    /// [`Absent::Exhausted`] also if `lease` can't be resized for it, or `cancel` is set.
    pub(crate) fn read(
        store: &dyn Store,
        folder: &[u8],
        mut lease: Lease,
        cancel: &CancelToken,
    ) -> Result<Self, Absent> {
        let (mut rows, mut truncated, mut short) = (Rows::default(), false, false);
        let omitted = store.list(folder, &mut |child| {
            if rows.len().is_multiple_of(ENTRIES_PER_CHECK) {
                short = !lease.resize(rows.weight()) || cancel.is_cancelled();
            }
            short |= !rows.reserve(child.name.len());
            if short {
                return ControlFlow::Break(());
            }
            if rows.len() == MAX_ENTRIES || !rows.push(Row::from(child)) {
                truncated = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        rows.shrink();
        if short || !lease.resize(rows.weight()) {
            return Err(Absent::Exhausted);
        }
        rows.sort(Sort::Name, false, 0..usize::MAX);
        Ok(Self { rows, truncated, omitted, _held: lease.share() })
    }

    /// Reads the README of the folder. `None` if there is none, or it can't be read.
    pub(crate) fn readme(&self, store: &dyn Store, folder: &[u8]) -> Option<Readme> {
        let named = |readme: &[u8]| {
            let this =
                |row: &Row<'_>| row.kind == Kind::File && row.name.eq_ignore_ascii_case(readme);
            self.rows.iter().find(this).map(|row| row.name)
        };
        let name = READMES.iter().find_map(|readme| named(readme))?;
        let path = beneath(folder, name);
        let Ok(Opened::File(file, _)) = store.open(&path) else { return None };
        let mut text = vec![0; MAX_README];
        let filled = file.fill(0, &mut text).ok()?;
        let more = filled == text.len() && matches!(file.read_at(filled as u64, &mut [0]), Ok(1));
        text.truncate(filled);
        text.shrink_to_fit();
        Some(Readme { name: name.to_vec(), text, truncated: more })
    }
}

/// The README of a folder.
#[derive(Debug, Hash)]
pub(crate) struct Readme {
    pub(crate) name: Vec<u8>,
    pub(crate) text: Vec<u8>,
    /// Whether it is longer than [`MAX_README`].
    pub(crate) truncated: bool,
}

#[cfg(test)]
mod tests {
    use sockeye_proto::{Budget, Client, Waiter};

    use super::*;
    use crate::store::memory::Memory;

    fn read(store: &Memory, folder: &str, lease: Lease) -> Result<Listing, Absent> {
        Listing::read(store, folder.as_bytes(), lease, &CancelToken::default())
    }

    fn listing(store: &Memory, folder: &str) -> Listing {
        read(store, folder, crate::tests::lease(1 << 30)).unwrap()
    }

    #[test]
    fn readmes_are_found_in_any_case_and_by_preference() {
        let store = Memory::new();
        for (name, content) in [
            ("README", "plain"),
            ("ReadMe.TXT", "text"),
            ("sub/readme.md", "# sub"),
            ("none/readme.md/x", ""),
        ] {
            store.write(name, content);
        }
        let readme = |folder: &str| {
            listing(&store, folder).readme(&store, folder.as_bytes()).map(|readme| readme.text)
        };
        assert_eq!(readme("").as_deref(), Some(&b"text"[..]));
        assert_eq!(readme("sub").as_deref(), Some(&b"# sub"[..]));
        assert_eq!(readme("none"), None, "a folder of that name");
    }

    #[test]
    fn long_readmes_are_cut_and_marked() {
        let store = Memory::new();
        store.write("README.md", vec![b'a'; MAX_README]);
        let readme = listing(&store, "").readme(&store, b"").unwrap();
        assert_eq!((readme.text.len(), readme.truncated), (MAX_README, false));
        store.write("README.md", vec![b'a'; MAX_README + 1]);
        let readme = listing(&store, "").readme(&store, b"").unwrap();
        assert_eq!((readme.text.len(), readme.truncated), (MAX_README, true));
    }

    #[test]
    fn folders_beyond_the_memory_budget_are_not_listed() {
        let store = Memory::new();
        (0..100).for_each(|at| store.write(&at.to_string(), ""));
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
