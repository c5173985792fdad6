//! Random bytes, for the keys of WebSocket clients.

use std::hash::{BuildHasher, RandomState};

/// Returns bytes that others can't predict: hashes of constants with the keys of [`RandomState`],
/// which the standard library takes from the system's random numbers.
pub(crate) fn bytes() -> [u8; 16] {
    let hash = |input: u8| u128::from(RandomState::new().hash_one(input));
    (hash(0) << 64 | hash(1)).to_le_bytes()
}
