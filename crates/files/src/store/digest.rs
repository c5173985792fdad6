//! What is known of a content that was read: its hash, and whether it is UTF-8.
//!
//! Hashes are for ETags that depend on the content alone. Such ETags survive a deployment that
//! copies the same files again, and are the same on every machine.
//!
//! XXH3 is fast, but an attacker can construct two contents with one hash. Making use of that takes
//! write access to the files, with which an attacker can serve anything anyway.

use std::sync::Mutex;

use sockeye_proto::CancelToken;
use twox_hash::XxHash3_128;

use super::absent::Absent;
use super::identity::Identity;
use super::traits::OpenFile;
use crate::limits::clock_map::ClockMap;
use crate::limits::lock::lock;
use crate::naming::charset::{Utf8As, Utf8Check};

/// The size of one read, in bytes.
const CHUNK_SIZE: usize = 256 * 1024;

/// The most summaries that are kept: about 15 MiB, with the map's table.
const MAX_DIGESTS: usize = 64 * 1024;

/// A hash of a content, of 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u128);

impl Digest {
    /// Hashes bytes in memory.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(content))
    }

    /// As an ETag, quotes included.
    pub(crate) fn etag(self) -> String {
        format!("\"{:032x}\"", self.0)
    }
}

/// What is known of a file's content after it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) digest: Digest,
    /// Whether it is UTF-8. That depends on the type, since each type declares another encoding in
    /// its own way.
    pub(crate) utf8: Utf8As,
}

impl Summary {
    /// Reads the first `size` bytes of a file; `None` if there are fewer.
    ///
    /// # Errors
    ///
    /// [`Absent::Exhausted`], which is never cached, if `cancel` is cancelled: then no request
    /// waits for the result. Otherwise the errors of reading.
    pub(crate) fn read(
        file: &dyn OpenFile,
        size: u64,
        cancel: &CancelToken,
    ) -> Result<Option<Self>, Absent> {
        let (mut hasher, mut utf8) = (XxHash3_128::new(), Utf8Check::new());
        let mut chunk = vec![0; CHUNK_SIZE];
        let mut at = 0;
        while at < size {
            if cancel.is_cancelled() {
                return Err(Absent::Exhausted);
            }
            let len = usize::try_from(size - at).map_or(CHUNK_SIZE, |rest| rest.min(CHUNK_SIZE));
            if file.fill(at, &mut chunk[..len])? < len {
                return Ok(None);
            }
            hasher.write(&chunk[..len]);
            utf8.write(&chunk[..len]);
            at += len as u64;
        }
        let digest = Digest(hasher.finish_128());
        Ok(Some(Self { digest, utf8: utf8.finish(true) }))
    }
}

/// The summaries of files with a settled identity, by identity. All workers (event loops) share
/// them, so that a file that one worker has read is seldom read again by another.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    summaries: Mutex<ClockMap<Identity, Summary>>,
}

impl Digests {
    /// The known summary of the file with this identity, which must be settled: see
    /// [`Identity::is_settled`].
    pub(crate) fn get(&self, identity: &Identity) -> Option<Summary> {
        lock(&self.summaries).get(identity).copied()
    }

    /// The summary of the first `identity.size` bytes of an open file. Reads the file unless its
    /// identity is settled and its summary is known. `None` if the file is shorter, if its identity
    /// can't be read afterwards, or if `is_same` is false for that identity.
    ///
    /// # Errors
    ///
    /// Those of [`Summary::read`].
    pub(crate) fn of(
        &self,
        file: &dyn OpenFile,
        identity: &Identity,
        is_settled: bool,
        is_same: impl Fn(&Identity) -> bool,
        cancel: &CancelToken,
    ) -> Result<Option<Summary>, Absent> {
        if let Some(known) = self.get(identity).filter(|_| is_settled) {
            return Ok(Some(known));
        }
        let Some(summary) = Summary::read(file, identity.size, cancel)? else { return Ok(None) };
        let Ok(now) = file.identity() else { return Ok(None) };
        if is_settled && now == *identity {
            self.put(now, summary);
        }
        Ok(is_same(&now).then_some(summary))
    }

    fn put(&self, identity: Identity, summary: Summary) {
        lock(&self.summaries).insert_within(MAX_DIGESTS, identity, summary, 1);
    }
}

#[cfg(test)]
mod tests {
    use sockeye_proto::Waiter;

    use super::*;
    use crate::store::memory::Memory;
    use crate::store::traits::{Opened, Store};

    #[test]
    fn equal_contents_have_equal_etags() {
        // The reference value of XXH3-128 for an empty input: ETags are the same in every version.
        assert_eq!(Digest::of(b"").etag(), "\"99aa06d3014798d86001c324468d497f\"");
        let store = Memory::new();
        for len in [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE + 5] {
            let content: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            store.write("file", content.clone());
            let Ok(Opened::File(file, identity)) = store.open(b"file") else { panic!("a file") };
            let expected =
                Summary { digest: Digest::of(&content), utf8: Utf8As::of(&content, true) };
            let read = |size| Summary::read(&*file, size, &CancelToken::default());
            assert_eq!(read(identity.size), Ok(Some(expected)));
            assert_eq!(read(identity.size + 1), Ok(None));
        }
    }

    #[test]
    fn reading_stops_when_nobody_waits() {
        let store = Memory::new();
        store.write("file", "content");
        let Ok(Opened::File(file, identity)) = store.open(b"file") else { panic!("a file") };
        let (waiter, cancel) = Waiter::new();
        let digests = Digests::default();
        let read = || digests.of(&*file, &identity, false, |_| true, &cancel);
        assert!(read().is_ok());
        drop(waiter);
        assert_eq!(read(), Err(Absent::Exhausted));
    }

    #[test]
    fn digests_are_bounded_and_used_ones_stay() {
        let digests = Digests::default();
        let identity = |inode| Identity { inode, ..Identity::default() };
        let utf8 = Utf8As::of(b"", true);
        let summary = |inode: u64| Summary { digest: Digest(inode.into()), utf8 };
        for inode in 0..5 * MAX_DIGESTS as u64 {
            digests.put(identity(inode), summary(inode));
            assert_eq!(digests.get(&identity(0)), Some(summary(0)), "at {inode}");
        }
        assert_eq!(digests.get(&identity(1)), None);
    }
}
