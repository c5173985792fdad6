//! What happens when there is nothing: the page of an app in its stead, or a page that says so.
//!
//! Each stage has a name of its own to look up, which is cached as every other name is.

use sockeye_http::Status;

use super::entry::{Entry, Target};
use super::mounts::Mounts;
use crate::respond::absent::status;
use crate::store::absent::Absent;

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What was asked for.
    Requested,
    /// The folder's own page, since there is nothing and somebody wants to see a page.
    Fallback { mount: usize, why: Absent },
    /// The folder's page that says that there is nothing.
    ErrorPage { mount: usize, why: Absent },
}

impl Purpose {
    /// What is to be tried after `entry` was found; `None` where it is the answer.
    pub(crate) fn after(self, mounts: &Mounts, entry: &Entry, navigates: bool) -> Option<Self> {
        let why = match (self, &entry.target) {
            (_, Target::File(..)) | (Self::Requested, Target::Redirect(_) | Target::Listing) => {
                return None;
            }
            (Self::ErrorPage { .. }, _) => return None,
            (Self::Requested, Target::Absent(absent)) => *absent,
            (Self::Fallback { why, .. }, _) => why,
        };
        let mount = entry.mount?;
        let folder = &mounts.get(mount).folder;
        if status(why) != Status::NOT_FOUND || folder.store.single_file().is_some() {
            return None;
        }
        // A path that no file may have is no app's either: who looks for `.git` shall find nothing.
        let is_app = folder.options.spa && !matches!(why, Absent::Refused(_) | Absent::Hidden);
        if self == Self::Requested && is_app && navigates {
            return Some(Self::Fallback { mount, why });
        }
        Some(Self::ErrorPage { mount, why })
    }

    /// The name to look up for it. Of [`Purpose::Requested`] only the request knows it.
    pub(crate) fn key(self, mounts: &Mounts) -> &[u8] {
        match self {
            Self::Requested => b"",
            Self::Fallback { mount, .. } => &mounts.get(mount).index,
            Self::ErrorPage { mount, .. } => &mounts.get(mount).error_page,
        }
    }

    /// Why there is nothing of what was asked for, where that is so.
    pub(crate) fn absent(self, entry: &Entry) -> Option<Absent> {
        match (self, &entry.target) {
            (Self::Requested, Target::Absent(absent)) => Some(*absent),
            (Self::Requested, _) => None,
            (Self::Fallback { why, .. } | Self::ErrorPage { why, .. }, _) => Some(why),
        }
    }
}
