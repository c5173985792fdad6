//! Responses instead of the requested file: errors, redirects, and pages that are sent in its place.

use std::borrow::Cow;

use sockeye_http::{BadField, Fields, Status};

use crate::file::head::{Head, REVALIDATE};
use crate::file::representation::Representation;
use crate::options::fields::{with, without};
use crate::request::view::NAVIGATES;
use crate::store::absent::Absent;

/// What a name is looked up for, and its file sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It was requested.
    Requested,
    /// It is the folder's own page, sent for a path that only the app in the browser knows.
    Fallback { mount: usize, why: Absent },
    /// It is the folder's page for what is not found.
    ErrorPage { mount: usize, why: Absent },
}

impl Purpose {
    /// The fields of the responses with `file`. What is sent instead of a requested file is
    /// revalidated each time: tomorrow there may be such a file.
    pub(crate) fn head(self, file: &Representation) -> Cow<'_, Head> {
        let Head { fields, not_modified } = &file.head;
        let revalidated = |fields: &Fields, dropped: &[&str]| {
            with(without(fields, dropped), "Cache-Control", REVALIDATE)
        };
        Cow::Owned(match self {
            Self::Requested => return Cow::Borrowed(&file.head),
            Self::Fallback { .. } => {
                // A client that wants no page gets another response.
                let fallback =
                    |fields| with(revalidated(fields, &["Cache-Control"]), "Vary", NAVIGATES);
                Head { fields: fallback(fields), not_modified: fallback(not_modified) }
            }
            Self::ErrorPage { .. } => {
                // The file's validators say nothing about what was requested.
                let dropped = ["Cache-Control", "ETag", "Last-Modified", "Accept-Ranges"];
                Head { fields: revalidated(fields, &dropped), not_modified: Fields::new() }
            }
        })
    }
}

/// The status that says why nothing is served, without telling too much.
pub(crate) fn status(absent: Absent) -> Status {
    match absent {
        Absent::Missing
        | Absent::NoIndex
        | Absent::NotAFolder
        | Absent::Outside
        | Absent::Hidden
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
/// cached: a page may become a folder, and a client that remembers both redirects would go in circles.
pub(crate) fn location(
    path: &[u8],
    query: Option<&[u8]>,
    slash: Slash,
) -> Result<Fields, BadField> {
    // A path with an empty first segment was refused: two slashes in front would name another host.
    debug_assert!(!path.starts_with(b"//"));
    let (path, end): (_, &[u8]) = match slash {
        Slash::Add => (path, b"/"),
        Slash::Drop => (path.strip_suffix(b"/").unwrap_or(path), b""),
    };
    let parts = [path, end, query.map_or(b"", |_| b"?"), query.unwrap_or_default()];
    let fields = Fields::new().with("Location", &parts.concat())?;
    Ok(with(fields, "Cache-Control", REVALIDATE))
}
