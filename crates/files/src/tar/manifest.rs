//! The entries of a folder's archive and their positions, all determined before the first byte is
//! sent.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use sockeye_proto::{CancelToken, Permit};

use super::header::{END_LEN, Entry};
use crate::limits::lease::Lease;
use crate::naming::path::beneath;
use crate::store::absent::Absent;
use crate::store::identity::{Identity, Stamp};
use crate::store::omitted::{Omission, Omitted};
use crate::store::traits::{Child, Kind, Store};

/// The most files and folders in an archive.
pub(crate) const MAX_ENTRIES: usize = 100_000;
/// How deep the folders in an archived folder may be nested.
pub(crate) const MAX_DEPTH: usize = 64;
/// The name of the file that says what is left out.
const NOTE_NAME: &str = "OMITTED.txt";
/// The memory budget and cancellation are checked once per this many entries.
const ENTRIES_PER_CHECK: usize = 1024;

/// Why a folder can't be sent as an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveError {
    /// It can't be read, for this reason.
    Absent(Absent),
    /// It has more than [`MAX_ENTRIES`] files and folders.
    TooMany,
    /// Its folders are nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The archive's length doesn't fit into 64 bits.
    TooLarge,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(absent) => write!(f, "{absent}"),
            Self::TooMany => write!(f, "it has more than {MAX_ENTRIES} files and folders"),
            Self::TooDeep => write!(f, "its folders are nested more than {MAX_DEPTH} deep"),
            Self::TooLarge => f.write_str("it is too large"),
        }
    }
}

impl From<Absent> for ArchiveError {
    fn from(absent: Absent) -> Self {
        Self::Absent(absent)
    }
}

/// The contents of an archive, in order.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// The folder's name in the store. The names of items are relative to it.
    folder: Box<[u8]>,
    /// The first segment of all names in the archive, with its slash.
    prefix: Box<[u8]>,
    // Invariant: the name of each item is a range of `names`.
    names: Vec<u8>,
    items: Vec<Item>,
    /// The length of the archive, in bytes.
    pub(crate) len: u64,
    /// A strong ETag, with its quotes.
    pub(crate) etag: String,
    /// Whether every later change of a file will change the file's identity.
    settled: bool,
    /// The content of the last item, which says what the archive leaves out. `None` if nothing is
    /// left out.
    note: Option<Box<[u8]>>,
    /// Counts the memory of this manifest against the total of the memory budget, not against the
    /// share of a client.
    _held: Permit,
}

/// One entry.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Where its name starts in `names`. The name of a folder ends with a slash.
    start: u32,
    /// The length of its name, in bytes.
    len: u16,
    kind: Kind,
    /// The position of its tar header in the archive.
    at: u64,
    identity: Identity,
}

/// The memory of these vectors, in bytes.
fn weight(names: &Vec<u8>, items: &Vec<Item>) -> usize {
    names.capacity() + items.capacity() * size_of::<Item>()
}

impl Manifest {
    /// The memory that the manifest holds, in bytes; `None` if it must not be cached.
    pub(crate) fn cache_weight(&self) -> Option<usize> {
        self.settled.then(|| self.memory())
    }

    /// Reads `folder` and everything beneath it, which blocks. `prefix` is the folder's name in the
    /// archive.
    ///
    /// Skips entries for the reasons in [`Omission`], such as links to folders, which could lead in
    /// circles. These are counted in a file at the end ([`NOTE_NAME`]). Hidden names, and links to
    /// them, are skipped, too, and not counted.
    ///
    /// # Errors
    ///
    /// Why the folder can't be sent as an archive. [`Absent::Exhausted`] if `lease` can't be made
    /// large enough, and also if the job is cancelled.
    pub(crate) fn make(
        store: &dyn Store,
        folder: &[u8],
        prefix: &[u8],
        lease: Lease,
        cancel: &CancelToken,
    ) -> Result<Self, ArchiveError> {
        // The clock is read before the folder, as `Identity::is_settled` requires.
        let now = store.now();
        let mut reader = TreeReader {
            names: Vec::new(),
            items: Vec::new(),
            lease,
            cancel,
            result: Ok(()),
            folders: Vec::new(),
            omitted: Omitted::default(),
        };
        reader.read_all(store, folder)?;
        let TreeReader { mut names, mut items, mut lease, omitted, .. } = reader;
        let name = |item: &Item| &names[item.start as usize..][..usize::from(item.len)];
        // A folder's name, with its slash, is a prefix of the names in it, so it comes first.
        items.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        let settled = items.iter().all(|item| item.identity.is_settled(now));
        let note = add_note(omitted, &mut names, &mut items)?;
        items.shrink_to_fit();
        if !lease.resize(weight(&names, &items)) {
            return Err(Absent::Exhausted.into());
        }
        let prefix = [prefix, b"/"].concat().into_boxed_slice();
        let mut manifest = Self {
            folder: folder.into(),
            prefix,
            names,
            items,
            len: 0,
            etag: String::new(),
            settled,
            note,
            _held: lease.stop_charging(),
        };
        manifest.set_positions()?;
        manifest.etag = manifest.make_etag(now);
        Ok(manifest)
    }

    /// Sets the positions of the items.
    fn set_positions(&mut self) -> Result<(), ArchiveError> {
        let mut at = 0u64;
        for index in 0..self.items.len() {
            self.items[index].at = at;
            let mut len = 0;
            self.with_entry(index, |entry| len = entry.len());
            at = at.checked_add(len).ok_or(ArchiveError::TooLarge)?;
        }
        self.len = at.checked_add(END_LEN).ok_or(ArchiveError::TooLarge)?;
        Ok(())
    }

    /// Makes an ETag of the names, sizes and modification times. If a later write may leave a
    /// modification time unchanged (see [`Identity::is_modification_settled`]), each call makes a
    /// new ETag.
    fn make_etag(&self, now: Stamp) -> String {
        static SALT: AtomicU64 = AtomicU64::new(1);
        let mut hasher = DefaultHasher::new();
        let is_settled = self.items.iter().all(|item| item.identity.is_modification_settled(now));
        let salt = if is_settled { 0 } else { SALT.fetch_add(1, Ordering::Relaxed) };
        (salt, &self.prefix, &self.note, self.items.len()).hash(&mut hasher);
        for (at, item) in self.items.iter().enumerate() {
            (self.name(at), item.kind).hash(&mut hasher);
            (item.identity.size, item.identity.modified).hash(&mut hasher);
        }
        format!("\"{:016x}-tar\"", hasher.finish())
    }

    /// The memory that the manifest holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        weight(&self.names, &self.items)
    }

    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }

    /// The index of the entry that contains `position`. Returns [`Manifest::count`] if `position`
    /// is in the archive's end, the [`END_LEN`] bytes after the last entry.
    pub(crate) fn find(&self, position: u64) -> usize {
        if position >= self.len - END_LEN {
            return self.items.len();
        }
        self.items.partition_point(|item| item.at <= position).saturating_sub(1)
    }

    /// The position of the entry with this index. For the index after the last entry, the position
    /// of the archive's end.
    pub(crate) fn start(&self, index: usize) -> u64 {
        self.items.get(index).map_or(self.len - END_LEN, |item| item.at)
    }

    /// An entry's name relative to the folder.
    fn name(&self, index: usize) -> &[u8] {
        let Item { start, len, .. } = self.items[index];
        &self.names[start as usize..][..usize::from(len)]
    }

    /// Calls `each` with an entry.
    pub(crate) fn with_entry<T>(&self, index: usize, each: impl FnOnce(&Entry<'_>) -> T) -> T {
        let Item { kind, identity, .. } = self.items[index];
        let name = [&*self.prefix, self.name(index)].concat();
        let size = if kind == Kind::File { identity.size } else { 0 };
        each(&Entry { name: &name, kind, size, modified: identity.modified.secs })
    }

    /// The content of the note, if `index` is the note's. The note is not a file of the store.
    pub(crate) fn note(&self, index: usize) -> Option<&[u8]> {
        self.note.as_deref().filter(|_| index + 1 == self.items.len())
    }

    /// The name of a file in the store, and its identity.
    pub(crate) fn file(&self, index: usize) -> (Vec<u8>, Identity) {
        (beneath(&self.folder, self.name(index)), self.items[index].identity)
    }
}

/// Adds the note, an item that says what is left out. Returns the content of the note; `None` if
/// nothing is left out.
fn add_note(
    omitted: Omitted,
    names: &mut Vec<u8>,
    items: &mut Vec<Item>,
) -> Result<Option<Box<[u8]>>, ArchiveError> {
    if omitted.total() == 0 {
        return Ok(None);
    }
    let name = |item: &Item| &names[item.start as usize..][..usize::from(item.len)];
    // Names are compared without the final slash of a folder, and in lower case: the archive may be
    // extracted to a file system that ignores case.
    let without_slash = |item| name(item).strip_suffix(b"/").unwrap_or(name(item));
    let lowercase = items.iter().map(|item| without_slash(item).to_ascii_lowercase());
    let taken: HashSet<_> = lowercase.filter(|name| name.starts_with(b"omitted")).collect();
    let numbered = (2..).map(|number| format!("OMITTED-{number}.txt"));
    let mut names_of_note = std::iter::once(NOTE_NAME.to_owned()).chain(numbered);
    let free = names_of_note.find(|note| !taken.contains(note.to_ascii_lowercase().as_bytes()));
    // Each item takes at most one of these names, and there are more names than items.
    let note_name = free.expect("one name is free");
    let text = format!("Not in this archive: {omitted}.\n").into_bytes();
    // The time of the newest item, so that the same files yield the same archive.
    let modified = items.iter().map(|item| item.identity.modified).max().unwrap_or_default();
    let identity = Identity { size: text.len() as u64, modified, ..Identity::default() };
    let start = u32::try_from(names.len()).map_err(|_| ArchiveError::TooMany)?;
    let len = note_name.len() as u16;
    names.extend_from_slice(note_name.as_bytes());
    items.push(Item { start, len, kind: Kind::File, at: 0, identity });
    Ok(Some(text.into()))
}

/// The progress of reading a folder and all folders in it.
struct TreeReader<'a> {
    names: Vec<u8>,
    items: Vec<Item>,
    lease: Lease,
    cancel: &'a CancelToken,
    /// Why adding an entry ended the current call of [`Store::list`], if it did.
    result: Result<(), ArchiveError>,
    /// Folders that are not read yet: their indices in `items`, and their depths.
    folders: Vec<(usize, usize)>,
    /// What is left out, in all folders.
    omitted: Omitted,
}

impl TreeReader<'_> {
    /// Adds the entries of `folder` and of all folders in it.
    fn read_all(&mut self, store: &dyn Store, folder: &[u8]) -> Result<(), ArchiveError> {
        self.list(store, folder, b"", 0)?;
        while let Some((index, depth)) = self.folders.pop() {
            let Item { start, len, .. } = self.items[index];
            let name = self.names[start as usize..][..usize::from(len)].to_vec();
            let path = beneath(folder, name.strip_suffix(b"/").unwrap_or(&name));
            match self.list(store, &path, &name, depth) {
                // The folder was removed or replaced by a file meanwhile: archived as empty.
                Err(ArchiveError::Absent(Absent::Missing | Absent::NotAFolder)) => {}
                // The folder can't be read, or was replaced by a link that isn't followed: archived
                // as empty, and counted as left out (unless the link leads to a hidden name).
                Err(ArchiveError::Absent(
                    absent @ (Absent::Denied(_)
                    | Absent::Outside
                    | Absent::Hidden
                    | Absent::BrokenLink
                    | Absent::LinkLoop),
                )) => self.omitted.add(Omission::of(absent)),
                listed => listed?,
            }
        }
        Ok(())
    }

    /// Adds the entries of one folder. `path` is its name in the store, and `above` its name
    /// relative to the archived folder. `depth` is 0 for the archived folder, 1 for those in it.
    fn list(
        &mut self,
        store: &dyn Store,
        path: &[u8],
        above: &[u8],
        depth: usize,
    ) -> Result<(), ArchiveError> {
        self.result = Ok(());
        let omitted = store.list(path, &mut |child| match self.add(above, child, depth) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => {
                self.result = Err(why);
                ControlFlow::Break(())
            }
        })?;
        self.omitted.add_all(omitted);
        self.result
    }

    /// Adds one entry of a folder, or counts it as left out.
    fn add(&mut self, above: &[u8], child: Child<'_>, depth: usize) -> Result<(), ArchiveError> {
        let Child { name, kind, is_symlink, readable, has_known_size, identity } = child;
        let omission = match kind {
            _ if !readable => Some(Omission::Unreadable),
            Kind::Folder => is_symlink.then_some(Omission::FolderLink),
            Kind::File => (!has_known_size).then_some(Omission::UnknownSize),
        };
        if omission.is_some() {
            self.omitted.add(omission);
            return Ok(());
        }
        if self.items.len() == MAX_ENTRIES {
            return Err(ArchiveError::TooMany);
        }
        let slash = if kind == Kind::Folder { &b"/"[..] } else { b"" };
        let len = above.len() + name.len() + slash.len();
        // `start` fits, unless all names together have more than 4 GiB. `len` always fits, because
        // no store lists a name that is longer than a path may be.
        let (Ok(start), Ok(len)) = (u32::try_from(self.names.len()), u16::try_from(len)) else {
            return Err(ArchiveError::TooMany);
        };
        if self.names.try_reserve(usize::from(len)).is_err() || self.items.try_reserve(1).is_err() {
            return Err(Absent::OutOfMemory.into());
        }
        for part in [above, name, slash] {
            self.names.extend_from_slice(part);
        }
        if kind == Kind::Folder {
            if depth == MAX_DEPTH {
                return Err(ArchiveError::TooDeep);
            }
            self.folders.push((self.items.len(), depth + 1));
        }
        // Of a folder's identity, the archive needs the modification time only. The folder's
        // entries are items of their own.
        let identity = match kind {
            Kind::File => identity,
            Kind::Folder => Identity { modified: identity.modified, ..Identity::default() },
        };
        self.items.push(Item { start, len, kind, at: 0, identity });
        if self.items.len().is_multiple_of(ENTRIES_PER_CHECK)
            && (self.cancel.is_cancelled() || !self.lease.resize(weight(&self.names, &self.items)))
        {
            return Err(Absent::Exhausted.into());
        }
        Ok(())
    }
}
