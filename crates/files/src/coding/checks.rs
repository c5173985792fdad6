//! Whether a sibling is what it says: the same content as the file beside it, packed.
//!
//! The times of two files don't tell: a build that makes all times equal, a checkout, a copy or a
//! forgotten `gzip -k` leaves a packed file beside an original that it was not made of, and
//! whoever serves it shows yesterday's page to everybody who accepts the coding. So the content
//! decides: it is unpacked and compared, once for each pair of files, and the verdict is kept for as
//! long as neither of them changes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use sockeye_proto::{Budget, Cancel};
use tracing::warn;

use super::compare::{Comparison, Mismatch, compare};
use super::compressed_cache::hold_for_comparing;
use super::content_reader::ContentReader;
use crate::file::content::Content;
use crate::file::representation::Representation;
use crate::limits::clock_map::ClockMap;
use crate::options::codings::Coding;
use crate::store::identity::Identity;

/// So much of a file is compared with what its sibling unpacks to. Of larger ones the beginning is,
/// and the times decide about the rest: unpacking takes about 4 ms for each MiB and coding.
pub(crate) const COMPARED: u64 = 16 * 1024 * 1024;

/// Pairs whose verdict is kept: about 2 MiB.
const PAIRS: usize = 8192;

/// The verdicts of a folder, for all shards.
#[derive(Debug)]
pub(crate) struct PrecompressedChecks {
    /// Whether the sibling may be sent.
    known: Mutex<ClockMap<Pair, bool>>,
    /// What comparing takes is taken from this.
    working: Arc<Budget>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pair {
    coding: Coding,
    file: Identity,
    precompressed: Identity,
}

/// One of the two, as it was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) content: &'a Content,
    pub(crate) identity: &'a Identity,
    /// Whether the identity would show any later change.
    pub(crate) settled: bool,
}

impl<'a> Side<'a> {
    pub(crate) fn of(file: &'a Representation) -> Self {
        let Representation { name, content, identity, settled, .. } = file;
        Self { name, content, identity, settled: *settled }
    }

    /// Whether what was read of it is what it was when it was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        match self.content {
            Content::Memory(_) | Content::Compressed(_) => true,
            Content::Open(file) => {
                file.identity().is_ok_and(|now| self.identity.has_content_of(&now))
            }
        }
    }
}

/// Why a sibling is not sent.
enum Stale {
    Mismatch(Mismatch),
    Older,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch(unlike) => unlike.fmt(f),
            Self::Older => f.write_str("it is older than the file, and too large to compare"),
        }
    }
}

impl PrecompressedChecks {
    pub(crate) fn new(working: Arc<Budget>) -> Self {
        Self { known: Mutex::new(ClockMap::new()), working }
    }

    /// What was found out about a pair before.
    pub(crate) fn known(
        &self,
        coding: Coding,
        file: &Identity,
        precompressed: &Identity,
    ) -> Option<bool> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&Pair::of(coding, file, precompressed)).copied()
    }

    /// Whether the sibling may be sent in place of the file. Blocks, for as long as unpacking takes.
    ///
    /// A sibling that may not is warned of, once. One that can't be read now, or changes while it
    /// is read, is passed over without a word, and judged again at the next lookup; so is one for
    /// which there is no memory now, and one for which nobody waits any more.
    pub(crate) fn evaluate(
        &self,
        coding: Coding,
        file: Side<'_>,
        precompressed: Side<'_>,
        cancel: &Cancel,
    ) -> bool {
        let Some(_working) = hold_for_comparing(&self.working) else { return false };
        let original = ContentReader::of(file.content).unless(cancel.clone());
        let packed = ContentReader::of(precompressed.content).unless(cancel.clone());
        // What makes a decoder panic is as good as what it refuses: the file is sent all the same.
        let likeness =
            catch_unwind(AssertUnwindSafe(|| compare(coding, packed, original, COMPARED)))
                .unwrap_or(Ok(Comparison::None(Mismatch::Corrupt)));
        let verdict = match likeness {
            Ok(Comparison::Whole) => Ok(()),
            Ok(Comparison::Beginning)
                if precompressed.identity.modified >= file.identity.modified =>
            {
                Ok(())
            }
            Ok(Comparison::Beginning) => Err(Stale::Older),
            Ok(Comparison::None(unlike)) => Err(Stale::Mismatch(unlike)),
            Err(_) => return false,
        };
        if !file.is_unchanged() || !precompressed.is_unchanged() {
            return false;
        }
        if file.settled && precompressed.settled {
            let pair = Pair::of(coding, file.identity, precompressed.identity);
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            // Another shard may have been first, and has warned then.
            let is_news = known.get(&pair).is_none();
            known.insert_within(PAIRS, pair, verdict.is_ok(), 1);
            drop(known);
            if let (Err(stale), true) = (&verdict, is_news) {
                warn!(
                    target: "sockeye",
                    file = ?String::from_utf8_lossy(file.name),
                    precompressed = ?String::from_utf8_lossy(precompressed.name),
                    reason = %stale,
                    "a precompressed file is not sent, since its original may be another: compress it again"
                );
            }
        }
        verdict.is_ok()
    }
}

impl Pair {
    fn of(coding: Coding, file: &Identity, precompressed: &Identity) -> Self {
        // A name more or less is no other content; it touches `changed` all the same.
        let [file, precompressed] =
            [file, precompressed].map(|identity| Identity { links: 0, ..*identity });
        Self { coding, file, precompressed }
    }
}
