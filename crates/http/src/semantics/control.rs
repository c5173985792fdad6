//! What a request line says.

use crate::semantics::method::MethodKind;
use crate::semantics::span::Range;

/// The version of a request. Others are refused before a handler sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Where the parts of a target lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    // Invariant: `start <= path <= mark <= end`, and the authority, if there is one, is not empty
    // and lies in `start..path` or is the whole.
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) path: u32,
    /// Where its first `?` is; `end` where it has none.
    pub(crate) mark: u32,
    /// Empty where the target has none.
    pub(crate) authority: Range,
}

impl Target {
    pub(crate) fn whole(self) -> Range {
        Range { start: self.start, end: self.end }
    }

    /// The host and port of a target in absolute or authority form.
    pub(crate) fn authority(self) -> Option<Range> {
        (self.authority.start < self.authority.end).then_some(self.authority)
    }

    /// Empty where the target has none.
    pub(crate) fn path(self) -> Range {
        Range { start: self.path, end: self.mark }
    }

    pub(crate) fn query(self) -> Option<Range> {
        (self.mark < self.end).then_some(Range { start: self.mark + 1, end: self.end })
    }
}

/// What a request line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlData {
    pub(crate) method: MethodKind,
    pub(crate) version: Version,
    pub(crate) target: Target,
}
