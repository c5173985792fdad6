//! From header blocks to fields (RFC 7541, 3 and 6).

use std::ops::Range;

use super::dynamic_table::{DynamicTable, SIZE_LIMIT};
use super::error::CompressionError;
use super::field::Field;
use super::{huffman, integer, static_table};

/// Maximum number of changes of the table's size at the start of one block. However often an
/// encoder has changed the size since the last block, it sends at most the smallest size and the
/// final one (RFC 7541, 4.2).
const SIZE_UPDATES_MAX: u32 = 2;

/// The decoder of one connection, with the dynamic table. It allocates nothing until the peer
/// inserts an entry into that table.
///
/// The time to decode a block is linear in its length, with one exception: an insertion may take
/// its name from an entry of the dynamic table. Such an insertion needs as few as two bytes of the
/// block, and copies a name of up to 4 KiB. The fields of a block, together, may be 4,000 times as
/// long as the block, because a single byte can be the index of an entry of nearly 4 KiB. So the
/// caller counts the bytes of the fields, ignores fields above its limit, and ends connections that
/// exceed the limit by far or often.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: DynamicTable,
}

/// A name or a value.
enum Text<'a> {
    /// Bytes of the block, or of a table's entry.
    Raw(&'a [u8]),
    /// A decoded string, or the copy of an entry's name, at this position in the scratch buffer.
    Scratch(Range<usize>),
}

impl<'a> Text<'a> {
    fn bytes(self, scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Raw(bytes) => bytes,
            Self::Scratch(range) => &scratch[range],
        }
    }
}

impl Decoder {
    pub(crate) const fn new() -> Self {
        Self { table: DynamicTable::new() }
    }

    /// A number that changes whenever the dynamic table or its maximum size changes. A block whose
    /// decoding doesn't change the number is decoded to the same fields again, as long as the
    /// number stays the same.
    pub(crate) fn generation(&self) -> u32 {
        self.table.generation()
    }

    /// The bytes that the dynamic table has allocated: at most 7 KiB, and none before the peer
    /// inserts an entry.
    #[cfg(any(test, feature = "harness"))]
    pub(crate) fn memory(&self) -> usize {
        self.table.memory()
    }

    /// Decodes a complete header block, and calls `take` with each field in order, until `take`
    /// returns false.
    ///
    /// `scratch` is a buffer for strings decoded from Huffman code, and for a copied name of up to
    /// 4 KiB. It is cleared before each field that is a literal. It grows to at most 1.6 times the
    /// length of the block (Huffman codes have at least 5 bits), plus 4 KiB.
    ///
    /// # Errors
    ///
    /// If the block is invalid, or `take` returned false. The connection must end, because the rest
    /// of the block was not decoded. `take` was called with the fields before the error.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        scratch: &mut Vec<u8>,
        mut take: impl FnMut(Field<'_>) -> bool,
    ) -> Result<(), CompressionError> {
        let mut rest = self.size_updates(block)?;
        while let Some((&first, later)) = rest.split_first() {
            rest = later;
            if first & 0x80 != 0 {
                let index = integer::decode::<7>(first, &mut rest)?;
                if !take(self.entry(index)?) {
                    return Err(CompressionError::Stopped);
                }
            } else if first & 0x40 != 0 {
                rest = self.literal_with_indexing(first, rest, scratch, &mut take)?;
            } else if first & 0x20 != 0 {
                return Err(CompressionError::UnexpectedTableSize);
            } else {
                rest = self.literal(first, rest, scratch, &mut take)?;
            }
        }
        Ok(())
    }

    /// Reads the changes of the table's size, which are allowed only at the start of a block, and
    /// returns what follows them.
    fn size_updates<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], CompressionError> {
        let mut rest = block;
        for _ in 0..SIZE_UPDATES_MAX {
            let Some((&first, mut later)) = rest.split_first() else { break };
            if first & 0xe0 != 0x20 {
                break;
            }
            let size_max = integer::decode::<5>(first, &mut later)?;
            if size_max > SIZE_LIMIT {
                return Err(CompressionError::TableSizeAboveLimit);
            }
            self.table.set_size_max(size_max);
            rest = later;
        }
        Ok(rest)
    }

    /// The entry with this index (RFC 7541, 2.3.3).
    #[inline]
    fn entry(&self, index: usize) -> Result<Field<'_>, CompressionError> {
        match index {
            0 => Err(CompressionError::BadIndex),
            1..=static_table::LAST => Ok(static_table::entry(index)),
            _ => {
                let at = index - static_table::LAST - 1;
                self.table.get(at).ok_or(CompressionError::BadIndex)
            }
        }
    }

    /// Reads a literal that is not inserted into the table: without indexing, or never indexed (RFC
    /// 7541, 6.2.2 and 6.2.3). Returns what follows it.
    fn literal<'a>(
        &self,
        first: u8,
        mut rest: &'a [u8],
        scratch: &mut Vec<u8>,
        take: &mut impl FnMut(Field<'_>) -> bool,
    ) -> Result<&'a [u8], CompressionError> {
        scratch.clear();
        // `static_name`: the index in the static table of the entry that the name comes from, also
        // through dynamic entries; else 0.
        let (name, static_name) = match integer::decode::<4>(first, &mut rest)? {
            0 => (string(&mut rest, scratch)?, 0),
            index => {
                let entry = self.entry(index)?;
                (Text::Raw(entry.name), entry.static_name)
            }
        };
        let value = string(&mut rest, scratch)?;
        let (name, value) = (name.bytes(scratch), value.bytes(scratch));
        if !take(Field { name, value, static_name, is_from_table: false }) {
            return Err(CompressionError::Stopped);
        }
        Ok(rest)
    }

    /// Reads a literal that is inserted into the table (RFC 7541, 6.2.1). Returns what follows it.
    fn literal_with_indexing<'a>(
        &mut self,
        first: u8,
        mut rest: &'a [u8],
        scratch: &mut Vec<u8>,
        take: &mut impl FnMut(Field<'_>) -> bool,
    ) -> Result<&'a [u8], CompressionError> {
        scratch.clear();
        let (name, static_name) = match integer::decode::<6>(first, &mut rest)? {
            0 => (string(&mut rest, scratch)?, 0),
            index @ 1..=static_table::LAST => {
                let entry = static_table::entry(index);
                (Text::Raw(entry.name), entry.static_name)
            }
            index => {
                // Copy the name, because the insertion may evict this entry.
                let entry = self.entry(index)?;
                scratch.extend_from_slice(entry.name);
                (Text::Scratch(0..scratch.len()), entry.static_name)
            }
        };
        let value = string(&mut rest, scratch)?;
        let (name, value) = (name.bytes(scratch), value.bytes(scratch));
        if !take(Field { name, value, static_name, is_from_table: false }) {
            return Err(CompressionError::Stopped);
        }
        self.table.insert(name, value, static_name);
        Ok(rest)
    }
}

/// Reads a string (RFC 7541, 5.2).
#[inline]
fn string<'a>(rest: &mut &'a [u8], scratch: &mut Vec<u8>) -> Result<Text<'a>, CompressionError> {
    let (&first, later) = rest.split_first().ok_or(CompressionError::Truncated)?;
    *rest = later;
    let len = integer::decode::<7>(first, rest)?;
    let (bytes, later) = rest.split_at_checked(len).ok_or(CompressionError::Truncated)?;
    *rest = later;
    if first & 0x80 == 0 {
        return Ok(Text::Raw(bytes));
    }
    let from = scratch.len();
    huffman::decode(bytes, scratch)?;
    Ok(Text::Scratch(from..scratch.len()))
}
