//! The memory in which header blocks are decoded, and the last block.

use super::head::{Head, HeadBuffer};

/// Memory for decoding header blocks, which the connections of a worker share.
#[derive(Debug, Default)]
pub(crate) struct HeadMemory {
    pub(crate) head: HeadBuffer,
    /// A buffer for decoding Huffman-coded strings.
    pub(crate) huffman: Vec<u8>,
    /// The block that `head` was read from, if `known` is set.
    block: Vec<u8>,
    known: Option<KnownRequest>,
}

/// The last decoded request, if its block did not change the dynamic table: decoding an equal block
/// in an equal [`BlockContext`] would give the same request.
#[derive(Clone, Copy, Debug)]
struct KnownRequest {
    source: BlockContext,
    head: Head,
}

/// What the meaning of a block depends on, besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockContext {
    /// The number of the connection, which is unique in its worker.
    pub(crate) connection: u64,
    /// The version of the connection's dynamic table.
    pub(crate) generation: u32,
    /// Whether the request ends without content.
    pub(crate) ends: bool,
}

impl HeadMemory {
    /// The request in `head`, if it was read from an equal block with the same `source`.
    #[inline]
    pub(crate) fn find(&self, block: &[u8], source: BlockContext) -> Option<Head> {
        self.known.filter(|known| known.source == source && self.block == block).map(|it| it.head)
    }

    /// Stores that `head` was read from `block`.
    pub(crate) fn store(&mut self, block: &[u8], source: BlockContext, head: Head) {
        self.block.clear();
        self.block.extend_from_slice(block);
        self.known = Some(KnownRequest { source, head });
    }

    /// Prepares for decoding another block.
    pub(crate) fn clear(&mut self) {
        self.known = None;
        self.head.clear();
    }
}
