//! Lookups: finding out which file a request path names, and by which rule. A lookup opens the
//! file, and reads it if it is small or its ETag is a hash of its content. It may block, so it runs
//! on a thread of the pool, unless the kernel has everything in memory.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use sockeye_proto::{CancelToken, Permit};

use super::entry::{Entry, Target};
use super::folder::Folder;
use super::mounts::{Mount, MountedPath, Mounts};
use super::rule::Rule;
use crate::coding::file_entry::FileEntry;
use crate::file::content::Content;
use crate::file::content_type::ContentType;
use crate::file::reader::{LoadError, Loaded, ReadScope, Reader};
use crate::file::representation::{OpenedFile, Representation};
use crate::live::problems::{MAX_LEN, Problem};
use crate::naming::mime;
use crate::naming::path::RequestPath;
use crate::respond::substitutes::Slash;
use crate::store::absent::Absent;
use crate::store::identity::{Identity, Stamp};
use crate::store::traits::{OpenFile, Opened};

/// Maximum number of lookups of a name that fail with [`Absent::Changing`], and of reads of a file
/// that changes during each read. After these reads, the file is read once more, and may grow
/// meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// The file that is sent for a folder.
const INDEX_PAGE: &[u8] = b"index.html";

/// The extension that clean URLs leave out.
const HTML_EXTENSION: &[u8] = b".html";

const MISSING: LoadError = LoadError::Absent(Absent::Missing);

/// Why a lookup has no result.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// The lookup has to read a whole file. `Some`: the requested file, which the lookup has
    /// opened. `None`: a precompressed form of the requested file, or an HTML file that gets the
    /// script of `--live`. The next lookup opens it.
    NeedsFullRead(Option<Box<OpenedEarlier>>),
    /// The lookup would block the event loop.
    WouldBlock,
}

/// A file that a lookup opened for the next lookup, which reads it.
pub(crate) struct OpenedEarlier {
    name: Box<[u8]>,
    file: Arc<dyn OpenFile>,
    identity: Identity,
    /// The clock of the store, read before the file was opened.
    now: Stamp,
    /// Charges the descriptor to a client while the file waits to be read.
    permit: Option<Permit>,
}

impl OpenedEarlier {
    /// The same file, with its descriptor charged.
    pub(crate) fn charged(self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self }
    }

    /// Takes the permit for its descriptor.
    pub(crate) fn take_permit(&mut self) -> Option<Permit> {
        self.permit.take()
    }
}

/// Looks up `key`. Blocks, unless `scope` is [`ReadScope::Cached`]. `known` is the result of an
/// earlier lookup of `key`: if its file is unchanged, it is returned, and the file is not read.
/// `opened` is a file that an earlier lookup of `key` opened.
pub(crate) fn look_up(
    mounts: &Mounts,
    key: &[u8],
    known: Option<Arc<Entry>>,
    opened: Option<OpenedEarlier>,
    scope: ReadScope<'_>,
) -> Result<Arc<Entry>, Unfinished> {
    let Some((mount, path)) = mounts.find(key) else {
        let target = Target::Absent(Absent::Unmounted);
        return Ok(Arc::new(Entry { mount: None, target }));
    };
    let mount_at = mounts.get(mount);
    let folder = &mount_at.folder;
    let known_file = match known.as_deref() {
        Some(Entry { mount: Some(at), target: Target::File(rule, file) }) if *at == mount => {
            Some((*rule, file))
        }
        _ => None,
    };
    let mut opened = opened;
    let mut attempts = 0..MAX_ATTEMPTS;
    let target = loop {
        attempts.next();
        // Each attempt opens the root again.
        let opened_store = match scope {
            ReadScope::Cached => Some(folder.store.for_event_loop().ok_or(Unfinished::WouldBlock)?),
            ReadScope::SmallFiles | ReadScope::WholeFiles(_) => folder.store.for_lookup(),
        };
        let store = opened_store.as_deref().unwrap_or(&*folder.store);
        let reader = Reader { store, ..folder.reader(scope) };
        let opened = RefCell::new(opened.take());
        let lookup = Lookup { mount: mount_at, folder, known: known_file, reader, opened };
        let found = lookup.find(path);
        // Checked before `found`: if the store would block, `find` has taken the file for missing.
        if store.would_block() {
            return Err(Unfinished::WouldBlock);
        }
        match found {
            Ok(Target::File(_, file))
                if known_file.is_some_and(|(_, at)| Arc::ptr_eq(at, &file)) =>
            {
                drop(lookup);
                return Ok(known.expect("it has the known file"));
            }
            Ok(target) => break target,
            Err(LoadError::NeedsFullRead) => {
                return Err(Unfinished::NeedsFullRead(lookup.opened.take().map(Box::new)));
            }
            Err(LoadError::WouldBlock) => return Err(Unfinished::WouldBlock),
            // The symbolic link to the root was switched, for example.
            Err(LoadError::Absent(Absent::Changing)) if !attempts.is_empty() => {}
            Err(LoadError::Absent(absent)) => break Target::Absent(absent),
            Err(LoadError::Changed) => break Target::Absent(Absent::Changing),
        }
    };
    Ok(Arc::new(Entry { mount: Some(mount), target }))
}

impl fmt::Debug for OpenedEarlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedEarlier").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Looks up `key`, and reads whole files if necessary.
pub(crate) fn look_up_fully(mounts: &Mounts, key: &[u8]) -> Arc<Entry> {
    let scope = ReadScope::WholeFiles(&CancelToken::default());
    let found = look_up(mounts, key, None, None, scope);
    found.expect("every file may be read")
}

/// One lookup in one folder.
struct Lookup<'a> {
    mount: &'a Mount,
    folder: &'a Folder,
    /// The file that an earlier lookup found.
    known: Option<(Rule, &'a Arc<FileEntry>)>,
    reader: Reader<'a>,
    /// A file that an earlier lookup opened, or that this one opened but may not read, because of
    /// its scope.
    opened: RefCell<Option<OpenedEarlier>>,
}

impl Lookup<'_> {
    fn find(&self, path: MountedPath<'_>) -> Result<Target, LoadError> {
        match (path, self.reader.store.single_file()) {
            (MountedPath::Prefix, None) => Ok(Target::Redirect(Slash::Add)),
            (MountedPath::Inside(path), Some(single))
                if !path.key().is_empty() && path.key() != single =>
            {
                Err(MISSING)
            }
            (_, Some(single)) => self.load(single, Rule::SingleFile)?.ok_or(Absent::NoIndex.into()),
            (MountedPath::Inside(path), None) if path.is_folder() => self.index(path),
            (MountedPath::Inside(path), None) => self.named(path.name()),
        }
    }

    /// The target of a path without a final slash.
    fn named(&self, name: &[u8]) -> Result<Target, LoadError> {
        match self.load(name, Rule::File) {
            Ok(Some(file)) => Ok(file),
            // `name.html` has precedence over a folder `name` without an `index.html`.
            Ok(None) => match self.clean_url(name) {
                Ok(Some(page)) if !self.has_index(name) => Ok(page),
                // A `name.html` that exists but can't be served doesn't hide the folder's listing
                // or `index.html`.
                Err(LoadError::Absent(absent))
                    if !absent.is_transient()
                        && (self.folder.options.listing || self.has_index(name)) =>
                {
                    Ok(Target::Redirect(Slash::Add))
                }
                Err(error) if !error.is_missing() => Err(error),
                _ => Ok(Target::Redirect(Slash::Add)),
            },
            Err(error) if error.is_missing() => self.clean_url(name)?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// The target of a path with a final slash.
    fn index(&self, path: RequestPath<'_>) -> Result<Target, LoadError> {
        let loaded = self.load(&[path.key(), INDEX_PAGE].concat(), Rule::Index);
        let is_broken_link = matches!(loaded, Err(LoadError::Absent(Absent::BrokenLink)));
        let absent = match loaded {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => Absent::NoIndex,
            Err(error) if error.is_missing() => match self.reader.store.open(path.name()) {
                Ok(Opened::Folder) => Absent::NoIndex,
                Ok(Opened::File(..)) => return Err(Absent::NotAFolder.into()),
                Err(absent) => absent,
            },
            Err(error) => return Err(error),
        };
        let is_listed = absent == Absent::NoIndex && self.folder.options.listing;
        // `name.html` doesn't hide the listing of the folder `name`, to which other listings link.
        let page = (absent == Absent::NoIndex || absent.is_missing())
            && !is_listed
            && self.folder.options.clean_urls
            && !path.name().is_empty()
            // `clean_url` doesn't append `.html` to such a name, so a redirect to the path without
            // a slash would lead back here.
            && !path.name().ends_with(HTML_EXTENSION)
            && self.reader.store.is_file(&[path.name(), HTML_EXTENSION].concat());
        match absent {
            _ if is_listed => Ok(Target::Listing),
            _ if page => Ok(Target::Redirect(Slash::Drop)),
            Absent::NoIndex if is_broken_link => Err(Absent::BrokenLink.into()),
            absent => Err(absent.into()),
        }
    }

    /// The file `name.html`. `None` if there is no such file, `name` already ends in `.html`, or
    /// clean URLs are off.
    fn clean_url(&self, name: &[u8]) -> Result<Option<Target>, LoadError> {
        if !self.folder.options.clean_urls || name.ends_with(HTML_EXTENSION) {
            return Ok(None);
        }
        match self.load(&[name, HTML_EXTENSION].concat(), Rule::CleanUrl) {
            Err(MISSING) => Ok(None),
            loaded => loaded,
        }
    }

    /// Whether the folder `name` has an `index.html`.
    fn has_index(&self, name: &[u8]) -> bool {
        self.reader.store.is_file(&[name, b"/", INDEX_PAGE].concat())
    }

    /// Opens the file `name`, and reads it if its content is to be cached or hashed. Tries again if
    /// it changes meanwhile. If it grows each time, as a busy log does, only the bytes that it
    /// had when it was opened are used. `None` if `name` is a folder.
    fn load(&self, name: &[u8], rule: Rule) -> Result<Option<Target>, LoadError> {
        for _ in 0..MAX_ATTEMPTS {
            match self.load_once(name, rule, &self.reader) {
                Err(LoadError::Changed) => {}
                loaded => return loaded,
            }
        }
        self.load_once(name, rule, &Reader { may_grow: true, ..self.reader })
    }

    fn load_once(
        &self,
        name: &[u8],
        rule: Rule,
        reader: &Reader<'_>,
    ) -> Result<Option<Target>, LoadError> {
        let folder = self.folder;
        // The `<script>` tag of `--live` says which changes its page has seen. It is made before
        // the file is read, so that no later change is missed.
        let tag = folder.live.as_ref().map(|live| live.tag(&self.mount.path_of(name)));
        // A lookup may try other names first: `about` before `about.html`.
        let earlier = self.opened.borrow_mut().take_if(|opened| *opened.name == *name);
        let (now, file, identity, permit) = match earlier {
            Some(OpenedEarlier { file, identity, now, permit, .. }) => {
                (now, file, identity, permit)
            }
            None => {
                // Read before the file's identity, as `Identity::is_settled` requires.
                let now = reader.store.now();
                match reader.store.open(name)? {
                    Opened::Folder => return Ok(None),
                    Opened::File(file, identity) => (now, file, identity, None),
                }
            }
        };
        // The content of a file of size 0, as in `/proc`, may change while its identity stays the
        // same.
        let is_known = |(by, known): &(Rule, &Arc<FileEntry>)| {
            *by == rule && identity.size > 0 && known.original.is_of_file(name, &identity)
        };
        let file = if let Some((_, known)) = self.known.filter(is_known) {
            folder.encoder.update_precompressed(reader, known)?
        } else {
            let loaded = reader.load(Arc::clone(&file), &identity, identity.is_settled(now));
            if let Err(LoadError::NeedsFullRead) = &loaded {
                let name = name.into();
                self.opened.replace(Some(OpenedEarlier { name, file, identity, now, permit }));
            }
            let Loaded { content, digest, utf8 } = loaded?;
            let kind = ContentType::of(name, &content, utf8, &folder.options, reader)?;
            let content = match &tag {
                Some(tag) => self.add_script(tag, name, content, &kind, &identity)?,
                None => content,
            };
            let opened = OpenedFile { name, kind, identity, now, digest };
            let file = Representation::new(opened, content, &folder.options);
            Arc::new(folder.encoder.entry(&self.reader, file)?)
        };
        Ok(Some(Target::File(rule, file)))
    }

    /// If `content` is HTML, adds `tag`, which loads the script that reloads the page. Other
    /// content is returned unchanged, as are pages that are compressed, too large or in UTF-16.
    fn add_script(
        &self,
        tag: &str,
        name: &[u8],
        content: Content,
        kind: &ContentType,
        identity: &Identity,
    ) -> Result<Content, LoadError> {
        let Some(live) = self.folder.live.as_ref().filter(|_| mime::is_html(&kind.kind)) else {
            return Ok(content);
        };
        let path = self.mount.path_of(name);
        let problem = match kind.coding {
            Some(_) => Some(Problem::Compressed),
            None if identity.size > MAX_LEN as u64 => Some(Problem::TooLarge),
            None => None,
        };
        if problem.is_some() {
            live.report(&path, problem);
            return Ok(content);
        }
        let html = self.reader.whole(&content, identity.size)?;
        match live.insert(tag, &html, &path, self.folder.options.headers.policy()) {
            Some(html) => Ok(self.reader.generated(html)?),
            None => Ok(content),
        }
    }
}
