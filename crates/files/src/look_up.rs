//! Looking a name up: which file it leads to, by which rule, opened and read as far as it is kept.
//! Runs off the loop and may block.

use bytes::Bytes;
use sockeye_proto::Cancel;

use crate::coding::Renewed;
use crate::entry::{FileEntry, Held, OpenedFile, SMALL, Slash, What};
use crate::explain::Rule;
use crate::folder::Folder;
use crate::mounts::Place;
use crate::naming::path::Wanted;
use crate::store::absent::Absent;
use crate::store::digest::Digest;
use crate::store::traits::{Opened, Stored};

/// How often a file that changes under our eyes is read again before we give up.
const TRIES: usize = 8;

/// The page of a folder.
const INDEX: &[u8] = b"index.html";

/// What clean URLs leave out.
const HTML: &[u8] = b".html";

/// What a name was found to lead to.
pub(crate) enum Found {
    /// What is known already.
    Same,
    Other(What),
    /// More would have to be read than [`Effort::Calls`] allows.
    Unread,
}

/// How much a look-up may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effort<'a> {
    /// A few system calls, and reading what is kept in memory.
    Calls,
    /// Reading whole files, as long as somebody waits for it.
    Reading(&'a Cancel),
}

/// One look-up in one folder.
pub(crate) struct LookUp<'a> {
    pub(crate) folder: &'a Folder,
    /// What an earlier one found.
    pub(crate) known: Option<&'a FileEntry>,
    pub(crate) effort: Effort<'a>,
}

impl LookUp<'_> {
    /// Finds what answers for a place in the folder.
    pub(crate) fn find(&self, place: Place<'_>) -> Result<Found, Absent> {
        let single = self.folder.store.single_file();
        match (place, single) {
            (Place::Itself, Some(single)) => self.single(single),
            (Place::Itself, None) => redirect(Slash::Add),
            (Place::In(wanted), Some(single)) => match wanted.key() {
                b"" => self.single(single),
                name if name == single => self.single(single),
                _ => Err(Absent::Missing),
            },
            (Place::In(wanted), None) if wanted.is_folder() => self.index(wanted),
            (Place::In(wanted), None) => self.named(wanted.name()),
        }
    }

    fn single(&self, name: &[u8]) -> Result<Found, Absent> {
        match self.load(name, Rule::SingleFile)? {
            Loaded::Found(found) => Ok(found),
            Loaded::Folder => Err(Absent::NoIndex),
        }
    }

    /// A path without a slash at its end.
    fn named(&self, name: &[u8]) -> Result<Found, Absent> {
        match self.load(name, Rule::File) {
            Ok(Loaded::Found(found)) => Ok(found),
            // The page beside a folder goes before a folder without one.
            Ok(Loaded::Folder) => match self.clean(name)? {
                Some(page) if !self.is_file(&[name, b"/", INDEX].concat()) => Ok(page),
                _ => redirect(Slash::Add),
            },
            Err(Absent::Missing) => self.clean(name)?.ok_or(Absent::Missing),
            Err(absent) => Err(absent),
        }
    }

    /// A path with a slash at its end.
    fn index(&self, wanted: Wanted<'_>) -> Result<Found, Absent> {
        let why = match self.load(&[wanted.key(), INDEX].concat(), Rule::Index) {
            Ok(Loaded::Found(found)) => return Ok(found),
            Ok(Loaded::Folder) => Absent::NoIndex,
            Err(Absent::Missing) => match self.folder.store.open(wanted.name()) {
                Ok(Opened::Folder) => Absent::NoIndex,
                Ok(Opened::File(..)) => return Err(Absent::NotAFolder),
                Err(absent) => absent,
            },
            Err(absent) => return Err(absent),
        };
        let page = matches!(why, Absent::NoIndex | Absent::Missing)
            && self.folder.options.clean_urls
            && !wanted.name().is_empty()
            && self.is_file(&[wanted.name(), HTML].concat());
        match why {
            _ if page => redirect(Slash::Drop),
            Absent::NoIndex if self.folder.options.listing => Ok(Found::Other(What::Listing)),
            why => Err(why),
        }
    }

    /// The page of a name that leaves out its extension.
    fn clean(&self, name: &[u8]) -> Result<Option<Found>, Absent> {
        if !self.folder.options.clean_urls || name.ends_with(HTML) {
            return Ok(None);
        }
        match self.load(&[name, HTML].concat(), Rule::CleanUrl) {
            Ok(Loaded::Found(found)) => Ok(Some(found)),
            Ok(Loaded::Folder) | Err(Absent::Missing) => Ok(None),
            Err(absent) => Err(absent),
        }
    }

    fn is_file(&self, name: &[u8]) -> bool {
        matches!(self.folder.store.open(name), Ok(Opened::File(..)))
    }

    /// Opens `name` and, where it is small, reads it whole: never half of one content and half of
    /// another.
    fn load(&self, name: &[u8], rule: Rule) -> Result<Loaded, Absent> {
        let store = &*self.folder.store;
        for _ in 0..TRIES {
            // The clock first: what is written after it was read has a later stamp.
            let now = store.now();
            let (file, identity) = match store.open(name)? {
                Opened::Folder => return Ok(Loaded::Folder),
                Opened::File(file, identity) => (file, identity),
            };
            if let Some(known) = self.known.filter(|known| known.still_is(name, rule, &identity)) {
                let renewed = match self.folder.coder.renew(self.folder, known, self.effort) {
                    Renewed::Same => Found::Same,
                    Renewed::Other(file) => Found::Other(What::File(file)),
                    Renewed::Unread => Found::Unread,
                };
                return Ok(Loaded::Found(renewed));
            }
            let hashed = identity.size <= self.folder.options.hashed_up_to;
            let (held, digest) = if identity.size <= SMALL {
                let content = read(&*file, identity.size)?;
                let whole = content.filter(|_| file.identity() == Ok(identity));
                let Some(content) = whole else { continue };
                let digest = hashed.then(|| Digest::of(&content));
                (Held::Memory(content), digest)
            } else if hashed {
                let is_settled = identity.is_settled(now);
                let digests = &self.folder.digests;
                let known = digests.get(&identity).filter(|_| is_settled);
                let digest = match (known, self.effort) {
                    (Some(known), _) => Some(known),
                    (None, Effort::Calls) => return Ok(Loaded::Found(Found::Unread)),
                    (None, Effort::Reading(cancel)) => {
                        digests.of(&*file, &identity, is_settled, cancel)?
                    }
                };
                let Some(digest) = digest else { continue };
                (Held::Open(file), Some(digest))
            } else {
                (Held::Open(file), None)
            };
            let opened = OpenedFile { name, rule, identity, now, digest };
            let mut entry = FileEntry::new(opened, held, &self.folder.options);
            if !self.folder.coder.equip(self.folder, &mut entry, self.effort) {
                return Ok(Loaded::Found(Found::Unread));
            }
            return Ok(Loaded::Found(Found::Other(What::File(Box::new(entry)))));
        }
        Err(Absent::Changing)
    }
}

/// What became of opening a name.
enum Loaded {
    Folder,
    Found(Found),
}

fn redirect(slash: Slash) -> Result<Found, Absent> {
    Ok(Found::Other(What::Redirect(slash)))
}

/// Reads `size` bytes from the beginning; `None` where there are fewer.
pub(crate) fn read(file: &dyn Stored, size: u64) -> Result<Option<Bytes>, Absent> {
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
