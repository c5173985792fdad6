//! What a folder's owner may choose. The defaults are what most want: safe, and right for a site.

/// How a folder is answered for. One for all shards, made before the first of them.
///
/// ```
/// use sockeye_files::{Folder, Options, memory::Memory};
///
/// let mut options = Options::default();
/// options.spa = true;
/// let folder = Folder::new(Memory::new()).with(options);
/// # let _ = folder;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// `/about` finds `about.html` where there is no `about`, and `/about/` is sent to `/about`
    /// where that is all there is. On.
    pub clean_urls: bool,
    /// A page that isn't there is answered with the folder's own `index.html`, whose script knows
    /// what to show: for a client that takes HTML, and a path that looks like no asset (its last
    /// segment has no extension, or `.html`). Off.
    pub spa: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clean_urls: true, spa: false }
    }
}
