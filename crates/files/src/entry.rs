//! What one look-up found, ready to be sent: made once, off the loop, and kept by the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sockeye_proto::Wall;
use sockeye_proto::http1::{Fields, date};

use crate::identity::{Identity, Stamp};
use crate::look_up::{Found, find};
use crate::mime::content_type;
use crate::options::Options;
use crate::path::Wanted;
use crate::store::{Absent, Store, Stored};

/// Files of up to so many bytes are kept in memory, larger ones as an open descriptor. Sending from
/// memory is cheaper than a second call into the kernel up to about 16 KiB, and even at 32 KiB it
/// saves a descriptor for little.
pub const SMALL: u64 = 32 * 1024;

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
pub(crate) enum Held {
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
    pub(crate) fn new(name: &[u8], identity: Identity, now: Stamp, held: Held) -> Self {
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
        push("Accept-Ranges", b"bytes");
        let mut not_modified = Fields::new();
        let pushed = not_modified.push("ETag", tag.as_bytes());
        debug_assert_eq!(pushed, Ok(()), "a tag is hexadecimal digits in quotes");
        Self { identity, settled, tag, modified, fields, not_modified, held }
    }

    /// Whether a file of this identity has the content of this one.
    pub(crate) fn still_is(&self, identity: &Identity) -> bool {
        self.settled && self.identity == *identity
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    /// The content, as it is kept.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }
}
