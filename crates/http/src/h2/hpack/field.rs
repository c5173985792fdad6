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
    /// Whether name and value are an entry of a table. A dynamic entry was passed on before, when it
    /// was inserted. So a caller needs to check the characters of such a field only if the table may
    /// contain a field that is not valid: from the first field on that it has refused because of
    /// its characters, or has not looked at, for example after an error in the same block.
    pub(crate) is_from_table: bool,
}
