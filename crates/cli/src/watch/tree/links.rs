//! Where symbolic links lead, and through which names.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of links between a link and its target. The kernel follows at most 40 links in
/// total.
const MAX_LINKS: usize = 40;

/// The path that a link leads to. If it can't be resolved, for example because nothing is there,
/// the path that the link names.
pub(super) fn target_of(link: &Path) -> PathBuf {
    let named = || link.parent().unwrap_or(link).join(fs::read_link(link).unwrap_or_default());
    fs::canonicalize(link).unwrap_or_else(|_| named())
}

/// The names on the way from a link to its target, each with the folder that contains it. Names
/// that are links are followed, as by the kernel. A name is checked for being a link only when the
/// next name is requested, so that the caller can first watch the name's folder.
pub(super) struct Way {
    /// No segment of this path is a link.
    folder: PathBuf,
    /// The names to walk from `folder`, the next one last.
    rest: Vec<OsString>,
    /// The last name that was returned. It is in `folder`.
    last: Option<OsString>,
    /// How many links may still be followed.
    links: usize,
}

impl Way {
    pub(super) fn of(link: &Path) -> Self {
        let folder = link.parent().and_then(|folder| fs::canonicalize(folder).ok());
        let mut way =
            Self { folder: folder.unwrap_or_default(), rest: vec![], last: None, links: MAX_LINKS };
        if let (false, Ok(target)) = (way.folder.as_os_str().is_empty(), fs::read_link(link)) {
            way.follow(&target);
        }
        way
    }

    fn follow(&mut self, target: &Path) {
        self.rest.extend(target.iter().rev().map(OsStr::to_owned));
    }
}

impl Iterator for Way {
    type Item = (PathBuf, OsString);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(last) = self.last.take() {
            let path = self.folder.join(last);
            match fs::read_link(&path) {
                Ok(target) => {
                    self.links = self.links.checked_sub(1)?;
                    self.follow(&target);
                }
                Err(_) => self.folder = path,
            }
        }
        loop {
            let name = self.rest.pop()?;
            match name.as_encoded_bytes() {
                b"/" => self.folder = "/".into(),
                b"." => {}
                b".." => {
                    self.folder.pop();
                }
                _ => {
                    self.last = Some(name.clone());
                    return Some((self.folder.clone(), name));
                }
            }
        }
    }
}
