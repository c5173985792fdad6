//! A request's control data (RFC 9110, 6.2): its method, target and version.

use super::method::MethodKind;
use super::span::Range;

/// The version of a request. Requests of other versions are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// The method, the version, and the position of the target in a request's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlData {
    pub(crate) method: MethodKind,
    pub(crate) version: Version,
    pub(crate) target: Target,
}

/// The positions of a target's parts in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    // Invariant: `start <= path_start <= path_end <= end`.
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) path_start: u32,
    /// The position of the first `?`, or `end`.
    pub(crate) path_end: u32,
    /// Empty if the target has no authority.
    pub(crate) authority: Range,
}

impl Target {
    pub(crate) fn whole(self) -> Range {
        Range { start: self.start, end: self.end }
    }

    /// The host and port, if the target names them.
    pub(crate) fn authority(self) -> Option<Range> {
        (self.authority.start < self.authority.end).then_some(self.authority)
    }

    /// The path; empty if the target has none, such as `http://host`, or `host:port` of CONNECT.
    pub(crate) fn path(self) -> Range {
        Range { start: self.path_start, end: self.path_end }
    }

    pub(crate) fn query(self) -> Option<Range> {
        (self.path_end < self.end).then_some(Range { start: self.path_end + 1, end: self.end })
    }
}
