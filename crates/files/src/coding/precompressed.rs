//! Files that lie beside a file, packed ahead of time: `page.html.br` beside `page.html`.

use std::sync::Arc;

use super::checks::{PrecompressedChecks, Side};
use crate::file::content::SMALL;
use crate::file::reader::{Digested, Effort, Reader};
use crate::file::representation::{Representation, etag_of};
use crate::options::codings::Coding;
use crate::store::identity::Identity;
use crate::store::traits::{OpenFile, Opened};

/// Smaller files are not looked for siblings of: the fields that a coding needs are longer than what
/// it could save.
const SMALLEST: u64 = 64;

/// The siblings of a file, as a lookup found them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Precompressed {
    /// Those that may be sent.
    found: [Option<Arc<Representation>>; Coding::ALL.len()],
    /// Whether there is a file of such a name at all. One that may not be sent now may be later, so
    /// the responses vary.
    pub(crate) any: bool,
}

impl Precompressed {
    pub(crate) fn get(&self, coding: Coding) -> Option<&Representation> {
        self.found[coding as usize].as_deref()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Representation> {
        self.found.iter().flatten().map(|precompressed| &**precompressed)
    }

    /// Whether these are the very ones.
    pub(crate) fn are(&self, others: &Self) -> bool {
        let same =
            |(a, b): (&Option<Arc<Representation>>, &Option<Arc<Representation>>)| match (a, b) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            };
        self.any == others.any && self.found.iter().zip(&others.found).all(same)
    }

    /// Looks for the siblings of a file. `known` are those of the same file that an earlier lookup
    /// found. Blocks; a sibling that is seen for the first time is unpacked, and `None` is returned
    /// where the reader's effort doesn't allow that.
    pub(crate) fn find(
        reader: &Reader<'_>,
        verdicts: &PrecompressedChecks,
        file: &Representation,
        known: Option<&Self>,
    ) -> Option<Self> {
        let mut precompressed = Self::default();
        // A file that is packed has none.
        if file.size() < SMALLEST
            || Coding::ALL.iter().any(|coding| file.name.ends_with(coding.extension()))
        {
            return Some(precompressed);
        }
        for coding in Coding::ALL {
            let name = [&*file.name, coding.extension()].concat();
            let now = reader.store.now();
            // One that can't be opened is none: its original is served, and nothing is lost.
            let Ok(Opened::File(opened, identity)) = reader.store.open(&name) else { continue };
            precompressed.any = true;
            let known = known.and_then(|known| known.found[coding as usize].as_ref());
            let same = known.filter(|known| known.still_has(&identity));
            precompressed.found[coding as usize] = match same {
                Some(same) => Some(Arc::clone(same)),
                None => {
                    let settled = identity.is_settled(now);
                    let found = Found { name: &name, coding, opened, identity, settled };
                    let is_quick = matches!(reader.effort, Effort::Calls);
                    if is_quick && found.has_to_be_read(reader, verdicts, file) {
                        return None;
                    }
                    found.check(reader, verdicts, file).map(Arc::new)
                }
            };
        }
        Some(precompressed)
    }
}

/// A file with the name of a sibling.
struct Found<'a> {
    name: &'a [u8],
    coding: Coding,
    opened: Arc<dyn OpenFile>,
    identity: Identity,
    /// Whether the identity would show any later change.
    settled: bool,
}

impl Found<'_> {
    /// Whether checking it reads more than what is kept in memory anyway.
    fn has_to_be_read(
        &self,
        reader: &Reader<'_>,
        verdicts: &PrecompressedChecks,
        file: &Representation,
    ) -> bool {
        if self.identity.size >= file.size() || file.size() <= SMALL {
            return false;
        }
        match verdicts.known(self.coding, &file.identity, &self.identity) {
            None => true,
            Some(false) => false,
            Some(true) => reader.has_to_read(&self.identity, self.settled),
        }
    }

    /// The file in this coding, if that is what was found.
    fn check(
        self,
        reader: &Reader<'_>,
        verdicts: &PrecompressedChecks,
        file: &Representation,
    ) -> Option<Representation> {
        let Self { name, coding, opened, identity, settled } = self;
        let verdict = verdicts.known(coding, &file.identity, &identity);
        // One that is no smaller is of no use to anybody.
        if identity.size >= file.size() || verdict == Some(false) {
            return None;
        }
        let content = reader.load_content(opened, &identity).ok()??;
        let precompressed = Side { name, content: &content, identity: &identity, settled };
        let cancel = reader.effort.cancel();
        let fits = verdict == Some(true)
            || verdicts.evaluate(coding, Side::of(file), precompressed, &cancel);
        if !fits {
            return None;
        }
        let Ok(Digested::Known(digest)) = reader.digest(&content, &identity, settled) else {
            return None;
        };
        let etag = etag_of(digest, &identity, settled);
        Some(file.coded(coding, &etag, identity, settled, content))
    }
}
