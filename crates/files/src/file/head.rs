//! The fields of a file's responses, made when a lookup (finding what a path names) loads the file.

use sockeye_http::{Fields, date};
use sockeye_proto::WallTime;

use super::content_type::ContentType;
use crate::naming::fingerprint::is_fingerprinted;
use crate::naming::mime;
use crate::options::codings::Coding;
use crate::options::fields::{push, with, without};
use crate::options::folder_options::Options;

/// The fields of responses that send a file's content, or say that it is unmodified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The fields of a response with content.
    pub(crate) fields: Fields,
    /// The fields of a 304: those that a cache updates (RFC 9110, 15.4.5).
    pub(crate) not_modified: Fields,
}

/// The `Cache-Control` of a file whose name changes with its content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The `Cache-Control` of pages, and of files that are deployed with them: caches revalidate them
/// for each use, because a page could otherwise be combined with an old script. Playlists have the
/// same value: the playlist of a live stream changes every few seconds. Listings, error pages and
/// redirects have it, too, and with [`Options::fresh`] all files, unless [`Options::caching`] or
/// `--live` says otherwise. Revalidating a file that has not changed costs a short 304.
pub(crate) const REVALIDATE: &str = "no-cache";

/// The `Cache-Control` of all other files, such as images, fonts, videos and archives: most are
/// large, and rarely replaced under their names.
const OTHER_FILES: &str = "max-age=600";

/// The `Cache-Control` of a file of unknown size ([`Head::with_unknown_size`]), and of generated
/// pages that have the script of `--live`.
pub(crate) const NO_STORE: &str = "no-store";

impl Head {
    pub(crate) fn new(
        name: &[u8],
        ContentType { kind, coding }: &ContentType,
        etag: &str,
        modified: Option<WallTime>,
        options: &Options,
    ) -> Self {
        let mut not_modified = with(Fields::new(), "ETag", etag);
        let caching =
            options.caching.get(name).unwrap_or_else(|| default_caching(options, name, kind));
        if !caching.is_empty() {
            push(&mut not_modified, "Cache-Control", caching.as_bytes());
        }
        // CORS fields that depend on the request's Origin are added to each response.
        let not_modified = not_modified.and(&options.cors.constant_fields());

        let mut fields = with(Fields::new(), "Content-Type", kind);
        if let Some(coding) = coding {
            push(&mut fields, "Content-Encoding", coding.name().as_bytes());
        }
        for (name, value) in options.headers.of(mime::is_page(kind)) {
            push(&mut fields, name, value.as_bytes());
        }
        if let Some(modified) = modified {
            push(&mut fields, "Last-Modified", &date::format(modified));
        }
        push(&mut fields, "Accept-Ranges", b"bytes");
        Self { fields: fields.and(&not_modified), not_modified }
    }

    /// The fields of the response to a HEAD request, if GET would first compress the file with
    /// `coding`. The length and the ETag are not known yet, and left out (RFC 9110, 9.3.2), as is
    /// `Accept-Ranges`.
    pub(crate) fn fields_before_encoding(&self, coding: Coding) -> Fields {
        let fields = without(&self.fields, &["ETag", "Accept-Ranges"]);
        with(fields, "Content-Encoding", coding.name())
    }

    /// The fields of a file whose size on disk is not that of its content, as in `/proc`: it is
    /// never cached, and not sent in ranges.
    pub(crate) fn with_unknown_size(self) -> Self {
        let dropped = ["ETag", "Last-Modified", "Accept-Ranges", "Cache-Control"];
        let changed_fields = |fields| with(without(fields, &dropped), "Cache-Control", NO_STORE);
        Self {
            fields: changed_fields(&self.fields),
            not_modified: changed_fields(&self.not_modified),
        }
    }
}

/// The `Cache-Control` of a file for which [`Options::caching`] has none.
fn default_caching(options: &Options, name: &[u8], kind: &str) -> &'static str {
    if options.fresh {
        REVALIDATE
    } else if is_fingerprinted(name) {
        IMMUTABLE
    } else if mime::is_text(kind) || mime::is_playlist(kind) || kind == "application/wasm" {
        REVALIDATE
    } else {
        OTHER_FILES
    }
}
