//! Precompressed files: `page.html.br` beside `page.html`.

use std::sync::Arc;

use super::checks::{File, PrecompressedChecks};
use crate::file::content::MAX_SMALL_FILE;
use crate::file::reader::{LoadError, Loaded, ReadScope, Reader};
use crate::file::representation::{Representation, etag_of};
use crate::options::codings::Coding;
use crate::store::identity::{Identity, Stamp};
use crate::store::traits::{OpenFile, Opened};

/// The size of the original, in bytes, below which precompressed files are ignored: the additional
/// headers would be longer than the bytes saved.
const MIN_FILE_SIZE: u64 = 64;

/// The precompressed files beside a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Precompressed {
    /// The files that may be sent: each is smaller than the original, and has passed
    /// [`PrecompressedChecks::check`], which compares its decompressed content with the original.
    files: [Option<Arc<Representation>>; Coding::ALL.len()],
    /// Whether any precompressed file can be opened, even one that may not be sent. A later version
    /// of that file may be sent, so responses already have `Vary`.
    pub(crate) any_exists: bool,
}

impl Precompressed {
    pub(crate) fn get(&self, coding: Coding) -> Option<&Representation> {
        self.files[coding as usize].as_deref()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Representation> {
        self.files.iter().flatten().map(|file| &**file)
    }

    /// Whether `self` and `others` have the same representations, by pointer, and the same
    /// `any_exists`.
    pub(crate) fn is_same(&self, others: &Self) -> bool {
        let pointer = |file: &Option<Arc<Representation>>| file.as_ref().map(Arc::as_ptr);
        self.any_exists == others.any_exists
            && self.files.iter().map(pointer).eq(others.files.iter().map(pointer))
    }

    /// Looks for the precompressed files beside `file`. Blocks, unless the reader's scope is
    /// [`ReadScope::Cached`]. `known` has the results of an earlier lookup. A precompressed file
    /// that is smaller than the original is decompressed and compared with it, unless the file has
    /// not changed since it was added to `known`, or `checks` has the result.
    ///
    /// # Errors
    ///
    /// [`LoadError::NeedsFullRead`] if the original is larger than [`MAX_SMALL_FILE`] and a
    /// precompressed file has to be compared with it or hashed, unless the scope is
    /// [`ReadScope::WholeFiles`]. [`LoadError::WouldBlock`] only if the scope is
    /// [`ReadScope::Cached`]: a precompressed file has to be compared, or reading it would block.
    pub(crate) fn find(
        reader: &Reader<'_>,
        checks: &PrecompressedChecks,
        file: &Representation,
        known: Option<&Self>,
    ) -> Result<Self, LoadError> {
        let mut precompressed = Self::default();
        let is_compressed = |coding: &Coding| file.name.ends_with(coding.extension());
        let may_have_any =
            !file.has_unknown_size && !file.is_encoded() && file.size() >= MIN_FILE_SIZE;
        if !may_have_any || Coding::ALL.iter().any(is_compressed) {
            return Ok(precompressed);
        }
        for coding in Coding::ALL {
            let name = [&*file.name, coding.extension()].concat();
            let now = reader.store.now();
            // A file that can't be opened is not sent.
            let Ok(Opened::File(opened, identity)) = reader.store.open(&name) else { continue };
            precompressed.any_exists = true;
            let known = known.and_then(|known| known.files[coding as usize].as_ref());
            precompressed.files[coding as usize] =
                match known.filter(|known| known.has_same_content(&identity)) {
                    Some(known) => Some(Arc::clone(known)),
                    None => {
                        let found = Candidate { name: &name, opened, identity, now };
                        found.checked(reader, checks, file, coding)?.map(Arc::new)
                    }
                };
        }
        Ok(precompressed)
    }
}

/// A file with the name of a precompressed one.
struct Candidate<'a> {
    name: &'a [u8],
    opened: Arc<dyn OpenFile>,
    identity: Identity,
    /// The clock of the store, read before the file was opened.
    now: Stamp,
}

impl Candidate<'_> {
    /// The original's representation in this coding. `None` if the found file can't be sent for the
    /// original.
    fn checked(
        self,
        reader: &Reader<'_>,
        checks: &PrecompressedChecks,
        original: &Representation,
        coding: Coding,
    ) -> Result<Option<Representation>, LoadError> {
        let Self { name, opened, identity, now } = self;
        // Settled: any later change of the file will change its identity.
        let settled = identity.is_settled(now);
        let known = checks.cached_result(coding, &original.identity, &identity);
        // A file that is not smaller than the original is useless.
        if identity.size >= original.size() || known == Some(false) {
            return Ok(None);
        }
        let has_to_read = known.is_none() || reader.has_to_read(&identity, settled);
        if original.size() > MAX_SMALL_FILE
            && has_to_read
            && !matches!(reader.scope, ReadScope::WholeFiles(_))
        {
            return Err(LoadError::NeedsFullRead);
        }
        if known.is_none() && matches!(reader.scope, ReadScope::Cached) {
            return Err(LoadError::WouldBlock);
        }
        let Loaded { content, digest, .. } = match reader.load(opened, &identity, settled) {
            Ok(loaded) => loaded,
            Err(LoadError::WouldBlock) => return Err(LoadError::WouldBlock),
            Err(_) => return Ok(None),
        };
        if !content.has_size(identity.size) {
            return Ok(None);
        }
        let file = File { name, content: &content, identity: &identity, settled };
        let cancel = reader.scope.cancel();
        if known.is_none() && !checks.check(coding, File::of(original), file, &cancel) {
            return Ok(None);
        }
        let etag = etag_of(digest, &identity, now);
        Ok(Some(original.encoded(coding, &etag, identity, settled, content)))
    }
}
