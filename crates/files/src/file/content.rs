//! How the content of a representation is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use sockeye_proto::Permit;

use crate::store::traits::OpenFile;

/// Files of up to so many bytes are kept in memory, larger ones as an open descriptor. Sending from
/// memory is cheaper than a second call into the kernel up to about 16 KiB, and even at 32 KiB it
/// saves a descriptor for little.
pub const SMALL: u64 = 32 * 1024;

/// How the content is kept.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Memory(Bytes),
    Open(Arc<dyn OpenFile>),
    /// It was made by compressing, and is kept elsewhere for as long as there is room for it.
    Compressed(Weak<Compressed>),
}

/// A content in a coding that was made of it.
#[derive(Debug)]
pub(crate) struct Compressed {
    content: Bytes,
    /// Sent since it was last looked at for being dropped.
    used: AtomicBool,
    /// Lives as long as the bytes do: it is dropped only while nobody else has them.
    _permit: Permit,
}

impl Compressed {
    pub(crate) fn new(content: Vec<u8>, permit: Permit) -> Self {
        let content = Bytes::from(content);
        // The first clone allocates the count that they are shared by. Here, not on the loop.
        drop(content.clone());
        Self { content, used: AtomicBool::new(true), _permit: permit }
    }

    /// The content, to be sent.
    pub(crate) fn content(&self) -> Bytes {
        // Only written when it changes: other cores read it.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.content.clone()
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.content.len()
    }

    /// The content, to be read.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.content
    }

    /// Whether it was sent since this was last asked.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Whether nobody else has its bytes.
    pub(crate) fn is_unique(&self) -> bool {
        self.content.is_unique()
    }
}
