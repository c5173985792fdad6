//! What contents are, in 128 bits: for entity tags that depend on nothing but the content, so that
//! they survive a deploy that copies the same files anew, and are the same on every machine.
//!
//! XXH3 is quick and spreads well, and is not made to withstand somebody who builds two contents
//! with one digest. Only who may write the files could do that, and could tell their readers
//! anything anyway.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sockeye_proto::Cancel;
use twox_hash::XxHash3_128;

use super::absent::Absent;
use super::identity::Identity;
use super::traits::OpenFile;
use crate::limits::bounded_map::BoundedMap;

/// What is read of a file in one go.
const CHUNK: usize = 128 * 1024;

/// So many digests are kept: about 12 MiB, if ever.
const MOST: usize = 64 * 1024;

/// A digest of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u128);

impl Digest {
    /// Of bytes in memory.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(content))
    }

    /// Of the first `size` bytes of a file; `None` where there are fewer. Stops when nobody waits for it
    /// any more.
    pub(crate) fn read(
        file: &dyn OpenFile,
        size: u64,
        cancel: &Cancel,
    ) -> Result<Option<Self>, Absent> {
        let mut hasher = XxHash3_128::new();
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < size {
            if cancel.is_cancelled() {
                return Err(Absent::Exhausted);
            }
            let most = usize::try_from(size - at).map_or(CHUNK, |left| left.min(CHUNK));
            if file.fill(at, &mut chunk[..most])? < most {
                return Ok(None);
            }
            hasher.write(&chunk[..most]);
            at += most as u64;
        }
        Ok(Some(Self(hasher.finish_128())))
    }

    /// As an entity tag, quotes included.
    pub(crate) fn etag(self) -> String {
        format!("\"{:032x}\"", self.0)
    }
}

/// The digests of files that were read lately, by their identities: shared by all shards, so that a
/// content is read once.
#[derive(Debug)]
pub(crate) struct Digests {
    known: Mutex<BoundedMap<Identity, Digest>>,
}

impl Default for Digests {
    fn default() -> Self {
        Self { known: Mutex::new(BoundedMap::new(MOST)) }
    }
}

impl Digests {
    /// The digest of the file of this identity, which must be settled to say anything.
    pub(crate) fn get(&self, identity: &Identity) -> Option<Digest> {
        self.lock().get(identity).copied()
    }

    /// The digest of an open file, read only where nobody has read it yet; `None` where it changed
    /// meanwhile.
    pub(crate) fn of(
        &self,
        file: &dyn OpenFile,
        identity: &Identity,
        is_settled: bool,
        cancel: &Cancel,
    ) -> Result<Option<Digest>, Absent> {
        if let Some(known) = self.get(identity).filter(|_| is_settled) {
            return Ok(Some(known));
        }
        let digest = Digest::read(file, identity.size, cancel)?;
        let digest = digest.filter(|_| file.identity() == Ok(*identity));
        if let Some(digest) = digest.filter(|_| is_settled) {
            self.put(*identity, digest);
        }
        Ok(digest)
    }

    pub(crate) fn put(&self, identity: Identity, digest: Digest) {
        self.lock().put(identity, digest, 1);
    }

    fn lock(&self) -> MutexGuard<'_, BoundedMap<Identity, Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sockeye_proto::Waiter;

    use super::*;
    use crate::store::memory::Memory;
    use crate::store::traits::{Opened, Store};

    #[test]
    fn a_content_has_one_tag_wherever_it_is() {
        // The reference of XXH3-128 for nothing at all, so that a tag is the same tomorrow.
        assert_eq!(Digest::of(b"").etag(), "\"99aa06d3014798d86001c324468d497f\"");
        let store = Memory::new();
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let content: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            store.write("file", content.clone());
            let Ok(Opened::File(file, identity)) = store.open(b"file") else { panic!("a file") };
            assert_eq!(
                Digest::read(&*file, identity.size, &Cancel::default()),
                Ok(Some(Digest::of(&content)))
            );
            assert_eq!(Digest::read(&*file, identity.size + 1, &Cancel::default()), Ok(None));
        }
    }

    #[test]
    fn reading_stops_when_nobody_waits() {
        let store = Memory::new();
        store.write("file", "content");
        let Ok(Opened::File(file, identity)) = store.open(b"file") else { panic!("a file") };
        let (waiter, cancel) = Waiter::new();
        let digests = Digests::default();
        assert!(digests.of(&*file, &identity, false, &cancel).is_ok());
        drop(waiter);
        assert_eq!(digests.of(&*file, &identity, false, &cancel), Err(Absent::Exhausted));
    }

    #[test]
    fn digests_are_bounded_and_those_that_are_asked_for_stay() {
        let digests = Digests::default();
        let identity = |inode| Identity { inode, ..Identity::default() };
        for inode in 0..5 * MOST as u64 {
            digests.put(identity(inode), Digest(inode.into()));
            assert_eq!(digests.get(&identity(0)), Some(Digest(0)), "at {inode}");
        }
        assert_eq!(digests.get(&identity(1)), None);
    }
}
