//! What one look-up found, ready to be sent: made once, off the loop, and kept by the cache.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use sockeye_http::Ready;
use sockeye_proto::{Cancel, Time, Wall};

use crate::coding::{Coded, Coder, Coding, Compressed};
use crate::digest::Digest;
use crate::explain::Rule;
use crate::head::Head;
use crate::identity::{Identity, Stamp};
use crate::look_up::{Effort, Found, LookUp};
use crate::mounts::Mounts;
use crate::options::Options;
use crate::prepared::Prepared;
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
    File(Box<FileEntry>),
    /// The same path with a slash more or less is the one to ask for.
    Redirect(Slash),
    /// A folder without a page, which is listed.
    Listing,
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
#[derive(Clone, Debug)]
pub(crate) struct FileEntry {
    /// Its name in the folder.
    pub(crate) name: Box<[u8]>,
    /// What led to it.
    pub(crate) rule: Rule,
    pub(crate) identity: Identity,
    /// Whether `identity` would show any later change.
    pub(crate) settled: bool,
    pub(crate) tag: String,
    pub(crate) modified: Option<Wall>,
    pub(crate) head: Head,
    pub(crate) prepared: Prepared,
    pub(crate) held: Held,
    /// Whether the fields say that another request may get another form.
    pub(crate) varies: bool,
    /// Its other forms; none where it has only this one, or is such a form itself.
    pub(crate) coded: Option<Box<Coded>>,
}

/// A file that was just opened, and what led to it.
pub(crate) struct OpenedFile<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) rule: Rule,
    pub(crate) identity: Identity,
    /// The clock of the files, read before it was opened.
    pub(crate) now: Stamp,
    /// What its content is, where it is small enough.
    pub(crate) digest: Option<Digest>,
}

/// How the content is kept.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Memory(Bytes),
    Open(Arc<dyn Stored>),
    /// A form that was made, kept elsewhere for as long as there is room for it.
    Compressed(Weak<Compressed>),
}

impl Entry {
    /// Looks `key` up. Blocks. Returns `known`, what an earlier look-up found, where it still
    /// holds: then nothing is read. `None` where it takes more than `effort`.
    pub(crate) fn look_up(
        mounts: &Mounts,
        key: &[u8],
        known: Option<Arc<Self>>,
        effort: Effort<'_>,
    ) -> Option<Arc<Self>> {
        let Some((mount, place)) = mounts.place(key) else {
            let what = What::Absent(Absent::Unmounted);
            return Some(Arc::new(Self { mount: None, what }));
        };
        let found = {
            let known = known.as_ref().filter(|known| known.mount == Some(mount));
            let known = known.and_then(|known| known.file());
            LookUp { folder: &mounts.get(mount).folder, known, effort }.find(place)
        };
        let what = match found {
            Ok(Found::Same) => return known,
            Ok(Found::Unread) => return None,
            Ok(Found::Other(what)) => what,
            Err(absent) => What::Absent(absent),
        };
        Some(Arc::new(Self { mount: Some(mount), what }))
    }

    /// The same with all the effort that it takes.
    pub(crate) fn look_up_whole(mounts: &Mounts, key: &[u8]) -> Arc<Self> {
        let found = Self::look_up(mounts, key, None, Effort::Reading(&Cancel::default()));
        found.expect("nothing takes more effort")
    }

    /// The file, where it is one.
    fn file(&self) -> Option<&FileEntry> {
        match &self.what {
            What::File(file) => Some(file),
            What::Redirect(_) | What::Listing | What::Absent(_) => None,
        }
    }

    /// The memory that it holds besides itself, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let weight = |form: &FileEntry| match &form.held {
            // Short content stands in the reply that is made ready, too.
            Held::Memory(bytes) => bytes.len() + bytes.len().min(Ready::LONGEST_COPY),
            Held::Open(_) | Held::Compressed(_) => 0,
        };
        self.forms().map(weight).sum()
    }

    /// The descriptors that it holds.
    pub(crate) fn descriptors(&self) -> usize {
        self.open_files().count()
    }

    /// The open files, where content is not in memory.
    pub(crate) fn open_files(&self) -> impl Iterator<Item = &dyn Stored> {
        self.forms().filter_map(|form| match &form.held {
            Held::Memory(_) | Held::Compressed(_) => None,
            Held::Open(file) => Some(&**file),
        })
    }

    /// A file as it is and in all its codings.
    fn forms(&self) -> impl Iterator<Item = &FileEntry> {
        let file = self.file();
        file.into_iter().chain(
            file.and_then(|file| file.coded.as_ref()).into_iter().flat_map(|coded| coded.all()),
        )
    }

    /// The same file with one coding more, or the knowledge that there is no use in it, if that can be
    /// had. Blocks.
    pub(crate) fn with_coding(
        &self,
        coder: &Coder,
        coding: Coding,
        now: Time,
        cancel: Cancel,
    ) -> Self {
        let what = match &self.what {
            What::File(file) => What::File(Box::new(coder.pack(file, coding, now, cancel))),
            What::Redirect(slash) => What::Redirect(*slash),
            What::Listing => What::Listing,
            What::Absent(absent) => What::Absent(*absent),
        };
        Self { mount: self.mount, what }
    }

    /// Whether this is the file of `before`, beside the same siblings.
    pub(crate) fn goes_on_from(&self, before: &Self) -> bool {
        match (&self.what, &before.what) {
            (What::File(file), What::File(before)) => file.goes_on_from(before),
            _ => false,
        }
    }
}

impl FileEntry {
    pub(crate) fn new(opened: OpenedFile<'_>, held: Held, options: &Options) -> Self {
        let OpenedFile { name, rule, identity, now, digest } = opened;
        let settled = identity.is_settled(now);
        let tag = tag_of(digest, &identity, settled);
        let modified = modified(identity.modified, now);
        let head = Head::new(name, &tag, modified, options);
        Self {
            name: name.into(),
            rule,
            identity,
            settled,
            tag,
            modified,
            head,
            prepared: Prepared::default(),
            held,
            varies: false,
            coded: None,
        }
    }

    /// Whether a file of this identity, found so, is answered for as this one is.
    pub(crate) fn still_is(&self, name: &[u8], rule: Rule, identity: &Identity) -> bool {
        self.settled && self.identity == *identity && self.rule == rule && *self.name == *name
    }

    /// Whether a file of this identity has this content.
    pub(crate) fn still_has(&self, identity: &Identity) -> bool {
        self.settled && self.identity == *identity
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    /// Whether it has no other form, and its content is kept.
    pub(crate) fn is_all_in_memory(&self) -> bool {
        self.coded.is_none() && matches!(self.held, Held::Memory(_))
    }

    /// The content, as it is kept.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }
}

/// The tag of a content by its digest, or by its identity where it was not read. Salts are never
/// used twice, so neither is a tag that might name two contents.
pub(crate) fn tag_of(digest: Option<Digest>, identity: &Identity, settled: bool) -> String {
    static SALT: AtomicU64 = AtomicU64::new(1);
    match digest {
        Some(digest) => digest.tag(),
        None if settled => identity.tag(0),
        None => identity.tag(SALT.fetch_add(1, Ordering::Relaxed)),
    }
}

/// Modified before 1980-01-02, a file bears the date that tools write who want the same files to be
/// the same bytes everywhere (the first second of 1970, the first day of a zip): no content is told
/// from another by it.
const DATED: i64 = 315_619_200;

/// When a file was modified, as far as that means anything.
fn modified(modified: Stamp, now: Stamp) -> Option<Wall> {
    // A date ahead of the reply's own is replaced by it (RFC 9110, 8.8.2.1).
    let secs = modified.secs.min(now.secs);
    let secs = u64::try_from(secs).ok().filter(|_| secs >= DATED)?;
    Some(Wall::from_secs(secs))
}
