//! What one look-up found, ready to be sent: made once, off the loop, and kept by the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sockeye_proto::Wall;
use sockeye_proto::http1::{Fields, date};

use crate::explain::Rule;
use crate::identity::{Identity, Stamp};
use crate::look_up::{Found, LookUp};
use crate::mime::content_type;
use crate::mounts::Mounts;
use crate::store::{Absent, Stored};

/// Files of up to so many bytes are kept in memory, larger ones as an open descriptor. Sending from
/// memory is cheaper than a second call into the kernel up to about 16 KiB, and even at 32 KiB it
/// saves a descriptor for little.
pub const SMALL: u64 = 32 * 1024;

/// What a name leads to, and in which folder that is.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Which of the mounts answers; `None` where none is.
    pub(crate) mount: Option<usize>,
    pub(crate) what: What,
}

/// What a name leads to.
#[derive(Debug)]
pub(crate) enum What {
    File(FileEntry),
    /// The same path with a slash more or less is the one to ask for.
    Redirect(Slash),
    Absent(Absent),
}

/// What a path lacks, or has too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    /// A folder, asked for without its final slash.
    Add,
    /// A page, asked for with one.
    Drop,
}

/// A file, and all that is said about it in every reply.
#[derive(Debug)]
pub(crate) struct FileEntry {
    /// Its name in the folder.
    pub(crate) name: Box<[u8]>,
    /// What led to it.
    pub(crate) rule: Rule,
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
    /// Looks `key` up. Blocks. Returns `known`, what an earlier look-up found, where it still
    /// holds: then nothing is read.
    pub(crate) fn look_up(mounts: &Mounts, key: &[u8], known: Option<Arc<Self>>) -> Arc<Self> {
        let Some((mount, place)) = mounts.place(key) else {
            return Arc::new(Self { mount: None, what: What::Absent(Absent::Unmounted) });
        };
        let found = {
            let known = known.as_ref().filter(|known| known.mount == Some(mount));
            let known = known.and_then(|known| match &known.what {
                What::File(file) => Some(file),
                What::Redirect(_) | What::Absent(_) => None,
            });
            LookUp { folder: &mounts.get(mount).folder, known }.find(place)
        };
        let what = match found {
            Ok(Found::Same) => return known.expect("only what is known can be the same"),
            Ok(Found::Other(what)) => *what,
            Err(absent) => What::Absent(absent),
        };
        Arc::new(Self { mount: Some(mount), what })
    }

    /// The memory that it holds besides itself, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match &self.what {
            What::File(FileEntry { held: Held::Memory(bytes), .. }) => bytes.len(),
            _ => 0,
        }
    }

    /// The descriptors that it holds.
    pub(crate) fn descriptors(&self) -> usize {
        self.open_file().is_some().into()
    }

    /// The open file, where the content is not in memory.
    pub(crate) fn open_file(&self) -> Option<&dyn Stored> {
        match &self.what {
            What::File(FileEntry { held: Held::Open(file), .. }) => Some(&**file),
            _ => None,
        }
    }
}

impl FileEntry {
    pub(crate) fn new(name: &[u8], rule: Rule, identity: Identity, now: Stamp, held: Held) -> Self {
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
        let name = name.into();
        Self { name, rule, identity, settled, tag, modified, fields, not_modified, held }
    }

    /// Whether a file of this identity, found so, is answered for as this one is.
    pub(crate) fn still_is(&self, name: &[u8], rule: Rule, identity: &Identity) -> bool {
        self.settled && self.identity == *identity && self.rule == rule && *self.name == *name
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
