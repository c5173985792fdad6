//! A decoded field.

/// A decoded field. Its bytes are in the header block, in a table, or in the decoder's scratch
/// buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// The index (1 to 61) of the first entry of the static table with this name, if the name comes
    /// from that table, directly or through a dynamic entry. Otherwise 0, even if the static table
    /// has the name.
    pub(crate) static_name: u8,
    /// Whether name and value are an entry of the static or the dynamic table. Then the caller
    /// usually needs no check of their characters: the static table is valid, and an entry of the
    /// dynamic table was passed to the caller as a field when it was inserted. Exception: if the
    /// caller once refused a field because of its characters, or skipped one unchecked (after an
    /// error in the same block, for example), the dynamic table may contain invalid fields.
    pub(crate) is_from_table: bool,
}
