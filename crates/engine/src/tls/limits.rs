//! Sizes of records.

/// The most bytes of plaintext in a record (RFC 8446, 5.1).
pub(crate) const RECORD: usize = 16 * 1024;
/// Maximum plaintext that is sealed for one send. The records of twice as much would be above the size
/// from which the allocator maps memory anew for each of them, which costs more than to seal them.
pub(crate) const SEALED_AT_ONCE: u64 = 4 * RECORD as u64;
