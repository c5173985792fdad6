//! What happens when there is nothing: the page of an app in its stead, or a page that says so.
//!
//! Each stage has a name of its own to look up, which is cached as every other name is.

use std::borrow::Cow;

use sockeye_http::{BadField, Fields, Status};

use crate::blocks::{with, without};
use crate::entry::{Entry, FileEntry, Slash, What};
use crate::head::{ASK_AGAIN, Head};
use crate::mounts::Mounts;
use crate::path::Refusal;
use crate::store::Absent;

/// What a look-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// What was asked for.
    Asked,
    /// The folder's own page, since there is nothing and somebody wants to see a page.
    Fallback { mount: usize, why: Absent },
    /// The folder's page that says that there is nothing.
    ErrorPage { mount: usize, why: Absent },
}

impl Stage {
    /// What is to be tried after `entry` was found; `None` where it is the answer.
    pub(crate) fn after(self, mounts: &Mounts, entry: &Entry, navigates: bool) -> Option<Self> {
        let why = match (self, &entry.what) {
            (_, What::File(_)) | (Self::Asked, What::Redirect(_) | What::Listing) => return None,
            (Self::ErrorPage { .. }, _) => return None,
            (Self::Asked, What::Absent(absent)) => *absent,
            (Self::Fallback { why, .. }, _) => why,
        };
        let mount = entry.mount?;
        let folder = &mounts.get(mount).folder;
        if status(why) != Status::NOT_FOUND || folder.store.single_file().is_some() {
            return None;
        }
        // A path that no file may have is no app's either: who looks for `.git` shall find nothing.
        let is_app = folder.options.spa && !matches!(why, Absent::Refused(_) | Absent::Hidden);
        if self == Self::Asked && is_app && navigates {
            return Some(Self::Fallback { mount, why });
        }
        Some(Self::ErrorPage { mount, why })
    }

    /// The name to look up for it. Of [`Stage::Asked`] only the request knows it.
    pub(crate) fn key(self, mounts: &Mounts) -> &[u8] {
        match self {
            Self::Asked => b"",
            Self::Fallback { mount, .. } => &mounts.get(mount).index,
            Self::ErrorPage { mount, .. } => &mounts.get(mount).error_page,
        }
    }

    /// Why there is nothing of what was asked for, where that is so.
    pub(crate) fn absent(self, entry: &Entry) -> Option<Absent> {
        match (self, &entry.what) {
            (Self::Asked, What::Absent(absent)) => Some(*absent),
            (Self::Asked, _) => None,
            (Self::Fallback { why, .. } | Self::ErrorPage { why, .. }, _) => Some(why),
        }
    }
}

/// The status that tells why there is nothing, without telling too much.
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
        Absent::Refused(refusal) if !Refusal::is_malformed(refusal) => Status::NOT_FOUND,
        Absent::Refused(_) => Status::BAD_REQUEST,
        Absent::Denied(_) => Status::FORBIDDEN,
        Absent::Changing
        | Absent::Exhausted
        | Absent::TooManyOpenFiles(_)
        | Absent::ClosingHangs => Status::SERVICE_UNAVAILABLE,
        Absent::Failed(_) | Absent::Forbidden(_) => Status::INTERNAL_SERVER_ERROR,
    }
}

/// Whether a path looks like a page's: its last segment has no extension, or `.html`.
pub(crate) fn is_page(path: &[u8]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match last.iter().rposition(|byte| *byte == b'.') {
        Some(dot) => last[dot..].eq_ignore_ascii_case(b".html"),
        None => true,
    }
}

/// What [`crate::asked::Asked::navigates`] looks at.
pub(crate) const NAVIGATES: &str = "Accept, Sec-Fetch-Mode";

/// What is said of a folder's own page where it stands for one that isn't there: others, who want
/// no page, get another answer, and tomorrow there may be one.
pub(crate) fn fallback_head(file: &FileEntry) -> Head {
    let fallback = |fields| with(Cow::Owned(asked_again(fields)), "Vary", NAVIGATES);
    Head { fields: fallback(&file.head.fields), not_modified: fallback(&file.head.not_modified) }
}

/// The fields of a page that says that there is nothing. Its tag and its date would speak of what
/// there isn't.
pub(crate) fn error_page_fields(file: &FileEntry) -> Fields {
    let fields = without(&file.head.fields, &["ETag", "Last-Modified", "Accept-Ranges"]);
    asked_again(&fields)
}

/// Fields of a reply that isn't what was asked for: however long the file itself is kept, this is
/// asked for again.
fn asked_again(fields: &Fields) -> Fields {
    with(Cow::Owned(without(fields, &["Cache-Control"])), "Cache-Control", ASK_AGAIN)
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
