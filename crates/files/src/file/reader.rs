//! Reads files for a lookup. Blocks.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_proto::CancelToken;

use super::content::{Content, MAX_SMALL_FILE};
use crate::store::absent::Absent;
use crate::store::digest::{Digest, Digests};
use crate::store::identity::Identity;
use crate::store::traits::{OpenFile, Store};

/// Which files a lookup may read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadScope<'a> {
    /// Files of at most [`MAX_SMALL_FILE`], so that the lookup takes a few system calls.
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
}

impl From<Absent> for LoadError {
    fn from(absent: Absent) -> Self {
        Self::Absent(absent)
    }
}

impl LoadError {
    /// As [`Absent::is_missing`].
    pub(crate) fn is_missing(self) -> bool {
        matches!(self, Self::Absent(absent) if absent.is_missing())
    }
}

impl ReadScope<'_> {
    /// What stops reading: it is set when nobody waits for the result any more.
    pub(crate) fn cancel(self) -> CancelToken {
        match self {
            Self::SmallFiles => CancelToken::default(),
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
        if file.fill(0, &mut bytes)? < bytes.len() || file.identity() != Ok(*identity) {
            return Err(LoadError::Changed);
        }
        let bytes = Bytes::from(bytes);
        // The first clone allocates the reference count: here, not on the event loop.
        drop(bytes.clone());
        Ok(Content::Memory(bytes))
    }

    /// The digest of a content; `None` if the ETag needs none. `is_settled` is the result of
    /// [`Identity::is_settled`].
    pub(crate) fn digest(
        &self,
        content: &Content,
        identity: &Identity,
        is_settled: bool,
    ) -> Result<Option<Digest>, LoadError> {
        if identity.size > self.hashed_up_to {
            return Ok(None);
        }
        match (content, self.scope) {
            (Content::Memory(content), _) => Ok(Some(Digest::of(content))),
            (Content::Compressed(_), _) => Ok(None),
            (Content::Open(_), ReadScope::SmallFiles) => {
                match self.known_digest(identity, is_settled) {
                    None => Err(LoadError::NeedsFullRead),
                    known => Ok(known),
                }
            }
            (Content::Open(file), ReadScope::WholeFiles(cancel)) => {
                match self.digests.of(&**file, identity, is_settled, cancel)? {
                    None => Err(LoadError::Changed),
                    digest => Ok(digest),
                }
            }
        }
    }

    /// Whether the file must be read from its descriptor to compute its ETag.
    pub(crate) fn has_to_read(&self, identity: &Identity, is_settled: bool) -> bool {
        (MAX_SMALL_FILE + 1..=self.hashed_up_to).contains(&identity.size)
            && self.known_digest(identity, is_settled).is_none()
    }

    fn known_digest(&self, identity: &Identity, is_settled: bool) -> Option<Digest> {
        if is_settled { self.digests.get(identity) } else { None }
    }
}
