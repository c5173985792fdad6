//! Reading files in a lookup: from where, how much, and what is known of their contents already.
//! Blocks.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_proto::Cancel;

use super::content::{Content, SMALL};
use crate::store::absent::Absent;
use crate::store::digest::{Digest, Digests};
use crate::store::identity::Identity;
use crate::store::traits::{OpenFile, Store};

/// How much a lookup may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effort<'a> {
    /// A few system calls, and reading what is kept in memory.
    Calls,
    /// Reading whole files, as long as somebody waits for it.
    Reading(&'a Cancel),
}

/// What a lookup reads files with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) digests: &'a Digests,
    /// The ETag of a file of up to so many bytes is made of its content.
    pub(crate) hashed_up_to: u64,
    pub(crate) effort: Effort<'a>,
}

/// The digest of a content, as far as it could be had.
pub(crate) enum Digested {
    /// `None` where the ETag needs none.
    Known(Option<Digest>),
    /// The file changed while it was read.
    Changed,
    /// It takes more than [`Effort::Calls`].
    Unread,
}

/// What a lookup found, beside what an earlier one did.
pub(crate) enum Found<T> {
    /// What is known already.
    Same,
    Other(T),
    /// It takes more than [`Effort::Calls`].
    Unread,
}

impl<T> Found<T> {
    pub(crate) fn map<U>(self, into: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Same => Found::Same,
            Self::Other(found) => Found::Other(into(found)),
            Self::Unread => Found::Unread,
        }
    }
}

impl Effort<'_> {
    /// How the lookup learns that nobody waits any more.
    pub(crate) fn cancel(self) -> Cancel {
        match self {
            Self::Calls => Cancel::default(),
            Self::Reading(cancel) => cancel.clone(),
        }
    }
}

impl Reader<'_> {
    /// Keeps an open file, in memory where it is small; `None` where it changed meanwhile: never half
    /// of one content and half of another.
    pub(crate) fn load_content(
        &self,
        file: Arc<dyn OpenFile>,
        identity: &Identity,
    ) -> Result<Option<Content>, Absent> {
        if identity.size > SMALL {
            return Ok(Some(Content::Open(file)));
        }
        let content = read(&*file, identity.size)?;
        Ok(content.filter(|_| file.identity() == Ok(*identity)).map(Content::Memory))
    }

    /// The digest of a file that is held.
    pub(crate) fn digest(
        &self,
        content: &Content,
        identity: &Identity,
        is_settled: bool,
    ) -> Result<Digested, Absent> {
        if identity.size > self.hashed_up_to {
            return Ok(Digested::Known(None));
        }
        let digest = match (content, self.effort) {
            (Content::Memory(content), _) => Digest::of(content),
            (Content::Compressed(_), _) => return Ok(Digested::Known(None)),
            (Content::Open(_), Effort::Calls) => match self.known_digest(identity, is_settled) {
                Some(known) => known,
                None => return Ok(Digested::Unread),
            },
            (Content::Open(file), Effort::Reading(cancel)) => {
                match self.digests.of(&**file, identity, is_settled, cancel)? {
                    Some(digest) => digest,
                    None => return Ok(Digested::Changed),
                }
            }
        };
        Ok(Digested::Known(Some(digest)))
    }

    /// Whether the ETag of a file takes reading it from its descriptor.
    pub(crate) fn has_to_read(&self, identity: &Identity, is_settled: bool) -> bool {
        (SMALL + 1..=self.hashed_up_to).contains(&identity.size)
            && self.known_digest(identity, is_settled).is_none()
    }

    fn known_digest(&self, identity: &Identity, is_settled: bool) -> Option<Digest> {
        if is_settled { self.digests.get(identity) } else { None }
    }
}

/// Reads `size` bytes from the beginning; `None` where there are fewer.
fn read(file: &dyn OpenFile, size: u64) -> Result<Option<Bytes>, Absent> {
    let mut content = vec![0; usize::try_from(size).map_err(|_| Absent::Exhausted)?];
    if file.fill(0, &mut content)? < content.len() {
        return Ok(None);
    }
    let bytes = Bytes::from(content);
    // The first clone of such bytes allocates the count that they are shared by. Here, not there.
    drop(bytes.clone());
    Ok(Some(bytes))
}
