//! Explains the response to a URL: its folder, rule, file and headers, or the reason of an error.
//! It uses the lookup that answers requests, so both always agree.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sockeye_http::{Fields, Status};

use super::listing::is_requested;
use crate::listing::query::ListingQuery;
use crate::lookup::entry::{Entry, Target};
use crate::lookup::find::look_up_fully;
use crate::lookup::mounts::{MountedPath, Mounts};
use crate::lookup::rule::Rule;
use crate::naming::path::{RequestPath, merge_slashes};
use crate::request::view::is_page;
use crate::respond::substitutes::{Purpose, Slash, location, status};
use crate::store::absent::{Absent, Denied, Permission};

/// The explanation of a response: see [`Mounts::explain`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The status of the response.
    pub status: Status,
    /// The rule that led to it.
    pub rule: Rule,
    /// The prefix of the folder that the path is in, with a slash in front; `None` if there is
    /// none.
    pub mount: Option<String>,
    /// The path of that folder (or single file) on disk.
    pub root: Option<PathBuf>,
    /// The file that is sent, relative to the folder.
    pub file: Option<PathBuf>,
    /// The reason of an error or of a fallback page.
    pub absent: Option<Absent>,
    /// The file or folder for which this process lacks a permission, relative to the folder.
    pub denied: Option<PathBuf>,
    /// The headers of the response besides the server's own (Date, Content-Length). With a 304 or
    /// 206, some are left out or added.
    pub fields: Fields,
}

impl Mounts {
    /// Explains how a GET of `target`, a path in a URL with or without a query, is answered now.
    /// Blocks, and reads the file.
    ///
    /// ```
    /// use sockeye_files::{Folder, Mounts, memory::Memory};
    ///
    /// let files = Memory::new();
    /// files.write("about.html", "About us");
    /// let mounts = Mounts::from(Folder::new(files));
    /// let text = mounts.explain("/about").to_string();
    /// assert!(text.starts_with("200 OK: clean URL: the path leaves out .html\n"), "{text}");
    /// assert!(text.contains("\n  file: about.html\n"));
    /// assert!(text.contains("\n  Content-Type: text/html; charset=utf-8\n"));
    ///
    /// let text = mounts.explain("/.git/config").to_string();
    /// assert!(text.contains("\n  reason: names that begin with a dot are hidden\n"), "{text}");
    /// ```
    #[must_use]
    pub fn explain(&self, target: &str) -> Explanation {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.as_bytes(), Some(query.as_bytes())),
            None => (target.as_bytes(), None),
        };
        let (merged, mut merged_scratch) = (merge_slashes(path), Vec::new());
        let (mut scratch, mut purpose) = (Vec::new(), Purpose::Requested);
        let parsed = RequestPath::parse(path, &mut scratch).or_else(|refusal| {
            let parsed = RequestPath::parse(&merged, &mut merged_scratch).map_err(|_| refusal)?;
            purpose = Purpose::MergedSlashes;
            Ok(parsed)
        });
        let mut entry = match parsed {
            Ok(path) => look_up_fully(self, path.key()),
            Err(refusal) => {
                let target = Target::Absent(Absent::Refused(refusal));
                Arc::new(Entry { mount: self.root(), target })
            }
        };
        let is_navigation = is_page(path);
        let names_format = parsed.is_ok_and(|path| is_requested(self, path, query));
        while let Some(next) = purpose.next(self, &entry, is_navigation) {
            entry = look_up_fully(self, next.key(self));
            purpose = next;
        }
        let mut explanation = self.explanation_of(&entry, purpose, path, parsed.ok(), query);
        match (&entry.target, purpose) {
            (Target::File(..) | Target::Redirect(_) | Target::Listing, Purpose::MergedSlashes) => {
                let slash = entry.slash().filter(|_| !names_format);
                explanation.status = Status::MOVED_PERMANENTLY;
                explanation.rule = Rule::MergeSlashes;
                explanation.fields = location(path, query, slash).unwrap_or_default();
                explanation.file = None;
            }
            // The response is a listing or an archive, not the folder's page.
            (Target::File(..) | Target::Listing, Purpose::Requested) if names_format => {
                explanation.rule = Rule::Format;
                (explanation.file, explanation.fields) = (None, Fields::new());
            }
            (Target::Listing, Purpose::Requested) => {
                let archives = entry.mount.is_none_or(|at| self.get(at).folder.options.archives);
                if ListingQuery::parse(query, archives).is_err() {
                    (explanation.status, explanation.rule) = (Status::BAD_REQUEST, Rule::BadQuery);
                }
            }
            _ => {}
        }
        explanation
    }

    fn explanation_of(
        &self,
        entry: &Entry,
        purpose: Purpose,
        path: &[u8],
        parsed: Option<RequestPath<'_>>,
        query: Option<&[u8]>,
    ) -> Explanation {
        let mount = entry.mount.map(|at| self.get(at));
        let absent = purpose.absent(entry);
        let (status, rule, fields) = match &entry.target {
            Target::File(by, file) => {
                let (status, rule) = match purpose {
                    Purpose::Requested | Purpose::MergedSlashes => (Status::OK, *by),
                    Purpose::Fallback { .. } => (Status::OK, Rule::Fallback),
                    Purpose::ErrorPage { .. } => (Status::NOT_FOUND, Rule::ErrorPage),
                };
                (status, rule, purpose.head(&file.original).fields.clone())
            }
            Target::Redirect(slash) if purpose == Purpose::Requested => {
                let rule = if *slash == Slash::Add { Rule::AddSlash } else { Rule::DropSlash };
                let fields = location(path, query, Some(*slash));
                (Status::MOVED_PERMANENTLY, rule, fields.unwrap_or_default())
            }
            Target::Listing if purpose == Purpose::Requested => {
                (Status::OK, Rule::Listing, Fields::new())
            }
            _ => (status(absent.unwrap_or(Absent::Missing)), Rule::Error, Fields::new()),
        };
        let file = match &entry.target {
            Target::File(_, file) => Some(path_of(&file.original.name)),
            _ => None,
        };
        // The denied file or folder is named by a part of the requested name.
        let denied = match (absent, parsed) {
            (Some(Absent::Denied(Denied { at, .. })), Some(path)) => {
                let name = match self.find(path.key()) {
                    Some((_, MountedPath::Inside(path))) => path.key(),
                    _ => b"",
                };
                Some(path_of(&name[..at.min(name.len())]))
            }
            _ => None,
        };
        Explanation {
            status,
            rule,
            mount: mount.map(|mount| format!("/{}", String::from_utf8_lossy(&mount.prefix))),
            root: mount.and_then(|mount| mount.folder.store.location()).map(Path::to_owned),
            file,
            absent,
            denied,
            fields,
        }
    }
}

fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

/// Escapes control characters, which file names may contain.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.status, self.rule)?;
        match (&self.mount, &self.root) {
            (Some(mount), Some(root)) => writeln!(f, "  folder: {mount} is {}", escaped(root))?,
            (Some(mount), None) => writeln!(f, "  folder: {mount}")?,
            (None, _) => {}
        }
        if let Some(file) = &self.file {
            writeln!(f, "  file: {}", escaped(file))?;
        }
        if let Some(absent) = &self.absent {
            writeln!(f, "  reason: {absent}")?;
        }
        if let (Some(Absent::Denied(Denied { need, .. })), Some(denied)) =
            (&self.absent, &self.denied)
        {
            let path = match &self.root {
                Some(root) if !denied.as_os_str().is_empty() => root.join(denied),
                Some(root) => root.clone(),
                None => denied.clone(),
            };
            let need = match need {
                Permission::Traverse => "x, to pass through",
                Permission::Read => "r, to read",
            };
            writeln!(f, "  permission: {need}: {}", escaped(&path))?;
        }
        for line in String::from_utf8_lossy(self.fields.as_bytes()).lines() {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

fn escaped(path: &Path) -> String {
    let append = |text: String, char: char| match char.is_control() {
        true => text + &char.escape_default().to_string(),
        false => text + char.encode_utf8(&mut [0; 4]),
    };
    path.to_string_lossy().chars().fold(String::new(), append)
}
