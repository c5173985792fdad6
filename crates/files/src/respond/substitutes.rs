//! Responses instead of the requested file: errors, redirects, and pages that are sent in its
//! place.

use std::borrow::Cow;

use sockeye_http::{BadField, Fields, Status};

use crate::file::head::{Head, REVALIDATE};
use crate::file::representation::Representation;
use crate::options::fields::{with, without};
use crate::request::view::NAVIGATION_FIELDS;
use crate::store::absent::Absent;

/// The purpose of a lookup, and of sending the file that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The name was requested.
    Requested,
    /// The folder's page is sent for a path that a single-page app handles in the browser.
    Fallback { mount: usize, why: Absent },
    /// The folder's `404.html` is sent.
    ErrorPage { mount: usize, why: Absent },
}

impl Purpose {
    /// The fields of the responses with `file`. A page that is sent instead of the requested file
    /// is revalidated each time, since the file may be created later.
    pub(crate) fn head(self, file: &Representation) -> Cow<'_, Head> {
        let Head { fields, not_modified } = &file.head;
        let revalidated = |fields: &Fields, dropped: &[&str]| {
            with(without(fields, dropped), "Cache-Control", REVALIDATE)
        };
        Cow::Owned(match self {
            Self::Requested => return Cow::Borrowed(&file.head),
            Self::Fallback { .. } => {
                // A client that doesn't accept pages gets another response.
                let fallback = |fields| {
                    with(revalidated(fields, &["Cache-Control"]), "Vary", NAVIGATION_FIELDS)
                };
                Head { fields: fallback(fields), not_modified: fallback(not_modified) }
            }
            Self::ErrorPage { .. } => {
                // The validators are those of the page, not of the requested file.
                let dropped = ["Cache-Control", "ETag", "Last-Modified", "Accept-Ranges"];
                Head { fields: revalidated(fields, &dropped), not_modified: Fields::new() }
            }
        })
    }
}

/// The status of the response, which discloses no details.
pub(crate) fn status(absent: Absent) -> Status {
    match absent {
        Absent::Missing
        | Absent::NoIndex
        | Absent::NoFallback
        | Absent::NotAFolder
        | Absent::Outside
        | Absent::Hidden
        | Absent::BrokenLink
        | Absent::Link
        | Absent::NotRegular(_)
        | Absent::Unmounted => Status::NOT_FOUND,
        Absent::Refused(refusal) if !refusal.is_malformed() => Status::NOT_FOUND,
        Absent::Refused(_) => Status::BAD_REQUEST,
        Absent::Denied(_) => Status::FORBIDDEN,
        Absent::Changing
        | Absent::Exhausted
        | Absent::TooManyOpenFiles(_)
        | Absent::ClosingHangs => Status::SERVICE_UNAVAILABLE,
        Absent::Failed(_) | Absent::Forbidden(_) => Status::INTERNAL_SERVER_ERROR,
    }
}

/// How the path to redirect to differs from the requested one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    /// A folder was requested without its final slash.
    Add,
    /// A page was requested with a final slash.
    Drop,
}

/// The fields of a redirect to the same path and query, with or without a final slash. It is not
/// cached: if a page became a folder, a client with both redirects in its cache would follow them
/// in circles.
pub(crate) fn location(
    path: &[u8],
    query: Option<&[u8]>,
    slash: Slash,
) -> Result<Fields, BadField> {
    // Two slashes in front would name another host. Such paths were refused.
    debug_assert!(!path.starts_with(b"//"));
    let (path, end): (_, &[u8]) = match slash {
        Slash::Add => (path, b"/"),
        Slash::Drop => (path.strip_suffix(b"/").unwrap_or(path), b""),
    };
    let parts = [path, end, query.map_or(b"", |_| b"?"), query.unwrap_or_default()];
    let fields = Fields::new().with("Location", &parts.concat())?;
    Ok(with(fields, "Cache-Control", REVALIDATE))
}
