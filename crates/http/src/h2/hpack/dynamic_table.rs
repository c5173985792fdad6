//! The dynamic table of a decoder (RFC 7541, 2.3.2 and 4).

use std::collections::VecDeque;

use super::field::Field;

/// Our `SETTINGS_HEADER_TABLE_SIZE`, in bytes: the default of RFC 9113, which we don't change.
pub(super) const SIZE_LIMIT: usize = 4096;
/// How many bytes an entry counts in addition to its name and value (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
/// Minimum capacity of an allocation in bytes, enough for what a simple client sends.
const CAPACITY_MIN: usize = 128;
/// Maximum capacity in bytes: 1.5 times the names and values of a full table. See `make_room`.
const CAPACITY_MAX: usize = (SIZE_LIMIT - OVERHEAD) * 3 / 2;

/// The table. It allocates nothing until an entry is inserted, and then about what its entries
/// need, at most 6 KiB for their bytes and 1 KiB for their positions.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// The bytes of all entries, the oldest first, each as name and value. Before them, the bytes
    /// of evicted entries.
    bytes: Vec<u8>,
    /// The newest entry first.
    entries: VecDeque<Entry>,
    /// The size of all entries: their bytes, and [`OVERHEAD`] for each.
    size: usize,
    /// The maximum of `size`, which the peer chooses: at most [`SIZE_LIMIT`].
    size_max: usize,
    /// See [`DynamicTable::generation`].
    generation: u32,
}

/// Where an entry is in [`DynamicTable::bytes`]. No number exceeds `CAPACITY_MAX`.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u16,
    name_len: u16,
    value_len: u16,
    /// See [`Field::static_name`].
    static_name: u8,
}

impl Entry {
    fn len(self) -> usize {
        usize::from(self.name_len) + usize::from(self.value_len)
    }
}

impl DynamicTable {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: VecDeque::new(),
            size: 0,
            size_max: SIZE_LIMIT,
            generation: 0,
        }
    }

    /// A number that changes whenever the table or its maximum size changes.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// How many bytes of memory the table has allocated.
    #[cfg(any(test, feature = "harness"))]
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The entry at `at`, where 0 is the newest.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<Field<'_>> {
        let entry = *self.entries.get(at)?;
        let (_, from) = self.bytes.split_at_checked(usize::from(entry.at))?;
        let (name, from) = from.split_at_checked(usize::from(entry.name_len))?;
        let value = from.get(..usize::from(entry.value_len))?;
        Some(Field { name, value, static_name: entry.static_name, is_from_table: true })
    }

    /// Inserts an entry, after evicting the oldest ones until it fits. An entry larger than the
    /// maximum size empties the table and is not inserted, which is no error (RFC 7541, 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], static_name: u8) {
        self.generation = self.generation.wrapping_add(1);
        let len = name.len() + value.len();
        let size = len + OVERHEAD;
        self.evict_to(self.size_max.saturating_sub(size));
        if size > self.size_max {
            return;
        }
        self.make_room(len);
        // These numbers fit into 16 bits: none exceeds `CAPACITY_MAX`.
        let (at, name_len) = (self.bytes.len() as u16, name.len() as u16);
        self.entries.push_front(Entry { at, name_len, value_len: value.len() as u16, static_name });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += size;
    }

    /// Sets the maximum size, which is at most [`SIZE_LIMIT`].
    pub(super) fn set_size_max(&mut self, size_max: usize) {
        if size_max != self.size_max {
            self.generation = self.generation.wrapping_add(1);
            self.size_max = size_max;
            self.evict_to(size_max);
        }
    }

    /// Evicts the oldest entries until the size is at most `size`.
    fn evict_to(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.len() + OVERHEAD;
        }
        if self.entries.is_empty() {
            self.bytes.clear();
        }
    }

    /// Makes room for `len` bytes behind the entries. Removing the bytes of evicted entries moves
    /// those of all others. So they are removed only if they are at least half as many: at most two
    /// bytes are moved for each byte that was evicted.
    fn make_room(&mut self, len: usize) {
        if len <= self.bytes.capacity() - self.bytes.len() {
            return;
        }
        let evicted = self.entries.back().map_or(0, |oldest| usize::from(oldest.at));
        if evicted > 0 && evicted * 2 >= self.bytes.len() - evicted {
            self.bytes.drain(..evicted);
            for entry in &mut self.entries {
                entry.at -= evicted as u16;
            }
        }
        // `needed` is at most `CAPACITY_MAX`: the bytes of entries fit into the table together with
        // the new ones, and if evicted bytes are left, they are less than half as many as those of
        // entries.
        let needed = self.bytes.len() + len;
        if needed > self.bytes.capacity() {
            let doubled = (self.bytes.capacity() * 2).clamp(CAPACITY_MIN, CAPACITY_MAX);
            self.bytes.reserve_exact(needed.max(doubled) - self.bytes.len());
        }
    }
}
