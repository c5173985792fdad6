//! Sizes of records.

/// The most bytes of plaintext in a record (RFC 8446, 5.1).
pub(crate) const RECORD: usize = 16 * 1024;
