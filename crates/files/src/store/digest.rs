//! Hashes of file contents, for ETags that depend on the content alone: they survive a deployment
//! that copies the same files again, and are the same on every machine.
//!
//! XXH3 is fast, but an attacker can construct two contents with one hash. That takes write access
//! to the files, with which an attacker can serve anything anyway.

use std::sync::Mutex;

use sockeye_proto::CancelToken;
use twox_hash::XxHash3_128;

use super::absent::Absent;
use super::identity::Identity;
use super::traits::OpenFile;
use crate::limits::clock_map::ClockMap;
use crate::limits::lock::lock;

/// The size of one read, in bytes.
const CHUNK_SIZE: usize = 128 * 1024;

/// The most digests that are kept: about 12 MiB.
const MAX_DIGESTS: usize = 64 * 1024;

/// A hash of a content, of 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u128);

impl Digest {
    /// Hashes bytes in memory.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(content))
    }

    /// Hashes the first `size` bytes of a file; `None` if there are fewer.
    ///
    /// # Errors
    ///
    /// [`Absent::Exhausted`] when `cancel` is set, and errors of reading.
    pub(crate) fn read(
        file: &dyn OpenFile,
        size: u64,
        cancel: &CancelToken,
    ) -> Result<Option<Self>, Absent> {
        let mut hasher = XxHash3_128::new();
        let mut chunk = vec![0; CHUNK_SIZE];
        let mut at = 0;
        while at < size {
            if cancel.is_cancelled() {
                return Err(Absent::Exhausted);
            }
            let most = usize::try_from(size - at).map_or(CHUNK_SIZE, |left| left.min(CHUNK_SIZE));
            if file.fill(at, &mut chunk[..most])? < most {
                return Ok(None);
            }
            hasher.write(&chunk[..most]);
            at += most as u64;
        }
        Ok(Some(Self(hasher.finish_128())))
    }

    /// As an ETag, quotes included.
    pub(crate) fn etag(self) -> String {
        format!("\"{:032x}\"", self.0)
    }
}

/// The digests of files by identity, shared by all shards, so that each file is read once.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    digests: Mutex<ClockMap<Identity, Digest>>,
}

impl Digests {
    /// The known digest of the file with this identity, which must be settled.
    pub(crate) fn get(&self, identity: &Identity) -> Option<Digest> {
        lock(&self.digests).get(identity).copied()
    }

    /// The digest of the first `identity.size` bytes of an open file, which is read unless its digest
    /// is known; `None` if there are fewer, or if `is_same` is false for the identity of the file
    /// after reading it.
    ///
    /// # Errors
    ///
    /// Those of [`Digest::read`].
    pub(crate) fn of(
        &self,
        file: &dyn OpenFile,
        identity: &Identity,
        is_settled: bool,
        is_same: impl Fn(&Identity) -> bool,
        cancel: &CancelToken,
    ) -> Result<Option<Digest>, Absent> {
        if let Some(known) = self.get(identity).filter(|_| is_settled) {
            return Ok(Some(known));
        }
        let Some(digest) = Digest::read(file, identity.size, cancel)? else { return Ok(None) };
        let Ok(now) = file.identity() else { return Ok(None) };
        if is_settled && now == *identity {
            self.put(now, digest);
        }
        Ok(is_same(&now).then_some(digest))
    }

    fn put(&self, identity: Identity, digest: Digest) {
        lock(&self.digests).insert_within(MAX_DIGESTS, identity, digest, 1);
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
            assert_eq!(
                Digest::read(&*file, identity.size, &CancelToken::default()),
                Ok(Some(Digest::of(&content)))
            );
            assert_eq!(Digest::read(&*file, identity.size + 1, &CancelToken::default()), Ok(None));
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
        for inode in 0..5 * MAX_DIGESTS as u64 {
            digests.put(identity(inode), Digest(inode.into()));
            assert_eq!(digests.get(&identity(0)), Some(Digest(0)), "at {inode}");
        }
        assert_eq!(digests.get(&identity(1)), None);
    }
}
