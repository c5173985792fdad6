//! Memory for one message.

use std::mem;

use super::mask::{self, MaskKey};

/// Memory for one message: the connections of a shard use it one after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) payload: Vec<u8>,
    /// A message that came in parts, or decompressed.
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

    /// Memory for a message whose first frame has `len` bytes, of which `arrived` are there: that of
    /// the last message, if it fits. Otherwise empty, so that it grows with what arrives.
    pub(super) fn lend_message(&mut self, len: u64, arrived: usize) -> Vec<u8> {
        let capacity = self.message.capacity() as u64;
        if arrived as u64 * 2 < len || capacity < len || capacity > 2 * len {
            return Vec::new();
        }
        let mut memory = mem::take(&mut self.message);
        memory.clear();
        memory
    }

    /// Copies masked bytes, and removes the mask.
    pub(super) fn unmask(&mut self, bytes: &[u8], key: MaskKey) {
        self.payload.clear();
        self.payload.extend_from_slice(bytes);
        mask::mask(&mut self.payload, key);
    }
}
