//! Reads files for a lookup. Blocks.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_proto::CancelToken;

use super::content::{Content, MAX_SMALL_FILE};
use crate::naming::charset::Utf8As;
use crate::store::absent::Absent;
use crate::store::digest::{Digest, Digests, Summary};
use crate::store::identity::Identity;
use crate::store::traits::{OpenFile, Store};

/// Which files a lookup may read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadScope<'a> {
    /// Files of at most [`MAX_SMALL_FILE`] whose content the kernel has in memory, so that nothing
    /// blocks: for a lookup on an event loop.
    Cached,
    /// Files of at most [`MAX_SMALL_FILE`], and the start of larger ones, so that the lookup takes a
    /// few system calls.
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
}

/// Why a lookup does not get a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadError {
    Absent(Absent),
    /// The file changed while it was read.
    Changed,
    /// It is larger than [`ReadScope::SmallFiles`] allows, and has to be read.
    NeedsFullRead,
    /// Loading it takes more than [`ReadScope::Cached`] allows.
    WouldBlock,
}

impl From<Absent> for LoadError {
    fn from(absent: Absent) -> Self {
        Self::Absent(absent)
    }
}

impl ReadScope<'_> {
    /// What stops reading: it is set when nobody waits for the result any more.
    pub(crate) fn cancel(self) -> CancelToken {
        match self {
            Self::Cached | Self::SmallFiles => CancelToken::default(),
            Self::WholeFiles(cancel) => cancel.clone(),
        }
    }
}

impl Reader<'_> {
    /// The content of an open file: its bytes if it is small, never a mixture of two versions.
    pub(crate) fn load(
        &self,
        file: Arc<dyn OpenFile>,
        identity: &Identity,
    ) -> Result<Content, LoadError> {
        if identity.size > MAX_SMALL_FILE {
            return Ok(Content::Open(file));
        }
        let mut bytes = vec![0; identity.size as usize];
        let filled = match self.scope {
            ReadScope::Cached => file.fill_cached(&mut bytes).map_err(|_| LoadError::WouldBlock)?,
            ReadScope::SmallFiles | ReadScope::WholeFiles(_) => file.fill(0, &mut bytes)?,
        };
        if filled < bytes.len() || file.identity() != Ok(*identity) {
            return Err(LoadError::Changed);
        }
        let bytes = Bytes::from(bytes);
        // The first clone allocates the reference count: here, not on the event loop.
        drop(bytes.clone());
        Ok(Content::Memory(bytes))
    }

    /// The digest of a content; `None` if the ETag needs none. `is_settled` is the result of
    /// [`Identity::is_settled`]. If the whole file had to be read, the second value is what that
    /// showed about its encoding.
    pub(crate) fn digest(
        &self,
        content: &Content,
        identity: &Identity,
        is_settled: bool,
    ) -> Result<(Option<Digest>, Option<Utf8As>), LoadError> {
        if identity.size > self.hashed_up_to {
            return Ok((None, None));
        }
        let Summary { digest, utf8 } = match (content, self.scope) {
            (Content::Memory(content), _) => return Ok((Some(Digest::of(content)), None)),
            (Content::Compressed(_), _) => return Ok((None, None)),
            (Content::Open(_), ReadScope::Cached | ReadScope::SmallFiles) => {
                self.known(identity, is_settled).ok_or(LoadError::NeedsFullRead)?
            }
            (Content::Open(file), ReadScope::WholeFiles(cancel)) => {
                let read = self.digests.of(&**file, identity, is_settled, cancel)?;
                read.ok_or(LoadError::Changed)?
            }
        };
        Ok((Some(digest), Some(utf8)))
    }

    /// The first `count` bytes of a content, or all if there are fewer. Blocks if the content is an
    /// open file, which [`ReadScope::Cached`] does not allow.
    pub(crate) fn start(&self, content: &Content, count: usize) -> Result<Bytes, LoadError> {
        match (content, self.scope) {
            (Content::Open(_), ReadScope::Cached) if count > 0 => Err(LoadError::WouldBlock),
            _ => Ok(content.start(count)?),
        }
    }

    /// Whether the file must be read from its descriptor to compute its ETag.
    pub(crate) fn has_to_read(&self, identity: &Identity, is_settled: bool) -> bool {
        (MAX_SMALL_FILE + 1..=self.hashed_up_to).contains(&identity.size)
            && self.known(identity, is_settled).is_none()
    }

    fn known(&self, identity: &Identity, is_settled: bool) -> Option<Summary> {
        if is_settled { self.digests.get(identity) } else { None }
    }
}
