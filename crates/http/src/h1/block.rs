//! The parsed fields of the last head, kept for the next head of the shard.
//!
//! Requests of one client, or of clients of the same kind, often differ only in their targets. If
//! the fields are byte for byte those of the last head, the result of parsing them is reused,
//! because comparing is faster than parsing.

use std::cell::Cell;

use crate::h1::framing::Framing;
use crate::semantics::control::Version;
use crate::semantics::names::Index;
use crate::semantics::span::Span;

/// Maximum length of fields that are kept, in bytes: more than browsers send.
const LONGEST: usize = 4 * 1024;

/// The fields of a head, parsed.
#[derive(Debug, Default)]
pub(crate) struct Block {
    // Invariant: empty, or valid field lines and the blank line, described by `spans` and `index`.
    bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) index: Index,
    /// What these fields mean in a request of that version, once computed.
    pub(crate) framing: Cell<Option<(Version, Framing)>>,
    /// Whether the host in these fields is allowed, once checked.
    pub(crate) host_allowed: Cell<Option<bool>>,
}

impl Block {
    /// The length of the fields at the start of `input`, if they are the ones kept here.
    pub(crate) fn known(&self, input: &[u8]) -> Option<usize> {
        let known = !self.bytes.is_empty() && input.starts_with(&self.bytes);
        known.then_some(self.bytes.len())
    }

    /// Clears the block before other fields are parsed into it.
    pub(crate) fn begin(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.framing.set(None);
        self.host_allowed.set(None);
    }

    /// Indexes the fields after they were parsed, and keeps their `bytes` if these are few enough.
    pub(crate) fn end(&mut self, bytes: &[u8]) {
        self.index.fill(bytes, &self.spans);
        if bytes.len() <= LONGEST {
            self.bytes.extend_from_slice(bytes);
        }
    }
}
