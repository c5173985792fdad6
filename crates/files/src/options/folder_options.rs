//! The options of a folder.

use super::codings::Codings;
use super::content_encodings::ContentEncodings;
use super::cors::Cors;
use super::headers::Headers;
use crate::naming::by_name::ByName;
use crate::naming::content_types::ContentTypes;

/// How a folder is served. The defaults are safe, and right for a web site.
///
/// ```
/// use sockeye_files::{Folder, Options, memory::Memory};
///
/// let mut options = Options { spa: true, ..Options::default() };
/// options.caching.add("*.css", "max-age=3600")?;
/// let folder = Folder::new(Memory::new()).with_options(options);
/// # let _ = folder;
/// # Ok::<(), sockeye_files::BadField>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `/about` serves `about.html` if there is neither a file `about` nor a folder `about` with an
    /// `index.html`. Then `/about/` redirects to `/about`, unless a folder `about` is listed.
    /// Default: on.
    pub clean_urls: bool,
    /// For single-page apps: sends the folder's `index.html` instead of a page that is not found. A
    /// request is for a page if the last segment of its path has no extension, or `.html`, and if
    /// its `Sec-Fetch-Mode` is `navigate`. If the request has no `Sec-Fetch-Mode`, `Accept`
    /// decides: it must include HTML or be absent. Default: off.
    pub spa: bool,
    /// A folder without an `index.html` is listed: as a page, JSON or plain text, by the client's
    /// `Accept`. `?format=` selects one of these formats, also if there is an `index.html`. Hidden
    /// files are not listed; of other entries that can't be served, the listing says only how many
    /// there are. With the feature `markdown`, `?format=html` shows a Markdown file as a page.
    /// Default: off.
    pub listing: bool,
    /// With [`listing`](Self::listing), `?format=tar` sends a folder as a tar archive. If off,
    /// `tar` is an unknown format (400). Default: on.
    pub archives: bool,
    /// For a site that is being edited: each request looks its file up, so a change is visible at
    /// once. Caches revalidate the file for each use unless [`caching`](Self::caching) has another
    /// value for it. If off, the result of a lookup is used for up to a second. Default: off.
    pub fresh: bool,
    /// `Cache-Control` by file name. Default: a year and `immutable` for names with a hash of the
    /// content (`app.3f9a2b1c.js`, as bundlers write them), `no-cache` for pages, styles, scripts,
    /// WebAssembly, playlists (`.m3u8`) and other text, ten minutes for everything else.
    pub caching: ByName,
    /// `Content-Type` by file name, sent as given. Default: [`content_type`](crate::content_type),
    /// with `charset=utf-8` only if a text is UTF-8 and declares no other encoding. Of files larger
    /// than [`hashed_up_to`](Self::hashed_up_to), only the first 64 KiB are checked.
    pub content_types: ContentTypes,
    /// Files that are stored compressed and sent with `Content-Encoding`. Default: `.svgz`.
    pub content_encodings: ContentEncodings,
    /// Further headers that are sent with files and listings. Default: the security headers that
    /// [`Headers`] describes.
    pub headers: Headers,
    /// Which other sites' scripts may read the files. Default: none.
    pub cors: Cors,
    /// Up to this size in bytes, the ETag of a file is a hash of its content, which is the same
    /// after a deployment of the same content and on every machine. Above it, the ETag is made of
    /// size and modification time, so that the first response doesn't wait until the file is read.
    /// Default: 8 MiB.
    pub hashed_up_to: u64,
    /// The content encodings in which files may be sent, if the client accepts them. Default: all.
    pub codings: Codings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clean_urls: true,
            spa: false,
            listing: false,
            archives: true,
            fresh: false,
            caching: ByName::new(),
            content_types: ContentTypes::new(),
            content_encodings: ContentEncodings::new(),
            headers: Headers::default(),
            cors: Cors::default(),
            hashed_up_to: 8 * 1024 * 1024,
            codings: Codings::default(),
        }
    }
}
