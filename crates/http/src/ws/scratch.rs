//! Memory for one WebSocket message.

use std::mem;

use super::content::Content;
use super::mask::{self, MaskKey};

/// Memory for one message, which the connections of a worker (event loop) use one after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) unmasked: Unmasked,
    /// Decompressed payload.
    pub(super) inflated: Vec<u8>,
    /// A message that has arrived in parts.
    pub(super) message: Content,
}

impl Scratch {
    /// Frees each buffer whose capacity is more than `max` bytes.
    pub(super) fn shrink(&mut self, max: usize) {
        for memory in [&mut self.unmasked.0, &mut self.inflated] {
            if memory.capacity() > max {
                *memory = Vec::new();
            }
        }
        if self.message.capacity() > max {
            self.message = Content::default();
        }
    }

    /// Memory for a message whose first frame has `len` bytes, `arrived` of which have arrived.
    /// Reuses the memory of the last message if at least half of the frame has arrived, and if the
    /// capacity of the memory is one to two times the frame's length. So this capacity is at most
    /// four times what has arrived. Otherwise the memory is empty, and grows with what arrives.
    pub(super) fn lend_message(&mut self, len: u64, arrived: usize) -> Vec<u8> {
        let capacity = self.message.capacity() as u64;
        if arrived as u64 * 2 < len || capacity < len || capacity > 2 * len {
            return Vec::new();
        }
        mem::take(&mut self.message).into_bytes()
    }
}

/// A buffer for unmasked payload. Older bytes may follow the payload: clearing them would cost
/// time, and later payloads overwrite them.
#[derive(Debug, Default)]
pub(super) struct Unmasked(Vec<u8>);

impl Unmasked {
    /// Copies `payload`, and removes its mask.
    pub(super) fn unmask(&mut self, payload: &[u8], key: MaskKey) -> &[u8] {
        let len = payload.len();
        if self.0.len() < len {
            self.0.reserve_exact(len - self.0.len());
            self.0.resize(len, 0);
        }
        mask::copy_masked(payload, key, &mut self.0[..len]);
        &self.0[..len]
    }
}
