//! Explains the response to a URL: which folder, rule and file it comes from and which headers it
//! has, or why it is an error. The explanation uses the lookup that answers requests, so that it
//! always agrees with the response.

use std::ffi::OsStr;
use std::fmt;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sockeye_http::{Fields, Status};

use super::listing::{archive_title, is_listing_requested, is_markdown_page};
use super::listing_headers;
use super::live;
use crate::limits::lock::lock;
use crate::listing::query::{Format, ListingQuery, preferred_format};
use crate::lookup::entry::{Entry, Target};
use crate::lookup::find::look_up_fully;
use crate::lookup::folder::Folder;
use crate::lookup::mounts::{MountedPath, Mounts};
use crate::lookup::rule::Rule;
use crate::naming::path::{RequestPath, merge_slashes};
use crate::request::view::is_page;
use crate::respond::substitutes::{Purpose, Slash, location, status};
use crate::store::absent::{Absent, Permission};
use crate::store::identity::Stamp;
use crate::store::omitted::Omitted;
use crate::store::traits::{Child, Followed, Link, Opened, Store};

/// The explanation of a response: see [`Mounts::explain`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The status of the response.
    pub status: Status,
    /// The rule that led to this response.
    pub rule: Rule,
    /// The URL prefix of the folder that the response comes from, with a slash in front. `None` if
    /// it comes from no folder.
    pub mount: Option<String>,
    /// The path of this folder (or single file) on disk.
    pub root: Option<PathBuf>,
    /// The file that is sent, or the Markdown file of which a page is made. Relative to the folder.
    pub file: Option<PathBuf>,
    /// The reason why the requested file is not sent, if the response is an error or a fallback
    /// page (`index.html` of a single-page app).
    pub absent: Option<Absent>,
    /// The name that the reason is about, if it is not the requested one: `about.html` for
    /// `/about`, for example. Relative to the folder.
    pub name: Option<PathBuf>,
    /// The symbolic links on the way to the file or to the name that the reason is about.
    pub links: Vec<Link>,
    /// The path to which these links lead: relative to the folder, or absolute if it is in another
    /// folder.
    pub target: Option<PathBuf>,
    /// The file or folder for which this process lacks a permission: relative to the served folder,
    /// or absolute if it is in another folder.
    pub denied: Option<PathBuf>,
    /// If a name in a subfolder does not exist, the last existing folder on the way to it: relative
    /// to the served folder, or absolute if it is in another folder.
    pub nearest: Option<PathBuf>,
    /// The headers of the response, without those that the server adds (Date, Content-Length), and
    /// without those of a listing that depend on the folder's content, such as its ETag. Empty for
    /// an error without a page in the folder (`404.html`). The headers of a 304, of a 206 and of a
    /// compressed response differ.
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
        if let (Some(_), Some((status, rule, fields))) = (self.live(), live::explained(path)) {
            return Explanation::of(status, rule, fields);
        }
        let (merged, mut merged_scratch) = (merge_slashes(path), Vec::new());
        let (mut scratch, mut purpose) = (Vec::new(), Purpose::Requested);
        let parsed = RequestPath::parse(path, &mut scratch).or_else(|refusal| {
            let parsed = RequestPath::parse(&merged, &mut merged_scratch).map_err(|_| refusal)?;
            purpose = Purpose::MergedSlashes { why: Absent::Refused(refusal) };
            Ok(parsed)
        });
        let (watched, failures) = self.watched();
        let mut entry = match parsed {
            Ok(path) => watched.requested(path, query),
            Err(refusal) => {
                let target = Target::Absent(Absent::Refused(refusal));
                Arc::new(Entry { mount: self.root(), target })
            }
        };
        let is_navigation = is_page(path);
        let names_format = parsed.is_ok_and(|path| is_listing_requested(self, path, query));
        let mut failed = failures.name_of(purpose.absent(&entry));
        while let Some(next) = purpose.next(self, &entry, is_navigation) {
            entry = look_up_fully(&watched, next.key(self));
            purpose = next;
            if matches!(purpose, Purpose::Fallback { .. }) {
                failed = failures.name_of(purpose.absent(&entry)).or(failed);
            }
        }
        let mut explanation = self.explanation_of(&entry, purpose, path, query);
        let requested = parsed.ok().and_then(|path| self.find(path.key()));
        let requested = match requested {
            Some((_, MountedPath::Inside(path))) => path.name(),
            _ => b"",
        };
        match (&entry.target, purpose) {
            (
                Target::File(..) | Target::Redirect(_) | Target::Listing,
                Purpose::MergedSlashes { .. },
            ) => {
                let slash = entry.slash().filter(|_| !names_format);
                explanation.status = Status::MOVED_PERMANENTLY;
                explanation.rule = Rule::MergeSlashes;
                explanation.fields = self.redirect_fields(entry.mount, path, query, slash);
                explanation.file = None;
            }
            (Target::Listing, Purpose::Requested) if self.has_bad_query(&entry, query) => {
                (explanation.status, explanation.rule) = (Status::BAD_REQUEST, Rule::BadQuery);
            }
            (Target::Listing, Purpose::Requested) => {
                // The response is a listing or an archive, not the folder's `index.html`.
                if names_format {
                    explanation.rule = Rule::Format;
                }
                explanation.fields = self.listing_fields(&entry, requested, query);
            }
            // The response is an HTML page that is made of the Markdown file, not the file itself.
            (Target::File(Rule::File, _), Purpose::Requested)
                if parsed.is_ok_and(|path| is_markdown_page(self, path, query)) =>
            {
                explanation.rule = Rule::MarkdownPage;
                explanation.fields = self.listing_fields(&entry, requested, query);
            }
            _ => {}
        }
        explanation.add_links(&entry, failed, requested, self);
        explanation
    }

    /// The entry for the requested path. If the query asks for a listing or an archive, the entry
    /// is [`Target::Listing`], even if the folder has an `index.html`. For a listing, this also
    /// checks that the folder can be read.
    fn requested(&self, path: RequestPath<'_>, query: Option<&[u8]>) -> Arc<Entry> {
        let entry = match self.find(path.key()) {
            Some((mount, _)) if is_listing_requested(self, path, query) => {
                Arc::new(Entry { mount: Some(mount), target: Target::Listing })
            }
            _ => look_up_fully(self, path.key()),
        };
        let (Target::Listing, Some((mount, MountedPath::Inside(inside)))) =
            (&entry.target, self.find(path.key()))
        else {
            return entry;
        };
        if self.has_bad_query(&entry, query) {
            return entry;
        }
        match self.get(mount).folder.store.list(inside.name(), &mut |_| ControlFlow::Break(())) {
            Ok(_) => entry,
            Err(absent) => Arc::new(Entry { mount: entry.mount, target: Target::Absent(absent) }),
        }
    }

    /// Whether the query is not valid for the listing `entry`.
    fn has_bad_query(&self, entry: &Entry, query: Option<&[u8]>) -> bool {
        let archives = entry.mount.is_none_or(|at| self.get(at).folder.options.archives);
        ListingQuery::parse(query, archives).is_err()
    }

    /// The headers of a listing or archive of the folder `name`, or of a page that is made of the
    /// file `name`, without the ETag. `entry` says which mount the folder or file is in.
    fn listing_fields(&self, entry: &Entry, name: &[u8], query: Option<&[u8]>) -> Fields {
        let Some(mount) = entry.mount.map(|at| self.get(at)) else { return Fields::new() };
        let options = &mount.folder.options;
        let query = ListingQuery::parse(query, options.archives).ok();
        let format = query.and_then(|query| query.format).unwrap_or(preferred_format(None));
        let title = archive_title(&mount.prefix, name);
        let is_live = mount.folder.live.is_some() && format == Format::Html;
        listing_headers::head(options, None, format, title, None, is_live).fields
    }

    /// The headers of a redirect in a folder.
    fn redirect_fields(
        &self,
        mount: Option<usize>,
        path: &[u8],
        query: Option<&[u8]>,
        slash: Option<Slash>,
    ) -> Fields {
        let cors = mount.map(|at| self.get(at).folder.options.cors.constant_fields());
        location(path, query, slash).unwrap_or_default().and(&cors.unwrap_or_default())
    }

    /// The same folders, with stores that record which names can't be opened or listed.
    fn watched(&self) -> (Self, Arc<Failures>) {
        let failures = Arc::<Failures>::default();
        let watched = self.map_folders(|folder| {
            let (store, failures) = (Arc::clone(&folder.store), Arc::clone(&failures));
            Folder { store: Arc::new(WatchedStore { store, failures }), ..folder.clone() }
        });
        (watched, failures)
    }

    /// The explanation of the response that is made of `entry` for `purpose`, without the symbolic
    /// links.
    fn explanation_of(
        &self,
        entry: &Entry,
        purpose: Purpose,
        path: &[u8],
        query: Option<&[u8]>,
    ) -> Explanation {
        let mount = entry.mount.map(|at| self.get(at));
        let absent = purpose.absent(entry);
        let (status, rule, fields) = match &entry.target {
            Target::File(by, file) => {
                let (status, rule) = match purpose {
                    Purpose::Requested | Purpose::MergedSlashes { .. } => (Status::OK, *by),
                    Purpose::Fallback { .. } => (Status::OK, Rule::Fallback),
                    Purpose::ErrorPage { .. } => (Status::NOT_FOUND, Rule::ErrorPage),
                };
                (status, rule, purpose.head(&file.original).fields.clone())
            }
            Target::Redirect(slash) if purpose == Purpose::Requested => {
                let rule = if *slash == Slash::Add { Rule::AddSlash } else { Rule::DropSlash };
                let fields = self.redirect_fields(entry.mount, path, query, Some(*slash));
                (Status::MOVED_PERMANENTLY, rule, fields)
            }
            Target::Listing if purpose == Purpose::Requested => {
                (Status::OK, Rule::Listing, Fields::new())
            }
            _ => (status(absent.unwrap_or(Absent::Missing)), Rule::Error, Fields::new()),
        };
        Explanation {
            status,
            rule,
            mount: mount.map(|mount| format!("/{}", String::from_utf8_lossy(&mount.prefix))),
            root: mount.and_then(|mount| mount.folder.store.location()).map(Path::to_owned),
            file: entry.file().map(|file| path_of(&file.original.name)),
            absent,
            ..Explanation::of(status, rule, fields)
        }
    }
}

impl Explanation {
    /// The explanation of a response that comes from no folder.
    fn of(status: Status, rule: Rule, fields: Fields) -> Self {
        Self {
            status,
            rule,
            mount: None,
            root: None,
            file: None,
            absent: None,
            name: None,
            links: Vec::new(),
            target: None,
            denied: None,
            nearest: None,
            fields,
        }
    }

    /// Adds the symbolic links on the way to the file, or to the name that the reason is about, and
    /// what following them finds: where they lead, the file or folder for which a permission is
    /// missing, or the nearest folder that exists. `failed` is the name that the reason is about;
    /// `None`: the reason is about `requested`, the name in the request.
    fn add_links(
        &mut self,
        entry: &Entry,
        failed: Option<Vec<u8>>,
        requested: &[u8],
        mounts: &Mounts,
    ) {
        let Some(mount) = entry.mount else { return };
        let name = match (&self.absent, entry.file()) {
            (None, Some(file)) => &*file.original.name,
            _ => failed.as_deref().unwrap_or(requested),
        };
        let Followed { links, target } = mounts.get(mount).folder.store.follow(name);
        match self.absent {
            Some(Absent::Denied(_)) => self.denied = target,
            Some(Absent::Missing) if entry.file().is_none() && name.contains(&b'/') => {
                self.nearest = target;
            }
            None | Some(Absent::NotRegular(_)) if !links.is_empty() => self.target = target,
            _ => {}
        }
        self.links = links;
        self.name = failed.filter(|failed| failed != requested).map(|failed| path_of(&failed));
    }

    /// The path on disk of a name that is relative to the folder, or absolute.
    fn on_disk(&self, name: &Path) -> PathBuf {
        match &self.root {
            Some(root) if !name.as_os_str().is_empty() => root.join(name),
            Some(root) => root.clone(),
            None => name.to_owned(),
        }
    }
}

/// A store that records which names can't be opened or listed.
#[derive(Debug)]
struct WatchedStore {
    store: Arc<dyn Store>,
    failures: Arc<Failures>,
}

/// The names that couldn't be opened or listed, and why.
#[derive(Debug, Default)]
struct Failures(Mutex<Vec<(Vec<u8>, Absent)>>);

impl Failures {
    /// Records `name` if `result` is an error. Returns `result`.
    fn add<T>(&self, name: &[u8], result: Result<T, Absent>) -> Result<T, Absent> {
        if let Err(absent) = &result {
            lock(&self.0).push((name.to_vec(), *absent));
        }
        result
    }

    /// The last name that couldn't be opened or listed for this reason. `None` for
    /// [`Absent::Missing`]: this reason is about the requested name, even if the lookup has also
    /// tried other names.
    fn name_of(&self, absent: Option<Absent>) -> Option<Vec<u8>> {
        let absent = absent.filter(|absent| *absent != Absent::Missing)?;
        let failures = lock(&self.0);
        let failure = failures.iter().rev().find(|(_, why)| *why == absent)?;
        Some(failure.0.clone())
    }
}

impl Store for WatchedStore {
    fn open(&self, name: &[u8]) -> Result<Opened, Absent> {
        self.failures.add(name, self.store.open(name))
    }

    // Not recorded: see the documentation of the trait.
    fn is_file(&self, name: &[u8]) -> bool {
        self.store.is_file(name)
    }

    fn list(
        &self,
        name: &[u8],
        each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent> {
        self.failures.add(name, self.store.list(name, each))
    }

    fn now(&self) -> Stamp {
        self.store.now()
    }

    fn single_file(&self) -> Option<&[u8]> {
        self.store.single_file()
    }
}

fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

/// The explanation as lines of text. Control characters, which file names may contain, are escaped.
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
        if let Some(name) = &self.name {
            writeln!(f, "  name: {}", escaped(name))?;
        }
        for Link { name, target } in &self.links {
            writeln!(f, "  link: {} -> {}", escaped(name), escaped(target))?;
        }
        if let Some(target) = &self.target {
            let target = if target.as_os_str().is_empty() { Path::new(".") } else { target };
            writeln!(f, "  target: {}", escaped(target))?;
        }
        if let (Some(Absent::Denied(need)), Some(denied)) = (&self.absent, &self.denied) {
            let path = self.on_disk(denied);
            let need = match need {
                Permission::Traverse => "x, to pass through",
                Permission::Read => "r, to read",
            };
            writeln!(f, "  permission: {need}: {}", escaped(&path))?;
        }
        if let Some(nearest) = &self.nearest {
            writeln!(f, "  nearest folder: {}", escaped(&self.on_disk(nearest)))?;
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
