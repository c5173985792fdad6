//! What a folder's owner may choose. The defaults are what most want: safe, and right for a site.

use super::codings::Codings;
use super::cors::Cors;
use super::headers::Headers;
use crate::naming::by_name::ByName;

/// How a folder is answered for. One for all shards, made before the first of them.
///
/// ```
/// use sockeye_files::{Folder, Options, memory::Memory};
///
/// let mut options = Options { spa: true, ..Options::default() };
/// options.caching.add("*.css", "max-age=3600")?;
/// let folder = Folder::new(Memory::new()).with(options);
/// # let _ = folder;
/// # Ok::<(), sockeye_files::BadField>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `/about` finds `about.html` where there is no `about`, and `/about/` is sent to `/about`
    /// where that is all there is. On.
    pub clean_urls: bool,
    /// A page that isn't there is answered with the folder's own `index.html`, whose script knows
    /// what to show: for a client that takes HTML, and a path that looks like no asset (its last
    /// segment has no extension, or `.html`). Off.
    pub spa: bool,
    /// A folder without an `index.html` is answered with a listing: a page, JSON or plain text, as
    /// the client likes it; `?format=` asks for one of them, also where there is an `index.html`.
    /// What is hidden is in none of them. Off.
    pub listing: bool,
    /// With [`listing`](Self::listing), `?format=tar` sends all that is in a folder as an archive.
    /// Without it, `tar` is an unknown format (400), and listings offer no download. On.
    pub archives: bool,
    /// `Cache-Control` by file name, in front of the defaults: a year and `immutable` for names
    /// that change with their content (`app.3f9a2b1c.js`, as bundlers write them), `no-cache` for
    /// pages, styles, scripts and other text, which is kept and asked for again, ten minutes for
    /// everything else.
    pub caching: ByName,
    /// `Content-Type` by file name, in front of the table. Text types are UTF-8 unless they say
    /// otherwise.
    pub content_types: ByName,
    /// Fields that are sent with files, for security.
    pub headers: Headers,
    /// Which other sites' scripts may read the files. None.
    pub cors: Cors,
    /// The entity tag of a file of up to so many bytes is made of its content, so that it is the
    /// same after the same content was deployed again, and on every machine; that of a larger one
    /// is made of its identity on disk, so that its first answer doesn't wait until all of it was
    /// read. 8 MiB: a few milliseconds to read, where it is in the kernel's memory.
    pub hashed_up_to: u64,
    /// In which codings files are sent. All.
    pub codings: Codings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clean_urls: true,
            spa: false,
            listing: false,
            archives: true,
            caching: ByName::new(),
            content_types: ByName::new(),
            headers: Headers::default(),
            cors: Cors::default(),
            hashed_up_to: 8 * 1024 * 1024,
            codings: Codings::default(),
        }
    }
}
