//! Why a URL is answered as it is: which folder, which rule, which file, with which fields; or why
//! there is nothing.
//!
//! It is found out by the same look-up that answers requests, so it can't tell another story.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sockeye_http::{Fields, Status};

use crate::entry::{Entry, Slash, What};
use crate::listing::{self, Exchange};
use crate::mounts::{Mount, Mounts};
use crate::path::Wanted;
use crate::stage::{self, Stage};
use crate::store::{Absent, Denied, Need};

/// What led from a path to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The path names the file.
    File,
    /// The path is a folder's, whose page is its `index.html`.
    Index,
    /// The path is a folder's, which has no page and is listed.
    Listing,
    /// The path is a folder's, and the query asks for it in a format: as a listing or an archive.
    Format,
    /// The path is a folder's, which is listed, but not as the query asks.
    BadQuery,
    /// The path leaves out `.html`.
    CleanUrl,
    /// One single file is served, whatever the path is called.
    SingleFile,
    /// The path is a folder's and lacks the slash that its relative links need.
    AddSlash,
    /// The path is a page's and has a slash too much.
    DropSlash,
    /// The path is one of an app in the browser, whose page is the folder's `index.html`.
    Fallback,
    /// There is nothing, and the folder has a `404.html` that says so.
    ErrorPage,
    /// There is nothing.
    Nothing,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the path names the file",
            Self::Index => "the page of a folder is its index.html",
            Self::Listing => "the folder has no index.html and is listed",
            Self::Format => "the query asks for the folder in this format",
            Self::BadQuery => "a listing doesn't have what the query asks for",
            Self::CleanUrl => "clean URL: the path leaves out .html",
            Self::SingleFile => "a single file is served",
            Self::AddSlash => "a folder's path ends with a slash",
            Self::DropSlash => "clean URL: a page's path ends without a slash",
            Self::Fallback => "single-page app: the page is the folder's index.html",
            Self::ErrorPage => "the folder's 404.html says that there is nothing",
            Self::Nothing => "nothing answers for the path",
        })
    }
}

/// Why a URL is answered as it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The status of the answer.
    pub status: Status,
    /// What led to it.
    pub rule: Rule,
    /// The prefix of the folder that answers, with a slash in front; `None` where none does.
    pub mount: Option<String>,
    /// Where that folder (or single file) lies, on disk.
    pub root: Option<PathBuf>,
    /// The file that is sent, by its name in the folder.
    pub file: Option<PathBuf>,
    /// Why there is nothing to send but an error; there may be a page for it.
    pub absent: Option<Absent>,
    /// What denies it, where this process lacks a permission: by its name in the folder.
    pub denied: Option<PathBuf>,
    /// The fields that the answer has besides the server's own (Date, Content-Length). Where the
    /// status is 304 or 206, some are left out or added.
    pub fields: Fields,
}

impl Mounts {
    /// Says why a GET of `target`, a path as it stands in a URL with or without a query, would be
    /// answered as it would. Blocks, and reads the file.
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
    /// assert!(text.contains("\n  why: names that begin with a dot are hidden\n"), "{text}");
    /// ```
    #[must_use]
    pub fn explain(&self, target: &str) -> Explanation {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut scratch = Vec::new();
        let (mut entry, mut stage) = match Wanted::parse(path.as_bytes(), &mut scratch) {
            Ok(wanted) => (Entry::look_up_whole(self, wanted.key()), Stage::Asked),
            Err(refusal) => {
                let what = What::Absent(Absent::Refused(refusal));
                (Entry { mount: self.root(), what }.into(), Stage::Asked)
            }
        };
        let navigates = stage::is_page(path.as_bytes());
        let in_format = Wanted::parse(path.as_bytes(), &mut Vec::new())
            .is_ok_and(|wanted| Exchange::is_wanted(self, wanted, query.map(str::as_bytes)));
        while let Some(next) = stage.after(self, &entry, navigates) {
            entry = Entry::look_up_whole(self, next.key(self));
            stage = next;
        }
        let mut explanation = self.explained(&entry, stage, path, query);
        match (&entry.what, stage) {
            // The answer is made of the folder, not of its page.
            (What::File(_) | What::Listing, Stage::Asked) if in_format => {
                explanation.rule = Rule::Format;
                (explanation.file, explanation.fields) = (None, Fields::new());
            }
            (What::Listing, Stage::Asked) if !self.is_known(&entry, query) => {
                (explanation.status, explanation.rule) = (Status::BAD_REQUEST, Rule::BadQuery);
            }
            _ => {}
        }
        explanation
    }

    /// Whether the listing of this folder has what a query asks for.
    fn is_known(&self, entry: &Entry, query: Option<&str>) -> bool {
        let archives = entry.mount.is_none_or(|at| self.get(at).folder.options.archives);
        listing::is_known(query.map(str::as_bytes), archives)
    }

    fn explained(
        &self,
        entry: &Entry,
        stage: Stage,
        path: &str,
        query: Option<&str>,
    ) -> Explanation {
        let mount = entry.mount.map(|at| self.get(at));
        let absent = stage.absent(entry);
        let (status, rule, fields) = match (&entry.what, stage) {
            (What::File(file), Stage::Asked) => (Status::OK, file.rule, file.head.fields.clone()),
            (What::File(file), Stage::Fallback { .. }) => {
                (Status::OK, Rule::Fallback, stage::fallback_head(file).fields)
            }
            (What::File(file), Stage::ErrorPage { .. }) => {
                (Status::NOT_FOUND, Rule::ErrorPage, stage::error_page_fields(file))
            }
            (What::Redirect(slash), Stage::Asked) => {
                let rule = if *slash == Slash::Add { Rule::AddSlash } else { Rule::DropSlash };
                let query = query.map(str::as_bytes);
                let fields = stage::location(path.as_bytes(), query, *slash);
                (Status::MOVED_PERMANENTLY, rule, fields.unwrap_or_default())
            }
            (What::Listing, Stage::Asked) => (Status::OK, Rule::Listing, Fields::new()),
            _ => (stage::status(absent.unwrap_or(Absent::Missing)), Rule::Nothing, Fields::new()),
        };
        let file = match &entry.what {
            What::File(file) => Some(path_of(&file.name).into_owned()),
            _ => None,
        };
        // What is denied is part of the name that was asked for.
        let mut scratch = Vec::new();
        let denied = match absent {
            Some(Absent::Denied(Denied { at, .. })) => {
                Wanted::parse(path.as_bytes(), &mut scratch).ok().map(|wanted| {
                    let name = wanted.key();
                    let name = mount.map_or(name, |mount| mount.inner(name));
                    path_of(&name[..at.min(name.len())]).into_owned()
                })
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

impl Mount {
    /// What of a key is a name in this folder.
    fn inner<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let rest = key.strip_prefix(&*self.prefix).unwrap_or(key);
        if self.prefix.is_empty() { rest } else { rest.strip_prefix(b"/").unwrap_or(rest) }
    }
}

fn path_of(name: &[u8]) -> Cow<'_, Path> {
    Cow::Borrowed(Path::new(OsStr::from_bytes(name)))
}

/// Shows no control character, whatever files are called.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.status, self.rule)?;
        match (&self.mount, &self.root) {
            (Some(mount), Some(root)) => writeln!(f, "  folder: {mount} is {}", shown(root))?,
            (Some(mount), None) => writeln!(f, "  folder: {mount}")?,
            (None, _) => {}
        }
        if let Some(file) = &self.file {
            writeln!(f, "  file: {}", shown(file))?;
        }
        if let Some(absent) = &self.absent {
            writeln!(f, "  why: {absent}")?;
        }
        if let (Some(Absent::Denied(Denied { need, .. })), Some(denied)) =
            (&self.absent, &self.denied)
        {
            let all = match &self.root {
                Some(root) if !denied.as_os_str().is_empty() => root.join(denied),
                Some(root) => root.clone(),
                None => denied.clone(),
            };
            let need = match need {
                Need::Pass => "x, to pass through",
                Need::Read => "r, to read",
            };
            writeln!(f, "  permission: {need}: {}", shown(&all))?;
        }
        for line in String::from_utf8_lossy(self.fields.as_bytes()).lines() {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().flat_map(escaped).collect()
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let plain = (!character.is_control()).then_some(character);
    let escaped = character.is_control().then(|| character.escape_default());
    plain.into_iter().chain(escaped.into_iter().flatten())
}
