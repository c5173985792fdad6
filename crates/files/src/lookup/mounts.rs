//! Several folders at prefixes, and which of them a path is in.
//!
//! A key is the path of a request, decoded and without its first slash: see [`RequestPath::key`].

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sockeye_proto::JobGroup;

use super::folder::Folder;
use crate::live::changes::Live;
use crate::naming::path::{Refusal, RequestPath};
use crate::respond::budgets::Budgets;

/// Several folders (or single files), each at a prefix of its own. Cheap to clone; can be sent to
/// any thread.
///
/// The longest prefix wins, segment by segment: `/docs` is no prefix of `/docsearch`. Each folder
/// keeps its own [`Options`](crate::Options).
///
/// ```
/// use sockeye_files::{CacheLimits, Folder, Mounts, memory::Memory};
///
/// let (home, docs) = (Folder::new(Memory::new()), Folder::new(Memory::new()));
/// let mounts = Mounts::from(home).at("/docs", docs)?;
/// let site = mounts.site(CacheLimits::default()); // For one event loop.
/// # let _ = site;
/// # Ok::<(), sockeye_files::BadMount>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    // Invariant: longer prefixes before shorter ones, none twice.
    mounts: Arc<Vec<Mount>>,
}

/// A folder at its prefix.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// Without slashes at its ends; empty for the root.
    pub(crate) prefix: Box<[u8]>,
    pub(crate) folder: Folder,
    /// The key of the folder itself, which ends with a slash unless it is empty.
    pub(crate) index: Box<[u8]>,
    /// The key of its `404.html`.
    pub(crate) error_page: Box<[u8]>,
}

impl Mount {
    /// The URL path of a name in the folder, not percent-encoded.
    pub(crate) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let slash = if self.prefix.is_empty() { &b""[..] } else { b"/" };
        [b"/", &*self.prefix, slash, name].concat()
    }
}

/// The rest of a path after the prefix of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MountedPath<'k> {
    /// The prefix itself, without a final slash.
    Prefix,
    /// A name in the folder.
    Inside(RequestPath<'k>),
}

/// Why a folder can't be served at a prefix. `Debug` writes the same sentence as `Display`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadMount {
    /// No request can have this prefix.
    Prefix(String, Refusal),
    /// Another folder has this prefix.
    Taken(String),
}

impl fmt::Display for BadMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix, why) => write!(f, "nothing can be served at {prefix:?}: {why}"),
            Self::Taken(prefix) => write!(f, "two folders can't both be served at {prefix:?}"),
        }
    }
}

impl fmt::Debug for BadMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BadMount {}

impl From<Folder> for Mounts {
    /// A folder at the root.
    fn from(folder: Folder) -> Self {
        Self { mounts: Arc::new(vec![Mount::new(b"", folder)]) }
    }
}

impl Mounts {
    /// No folders: every path gets a 404.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `folder` at `prefix`, a path as a person writes it (not percent-encoded), with or
    /// without slashes at its ends; `/` is the root. At the root, `.well-known` in the folder is
    /// served. At any other prefix, it is hidden, as all names that begin with a dot are.
    ///
    /// # Errors
    ///
    /// When no request can have the prefix, or another folder has it.
    pub fn at(mut self, prefix: &str, folder: Folder) -> Result<Self, BadMount> {
        let inner = prefix.strip_prefix('/').unwrap_or(prefix);
        let inner = inner.strip_suffix('/').unwrap_or(inner).as_bytes();
        RequestPath::checked(inner).map_err(|why| BadMount::Prefix(prefix.to_owned(), why))?;
        if self.mounts.iter().any(|mount| *mount.prefix == *inner) {
            return Err(BadMount::Taken(prefix.to_owned()));
        }
        let folder = if inner.is_empty() { folder } else { folder.beneath_prefix() };
        let mounts = Arc::make_mut(&mut self.mounts);
        mounts.push(Mount::new(inner, folder));
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.prefix.len()));
        Ok(self)
    }

    /// Drops stale listings. Returns whether any are left.
    pub(crate) fn remove_stale_listings(&self) -> bool {
        let mut is_left = false;
        for Mount { folder, .. } in &*self.mounts {
            folder.listings.remove_stale(folder.store.now());
            is_left |= !folder.listings.is_empty();
        }
        is_left
    }

    /// The budgets of memory and open files of each folder; folders may share them.
    pub(crate) fn budgets(&self) -> Vec<Arc<Budgets>> {
        self.mounts.iter().map(|mount| Arc::clone(&mount.folder.budgets)).collect()
    }

    /// The changes that pages are told of: see [`Folder::with_live`]. All folders that have a
    /// [`Live`] share the same one, so the first that is found is returned.
    pub(crate) fn live(&self) -> Option<&Arc<Live>> {
        self.mounts.iter().find_map(|mount| mount.folder.live.as_ref())
    }

    pub(crate) fn get(&self, index: usize) -> &Mount {
        &self.mounts[index]
    }

    /// The same prefixes with other folders.
    pub(crate) fn map_folders(&self, map: impl Fn(&Folder) -> Folder) -> Self {
        let map = |mount: &Mount| Mount { folder: map(&mount.folder), ..mount.clone() };
        Self { mounts: Arc::new(self.mounts.iter().map(map).collect()) }
    }

    /// The index of the folder at the root. The options of this folder are used for invalid paths.
    pub(crate) fn root(&self) -> Option<usize> {
        self.mounts.iter().position(|mount| mount.prefix.is_empty())
    }

    /// The index of the folder that `key` is in, and the key without the prefix of the folder.
    pub(crate) fn find<'k>(&self, key: &'k [u8]) -> Option<(usize, MountedPath<'k>)> {
        self.mounts.iter().enumerate().find_map(|(index, mount)| {
            let path = match key.strip_prefix(&*mount.prefix)? {
                _ if mount.prefix.is_empty() => MountedPath::Inside(RequestPath::from_key(key)),
                [] => MountedPath::Prefix,
                [b'/', rest @ ..] => MountedPath::Inside(RequestPath::from_key(rest)),
                _ => return None,
            };
            Some((index, path))
        })
    }

    /// The group of a job (work for another thread) for `key`: the jobs beneath one subfolder of a
    /// served folder may get stuck together, for example if another file system is mounted there.
    pub(crate) fn job_group(&self, key: &[u8]) -> JobGroup {
        let Some((mount, path)) = self.find(key) else { return JobGroup::default() };
        let key = if let MountedPath::Inside(path) = path { path.key() } else { b"" };
        // Two subfolders whose hashes are equal by chance share a group.
        let part = key.iter().position(|byte| *byte == b'/').map_or(0, |slash| {
            let mut hasher = DefaultHasher::new();
            key[..slash].hash(&mut hasher);
            hasher.finish() as u32
        });
        // 0 is the default of jobs that belong to no folder.
        JobGroup { root: mount as u32 + 1, part }
    }
}

impl Mount {
    fn new(prefix: &[u8], folder: Folder) -> Self {
        let beneath = |name: &[u8]| match prefix {
            [] => Box::from(name),
            _ => [prefix, b"/", name].concat().into_boxed_slice(),
        };
        let (index, error_page) = (beneath(b""), beneath(b"404.html"));
        Self { prefix: prefix.into(), folder, index, error_page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    fn mounts(prefixes: &[&str]) -> Result<Mounts, BadMount> {
        prefixes
            .iter()
            .try_fold(Mounts::new(), |mounts, prefix| mounts.at(prefix, Folder::new(Memory::new())))
    }

    #[test]
    fn the_longest_prefix_answers_segment_by_segment() {
        let mounts = mounts(&["/docs", "/", "/docs/api/", "caf\u{e9}", "/a\\b"]).unwrap();
        for (key, prefix, rest) in [
            ("", "", Some("")),
            ("index.html", "", Some("index.html")),
            ("docs", "docs", None),
            ("docs/", "docs", Some("")),
            ("docs/a/b", "docs", Some("a/b")),
            ("docsearch", "", Some("docsearch")),
            ("docs/api", "docs/api", None),
            ("docs/api/", "docs/api", Some("")),
            ("docs/api/x", "docs/api", Some("x")),
            ("docs/apis", "docs", Some("apis")),
            ("a/docs", "", Some("a/docs")),
            ("caf\u{e9}/x", "caf\u{e9}", Some("x")),
            ("a\\b/x", "a\\b", Some("x")),
        ] {
            let (index, path) = mounts.find(key.as_bytes()).unwrap();
            let found_rest = match path {
                MountedPath::Prefix => None,
                MountedPath::Inside(path) => Some(path.key()),
            };
            let found = (&*mounts.get(index).prefix, found_rest);
            assert_eq!(found, (prefix.as_bytes(), rest.map(str::as_bytes)), "{key}");
        }
        assert_eq!(mounts.root().map(|at| &*mounts.get(at).prefix), Some(&b""[..]));
    }

    #[test]
    fn keys_outside_all_prefixes_find_no_mount() {
        let docs = mounts(&["/docs"]).unwrap();
        for key in ["", "doc", "docsearch", "x/docs"] {
            assert_eq!(docs.find(key.as_bytes()), None, "{key}");
        }
        assert_eq!(docs.root(), None);
        assert_eq!(Mounts::new().find(b""), None);
    }

    #[test]
    fn prefixes_must_be_requestable_and_unused() {
        for (prefixes, why) in [
            (
                &["/.git"][..],
                "nothing can be served at \"/.git\": names that begin with a dot are hidden",
            ),
            (&["/a//b"], "nothing can be served at \"/a//b\": the path has an empty segment"),
            (&["/a/../b"], "nothing can be served at \"/a/../b\": the path has a dot segment"),
            (&["/docs", "docs/"], "two folders can't both be served at \"docs/\""),
            (&["/", ""], "two folders can't both be served at \"\""),
        ] {
            assert_eq!(mounts(prefixes).unwrap_err().to_string(), why);
        }
    }
}
