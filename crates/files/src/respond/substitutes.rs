//! Responses instead of the requested file: errors, redirects, and pages that are sent in its
//! place.

use std::borrow::Cow;

use sockeye_http::{BadField, Fields, Status};

use crate::file::head::{Head, NO_STORE, REVALIDATE};
use crate::file::representation::Representation;
use crate::naming::path::merge_slashes;
use crate::options::fields::{with, without};
use crate::request::view::NAVIGATION_FIELDS;
use crate::store::absent::Absent;

/// The purpose of a lookup, and of sending the file that it finds. `why` is the reason why the
/// requested name isn't served. `mount` is the index of the mount (a folder that is served at a
/// prefix of the path) that the name is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The name was requested.
    Requested,
    /// The requested path has several slashes in a row, or `/./`. The path with one slash instead
    /// is looked up. If it names a file or folder, the response redirects to that path.
    MergedSlashes { why: Absent },
    /// The mount's `index.html` is sent, because a single-page app handles the path in the browser.
    Fallback { mount: usize, why: Absent },
    /// The mount's `404.html` is sent. `spa`: whether a client that accepts pages might get the
    /// page of a single-page app instead.
    ErrorPage { mount: usize, why: Absent, spa: bool },
}

impl Purpose {
    /// The fields of the responses with `file`. A page that is sent instead of the requested file
    /// is revalidated each time, since the requested file may be created later. If the page's size
    /// is unknown, it is not stored.
    pub(crate) fn head(self, file: &Representation) -> Cow<'_, Head> {
        let Head { fields, not_modified } = &file.head;
        let caching = if file.has_unknown_size { NO_STORE } else { REVALIDATE };
        let revalidated = |fields: &Fields, dropped: &[&str]| {
            with(without(fields, dropped), "Cache-Control", caching)
        };
        Cow::Owned(match self {
            Self::Requested | Self::MergedSlashes { .. } => return Cow::Borrowed(&file.head),
            Self::Fallback { .. } => {
                // `Vary`, because a client that doesn't accept pages gets an error instead.
                let fallback = |fields| {
                    with(revalidated(fields, &["Cache-Control"]), "Vary", NAVIGATION_FIELDS)
                };
                Head { fields: fallback(fields), not_modified: fallback(not_modified) }
            }
            Self::ErrorPage { spa, .. } => {
                // The validators are those of the page, not of the requested file.
                let dropped = ["Cache-Control", "ETag", "Last-Modified", "Accept-Ranges"];
                let fields = revalidated(fields, &dropped);
                let fields = if spa { with(fields, "Vary", NAVIGATION_FIELDS) } else { fields };
                Head { fields, not_modified: Fields::new() }
            }
        })
    }
}

/// The status of the response for a name that is absent for this reason. A hidden name, or one
/// outside the served folder, gets the same status as a missing one.
pub(crate) fn status(absent: Absent) -> Status {
    match absent {
        Absent::Missing
        | Absent::NoIndex
        | Absent::NoFallback
        | Absent::NotAFolder
        | Absent::Outside
        | Absent::Hidden
        | Absent::BrokenLink
        | Absent::LinkLoop
        | Absent::NotRegular(_)
        | Absent::Unmounted => Status::NOT_FOUND,
        Absent::Refused(refusal) if !refusal.is_malformed() => Status::NOT_FOUND,
        Absent::Refused(_) => Status::BAD_REQUEST,
        Absent::Denied(_) => Status::FORBIDDEN,
        Absent::Changing
        | Absent::OutOfMemory
        | Absent::Exhausted
        | Absent::TooManyOpenFiles(_)
        | Absent::ClosingHangs => Status::SERVICE_UNAVAILABLE,
        Absent::TooLong | Absent::Failed(_) | Absent::Forbidden(_) => Status::INTERNAL_SERVER_ERROR,
    }
}

/// How the path to redirect to differs from the requested one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    /// A folder was requested without its final slash.
    Add,
    /// A page with a clean URL was requested with a final slash.
    Drop,
}

/// The fields of a redirect to the same path and query, with the path's slashes merged
/// ([`merge_slashes`]): two slashes at the beginning would name another host, as in `//host/`.
/// `slash` is the change at the end of the path. Caches revalidate the redirect each time: if a
/// page became a folder, a client that had cached both the redirect that drops the slash and the
/// one that adds it would follow them in circles.
pub(crate) fn location(
    path: &[u8],
    query: Option<&[u8]>,
    slash: Option<Slash>,
) -> Result<Fields, BadField> {
    let merged = merge_slashes(path);
    let (path, end): (_, &[u8]) = match slash {
        Some(Slash::Add) => (&merged[..], b"/"),
        Some(Slash::Drop) => (merged.strip_suffix(b"/").unwrap_or(&merged), b""),
        None => (&merged[..], b""),
    };
    let mut url = Vec::new();
    for part in [path, end, query.map_or(b"", |_| b"?"), query.unwrap_or_default()] {
        push_url_bytes(part, &mut url);
    }
    let fields = Fields::new().with("Location", &url)?;
    Ok(with(fields, "Cache-Control", REVALIDATE))
}

/// Appends a part of a request target. Characters that no URI has (RFC 3986, 2) are
/// percent-encoded: some clients send them, but a server must not.
fn push_url_bytes(part: &[u8], url: &mut Vec<u8>) {
    for byte in part {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                url.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            byte => url.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_has_only_characters_of_uris() {
        let every: Vec<u8> = (b'!'..=b'~').filter(|byte| !b"#?".contains(byte)).collect();
        let path = [b"/", &every[..]].concat();
        let fields = location(&path, Some(&every), Some(Slash::Add)).unwrap();
        let line = str::from_utf8(fields.as_bytes()).unwrap().lines().next().unwrap();
        let url = "!%22$%&'()*+,-./0123456789:;%3C=%3E@ABCDEFGHIJKLMNOPQRSTUVWXYZ[%5C]%5E_%60\
                   abcdefghijklmnopqrstuvwxyz%7B%7C%7D~";
        assert_eq!(line, format!("Location: /{url}/?{url}"));
    }
}
