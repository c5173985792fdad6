//! What one look-up found, ready to be sent: made once, off the loop, and kept by the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sockeye_proto::http1::{Body, Fields, date};
use sockeye_proto::{FileRange, Wall};

use crate::identity::{Identity, Stamp};
use crate::mime::content_type;
use crate::options::Options;
use crate::path::Wanted;
use crate::store::{Absent, Opened, Store, Stored};

/// Files of up to so many bytes are kept in memory, larger ones as an open descriptor. Sending from
/// memory is cheaper than a second call into the kernel up to about 16 KiB, and even at 32 KiB it
/// saves a descriptor for little.
pub const SMALL: u64 = 32 * 1024;

/// How often a file that changes under our eyes is read again before we give up.
const TRIES: usize = 8;

/// The page of a folder.
const INDEX: &[u8] = b"index.html";

/// What a name leads to.
#[derive(Debug)]
pub(crate) enum Entry {
    File(FileEntry),
    /// A folder, asked for without its final slash.
    Folder,
    Absent(Absent),
}

/// A file, and all that is said about it in every reply.
#[derive(Debug)]
pub(crate) struct FileEntry {
    identity: Identity,
    /// Whether `identity` would show any later change.
    settled: bool,
    pub(crate) tag: String,
    pub(crate) modified: Option<Wall>,
    /// The fields of a reply with the content.
    pub(crate) fields: Fields,
    /// The fields of a 304.
    pub(crate) not_modified: Fields,
    held: Held,
}

/// How the content is kept.
#[derive(Debug)]
enum Held {
    Memory(Bytes),
    Open(Arc<dyn Stored>),
}

impl Entry {
    /// Looks `wanted` up. Blocks. Returns `known`, what an earlier look-up found, where it still
    /// holds: then nothing is read.
    pub(crate) fn look_up(
        store: &dyn Store,
        _options: &Options,
        wanted: Wanted<'_>,
        known: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let known_file = match known.as_deref() {
            Some(Self::File(file)) => Some(file),
            _ => None,
        };
        match find(store, wanted, known_file) {
            Ok(Found::Same) => known.expect("only what is known can be the same"),
            Ok(Found::Folder) => Arc::new(Self::Folder),
            Ok(Found::File(file)) => Arc::new(Self::File(file)),
            Err(absent) => Arc::new(Self::Absent(absent)),
        }
    }

    /// The memory that it holds besides itself, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::File(FileEntry { held: Held::Memory(bytes), .. }) => bytes.len(),
            _ => 0,
        }
    }

    /// The descriptors that it holds.
    pub(crate) fn descriptors(&self) -> usize {
        matches!(self, Self::File(FileEntry { held: Held::Open(_), .. })).into()
    }

    /// The open file, where the content is not in memory.
    pub(crate) fn open_file(&self) -> Option<&dyn Stored> {
        match self {
            Self::File(FileEntry { held: Held::Open(file), .. }) => Some(&**file),
            _ => None,
        }
    }
}

impl FileEntry {
    fn new(name: &[u8], identity: Identity, now: Stamp, held: Held) -> Self {
        // Salts are never used twice, so neither is a tag that might name two contents.
        static SALT: AtomicU64 = AtomicU64::new(1);
        let settled = identity.is_settled(now);
        let salt = if settled { 0 } else { SALT.fetch_add(1, Ordering::Relaxed) };
        let tag = identity.tag(salt);
        // A date ahead of the reply's own is replaced by it (RFC 9110, 8.8.2.1).
        let modified = identity.modified.secs.min(now.secs);
        let modified = u64::try_from(modified).ok().map(Wall::from_secs);

        let mut fields = Fields::new();
        let mut push = |name, value: &[u8]| {
            let pushed = fields.push(name, value);
            debug_assert_eq!(pushed, Ok(()), "{name} is made of checked parts");
        };
        push("Content-Type", content_type(name).as_bytes());
        push("X-Content-Type-Options", b"nosniff");
        if let Some(modified) = modified {
            push("Last-Modified", &date::format(modified));
        }
        push("ETag", tag.as_bytes());
        let mut not_modified = Fields::new();
        let pushed = not_modified.push("ETag", tag.as_bytes());
        debug_assert_eq!(pushed, Ok(()), "a tag is hexadecimal digits in quotes");
        Self { identity, settled, tag, modified, fields, not_modified, held }
    }

    /// The whole content.
    pub(crate) fn body(&self) -> Body<'_> {
        match &self.held {
            Held::Memory(bytes) => Body::Shared(bytes),
            Held::Open(file) => {
                let source = Arc::clone(file);
                Body::File(FileRange { source, offset: 0, len: self.identity.size })
            }
        }
    }
}

/// What a name was found to lead to.
enum Found {
    Folder,
    File(FileEntry),
    /// The file that is known already.
    Same,
}

fn find(store: &dyn Store, wanted: Wanted<'_>, known: Option<&FileEntry>) -> Result<Found, Absent> {
    if let Some(single) = store.single_file() {
        let named = wanted.key().is_empty() || wanted.key() == single;
        return if named { load(store, single, known) } else { Err(Absent::Missing) };
    }
    if !wanted.is_folder() {
        return load(store, wanted.name(), known);
    }
    let index = [wanted.key(), INDEX].concat();
    match load(store, &index, known) {
        Ok(Found::Folder) => Err(Absent::NoIndex),
        Err(Absent::Missing) => Err(match store.open(wanted.name())? {
            Opened::Folder => Absent::NoIndex,
            Opened::File(..) => Absent::NotAFolder,
        }),
        found => found,
    }
}

/// Opens `name` and, where it is small, reads it whole: never half of one content and half of
/// another.
fn load(store: &dyn Store, name: &[u8], known: Option<&FileEntry>) -> Result<Found, Absent> {
    for _ in 0..TRIES {
        // The clock first: what is written after it was read has a later stamp.
        let now = store.now();
        let (file, identity) = match store.open(name)? {
            Opened::Folder => return Ok(Found::Folder),
            Opened::File(file, identity) => (file, identity),
        };
        if known.is_some_and(|known| known.settled && known.identity == identity) {
            return Ok(Found::Same);
        }
        if identity.size > SMALL {
            return Ok(Found::File(FileEntry::new(name, identity, now, Held::Open(file))));
        }
        let content = read(&*file, identity.size)?;
        if let Some(content) = content.filter(|_| file.identity() == Ok(identity)) {
            return Ok(Found::File(FileEntry::new(name, identity, now, Held::Memory(content))));
        }
    }
    Err(Absent::Changing)
}

/// Reads `size` bytes from the beginning; `None` where there are fewer.
fn read(file: &dyn Stored, size: u64) -> Result<Option<Bytes>, Absent> {
    let mut content = vec![0; usize::try_from(size).map_err(|_| Absent::Exhausted)?];
    let mut filled = 0;
    while filled < content.len() {
        match file.read_at(filled as u64, &mut content[filled..]) {
            Ok(0) => return Ok(None),
            Ok(count) => filled += count,
            Err(error) => return Err(Absent::Failed(error.raw_os_error().unwrap_or(0))),
        }
    }
    let bytes = Bytes::from(content);
    // The first clone of such bytes allocates the count that they are shared by. Here, not there.
    drop(bytes.clone());
    Ok(Some(bytes))
}
