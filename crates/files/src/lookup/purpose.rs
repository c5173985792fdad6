//! What is looked up next when a name is not found: the page of a single-page app, then `404.html`.
//! These pages are looked up and cached like other names.

use sockeye_http::Status;

use super::entry::{Entry, Target};
use super::mounts::Mounts;
use crate::respond::substitutes::{Purpose, status};
use crate::store::absent::Absent;

impl Purpose {
    /// The purpose of the next lookup, after the lookup for this purpose had the result `entry`.
    /// `None` if no other lookup follows, and the response is decided. `is_navigation`: whether the
    /// request is for a page.
    pub(crate) fn next(self, mounts: &Mounts, entry: &Entry, is_navigation: bool) -> Option<Self> {
        if matches!((self, &entry.target), (_, Target::File(..)) | (Self::ErrorPage { .. }, _)) {
            return None;
        }
        let why = self.absent(entry)?;
        let mount = entry.mount?;
        let folder = &mounts.get(mount).folder;
        // If a single file is served instead of a folder, there is no page for missing names.
        if status(why) != Status::NOT_FOUND || folder.is_file() {
            return None;
        }
        // A refused or hidden name, such as `.git`, is never a path of the app.
        let is_app = folder.options.spa && !matches!(why, Absent::Refused(_) | Absent::Hidden);
        if self == Self::Requested && is_app && is_navigation {
            return Some(Self::Fallback { mount, why });
        }
        Some(Self::ErrorPage { mount, why, spa: folder.options.spa })
    }

    /// The key of the page to look up: of the app's page or of the error page. For other purposes,
    /// whose key follows from the request's path, it is empty and not used.
    pub(crate) fn key(self, mounts: &Mounts) -> &[u8] {
        match self {
            Self::Requested | Self::MergedSlashes { .. } => b"",
            Self::Fallback { mount, .. } => &mounts.get(mount).index,
            Self::ErrorPage { mount, .. } => &mounts.get(mount).error_page,
        }
    }

    /// The reason why the requested name is not served. If the path with merged slashes or the
    /// fallback exists, but can't be served, the reason for that. `None` if the name is served, or
    /// redirected.
    pub(crate) fn absent(self, entry: &Entry) -> Option<Absent> {
        match (self, &entry.target) {
            (Self::MergedSlashes { why }, Target::Absent(absent))
                if status(*absent) == Status::NOT_FOUND =>
            {
                Some(why)
            }
            (Self::Requested | Self::MergedSlashes { .. }, Target::Absent(absent)) => Some(*absent),
            (Self::Requested | Self::MergedSlashes { .. }, _) => None,
            (Self::Fallback { why, .. } | Self::ErrorPage { why, .. }, Target::File(..))
            | (Self::ErrorPage { why, .. }, _) => Some(why),
            (Self::Fallback { why, .. }, Target::Absent(fallback)) => Some(match fallback {
                Absent::Missing | Absent::NoIndex => without_fallback(why),
                fallback => *fallback,
            }),
            (Self::Fallback { why, .. }, _) => Some(without_fallback(why)),
        }
    }
}

/// The reason to give when the requested name is absent because of `why`, and there is no fallback
/// page either.
fn without_fallback(why: Absent) -> Absent {
    match why {
        Absent::Missing | Absent::NoIndex => Absent::NoFallback,
        why => why,
    }
}
