//! A decoded field.

/// A decoded field. The bytes are those of the header block, of a table or of the scratch buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// The index (1 to 61) of the first entry of the static table with this name, if the name comes
    /// from that table, directly or through a dynamic entry. Otherwise 0, even if the static table
    /// has the name.
    pub(crate) static_name: u8,
    /// Whether name and value are an entry of a table. The caller got a dynamic entry before, as a
    /// field, when the entry was inserted. So it needs to check the characters of this field again
    /// only if the table may contain invalid fields: after it has refused a field because of its
    /// characters, or has skipped a field unchecked, for example after an error in the same block.
    pub(crate) is_from_table: bool,
}
