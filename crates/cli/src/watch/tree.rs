//! Watches the served folders and all folders in them, by inotify.
//!
//! A folder that appears later is watched, too. Symbolic links are followed where the server
//! follows them. If a link leads to a folder, that folder is watched under the link's name. If a
//! link leads to a file, the folder that contains the file is watched. The folders on the way from
//! a link to its target are watched for the names that lead to the target, even if the target
//! doesn't exist. These names may be links, too.
//!
//! A build may replace a served folder, or the link at its path. So the parent of a served folder
//! is watched, too, but only for the served folder's name. If the parent is also gone, the nearest
//! existing folder above it is watched, for the next name on the path to the served folder.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::mem::{MaybeUninit, replace, take};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::slice;

use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;
use tracing::warn;

use self::links::{Way, target_of};
use super::names::is_ignored;

/// Maximum of [`Tree::count`], and of the number of followed links. A watch takes about 1 KiB of
/// the kernel's memory.
const MAX_WATCHED: usize = 32 * 1024;

/// Maximum number of changed paths that are collected. If more change, [`EVERYTHING`] replaces
/// them.
const MAX_PATHS: usize = 4096;

/// [`Tree::read_events`] makes no further system call once it has this many events.
const MAX_EVENTS: usize = 1024;
/// How often one call of [`Tree::read`] calls [`Tree::read_events`] at most.
const MAX_READS: usize = 64;

/// The URL path of the root. As a changed path, it means that everything may have changed.
const EVERYTHING: &[u8] = b"/";

/// A served folder or file.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// Absolute.
    pub(crate) path: PathBuf,
    /// The URL path where it is served, which begins with a slash.
    pub(crate) prefix: String,
    pub(crate) is_file: bool,
    /// The other folders that links may lead into (`--links-into`).
    pub(crate) links_into: Vec<PathBuf>,
}

impl Root {
    /// The URL path of the served folder or file, with a final slash if it is a folder.
    fn url(&self) -> Vec<u8> {
        let prefix = self.prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let mut url = format!("/{prefix}{slash}").into_bytes();
        if let (true, Some(name)) = (self.is_file, self.path.file_name()) {
            url.extend_from_slice(name.as_bytes());
        }
        url
    }
}

/// One reason why a folder is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WatchReason {
    /// With [`Scope::Folder`], the watched folder, or the link that leads to it. With
    /// [`Scope::File`], the served file, or the link that leads to a file in the watched folder.
    /// With [`Scope::Way`], the served folder or file that is below the watched folder, or the link
    /// whose target is below it.
    path: PathBuf,
    /// The URL path of the folder or file at `path`, with a final slash if it is a folder.
    url: Vec<u8>,
    scope: Scope,
}

/// The names in a watched folder whose changes are reported.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// All names in the watched folder.
    Folder,
    /// Only this name: the target of a link, or a served file.
    File(OsString),
    /// Only this name: the next one on the way to a served folder or file, or to a link's target.
    Way(OsString),
}

/// An event of inotify.
struct Event {
    watch: i32,
    flags: ReadFlags,
    name: Option<OsString>,
}

#[derive(Debug)]
pub(super) struct Tree {
    inotify: OwnedFd,
    roots: Vec<Root>,
    /// By inotify's watch descriptor. A folder that is reached by several paths has one descriptor
    /// and several reasons.
    watched: HashMap<i32, Vec<WatchReason>>,
    /// The number of [`WatchReason`]s in `watched`, except those with [`Scope::Way`]. The latter
    /// need no limit of their own: each root and each link has only a few, see [`Way`].
    count: usize,
    /// The links that are followed. Roots that are links are not among them.
    links: HashSet<PathBuf>,
    /// Limits `count`, and the number of links.
    max: usize,
    /// Whether a limit was reached and logged.
    is_full: bool,
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Tree {
    /// Starts inotify. No folder is watched before [`Tree::look`].
    pub(super) fn new(roots: Vec<Root>) -> Result<Self, Errno> {
        Self::with_max(roots, MAX_WATCHED)
    }

    fn with_max(roots: Vec<Root>, max: usize) -> Result<Self, Errno> {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let (watched, links) = (HashMap::new(), HashSet::new());
        Ok(Self { inotify, roots, watched, count: 0, links, max, is_full: false })
    }

    /// Adds watches for all served folders and files. With many folders, this takes long.
    pub(super) fn look(&mut self) {
        for root in self.roots.clone() {
            let (Root { path, is_file, .. }, url) = (&root, root.url());
            self.add_target(path, &url);
            self.watch_above(path, &url, *is_file);
            if !is_file {
                self.add(path.clone(), url, true);
            }
        }
    }

    /// Watches the nearest existing folder above a served folder or file, for the next name on the
    /// path to it.
    fn watch_above(&mut self, root: &Path, url: &[u8], is_file: bool) {
        let mut watched = None;
        // Repeated until the nearest folder is watched: one that is nearer to the served folder or
        // file may have appeared just before the watch was added.
        while let Some((folder, name)) = nearest_above(root)
            && watched != Some(folder)
        {
            let scope = match is_file && Some(folder) == root.parent() {
                true => Scope::File(name.to_owned()),
                false => Scope::Way(name.to_owned()),
            };
            self.watch(folder, WatchReason { path: root.to_owned(), url: url.to_owned(), scope });
            watched = Some(folder);
        }
    }

    /// The changes since the last call, as URL paths. A path with a final slash is a folder, in
    /// which everything may have changed.
    pub(super) fn read(&mut self) -> Result<BTreeSet<Vec<u8>>, Errno> {
        let mut changed = BTreeSet::new();
        for _ in 0..MAX_READS {
            let events = self.read_events()?;
            if events.is_empty() {
                break;
            }
            for event in events {
                self.on_event(&event, &mut changed);
                if changed.len() > MAX_PATHS {
                    changed = BTreeSet::from([EVERYTHING.to_vec()]);
                }
            }
        }
        Ok(changed)
    }

    fn read_events(&self) -> Result<Vec<Event>, Errno> {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let (mut reader, mut events) = (Reader::new(&self.inotify, &mut buffer), Vec::new());
        while events.len() < MAX_EVENTS || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => events.push(Event {
                    watch: event.wd(),
                    flags: event.events(),
                    name: event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).into()),
                }),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(events)
    }

    fn on_event(&mut self, event: &Event, changed: &mut BTreeSet<Vec<u8>>) {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.watch_again();
            changed.insert(EVERYTHING.to_vec());
        } else if event.flags.intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) {
            let reasons = self.watched.get(&event.watch).cloned().unwrap_or_default();
            if event.flags.contains(ReadFlags::IGNORED) {
                // The folder is gone.
                self.watched.remove(&event.watch);
                self.count -= counted(&reasons);
            }
            // If the folder was watched for a single name, `watch_again` looks for the folders that
            // have to be watched for this name now.
            if reasons.iter().any(|reason| !matches!(reason.scope, Scope::Folder)) {
                self.watch_again();
                changed.extend(reasons.into_iter().map(|reason| reason.url));
            }
        } else if let Some(name) = &event.name {
            let mut is_way = false;
            for watched in self.watched.get(&event.watch).cloned().unwrap_or_default() {
                match watched.scope {
                    Scope::Folder if !is_ignored(name.as_bytes(), &watched.url) => {
                        let child = watched.path.join(name);
                        let url = [&watched.url, name.as_bytes()].concat();
                        self.on_child(child, url, event.flags, changed);
                    }
                    Scope::File(only) if only == *name => {
                        changed.insert(watched.url);
                    }
                    Scope::Way(only) if only == *name => {
                        is_way = true;
                        // A link that led to a folder may lead to a file now. So its URL without
                        // the final slash has changed, too.
                        let is_root = self.roots.iter().any(|root| root.path == watched.path);
                        if let (false, Some(file)) = (is_root, watched.url.strip_suffix(b"/")) {
                            changed.insert(file.to_vec());
                        }
                        changed.insert(watched.url);
                    }
                    _ => {}
                }
            }
            // One call is enough, even if this name is on the way to the targets of several links.
            if is_way {
                self.watch_again();
            }
        }
    }

    /// Handles an event about a file, folder or link in a watched folder: it was changed, created,
    /// removed or renamed.
    fn on_child(
        &mut self,
        path: PathBuf,
        mut url: Vec<u8>,
        flags: ReadFlags,
        changed: &mut BTreeSet<Vec<u8>>,
    ) {
        let is_gone = flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM);
        let is_new = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        let is_folder = flags.contains(ReadFlags::ISDIR);
        // A deleted folder needs no removal: its watch ends by itself.
        let was_link = self.links.contains(&path);
        if was_link || is_folder && flags.contains(ReadFlags::MOVED_FROM) {
            let is_moved = |root: &&Root| root.path.starts_with(&path);
            let moved: Vec<_> = self.roots.iter().filter(is_moved).map(Root::url).collect();
            if moved.is_empty() {
                self.remove_below(&path);
            } else {
                // `path` is now a name on the way to these served folders and files, which may
                // appear again.
                self.watch_again();
                changed.extend(moved);
            }
        }
        let is_link = is_new && path.is_symlink();
        changed.insert(url.clone());
        url.push(b'/');
        // The event doesn't say whether a link leads to a folder.
        if is_folder || was_link || is_link {
            changed.insert(url.clone());
        }
        // A folder of which only the mode has changed is added, too: it may be readable now.
        if is_folder && !is_gone || is_link || was_link && !is_gone {
            self.add(path, url, false);
        }
    }

    /// Looks at all folders again, because a folder or link on the way to something watched has
    /// changed, or because events were lost. Folders that are still there keep their watch
    /// descriptors, so that no event that is queued for them is lost.
    fn watch_again(&mut self) {
        let before = take(&mut self.watched);
        self.count = 0;
        self.links.clear();
        self.look();
        for watch in before.into_keys().filter(|watch| !self.watched.contains_key(watch)) {
            // Fails if the folder is gone.
            let _ = remove_watch(&self.inotify, watch);
        }
    }

    /// Watches the folder at `path` and all folders in it. If `path` is a link, watches its target,
    /// which may also be a file. `url` has a final slash. `is_root`: whether `path` is that of a
    /// served folder, and not of something in one.
    fn add(&mut self, path: PathBuf, url: Vec<u8>, is_root: bool) {
        let mut folders = vec![(path, url, is_root)];
        while let Some((path, url, is_root)) = folders.pop() {
            if !is_root && path.is_symlink() {
                if !self.may_follow(&path) {
                    continue;
                }
                if self.links.len() >= self.max {
                    self.report_full("serve a smaller folder");
                    return;
                }
                self.links.insert(path.clone());
                if path.is_file() {
                    let url = url.strip_suffix(b"/").unwrap_or(&url);
                    self.watch_way(&path, url);
                    self.add_target(&path, url);
                    continue;
                }
                self.watch_way(&path, &url);
            }
            let scope = Scope::Folder;
            if !self.watch(&path, WatchReason { path: path.clone(), url: url.clone(), scope }) {
                continue;
            }
            // Read after the folder is watched, so that no name is missed.
            let Ok(entries) = fs::read_dir(&path) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().into_vec();
                let kind = entry.file_type().ok();
                let is_followed = kind.is_some_and(|kind| kind.is_dir() || kind.is_symlink());
                if is_followed && !is_ignored(&name, &url) {
                    folders.push((entry.path(), [&url, &name[..], b"/"].concat(), false));
                }
            }
        }
    }

    /// If `link` is a link to a file, watches the folder of that file for the file's name.
    fn add_target(&mut self, link: &Path, url: &[u8]) {
        let Ok(target) = fs::canonicalize(link).map_err(drop) else { return };
        if let (true, Some(parent), Some(name)) =
            (target != link && target.is_file(), target.parent(), target.file_name())
        {
            let scope = Scope::File(name.to_owned());
            self.watch(parent, WatchReason { path: link.to_owned(), url: url.to_owned(), scope });
        }
    }

    /// Watches the folders on the way from `link` to its target, for the names that lead to it. If
    /// the target is a file, its own name is left to [`Tree::add_target`].
    fn watch_way(&mut self, link: &Path, url: &[u8]) {
        let file = fs::canonicalize(link).ok().filter(|target| target.is_file());
        for (folder, name) in Way::of(link) {
            if self.is_in_scope(&folder) && file.as_ref() != Some(&folder.join(&name)) {
                let (path, url) = (link.to_owned(), url.to_owned());
                self.watch(&folder, WatchReason { path, url, scope: Scope::Way(name) });
            }
        }
    }

    /// Whether the server follows `link`: it leads into a served folder, or into one of
    /// [`Root::links_into`]. The target doesn't have to exist yet.
    fn may_follow(&self, link: &Path) -> bool {
        self.is_in_scope(&target_of(link))
    }

    /// Whether `path`, or the nearest existing folder above it, is a served folder or one of
    /// [`Root::links_into`], or in one.
    fn is_in_scope(&self, path: &Path) -> bool {
        let Some(path) = path.ancestors().find_map(|path| fs::canonicalize(path).ok()) else {
            return false;
        };
        let folders = self.roots.iter().flat_map(|root| root.links_into.iter().chain([&root.path]));
        let mut folders = folders.filter_map(|folder| fs::canonicalize(folder).ok());
        folders.any(|folder| path.starts_with(folder))
    }

    /// Watches `folder` for the reason `watched`. Returns false if that fails, if `folder` is
    /// already watched for this reason, or if a path above `watched.path` already leads to
    /// `folder`: then a link leads to a folder that contains the link.
    fn watch(&mut self, folder: &Path, watched: WatchReason) -> bool {
        const FLAGS: WatchFlags = WatchFlags::CREATE
            .union(WatchFlags::DELETE)
            .union(WatchFlags::MOVED_FROM)
            .union(WatchFlags::MOVED_TO)
            .union(WatchFlags::CLOSE_WRITE)
            .union(WatchFlags::ATTRIB)
            .union(WatchFlags::MOVE_SELF)
            .union(WatchFlags::ONLYDIR);
        if self.count >= self.max {
            self.report_full("serve a smaller folder");
            return false;
        }
        let watch = match add_watch(&self.inotify, folder, FLAGS) {
            Ok(watch) => watch,
            Err(Errno::NOSPC) => {
                self.report_full(
                    "raise the system's limit: sysctl fs.inotify.max_user_watches=524288",
                );
                return false;
            }
            // The folder is gone, or the process may not read it.
            Err(_) => return false,
        };
        let known = self.watched.entry(watch).or_default();
        let leads_back = |other: &WatchReason| {
            watched.path != other.path
                && watched.path.starts_with(&other.path)
                && matches!(other.scope, Scope::Folder)
                && matches!(watched.scope, Scope::Folder)
        };
        if known.contains(&watched) || known.iter().any(leads_back) {
            return false;
        }
        self.count += counted(slice::from_ref(&watched));
        known.push(watched);
        true
    }

    /// Stops watching the folder or link at `path`, and everything below it. No served folder or
    /// file may be there.
    fn remove_below(&mut self, path: &Path) {
        let (inotify, count) = (&self.inotify, &mut self.count);
        self.links.retain(|link| !link.starts_with(path));
        self.watched.retain(|watch, all| {
            let before = counted(all);
            all.retain(|watched| !watched.path.starts_with(path));
            *count -= before - counted(all);
            if all.is_empty() {
                let _ = remove_watch(inotify, *watch);
            }
            !all.is_empty()
        });
    }

    /// Logs, once, that a limit was reached, and what to do about it.
    fn report_full(&mut self, advice: &str) {
        if !replace(&mut self.is_full, true) {
            let watched = self.count;
            warn!(
                target: "sockeye",
                watched,
                "--live: too many folders: pages don't reload after changes in the others; {advice}"
            );
        }
    }
}

/// How many of these reasons count towards the limit.
fn counted(reasons: &[WatchReason]) -> usize {
    reasons.iter().filter(|reason| !matches!(reason.scope, Scope::Way(_))).count()
}

/// The nearest folder above `path` that exists, and the name in it that leads to `path`.
fn nearest_above(path: &Path) -> Option<(&Path, &OsStr)> {
    path.ancestors().find_map(|below| {
        let folder = below.parent().filter(|folder| folder.is_dir())?;
        Some((folder, below.file_name()?))
    })
}

mod links;
#[cfg(test)]
mod tests;
