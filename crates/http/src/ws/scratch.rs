//! Memory for one message.

use super::mask::{self, MaskKey};

/// Memory for one message: the connections of a shard use it one after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) payload: Vec<u8>,
    /// A decompressed message.
    pub(super) message: Vec<u8>,
}

impl Scratch {
    /// Frees what is more than `max` bytes.
    pub(super) fn shrink(&mut self, max: usize) {
        for memory in [&mut self.payload, &mut self.message] {
            if memory.capacity() > max {
                *memory = Vec::new();
            }
        }
    }

    /// Copies masked bytes, and removes the mask.
    pub(super) fn unmask(&mut self, bytes: &[u8], key: MaskKey) {
        self.payload.clear();
        self.payload.extend_from_slice(bytes);
        mask::mask(&mut self.payload, key);
    }
}
