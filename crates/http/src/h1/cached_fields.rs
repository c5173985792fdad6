//! A cache of the last head's parsed fields, for the next head that the worker (event loop) reads.
//!
//! Requests of one client, or of clients of the same kind, often differ only in their targets. If
//! the fields are byte for byte those of the last head, the result of parsing them is reused,
//! because comparing is faster than parsing.

use std::cell::Cell;

use crate::h1::framing::Framing;
use crate::semantics::control::Version;
use crate::semantics::names::Index;
use crate::semantics::span::Span;

/// Maximum length of cached fields, in bytes: more than browsers usually send.
const MAX_LEN: usize = 4 * 1024;

/// The parsed fields of a head, and their bytes, by which equal fields are recognised.
#[derive(Debug, Default)]
pub(crate) struct CachedFields {
    // Invariant: empty, or valid field lines and the blank line, described by `spans` and `index`.
    bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) index: Index,
    /// The framing of a request with these fields, and the version of HTTP for which it was
    /// determined. `None` until a request needs it.
    pub(crate) framing: Cell<Option<(Version, Framing)>>,
    /// Whether the `Host` in these fields is allowed. `None` until a request needs it.
    pub(crate) host_allowed: Cell<Option<bool>>,
}

impl CachedFields {
    /// The length of the fields at the start of `input`, if they equal the cached ones.
    pub(crate) fn find(&self, input: &[u8]) -> Option<usize> {
        let found = !self.bytes.is_empty() && input.starts_with(&self.bytes);
        found.then_some(self.bytes.len())
    }

    /// Forgets the fields, before others are parsed into this value.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.framing.set(None);
        self.host_allowed.set(None);
    }

    /// Indexes the fields in `spans`, after they were parsed. Caches them if `bytes` is short
    /// enough.
    pub(crate) fn store(&mut self, bytes: &[u8]) {
        self.index.fill(bytes, &self.spans);
        if bytes.len() <= MAX_LEN {
            self.bytes.extend_from_slice(bytes);
        }
    }
}
