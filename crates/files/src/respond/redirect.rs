//! Redirects to the same path with a slash more or less.

use sockeye_http::{BadField, Fields};

use crate::file::head::ASK_AGAIN;

/// What a path lacks, or has too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    /// A folder, asked for without its final slash.
    Add,
    /// A page, asked for with one.
    Drop,
}

/// Where to ask instead: the same path and query, a slash more or less. A page may become a folder
/// and a folder a page: somebody who remembers the way to the one and is told the way to the other
/// would go in circles.
pub(crate) fn location(
    path: &[u8],
    query: Option<&[u8]>,
    slash: Slash,
) -> Result<Fields, BadField> {
    // A path with an empty first segment was refused: two slashes in front would be another host.
    debug_assert!(!path.starts_with(b"//"));
    let (path, end): (_, &[u8]) = match slash {
        Slash::Add => (path, b"/"),
        Slash::Drop => (path.strip_suffix(b"/").unwrap_or(path), b""),
    };
    let parts = [path, end, query.map_or(b"", |_| b"?"), query.unwrap_or_default()];
    Fields::new().with("Location", &parts.concat())?.with("Cache-Control", ASK_AGAIN.as_bytes())
}
