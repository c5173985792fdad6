//! Lookups: finding out which file a request path names, and by which rule. A lookup opens the
//! file, and reads it if it is small. It may block, so it runs on a thread of the pool.

use std::sync::Arc;

use sockeye_proto::CancelToken;

use super::entry::{Entry, Target};
use super::folder::Folder;
use super::mounts::{MountedPath, Mounts};
use super::rule::Rule;
use crate::coding::file_entry::FileEntry;
use crate::file::reader::{LoadError, ReadScope, Reader};
use crate::file::representation::{OpenedFile, Representation};
use crate::naming::mime;
use crate::naming::path::RequestPath;
use crate::respond::substitutes::Slash;
use crate::store::absent::Absent;
use crate::store::traits::Opened;

/// Maximum number of attempts to read a file that changes meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// The file that is sent for a folder.
const INDEX_PAGE: &[u8] = b"index.html";

/// The extension that clean URLs leave out.
const HTML_EXTENSION: &[u8] = b".html";

const MISSING: LoadError = LoadError::Absent(Absent::Missing);

/// Looks up `key`. Blocks. If the file is the one of `known`, an earlier result, and is unchanged,
/// returns `known` without reading it. `None` if it has to read more than `scope` allows.
pub(crate) fn look_up(
    mounts: &Mounts,
    key: &[u8],
    known: Option<Arc<Entry>>,
    scope: ReadScope<'_>,
) -> Option<Arc<Entry>> {
    let Some((mount, path)) = mounts.find(key) else {
        let target = Target::Absent(Absent::Unmounted);
        return Some(Arc::new(Entry { mount: None, target }));
    };
    let folder = &mounts.get(mount).folder;
    let known_file = match known.as_deref() {
        Some(Entry { mount: Some(at), target: Target::File(rule, file) }) if *at == mount => {
            Some((*rule, file))
        }
        _ => None,
    };
    let opened_store = folder.store.for_lookup();
    let store = opened_store.as_deref().unwrap_or(&*folder.store);
    let reader = Reader { store, ..folder.reader(scope) };
    let target = match (Lookup { folder, known: known_file, reader }).find(path) {
        Ok(Target::File(_, file)) if known_file.is_some_and(|(_, at)| Arc::ptr_eq(at, &file)) => {
            return known;
        }
        Ok(target) => target,
        Err(LoadError::NeedsFullRead) => return None,
        Err(LoadError::Absent(absent)) => Target::Absent(absent),
        Err(LoadError::Changed) => Target::Absent(Absent::Changing),
    };
    Some(Arc::new(Entry { mount: Some(mount), target }))
}

/// Looks up `key`, and reads whole files if necessary.
pub(crate) fn look_up_fully(mounts: &Mounts, key: &[u8]) -> Arc<Entry> {
    let found = look_up(mounts, key, None, ReadScope::WholeFiles(&CancelToken::default()));
    found.expect("every file may be read")
}

/// One lookup in one folder.
struct Lookup<'a> {
    folder: &'a Folder,
    /// The file that an earlier lookup found.
    known: Option<(Rule, &'a Arc<FileEntry>)>,
    reader: Reader<'a>,
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
                Ok(Some(page)) if !self.is_file(&[name, b"/", INDEX_PAGE].concat()) => Ok(page),
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
        let page = (absent == Absent::NoIndex || absent.is_missing())
            && self.folder.options.clean_urls
            && !path.name().is_empty()
            && self.is_file(&[path.name(), HTML_EXTENSION].concat());
        match absent {
            _ if page => Ok(Target::Redirect(Slash::Drop)),
            Absent::NoIndex if self.folder.options.listing => Ok(Target::Listing),
            Absent::NoIndex if is_broken_link => Err(Absent::BrokenLink.into()),
            absent => Err(absent.into()),
        }
    }

    /// The file `name.html`, if clean URLs are enabled. `None` if there is none.
    fn clean_url(&self, name: &[u8]) -> Result<Option<Target>, LoadError> {
        if !self.folder.options.clean_urls || name.ends_with(HTML_EXTENSION) {
            return Ok(None);
        }
        match self.load(&[name, HTML_EXTENSION].concat(), Rule::CleanUrl) {
            Err(MISSING) => Ok(None),
            loaded => loaded,
        }
    }

    fn is_file(&self, name: &[u8]) -> bool {
        matches!(self.reader.store.open(name), Ok(Opened::File(..)))
    }

    /// Opens the file `name`, and reads it if its content is to be cached or hashed. Tries again if
    /// it changes meanwhile. `None` if `name` is a folder.
    fn load(&self, name: &[u8], rule: Rule) -> Result<Option<Target>, LoadError> {
        for _ in 0..MAX_ATTEMPTS {
            match self.load_once(name, rule) {
                Err(LoadError::Changed) => {}
                loaded => return loaded,
            }
        }
        Err(LoadError::Changed)
    }

    fn load_once(&self, name: &[u8], rule: Rule) -> Result<Option<Target>, LoadError> {
        let Self { reader, folder, .. } = self;
        // Read before the file's identity, as `Identity::is_settled` requires.
        let now = reader.store.now();
        let (file, identity) = match reader.store.open(name)? {
            Opened::Folder => return Ok(None),
            Opened::File(file, identity) => (file, identity),
        };
        let is_known = |(by, known): &(Rule, &Arc<FileEntry>)| {
            *by == rule && known.original.is_of_file(name, &identity)
        };
        let file = if let Some((_, known)) = self.known.filter(is_known) {
            folder.encoder.update_precompressed(reader, known)?
        } else {
            let content = reader.load(file, &identity)?;
            let digest = reader.digest(&content, &identity, identity.is_settled(now))?;
            let named = mime::named(name, &folder.options.content_types);
            let kind = named.content_type(&content.start(named.needs())?);
            let opened = OpenedFile { name, kind: &kind, identity, now, digest };
            let file = Representation::new(opened, content, &folder.options);
            Arc::new(folder.encoder.entry(reader, file)?)
        };
        Ok(Some(Target::File(rule, file)))
    }
}
