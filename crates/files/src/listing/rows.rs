//! The entries of a folder in a compact form: all names in one buffer, and 24 bytes per entry.

use std::cmp::Ordering;

use super::order;
use super::query::Sort;
use crate::store::traits::{Child, Kind};

/// The entries of a folder, or some of them.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    // Invariant: the name of each row is a range of `names`.
    names: Vec<u8>,
    rows: Vec<CompactRow>,
}

/// An entry as it is stored.
#[derive(Clone, Copy, Debug)]
struct CompactRow {
    /// Where the row's name starts in `names`.
    start: u32,
    /// The length of the row's name: at most 255 bytes.
    len: u8,
    kind: Kind,
    size: u64,
    modified: i64,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: Kind,
    /// In bytes; 0 for a folder.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The memory that the rows hold, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.names.capacity() + self.rows.capacity() * size_of::<CompactRow>()
    }

    /// Allocates memory for a row with a name of this length. Returns `false` if memory is short.
    pub(crate) fn reserve(&mut self, name_len: usize) -> bool {
        self.names.try_reserve(name_len).is_ok() && self.rows.try_reserve(1).is_ok()
    }

    /// Adds a row. Returns `false` if its name is longer than 255 bytes, or if the names before it
    /// take 4 GiB or more.
    pub(crate) fn push(&mut self, row: Row<'_>) -> bool {
        let (Ok(start), Ok(len)) = (u32::try_from(self.names.len()), u8::try_from(row.name.len()))
        else {
            return false;
        };
        self.names.extend_from_slice(row.name);
        let Row { kind, size, modified, .. } = row;
        self.rows.push(CompactRow { start, len, kind, size, modified });
        true
    }

    pub(crate) fn get(&self, at: usize) -> Option<Row<'_>> {
        self.rows.get(at).map(|row| self.expand(row))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|row| self.expand(row))
    }

    fn expand(&self, row: &CompactRow) -> Row<'_> {
        let CompactRow { start, len, kind, size, modified } = *row;
        let name = &self.names[start as usize..start as usize + usize::from(len)];
        Row { name, kind, size, modified }
    }

    /// Sorts only as much as `part` needs: afterwards, `part` has the same rows in the same order
    /// as if all rows were sorted. The order of the other rows is unspecified.
    pub(crate) fn sort(&mut self, sort: Sort, descending: bool, part: std::ops::Range<usize>) {
        let Self { names, rows } = self;
        let name = |row: &CompactRow| &names[row.start as usize..][..usize::from(row.len)];
        let compare = |a: &CompactRow, b: &CompactRow| -> Ordering {
            let by_name = || order::natural_order(name(a), name(b));
            let ordering = match sort {
                Sort::Name => by_name(),
                Sort::Size => a.size.cmp(&b.size).then_with(by_name),
                Sort::Date => a.modified.cmp(&b.modified).then_with(by_name),
            };
            // Folders come first, even if the order is descending.
            a.kind.cmp(&b.kind).then(if descending { ordering.reverse() } else { ordering })
        };
        let (start, end) = (part.start.min(rows.len()), part.end.min(rows.len()));
        if end < rows.len() {
            rows.select_nth_unstable_by(end, compare);
        }
        let front = &mut rows[..end];
        if 0 < start && start < end {
            front.select_nth_unstable_by(start, compare);
        }
        front[start.min(end)..].sort_unstable_by(compare);
    }

    /// A copy of the rows in `part`.
    pub(crate) fn part(&self, part: std::ops::Range<usize>) -> Self {
        let mut these = Self::default();
        let rows = self.rows.get(part.start.min(self.len())..part.end.min(self.len()));
        for row in rows.unwrap_or_default() {
            these.push(self.expand(row));
        }
        these.shrink();
        these
    }

    /// A copy of the rows whose names contain `filter`. Ignores case.
    pub(crate) fn filtered(&self, filter: &[u8]) -> Self {
        let filter = order::Filter::new(filter);
        let mut these = Self::default();
        for row in self.iter().filter(|row| filter.matches(row.name)) {
            these.push(row);
        }
        these.shrink();
        these
    }

    /// Frees unused memory.
    pub(crate) fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.rows.shrink_to_fit();
    }
}

impl<'a> From<Child<'a>> for Row<'a> {
    fn from(child: Child<'a>) -> Self {
        // `identity` is what `statx` says of the file: its size and times, among others.
        let Child { name, kind, identity, .. } = child;
        let size = if kind == Kind::File { identity.size } else { 0 };
        Self { name, kind, size, modified: identity.modified.secs }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(all: &[(&str, Kind, u64, i64)]) -> Rows {
        let mut rows = Rows::default();
        for (name, kind, size, modified) in all {
            let row = Row { name: name.as_bytes(), kind: *kind, size: *size, modified: *modified };
            assert!(rows.push(row));
        }
        rows
    }

    fn names(rows: &Rows) -> Vec<&str> {
        rows.iter().map(|row| std::str::from_utf8(row.name).unwrap()).collect()
    }

    #[test]
    fn folders_come_first_in_every_order() {
        let all = [
            ("b", Kind::File, 1, 30),
            ("a", Kind::File, 2, 20),
            ("z", Kind::Folder, 0, 10),
            ("y", Kind::Folder, 0, 40),
            ("file10", Kind::File, 3, 20),
            ("File9", Kind::File, 3, 20),
        ];
        for (sort, descending, expected) in [
            (Sort::Name, false, ["y", "z", "a", "b", "File9", "file10"]),
            (Sort::Name, true, ["z", "y", "file10", "File9", "b", "a"]),
            (Sort::Size, false, ["y", "z", "b", "a", "File9", "file10"]),
            (Sort::Size, true, ["z", "y", "file10", "File9", "a", "b"]),
            (Sort::Date, false, ["z", "y", "a", "File9", "file10", "b"]),
            (Sort::Date, true, ["y", "z", "b", "file10", "File9", "a"]),
        ] {
            let mut rows = rows(&all);
            rows.sort(sort, descending, 0..all.len());
            assert_eq!(names(&rows), expected, "{sort:?} {descending}");
        }
    }

    #[test]
    fn rows_are_small_and_refuse_overlong_names() {
        assert_eq!(size_of::<CompactRow>(), 24);
        let mut rows = Rows::default();
        let row = Row { name: &[b'a'; 256], kind: Kind::File, size: 0, modified: 0 };
        assert!(!rows.push(row));
        assert_eq!(rows.len(), 0);
        assert_eq!(rows.part(5..9).len(), 0);
    }

    proptest! {
        #[test]
        fn a_page_is_a_slice_of_all_sorted_rows(
            all in proptest::collection::vec(("[a-c0-2]{1,4}", any::<bool>(), 0u64..4, 0i64..4), 0..40),
            sort in prop_oneof![Just(Sort::Name), Just(Sort::Size), Just(Sort::Date)],
            descending: bool,
            start in 0usize..50,
            count in 0usize..20,
        ) {
            let mut all: Vec<_> = all;
            all.sort();
            all.dedup_by(|a, b| a.0 == b.0);
            let fill = || {
                let mut rows = Rows::default();
                for (name, folder, size, modified) in &all {
                    let kind = if *folder { Kind::Folder } else { Kind::File };
                    rows.push(Row { name: name.as_bytes(), kind, size: *size, modified: *modified });
                }
                rows
            };
            let (mut whole, mut paged) = (fill(), fill());
            whole.sort(sort, descending, 0..usize::MAX);
            paged.sort(sort, descending, start..start + count);
            let page = paged.part(start..start + count);
            let expected = whole.part(start..start + count);
            prop_assert_eq!(names(&page), names(&expected));
        }
    }
}
