//! The content of a response, in memory or in a file.

use bytes::Bytes;
use sockeye_proto::{FileRange, Output};

/// The content of a response.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// No content.
    Empty,
    /// Bytes that are copied, for content that a handler made for this response only.
    Copied(&'a [u8]),
    /// Bytes that are part of the program.
    Static(&'static [u8]),
    /// Bytes that other responses may share. Up to 1,024 bytes are copied, more are shared.
    Shared(&'a Bytes),
    /// Part of a file.
    File(FileRange),
}

/// Content in memory of up to this many bytes is copied into the output after the head: one piece
/// of memory is cheaper to send than two.
pub(crate) const MAX_COPIED_LEN: usize = 1024;

impl Body<'_> {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Copied(bytes) => bytes.len() as u64,
            Self::Static(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File(range) => range.len,
        }
    }

    /// Whether the length is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The content, if it is copied into the output after the head; otherwise no bytes.
    #[inline]
    pub(crate) fn copied(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Static(bytes) if bytes.len() <= MAX_COPIED_LEN => bytes,
            Self::Shared(bytes) if bytes.len() <= MAX_COPIED_LEN => bytes,
            _ => b"",
        }
    }

    /// Writes the content. Call it only if [`Self::copied`] returned no bytes.
    pub(crate) fn write_uncopied(self, out: &mut Output) {
        match self {
            Self::Static(bytes) => out.write_shared(Bytes::from_static(bytes)),
            Self::Shared(bytes) => out.write_shared(bytes.clone()),
            Self::File(range) => out.write_file(range),
            Self::Empty | Self::Copied(_) => {}
        }
    }
}
