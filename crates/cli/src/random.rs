//! Random bytes for WebSocket clients: for `Sec-WebSocket-Key`, and for masking.

use std::hash::{BuildHasher, RandomState};

/// Returns bytes that others can't predict: hashes of constants by [`RandomState`], whose keys
/// the standard library takes from the system's random numbers.
pub(crate) fn bytes() -> [u8; 16] {
    let hash = |input: u8| u128::from(RandomState::new().hash_one(input));
    (hash(0) << 64 | hash(1)).to_le_bytes()
}
