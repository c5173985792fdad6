//! Random bytes.

use std::hash::{BuildHasher, RandomState};

/// Bytes that others can't predict: hashes with the random keys that the system gives to this process.
pub(crate) fn bytes() -> [u8; 16] {
    let hash = |input: u8| u128::from(RandomState::new().hash_one(input));
    (hash(0) << 64 | hash(1)).to_le_bytes()
}
