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
    /// Whether name and value are an entry of a table. The decoder passed a dynamic entry on once
    /// before, when it was inserted. So a caller may check characters only of other fields, as long
    /// as no field had a forbidden character: from the first such field on, it must check all, as
    /// the table may contain that field.
    pub(crate) is_from_table: bool,
}
