//! What a request line says.

use super::method::MethodKind;
use super::target::Target;

/// The version of a request. Others are refused before a handler sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// What a request line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) method: MethodKind,
    pub(super) version: Version,
    pub(super) target: Target,
}
