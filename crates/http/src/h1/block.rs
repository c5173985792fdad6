//! The fields of a head, and those of the last one, which are often the same.
//!
//! A client says the same with every request but for the target, and so do all clients of one kind:
//! that is why later versions of HTTP compress fields. So what was read last is kept with what it
//! came to. Fields that are the same to the byte come to the same, and to compare them costs a
//! fraction of reading them, the more so the longer they are.

use std::cell::Cell;

use crate::h1::framing::Framing;
use crate::semantics::control::Version;
use crate::semantics::names::Index;
use crate::semantics::span::Span;

/// The longest fields that are kept, in bytes: above what browsers send.
const LONGEST: usize = 4 * 1024;

/// The fields of a head: where they lie, and what they say.
#[derive(Debug, Default)]
pub(crate) struct Block {
    // Invariant: empty, or whole good field lines with the blank line behind them, whose fields are
    // in `spans` and `index`, counted from its beginning.
    bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) index: Index,
    /// What they say in that version.
    framing: Cell<Option<(Version, Framing)>>,
    /// Whether the host that they name is allowed.
    host_allowed: Cell<Option<bool>>,
}

impl Block {
    /// How long the fields at the beginning of `input` are, if they are those that were kept.
    pub(crate) fn known(&self, input: &[u8]) -> Option<usize> {
        let known = !self.bytes.is_empty() && input.starts_with(&self.bytes);
        known.then_some(self.bytes.len())
    }

    /// Forgets what was kept: other fields are read.
    pub(crate) fn begin(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.framing.set(None);
        self.host_allowed.set(None);
    }

    /// The fields have been read; keeps their bytes.
    pub(crate) fn end(&mut self, bytes: &[u8]) {
        self.index.fill(bytes, &self.spans);
        if bytes.len() <= LONGEST {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// What the fields say, if that is known.
    pub(crate) fn framing(&self, version: Version) -> Option<Framing> {
        self.framing.get().filter(|(known, _)| *known == version).map(|(_, framing)| framing)
    }

    /// Keeps what they say.
    pub(crate) fn keep_framing(&self, version: Version, framing: Framing) {
        self.framing.set(Some((version, framing)));
    }

    /// Whether the host that the fields name is allowed, if that is known.
    pub(crate) fn host_allowed(&self) -> Option<bool> {
        self.host_allowed.get()
    }

    /// Keeps whether it is.
    pub(crate) fn keep_host_allowed(&self, allowed: bool) {
        self.host_allowed.set(Some(allowed));
    }
}
