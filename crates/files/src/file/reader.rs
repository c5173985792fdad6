//! Reads files for a lookup (finding what a path names). Blocks, unless the scope is
//! [`ReadScope::Cached`].
//!
//! A file of *unknown size* has a content whose length is not the size in its metadata, as in
//! `/proc` and `/sys`.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_proto::{Budget, CancelToken, Permit};

use super::content::{Content, MAX_SMALL_FILE};
use super::version::FileVersion;
use crate::naming::charset::Utf8As;
use crate::store::absent::Absent;
use crate::store::digest::{Digest, Digests, Summary};
use crate::store::identity::Identity;
use crate::store::traits::{OpenFile, Store};

/// The maximum length of a file of unknown size, in bytes. Longer ones are not served.
pub(crate) const MAX_UNKNOWN_SIZE: usize = 1024 * 1024;

/// How much is read at a time of a file of unknown size, in bytes. Some of these files return their
/// content only to a single read that is large enough for all of it.
const UNKNOWN_SIZE_CHUNK: usize = 128 * 1024;

/// How much is read of a file of size 0 to find out whether it is empty, in bytes.
const EMPTY_PROBE: u64 = 4096;

/// Which files a lookup may read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadScope<'a> {
    /// Files of at most [`MAX_SMALL_FILE`] whose content the kernel has in memory, so that nothing
    /// blocks: for a lookup on an event loop.
    Cached,
    /// Files of at most [`MAX_SMALL_FILE`], and the start of larger ones, so that the lookup takes
    /// a few system calls.
    SmallFiles,
    /// Whole files of any size, until the lookup is cancelled.
    WholeFiles(&'a CancelToken),
}

/// Reads the files of a lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) digests: &'a Digests,
    /// The size up to which the ETag of a file is a hash of its content.
    pub(crate) hashed_up_to: u64,
    pub(crate) scope: ReadScope<'a>,
    /// Whether a file may grow while it is read. If it does, only the bytes that it had when it was
    /// opened are sent.
    pub(crate) may_grow: bool,
    /// The budget for the contents of files of unknown size, and for contents that are generated.
    pub(crate) content_memory: &'a Arc<Budget>,
}

/// The bytes of a file of unknown size, or of generated content, and the permit for them.
struct ContentWithPermit(
    Vec<u8>,
    #[expect(dead_code, reason = "it is held with the bytes")] Permit,
);

impl AsRef<[u8]> for ContentWithPermit {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Why a lookup does not get a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// Nothing is served for the name, for this reason.
    Absent(Absent),
    /// The file changed while it was read.
    Changed,
    /// The file has to be read whole, and is larger than [`ReadScope::SmallFiles`] allows.
    NeedsFullRead,
    /// Loading the file takes more than [`ReadScope::Cached`] allows.
    WouldBlock,
}

impl From<Absent> for LoadError {
    fn from(absent: Absent) -> Self {
        Self::Absent(absent)
    }
}

impl LoadError {
    /// Whether nothing has the name, so that the next rule of the lookup is tried:
    /// [`Absent::is_missing`].
    pub(crate) fn is_missing(self) -> bool {
        matches!(self, Self::Absent(absent) if absent.is_missing())
    }
}

impl ReadScope<'_> {
    /// The token that stops reading. That of [`ReadScope::WholeFiles`] is set when nobody waits for
    /// the result any more; the others are never set.
    pub(crate) fn cancel(self) -> CancelToken {
        match self {
            Self::Cached | Self::SmallFiles => CancelToken::default(),
            Self::WholeFiles(cancel) => cancel.clone(),
        }
    }
}

/// A file that was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) content: Content,
    /// The hash of the content, if the ETag is made of it.
    pub(crate) digest: Option<Digest>,
    /// Whether the content is UTF-8: one answer for each kind of text, such as HTML or CSS, because
    /// each kind has its own way to declare another encoding. `None` if the content is kept in
    /// memory, or not all of it was read: then the start of `content` is checked later.
    pub(crate) utf8: Option<Utf8As>,
}

impl Reader<'_> {
    /// Loads an open file. Small files are read into memory. `is_settled`: any later change of the
    /// file will change its identity ([`Identity::is_settled`]), so a known hash may be used.
    ///
    /// The content of a file of known size is never a mixture of two versions, and has the length
    /// `identity.size`.
    pub(crate) fn load(
        &self,
        file: Arc<dyn OpenFile>,
        identity: &Identity,
        is_settled: bool,
    ) -> Result<Loaded, LoadError> {
        if identity.size > MAX_SMALL_FILE {
            let summary = self.summary(&*file, identity, is_settled)?;
            let digest = summary.map(|summary| summary.digest);
            let utf8 = summary.map(|summary| summary.utf8);
            let content = Content::Open(Arc::new(FileVersion::new(file, *identity, digest)));
            return Ok(Loaded { content, digest, utf8 });
        }
        // A file of size 0 may have content, and some such files can't be read with a small buffer.
        let len = if identity.size == 0 { EMPTY_PROBE } else { identity.size };
        let mut bytes = vec![0; len as usize];
        let filled = match self.scope {
            ReadScope::Cached => file.fill_cached(&mut bytes).map_err(|_| LoadError::WouldBlock)?,
            ReadScope::SmallFiles | ReadScope::WholeFiles(_) => file.fill(0, &mut bytes)?,
        };
        if !file.identity().is_ok_and(|now| self.is_same(identity, &now)) {
            return Err(LoadError::Changed);
        }
        if filled as u64 != identity.size {
            if matches!(self.scope, ReadScope::Cached) {
                return Err(LoadError::WouldBlock);
            }
            let content = Content::Memory(self.read_to_end(&*file)?);
            return Ok(Loaded { content, digest: None, utf8: None });
        }
        bytes.truncate(filled);
        let bytes = Bytes::from(bytes);
        // The first clone allocates the reference count. Do that here, and not for a response.
        drop(bytes.clone());
        let digest = (identity.size <= self.hashed_up_to).then(|| Digest::of(&bytes));
        Ok(Loaded { content: Content::Memory(bytes), digest, utf8: None })
    }

    /// The first `count` bytes of a content, or all if there are fewer. Blocks if the content is an
    /// open file, which [`ReadScope::Cached`] does not allow.
    pub(crate) fn start(&self, content: &Content, count: usize) -> Result<Bytes, LoadError> {
        match (content, self.scope) {
            (Content::Open(_), ReadScope::Cached) if count > 0 => Err(LoadError::WouldBlock),
            _ => Ok(content.start(count)?),
        }
    }

    /// All of a content, which has `len` bytes, for a caller that sends a changed copy of it. Reads
    /// an open file, and fails if the file has changed since it was opened.
    pub(crate) fn whole(&self, content: &Content, len: u64) -> Result<Bytes, LoadError> {
        match (content, self.scope) {
            (Content::Open(_), ReadScope::Cached | ReadScope::SmallFiles) => {
                Err(LoadError::NeedsFullRead)
            }
            (Content::Open(file), ReadScope::WholeFiles(_)) => {
                let bytes = content.start(len as usize)?;
                let is_whole = bytes.len() as u64 == len && file.is_current();
                if is_whole { Ok(bytes) } else { Err(LoadError::Changed) }
            }
            _ => Ok(content.start(usize::MAX)?),
        }
    }

    /// Content that was generated for a response, with a permit for its memory.
    pub(crate) fn generated(&self, bytes: Vec<u8>) -> Result<Content, Absent> {
        // The content may be sent to several clients, so none of them is charged.
        let permit = self.content_memory.take_shared(bytes.len() as u64);
        let permit = permit.ok_or(Absent::Exhausted)?;
        Ok(Content::Memory(Bytes::from_owner(ContentWithPermit(bytes, permit))))
    }

    /// Whether a file did not change while it was read, going by its identity `before` and `after`.
    /// With `may_grow`, the file may have grown.
    fn is_same(&self, before: &Identity, after: &Identity) -> bool {
        before == after || self.may_grow && before.may_have_grown_to(after)
    }

    /// Reads a file of unknown size.
    fn read_to_end(&self, file: &dyn OpenFile) -> Result<Bytes, Absent> {
        let budget = self.content_memory;
        let mut permit = budget.take_shared(MAX_UNKNOWN_SIZE as u64).ok_or(Absent::Exhausted)?;
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            bytes.resize(before + UNKNOWN_SIZE_CHUNK, 0);
            let filled = file.fill(before as u64, &mut bytes[before..])?;
            bytes.truncate(before + filled);
            if bytes.len() > MAX_UNKNOWN_SIZE {
                return Err(Absent::TooLong);
            }
            if filled < UNKNOWN_SIZE_CHUNK {
                break;
            }
        }
        bytes.shrink_to_fit();
        permit.set(bytes.len() as u64);
        Ok(Bytes::from_owner(ContentWithPermit(bytes, permit)))
    }

    /// The hash of a file larger than [`MAX_SMALL_FILE`], and whether it is UTF-8. `None` if the
    /// file is larger than `hashed_up_to`.
    fn summary(
        &self,
        file: &dyn OpenFile,
        identity: &Identity,
        is_settled: bool,
    ) -> Result<Option<Summary>, LoadError> {
        if identity.size > self.hashed_up_to {
            return Ok(None);
        }
        let found = match self.scope {
            ReadScope::Cached | ReadScope::SmallFiles => {
                self.known(identity, is_settled).ok_or(LoadError::NeedsFullRead)?
            }
            ReadScope::WholeFiles(cancel) => {
                let is_same = |now: &Identity| self.is_same(identity, now);
                self.digests
                    .of(file, identity, is_settled, is_same, cancel)?
                    .ok_or(LoadError::Changed)?
            }
        };
        Ok(Some(found))
    }

    /// Whether the ETag of a file that is not kept in memory has to be computed from its content.
    pub(crate) fn has_to_read(&self, identity: &Identity, is_settled: bool) -> bool {
        (MAX_SMALL_FILE + 1..=self.hashed_up_to).contains(&identity.size)
            && self.known(identity, is_settled).is_none()
    }

    /// The summary, if an earlier lookup has computed it.
    fn known(&self, identity: &Identity, is_settled: bool) -> Option<Summary> {
        if is_settled { self.digests.get(identity) } else { None }
    }
}
