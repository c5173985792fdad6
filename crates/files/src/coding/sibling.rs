//! Files that lie beside a file, packed ahead of time: `page.html.br` beside `page.html`.

use std::sync::Arc;

use sockeye_proto::Cancel;

use super::verdicts::{Side, Verdicts};
use crate::entry::{FileEntry, Held, SMALL, tag_of};
use crate::folder::Folder;
use crate::look_up::{Effort, read};
use crate::options::codings::Coding;
use crate::store::digest::Digest;
use crate::store::identity::Identity;
use crate::store::traits::{Opened, Stored};

/// Smaller files are not looked for siblings of: the fields that a coding needs are longer than what
/// it could save.
const SMALLEST: u64 = 64;

/// The siblings of a file, as a look-up found them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Siblings {
    /// Those that may be sent.
    found: [Option<Arc<FileEntry>>; Coding::ALL.len()],
    /// Whether there is a file of such a name at all. One that may not be sent now may be later, so
    /// the replies vary.
    pub(crate) any: bool,
}

impl Siblings {
    pub(crate) fn get(&self, coding: Coding) -> Option<&FileEntry> {
        self.found[coding as usize].as_deref()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &FileEntry> {
        self.found.iter().flatten().map(|sibling| &**sibling)
    }

    /// Whether these are the very ones.
    pub(crate) fn are(&self, others: &Self) -> bool {
        let same = |(a, b): (&Option<Arc<FileEntry>>, &Option<Arc<FileEntry>>)| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        self.any == others.any && self.found.iter().zip(&others.found).all(same)
    }

    /// Looks for the siblings of a file. `known` are those of the same file that an earlier look-up
    /// found. Blocks; a sibling that is seen for the first time is unpacked, and `None` is returned
    /// where `effort` doesn't allow that.
    pub(crate) fn find(
        folder: &Folder,
        verdicts: &Verdicts,
        file: &FileEntry,
        known: Option<&Self>,
        effort: Effort<'_>,
    ) -> Option<Self> {
        let mut siblings = Self::default();
        // A file that is packed has none.
        if file.size() < SMALLEST
            || Coding::ALL.iter().any(|coding| file.name.ends_with(coding.extension()))
        {
            return Some(siblings);
        }
        let store = &*folder.store;
        for coding in Coding::ALL {
            let name = [&*file.name, coding.extension()].concat();
            let now = store.now();
            // One that can't be opened is none: its original is served, and nothing is lost.
            let Ok(Opened::File(opened, identity)) = store.open(&name) else { continue };
            siblings.any = true;
            let known = known.and_then(|known| known.found[coding as usize].as_ref());
            let same = known.filter(|known| known.still_has(&identity));
            siblings.found[coding as usize] = match same {
                Some(same) => Some(Arc::clone(same)),
                None => {
                    let settled = identity.is_settled(now);
                    let found = Found { name: &name, coding, opened, identity, settled };
                    let none = Cancel::default();
                    let cancel = match effort {
                        Effort::Calls if found.has_to_be_read(folder, verdicts, file) => {
                            return None;
                        }
                        Effort::Calls => &none,
                        Effort::Reading(cancel) => cancel,
                    };
                    found.check(folder, verdicts, file, cancel).map(Arc::new)
                }
            };
        }
        Some(siblings)
    }
}

/// A file with the name of a sibling.
struct Found<'a> {
    name: &'a [u8],
    coding: Coding,
    opened: Arc<dyn Stored>,
    identity: Identity,
    /// Whether the identity would show any later change.
    settled: bool,
}

impl Found<'_> {
    /// Whether checking it reads more than what is kept in memory anyway.
    fn has_to_be_read(&self, folder: &Folder, verdicts: &Verdicts, file: &FileEntry) -> bool {
        if self.identity.size >= file.size() || file.size() <= SMALL {
            return false;
        }
        let is_hashed = self.identity.size <= folder.options.hashed_up_to;
        let has_digest = || self.settled && folder.digests.get(&self.identity).is_some();
        match verdicts.known(self.coding, file.identity(), &self.identity) {
            None => true,
            Some(false) => false,
            Some(true) => self.identity.size > SMALL && is_hashed && !has_digest(),
        }
    }

    /// The file in this coding, if that is what was found.
    fn check(
        self,
        folder: &Folder,
        verdicts: &Verdicts,
        file: &FileEntry,
        cancel: &Cancel,
    ) -> Option<FileEntry> {
        let Self { name, coding, opened, identity, settled } = self;
        let verdict = verdicts.known(coding, file.identity(), &identity);
        // One that is no smaller is of no use to anybody.
        if identity.size >= file.size() || verdict == Some(false) {
            return None;
        }
        let held = if identity.size > SMALL {
            Held::Open(opened)
        } else {
            let content = read(&*opened, identity.size).ok().flatten();
            Held::Memory(content.filter(|_| opened.identity() == Ok(identity))?)
        };
        let sibling = Side { name, held: &held, identity: &identity, settled };
        let fits = verdict == Some(true) || verdicts.judge(coding, file.side(), sibling, cancel);
        if !fits {
            return None;
        }
        let hashed = identity.size <= folder.options.hashed_up_to;
        let digest = match &held {
            _ if !hashed => None,
            Held::Memory(content) => Some(Digest::of(content)),
            Held::Compressed(_) => None,
            Held::Open(opened) => {
                Some(folder.digests.of(&**opened, &identity, settled, cancel).ok()??)
            }
        };
        let tag = tag_of(digest, &identity, settled);
        Some(file.coded(coding, &tag, identity, settled, held))
    }
}
