//! Checks whether a precompressed file (`a.css.gz`) has the same content as its original, the file
//! beside it (`a.css`).
//!
//! Modification times prove nothing: after a checkout, a copy, or a build that sets all times
//! equal, a precompressed file may be outdated although its time is not older than that of the
//! original. Clients that accept the coding would get an old page. So each precompressed file is
//! decompressed and compared with its original. The result is cached for these versions of the two
//! files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use sockeye_proto::{Budget, CancelToken};
use tracing::warn;

use super::compare::{Comparison, Mismatch, compare};
use super::compressed_cache::hold_for_comparing;
use crate::file::content::{Content, ContentReader};
use crate::file::representation::Representation;
use crate::limits::clock_map::ClockMap;
use crate::limits::lock::lock;
use crate::options::codings::Coding;
use crate::store::identity::Identity;

/// How many bytes of the original are compared. If it is longer, the modification times decide
/// about the rest: the precompressed file must not be older. Decompressing takes about 4 ms per MiB
/// for each coding.
pub(crate) const MAX_COMPARED: u64 = 16 * 1024 * 1024;

/// The most results that are cached. They take about 3 MiB.
const MAX_PAIRS: usize = 8192;

/// The results for a served folder, shared by all workers (event loops).
#[derive(Debug)]
pub(crate) struct PrecompressedChecks {
    /// Whether the precompressed file of each pair may be sent.
    results: Mutex<ClockMap<Pair, bool>>,
    /// The budget for the memory that comparing takes.
    compressor_memory: Arc<Budget>,
}

/// The two files of a check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pair {
    coding: Coding,
    original: Identity,
    precompressed: Identity,
}

/// One of the two files of a check, in the version that was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) content: &'a Content,
    pub(crate) identity: &'a Identity,
    /// Whether every later change of the file will change `identity`. False if the file has changed
    /// in the current tick of the clock: another change in the same tick may leave its times, and
    /// so `identity`, as they are.
    pub(crate) settled: bool,
}

impl<'a> File<'a> {
    pub(crate) fn of(file: &'a Representation) -> Self {
        let Representation { name, content, identity, settled, .. } = file;
        Self { name, content, identity, settled: *settled }
    }

    /// Whether `content` is as it was when the file was opened. Content in memory never changes.
    pub(crate) fn is_unchanged(&self) -> bool {
        match self.content {
            Content::Memory(_) | Content::Compressed(_) => true,
            Content::Open(file) => file.is_current(),
        }
    }
}

impl PrecompressedChecks {
    pub(crate) fn new(compressor_memory: Arc<Budget>) -> Self {
        Self { results: Mutex::default(), compressor_memory }
    }

    /// The result of an earlier check.
    pub(crate) fn cached_result(
        &self,
        coding: Coding,
        original: &Identity,
        precompressed: &Identity,
    ) -> Option<bool> {
        let (original, precompressed) = (*original, *precompressed);
        lock(&self.results).get(&Pair { coding, original, precompressed }).copied()
    }

    /// Whether the precompressed file may be sent in place of the original. Blocks while it
    /// decompresses.
    ///
    /// If both files are settled ([`File::settled`]), caches the result, and logs a warning if the
    /// precompressed file may not be sent. If a file can't be read or changes meanwhile, if memory
    /// is short, or if nobody waits any more, returns false, and caches and logs nothing.
    pub(crate) fn check(
        &self,
        coding: Coding,
        original: File<'_>,
        precompressed: File<'_>,
        cancel: &CancelToken,
    ) -> bool {
        let Some(_compressor_memory) = hold_for_comparing(&self.compressor_memory) else {
            return false;
        };
        let [expected, compressed] =
            [original, precompressed].map(|file| ContentReader::new(file.content, cancel.clone()));
        // Content that makes a decoder panic is treated as corrupt.
        let compared =
            catch_unwind(AssertUnwindSafe(|| compare(coding, compressed, expected, MAX_COMPARED)))
                .unwrap_or(Ok(Comparison::Differs(Mismatch::Corrupt)));
        let is_not_older = precompressed.identity.modified >= original.identity.modified;
        let mismatch = match compared {
            Ok(Comparison::Same) => None,
            Ok(Comparison::SameUpToLimit) => (!is_not_older).then_some(Mismatch::Older),
            Ok(Comparison::Differs(mismatch)) => Some(mismatch),
            Err(_) => return false,
        };
        if !original.is_unchanged() || !precompressed.is_unchanged() {
            return false;
        }
        if original.settled && precompressed.settled {
            let names = (original.name, precompressed.name);
            let (original, precompressed) = (*original.identity, *precompressed.identity);
            let pair = Pair { coding, original, precompressed };
            let mut results = lock(&self.results);
            // Another worker may have checked and logged this pair before.
            let is_new = results.peek(&pair).is_none();
            results.insert_within(MAX_PAIRS, pair, mismatch.is_none(), 1);
            drop(results);
            if let (Some(mismatch), true) = (mismatch, is_new) {
                warn!(
                    target: "sockeye",
                    file = ?String::from_utf8_lossy(names.0),
                    precompressed = ?String::from_utf8_lossy(names.1),
                    reason = %mismatch,
                    "precompressed file is not sent: its content may differ from the original's; compress it again"
                );
            }
        }
        mismatch.is_none()
    }
}
