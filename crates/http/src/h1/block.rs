//! The fields of a head, kept for the next head of the shard.
//!
//! Requests of one client, and of clients of one kind, often differ in their target only. If the fields
//! are byte for byte those of the last head, their meaning is known, and comparing is faster than
//! parsing.

use std::cell::Cell;

use crate::h1::framing::Framing;
use crate::semantics::control::Version;
use crate::semantics::names::Index;
use crate::semantics::span::Span;

/// The longest fields that are kept, in bytes: above what browsers send.
const LONGEST: usize = 4 * 1024;

/// The fields of a head, parsed.
#[derive(Debug, Default)]
pub(crate) struct Block {
    // Invariant: empty, or valid field lines and the blank line, with `spans` and `index` of them.
    bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) index: Index,
    /// What they say in requests of that version, if known.
    pub(crate) framing: Cell<Option<(Version, Framing)>>,
    /// Whether their host is allowed, if known.
    pub(crate) host_allowed: Cell<Option<bool>>,
}

impl Block {
    /// The length of the fields at the start of `input`, if they are the ones kept here.
    pub(crate) fn known(&self, input: &[u8]) -> Option<usize> {
        let known = !self.bytes.is_empty() && input.starts_with(&self.bytes);
        known.then_some(self.bytes.len())
    }

    /// Forgets the fields: others are about to be read.
    pub(crate) fn begin(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.framing.set(None);
        self.host_allowed.set(None);
    }

    /// The fields have been read. Keeps their bytes.
    pub(crate) fn end(&mut self, bytes: &[u8]) {
        self.index.fill(bytes, &self.spans);
        if bytes.len() <= LONGEST {
            self.bytes.extend_from_slice(bytes);
        }
    }
}
