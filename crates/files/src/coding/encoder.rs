//! What all workers (event loops) share to send the files of a folder in encodings: which encodings
//! are enabled, the results of checking precompressed files, and the cache of compressed contents.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::{Budget, CancelToken, Client, Time};

use super::checks::{File, PrecompressedChecks};
use super::compress::compress;
use super::compressed_cache::{CompressedCache, CompressionResult, Key};
use super::encodings::Encodings;
use super::file_entry::FileEntry;
use super::precompressed::Precompressed;
use super::select::{Offer, select};
use crate::file::content::{Compressed, Content, ContentReader};
use crate::file::reader::{LoadError, Reader};
use crate::file::representation::Representation;
use crate::naming::mime;
use crate::options::codings::{Coding, Codings};
use crate::request::accept_encoding::Accepted;
use crate::store::digest::Digest;
use crate::store::identity::Identity;

/// Whether compressors and decompressors are compiled in. Checking a precompressed file
/// decompresses it.
const HAS_CODECS: bool = cfg!(feature = "compression");

#[derive(Debug)]
pub(crate) struct Encoder {
    /// Whether precompressed files are sent.
    precompressed: bool,
    /// For each [`Coding`], whether files are compressed in it on demand.
    on_demand: [bool; Coding::ALL.len()],
    checks: PrecompressedChecks,
    cache: Arc<CompressedCache>,
    /// The folder's number in the keys of the cache.
    folder: u32,
}

impl Encoder {
    pub(crate) fn new(codings: &Codings, cache: &Arc<CompressedCache>) -> Self {
        Self {
            precompressed: HAS_CODECS && codings.precompressed,
            on_demand: Coding::ALL.map(|coding| HAS_CODECS && codings.on_demand.contains(&coding)),
            checks: PrecompressedChecks::new(Arc::clone(&cache.compressor_memory)),
            cache: Arc::clone(cache),
            folder: cache.add_folder(),
        }
    }

    /// Creates a [`FileEntry`]: `file`, and the encodings that it can be sent in. Blocks as
    /// [`Precompressed::find`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Precompressed::find`].
    pub(crate) fn entry(
        &self,
        reader: &Reader<'_>,
        file: Representation,
    ) -> Result<FileEntry, LoadError> {
        let precompressed = self.find(reader, &file, None)?;
        // A file that is not settled ([`Identity::is_settled`]) can change without a new identity.
        // So it is compressed only if its content is in memory: otherwise it could change unnoticed
        // before it is compressed.
        let is_compressible = !file.has_unknown_size
            && !file.is_encoded()
            && (file.settled || matches!(file.content, Content::Memory(_)))
            && self.cache.accepts(file.size())
            && file.content_type().is_some_and(mime::is_compressible);
        let on_demand = self.on_demand.map(|enabled| enabled && is_compressible);
        Ok(FileEntry::new(file, Encodings::new(precompressed, on_demand)))
    }

    /// Looks for the precompressed files of `file` again. Returns the same entry if they haven't
    /// changed, else a new one. Blocks as [`Precompressed::find`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Precompressed::find`].
    pub(crate) fn update_precompressed(
        &self,
        reader: &Reader<'_>,
        file: &Arc<FileEntry>,
    ) -> Result<Arc<FileEntry>, LoadError> {
        let known = file.precompressed();
        let precompressed = self.find(reader, &file.original, known)?;
        if known.map_or(!precompressed.any_exists, |known| precompressed.is_same(known)) {
            return Ok(Arc::clone(file));
        }
        let encodings = match file.encodings.as_deref() {
            Some(encodings) => Encodings { precompressed, ..encodings.clone() },
            None => Encodings::new(precompressed, [false; Coding::ALL.len()]),
        };
        Ok(Arc::new(FileEntry::new(file.original.clone(), encodings)))
    }

    fn find(
        &self,
        reader: &Reader<'_>,
        file: &Representation,
        known: Option<&Precompressed>,
    ) -> Result<Precompressed, LoadError> {
        match self.precompressed {
            true => Precompressed::find(reader, &self.checks, file, known),
            false => Ok(Precompressed::default()),
        }
    }

    /// Whether `file` may be compressed in `coding` at `now`: see
    /// [`CompressedCache::may_compress`].
    pub(crate) fn may_compress(&self, file: &FileEntry, coding: Coding, now: Time) -> bool {
        self.cache.may_compress(&self.key(file, coding), now)
    }

    fn key(&self, file: &FileEntry, coding: Coding) -> Key {
        let Representation { etag, identity, is_hashed, .. } = &file.original;
        // An ETag that is not a hash is made of size and modification time, which two contents may
        // share.
        let identity = (!is_hashed).then_some(*identity);
        Key { folder: self.folder, etag: etag.as_str().into(), identity, coding }
    }

    /// The coding that a client prefers for a generated text, such as a listing. `None`: no coding.
    pub(crate) fn preferred(&self, accepted: Accepted) -> Option<Coding> {
        let offer = |enabled| if enabled { Offer::OnDemand } else { Offer::None };
        select(accepted, self.on_demand.map(offer))
    }

    /// Compresses a generated text, such as a listing, for `client`. `etag` is the text's ETag, and
    /// `now` is when the request arrived. Returns `None` if the text is too short or too long
    /// ([`CompressedCache::accepts`]), if compressing saves too little, fails or happened too often
    /// lately ([`CompressedCache::may_compress`]), or if memory is short. Blocks.
    pub(crate) fn compress_bytes(
        &self,
        text: &[u8],
        etag: &str,
        coding: Coding,
        (client, now): (Client, Time),
    ) -> Option<Arc<Compressed>> {
        let key = Key { folder: self.folder, etag: etag.into(), identity: None, coding };
        if !self.cache.accepts(text.len() as u64) || !self.cache.may_compress(&key, now) {
            return None;
        }
        let compress = || compress_or_skip(coding, text, text.len());
        match self.cache.get(&key, text.len(), (client, now), compress) {
            Ok(CompressionResult::Done(compressed)) => Some(compressed),
            Ok(CompressionResult::NotSmaller | CompressionResult::Refused) | Err(_) => None,
        }
    }

    /// The budget of compressed contents, against which clients are charged.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.cache.compressed
    }

    /// Compresses `file` in `coding` for `client`. Returns it with the new encoding, or marked as
    /// not worth compressing, or unchanged if memory is short or compressing fails. `now` is when
    /// the request arrived. Blocks.
    pub(crate) fn compress(
        &self,
        file: &Arc<FileEntry>,
        coding: Coding,
        (client, now): (Client, Time),
        cancel: CancelToken,
    ) -> Arc<FileEntry> {
        let original = &file.original;
        let unchanged = || Arc::clone(file);
        let Ok(len) = usize::try_from(original.size()) else { return unchanged() };
        let key = self.key(file, coding);
        let result = self.cache.get(&key, len, (client, now), || {
            let content = ContentReader::new(&original.content, cancel);
            let compressed = compress_or_skip(coding, content, len)?;
            // Any error will do: nothing is cached, and `file` is returned unchanged.
            if !File::of(original).is_unchanged() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(compressed)
        });
        let compressed = match result {
            Ok(CompressionResult::Done(content)) => Some(encoded(original, coding, &content)),
            Ok(CompressionResult::NotSmaller) => None,
            Ok(CompressionResult::Refused) | Err(_) => return unchanged(),
        };
        let Some(mut encodings) = file.encodings.as_deref().cloned() else { return unchanged() };
        encodings.add(coding, compressed);
        Arc::new(FileEntry::new(original.clone(), encodings))
    }
}

/// Compresses `content`. Content that makes a compressor panic is treated as incompressible.
fn compress_or_skip(
    coding: Coding,
    content: impl io::Read,
    len: usize,
) -> io::Result<Option<Vec<u8>>> {
    catch_unwind(AssertUnwindSafe(|| compress(coding, content, len))).unwrap_or(Ok(None))
}

fn encoded(original: &Representation, coding: Coding, content: &Arc<Compressed>) -> Representation {
    let identity = Identity { size: content.len() as u64, ..original.identity };
    let etag = Digest::of(content.bytes()).etag();
    original.encoded(coding, &etag, identity, false, Content::Compressed(Arc::downgrade(content)))
}
