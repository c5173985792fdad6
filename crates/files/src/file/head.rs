//! What is said about a file in every response: made once for each file, off the loop.

use sockeye_http::{Fields, date};
use sockeye_proto::WallTime;

use super::fields::append;
use crate::naming::fingerprint::is_fingerprinted;
use crate::naming::mime;
use crate::options::choices::Options;

/// The fields of responses with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Those of a response with its content.
    pub(crate) fields: Fields,
    /// Those of a 304: what a cache has to know again (RFC 9110, 15.4.5).
    pub(crate) not_modified: Fields,
}

/// A name that changes with the content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Pages, and what belongs to one deploy with them: kept, and asked for again each time. An answer
/// to that is a 304 of few bytes; a page with yesterday's script is broken.
pub(crate) const ASK_AGAIN: &str = "no-cache";

/// Pictures, fonts, films and archives: rarely replaced under their names, and large.
const A_WHILE: &str = "max-age=600";

impl Head {
    pub(crate) fn new(
        name: &[u8],
        etag: &str,
        modified: Option<WallTime>,
        options: &Options,
    ) -> Self {
        let kind = mime::chosen(name, &options.content_types);
        let mut not_modified = Fields::new();
        let mut push = |name: &str, value: &[u8]| {
            let pushed = not_modified.push(name, value);
            debug_assert_eq!(pushed, Ok(()), "{name} is made of checked parts");
        };
        push("ETag", etag.as_bytes());
        let caching = options.caching.get(name).unwrap_or_else(|| default_caching(name, &kind));
        if !caching.is_empty() {
            push("Cache-Control", caching.as_bytes());
        }
        options.cors.stand_in(&mut not_modified);

        let mut fields = Fields::new();
        let mut push = |name: &str, value: &[u8]| {
            let pushed = fields.push(name, value);
            debug_assert_eq!(pushed, Ok(()), "{name} is made of checked parts");
        };
        push("Content-Type", kind.as_bytes());
        for (name, value) in options.headers.of(is_page(&kind)) {
            push(name, value.as_bytes());
        }
        if let Some(modified) = modified {
            push("Last-Modified", &date::format(modified));
        }
        push("Accept-Ranges", b"bytes");
        append(&mut fields, &not_modified);
        Self { fields, not_modified }
    }
}

/// How long a file is kept by those who have it, as far as its name and its type tell.
fn default_caching(name: &[u8], kind: &str) -> &'static str {
    if is_fingerprinted(name) {
        IMMUTABLE
    } else if mime::is_text(kind) || kind == "application/wasm" {
        ASK_AGAIN
    } else {
        A_WHILE
    }
}

/// Whether a browser shows it as a page of its own, with links or scripts.
fn is_page(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim_end();
    matches!(
        essence,
        "text/html" | "application/xhtml+xml" | "image/svg+xml" | "text/xml" | "application/xml"
    )
}
