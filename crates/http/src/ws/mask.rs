//! Masks payloads, as clients must do in every frame (RFC 6455, 5.3).

use sha1::{Digest, Sha1};

/// The masking key of a frame.
pub type MaskKey = [u8; 4];

/// Masks `bytes`, or unmasks them: both are the same XOR with `key`.
pub fn mask(bytes: &mut [u8], key: MaskKey) {
    let wide = wide(key);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (index, byte) in rest.iter_mut().enumerate() {
        *byte ^= key[index % 4];
    }
}

/// Copies `from` to `to`, and masks or unmasks the copy.
///
/// # Panics
///
/// If their lengths differ.
pub(super) fn copy_masked(from: &[u8], key: MaskKey, to: &mut [u8]) {
    assert_eq!(from.len(), to.len());
    let wide = wide(key);
    let (words, rest) = from.as_chunks::<8>();
    let (to_words, to_rest) = to.as_chunks_mut::<8>();
    for (to, word) in to_words.iter_mut().zip(words) {
        *to = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for ((to, byte), key) in to_rest.iter_mut().zip(rest).zip(key.iter().cycle()) {
        *to = byte ^ key;
    }
}

/// The key, repeated to eight bytes.
fn wide([a, b, c, d]: MaskKey) -> u64 {
    u64::from_ne_bytes([a, b, c, d, a, b, c, d])
}

/// The key for the rest of a payload, after its first `count` bytes.
#[must_use]
pub fn advance(mut key: MaskKey, count: usize) -> MaskKey {
    key.rotate_left(count % 4);
    key
}

/// Masking keys that a peer can't predict (RFC 6455, 10.3), derived from random bytes.
#[derive(Clone, Debug)]
pub struct MaskKeys {
    seed: [u8; 16],
    /// Number of hashes made.
    count: u64,
    /// The last hash, cut into keys.
    keys: [MaskKey; 5],
    /// How many of `keys` were returned.
    used: usize,
}

impl MaskKeys {
    /// Keys from `seed`, which must be random and secret. Each hash of `seed` and a counter gives
    /// five keys.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        Self { seed, count: 0, keys: Default::default(), used: 5 }
    }

    /// The next key.
    pub fn next_key(&mut self) -> MaskKey {
        if self.used == self.keys.len() {
            let hash = Sha1::new().chain_update(self.seed).chain_update(self.count.to_le_bytes());
            let hash: [u8; 20] = hash.finalize().into();
            for (key, bytes) in self.keys.iter_mut().zip(hash.as_chunks::<4>().0) {
                *key = *bytes;
            }
            self.count += 1;
            self.used = 0;
        }
        self.used += 1;
        self.keys[self.used - 1]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_and_rests_are_masked_the_same() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for len in 0..40 {
            let plain: Vec<u8> = (0..len).collect();
            let one_by_one: Vec<u8> =
                plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            for cut in 0..=plain.len() {
                let mut masked = plain.clone();
                let (front, rest) = masked.split_at_mut(cut);
                mask(front, key);
                mask(rest, advance(key, cut));
                assert_eq!(masked, one_by_one, "{len} bytes, cut at {cut}");
                let (front, rest) = masked.split_at(cut);
                let mut copy = vec![0; plain.len()];
                let (to_front, to_rest) = copy.split_at_mut(cut);
                copy_masked(front, key, to_front);
                copy_masked(rest, advance(key, cut), to_rest);
                assert_eq!(copy, plain, "{len} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn keys_differ() {
        let mut keys = MaskKeys::new([1; 16]);
        let made: HashSet<MaskKey> = (0..1000).map(|_| keys.next_key()).collect();
        assert_eq!(made.len(), 1000);
        assert!(!made.contains(&MaskKeys::new([2; 16]).next_key()));
    }
}
