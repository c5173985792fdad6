//! What an archive of a folder holds, and where each part of it lies: known before the first byte is
//! sent.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use super::header::{END, Entry};
use crate::store::identity::Identity;
use sockeye_proto::{Cancel, Permit};

use crate::limits::lease::Lease;
use crate::naming::path::beneath;
use crate::store::absent::Absent;
use crate::store::traits::{Child, Kind, Store};

/// A folder with more files and folders in it, at any depth, is not packed.
pub(crate) const MAX_ENTRIES: usize = 100_000;
/// Nor one in which folders lie deeper in each other.
pub(crate) const MAX_DEPTH: usize = 64;
/// After so many entries it is seen to it that there is memory for them, and that somebody still
/// waits.
const CHECKED: usize = 1024;

/// Why a folder can't be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveError {
    /// It can't be read.
    Absent(Absent),
    /// It has more than [`MAX_ENTRIES`].
    TooMany,
    /// It is deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Its length can't be said.
    TooLarge,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(absent) => write!(f, "{absent}"),
            Self::TooMany => write!(f, "there are more than {MAX_ENTRIES} files and folders in it"),
            Self::TooDeep => write!(f, "folders lie more than {MAX_DEPTH} deep in it"),
            Self::TooLarge => f.write_str("it would be longer than can be said"),
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
    /// The name of the folder in the store: what the names of items are beneath.
    folder: Box<[u8]>,
    /// What stands in front of the names in the archive, with its slash.
    prefix: Box<[u8]>,
    // Invariant: each item's name lies whole in `names`.
    names: Vec<u8>,
    items: Vec<Item>,
    len: u64,
    etag: String,
    /// Whether a later change of any file would show.
    settled: bool,
    _held: Permit,
}

/// One entry.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Of the name beneath the folder; a folder's has its final slash.
    start: u32,
    len: u16,
    kind: Kind,
    /// Where its headers begin in the archive.
    at: u64,
    identity: Identity,
}

fn weight(names: &Vec<u8>, items: &Vec<Item>) -> usize {
    names.capacity() + items.capacity() * size_of::<Item>()
}

impl Manifest {
    /// What it weighs in memory; `None` where it is not to be remembered.
    pub(crate) fn weight(&self) -> Option<usize> {
        self.settled.then(|| self.memory())
    }

    /// Looks through `folder` and everything beneath it. Blocks. In the archive it is named
    /// `prefix`.
    ///
    /// Left out are what can't be asked for by name, what may not be read by this process, and
    /// folders that are links, which could lead in circles.
    ///
    /// # Errors
    ///
    /// Why it can't be packed; [`Absent::Exhausted`] also where `lease` can't hold it, or nobody waits
    /// any more.
    pub(crate) fn make(
        store: &dyn Store,
        folder: &[u8],
        prefix: &[u8],
        lease: Lease,
        cancel: &Cancel,
    ) -> Result<Self, ArchiveError> {
        // The clock first: what is changed after it was read has a later stamp.
        let now = store.now();
        let mut survey = Survey {
            names: Vec::new(),
            items: Vec::new(),
            lease,
            cancel,
            verdict: Ok(()),
            folders: Vec::new(),
        };
        survey.look_through(store, folder)?;
        let Survey { names, mut items, mut lease, .. } = survey;
        let name = |item: &Item| &names[item.start as usize..][..usize::from(item.len)];
        // A folder's name, with its slash, is the beginning of all that is in it: it comes first.
        items.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        items.shrink_to_fit();
        if !lease.resize(weight(&names, &items)) {
            return Err(Absent::Exhausted.into());
        }
        let settled = items.iter().all(|item| item.identity.is_settled(now));
        let prefix = [prefix, b"/"].concat().into_boxed_slice();
        let mut manifest = Self {
            folder: folder.into(),
            prefix,
            names,
            items,
            len: 0,
            etag: String::new(),
            settled,
            _held: lease.share(),
        };
        manifest.lay_out()?;
        manifest.etag = manifest.make_etag();
        Ok(manifest)
    }

    /// Gives each item its place.
    fn lay_out(&mut self) -> Result<(), ArchiveError> {
        let mut at = 0u64;
        for index in 0..self.items.len() {
            self.items[index].at = at;
            let mut len = 0;
            self.with_entry(index, |entry| len = entry.len());
            at = at.checked_add(len).ok_or(ArchiveError::TooLarge)?;
        }
        self.len = at.checked_add(END).ok_or(ArchiveError::TooLarge)?;
        Ok(())
    }

    /// The same for the same archive; never again the same where a change might not show.
    fn make_etag(&self) -> String {
        static SALT: AtomicU64 = AtomicU64::new(1);
        let mut hasher = DefaultHasher::new();
        let salt = if self.settled { 0 } else { SALT.fetch_add(1, Ordering::Relaxed) };
        (salt, &self.prefix, self.items.len()).hash(&mut hasher);
        for (at, item) in self.items.iter().enumerate() {
            (self.name(at), item.kind).hash(&mut hasher);
            let Identity { device, inode, size, modified, changed, links: _ } = item.identity;
            (device, inode, size, modified, changed).hash(&mut hasher);
        }
        format!("\"{:016x}-tar\"", hasher.finish())
    }

    /// The length of the archive in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// A strong entity tag, with its quotes.
    pub(crate) fn etag(&self) -> &str {
        &self.etag
    }

    /// The bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        weight(&self.names, &self.items)
    }

    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }

    /// The entry whose bytes have `position` among them; [`Manifest::count`] at the end.
    pub(crate) fn find(&self, position: u64) -> usize {
        if position >= self.len - END {
            return self.items.len();
        }
        self.items.partition_point(|item| item.at <= position).saturating_sub(1)
    }

    /// Where the bytes of an entry begin; behind the last, where the archive's end does.
    pub(crate) fn start(&self, index: usize) -> u64 {
        self.items.get(index).map_or(self.len - END, |item| item.at)
    }

    /// The name beneath the folder.
    fn name(&self, index: usize) -> &[u8] {
        let Item { start, len, .. } = self.items[index];
        &self.names[start as usize..][..usize::from(len)]
    }

    /// Shows the entry as it stands in the archive.
    pub(crate) fn with_entry<T>(&self, index: usize, show: impl FnOnce(&Entry<'_>) -> T) -> T {
        let Item { kind, identity, .. } = self.items[index];
        let name = [&*self.prefix, self.name(index)].concat();
        let size = if kind == Kind::File { identity.size } else { 0 };
        show(&Entry { name: &name, kind, size, modified: identity.modified.secs })
    }

    /// A file: its name in the store, and what it was.
    pub(crate) fn file(&self, index: usize) -> (Vec<u8>, Identity) {
        (beneath(&self.folder, self.name(index)), self.items[index].identity)
    }
}

/// The looking through.
struct Survey<'a> {
    names: Vec<u8>,
    items: Vec<Item>,
    lease: Lease,
    cancel: &'a Cancel,
    verdict: Result<(), ArchiveError>,
    /// Items that are folders and have not been looked through yet.
    folders: Vec<(usize, usize)>,
}

impl Survey<'_> {
    fn look_through(&mut self, store: &dyn Store, folder: &[u8]) -> Result<(), ArchiveError> {
        self.list(store, folder, b"", 0)?;
        while let Some((index, depth)) = self.folders.pop() {
            let Item { start, len, .. } = self.items[index];
            let name = self.names[start as usize..][..usize::from(len)].to_vec();
            let path = beneath(folder, name.strip_suffix(b"/").unwrap_or(&name));
            match self.list(store, &path, &name, depth) {
                // It went away, or turned into something else, or was closed to us meanwhile: it
                // is there, with nothing in it.
                Err(ArchiveError::Absent(
                    Absent::Missing
                    | Absent::NotAFolder
                    | Absent::Denied(_)
                    | Absent::Outside
                    | Absent::Hidden
                    | Absent::Link,
                )) => {}
                listed => listed?,
            }
        }
        Ok(())
    }

    /// Adds what is in one folder, whose name beneath the first is `above`.
    fn list(
        &mut self,
        store: &dyn Store,
        path: &[u8],
        above: &[u8],
        depth: usize,
    ) -> Result<(), ArchiveError> {
        self.verdict = Ok(());
        store.list(path, &mut |child| match self.add(above, child, depth) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => {
                self.verdict = Err(why);
                ControlFlow::Break(())
            }
        })?;
        self.verdict
    }

    fn add(&mut self, above: &[u8], child: Child<'_>, depth: usize) -> Result<(), ArchiveError> {
        let Child { name, kind, linked, readable, identity } = child;
        if !readable || (kind == Kind::Folder && linked) {
            return Ok(());
        }
        if self.items.len() == MAX_ENTRIES {
            return Err(ArchiveError::TooMany);
        }
        let slash = if kind == Kind::Folder { &b"/"[..] } else { b"" };
        let len = above.len() + name.len() + slash.len();
        // No name that a store shows is longer than a path may be.
        let (Ok(start), Ok(len)) = (u32::try_from(self.names.len()), u16::try_from(len)) else {
            return Err(ArchiveError::TooMany);
        };
        if self.names.try_reserve(usize::from(len)).is_err() || self.items.try_reserve(1).is_err() {
            return Err(Absent::Exhausted.into());
        }
        for part in [above, name, slash] {
            self.names.extend_from_slice(part);
        }
        if kind == Kind::Folder {
            if depth + 1 == MAX_DEPTH {
                return Err(ArchiveError::TooDeep);
            }
            self.folders.push((self.items.len(), depth + 1));
        }
        // Of a folder, all that matters is its time: what else is known of it changes with what
        // comes and goes in it, and shows there.
        let identity = match kind {
            Kind::File => identity,
            Kind::Folder => Identity { modified: identity.modified, ..Identity::default() },
        };
        self.items.push(Item { start, len, kind, at: 0, identity });
        if self.items.len().is_multiple_of(CHECKED)
            && (self.cancel.is_cancelled() || !self.lease.resize(weight(&self.names, &self.items)))
        {
            return Err(Absent::Exhausted.into());
        }
        Ok(())
    }
}
