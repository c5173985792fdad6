//! What a folder's owner may choose. The defaults are what most want: safe, and right for a site.

/// How a folder is answered for. One for all shards, made before the first of them.
///
/// ```
/// use sockeye_files::{Folder, Options, memory::Memory};
///
/// let folder = Folder::new(Memory::new()).with(Options::default());
/// # let _ = folder;
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {}
