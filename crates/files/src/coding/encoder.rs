//! What a folder knows about codings, for all shards: what its owner chose, which siblings are what
//! they say, and what was compressed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::{Cancel, Time};

use super::checks::{PrecompressedChecks, Side};
use super::compress::{longest, pack};
use super::compressed_cache::{CompressedCache, CompressionResult, Key};
use super::content_reader::ContentReader;
use super::encodings::Encodings;
use super::file_entry::FileEntry;
use super::precompressed::Precompressed;
use crate::file::content::{Compressed, Content};
use crate::file::reader::{Found, Reader};
use crate::file::representation::Representation;
use crate::naming::mime;
use crate::options::codings::{Coding, Codings};
use crate::store::digest::Digest;

/// Whether there are encoders, and decoders to compare siblings with their originals.
const CODES: bool = cfg!(feature = "compression");

#[derive(Debug)]
pub(crate) struct Encoder {
    precompressed: bool,
    made: [bool; Coding::ALL.len()],
    verdicts: PrecompressedChecks,
    forms: Arc<CompressedCache>,
    /// What the folder is called there.
    folder: u32,
}

impl Encoder {
    pub(crate) fn new(codings: &Codings, forms: &Arc<CompressedCache>) -> Self {
        Self {
            precompressed: CODES && codings.precompressed,
            made: Coding::ALL.map(|coding| CODES && codings.on_demand.contains(&coding)),
            verdicts: PrecompressedChecks::new(Arc::clone(forms.working())),
            forms: Arc::clone(forms),
            folder: forms.add_folder(),
        }
    }

    /// A file in the codings that it can be sent in. Blocks. `None` where that takes more than the
    /// reader's effort.
    pub(crate) fn equip(&self, reader: &Reader<'_>, file: Representation) -> Option<FileEntry> {
        let precompressed = self.find(reader, &file, None)?;
        // What still changes and isn't in memory would be another file before it is compressed.
        let packs = (file.settled || matches!(file.content, Content::Memory(_)))
            && self.forms.takes(file.size())
            && file.content_type().is_some_and(mime::gets_smaller);
        let made = self.made.map(|made| made && packs);
        Some(FileEntry::new(file, Encodings::new(precompressed, made)))
    }

    /// Looks for the siblings of a file again. Blocks.
    pub(crate) fn renew(&self, reader: &Reader<'_>, file: &FileEntry) -> Found<Box<FileEntry>> {
        let known = file.precompressed();
        let Some(precompressed) = self.find(reader, &file.plain, known) else {
            return Found::Unread;
        };
        if known.map_or(!precompressed.any, |known| precompressed.are(known)) {
            return Found::Same;
        }
        let coded = match file.coded() {
            Some(coded) => coded.clone().with_siblings(precompressed),
            None => Encodings::new(precompressed, [false; Coding::ALL.len()]),
        };
        Found::Other(Box::new(FileEntry::new(file.plain.clone(), coded)))
    }

    fn find(
        &self,
        reader: &Reader<'_>,
        file: &Representation,
        known: Option<&Precompressed>,
    ) -> Option<Precompressed> {
        if self.precompressed {
            Precompressed::find(reader, &self.verdicts, file, known)
        } else {
            Some(Precompressed::default())
        }
    }

    /// Whether a form of a file may be made at `now`: not where it was made too often lately.
    pub(crate) fn may_make(&self, file: &FileEntry, coding: Coding, now: Time) -> bool {
        self.forms.may_compress(&self.key(file, coding), now)
    }

    fn key(&self, file: &FileEntry, coding: Coding) -> Key {
        Key { folder: self.folder, etag: file.plain.etag.as_str().into(), coding }
    }

    /// The same file, with this coding, or the knowledge that there is no use in it, or as it is
    /// where there is no memory for it at `now`, when a request came. Blocks.
    ///
    /// Whatever goes wrong costs the coding, not the file: it is sent as it is then.
    pub(crate) fn compress(
        &self,
        file: &FileEntry,
        coding: Coding,
        now: Time,
        cancel: Cancel,
    ) -> FileEntry {
        let Ok(len) = usize::try_from(file.plain.size()) else { return file.clone() };
        let outcome = self.forms.get(&self.key(file, coding), longest(len) as u64, now, || {
            let content = ContentReader::of(&file.plain.content).unless(cancel);
            let packing = || pack(coding, content, len);
            // What makes a compressor panic doesn't get smaller.
            let Ok(packed) = catch_unwind(AssertUnwindSafe(packing)) else { return Ok(None) };
            let packed = packed?;
            if !Side::of(&file.plain).is_unchanged() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(packed)
        });
        match outcome {
            Ok(CompressionResult::Done(form)) => file.with_made(coding, Some(&form)),
            Ok(CompressionResult::Futile) => file.with_made(coding, None),
            Ok(CompressionResult::Refused) | Err(_) => file.clone(),
        }
    }
}

impl FileEntry {
    /// This file with what came of packing it.
    fn with_made(&self, coding: Coding, made: Option<&Arc<Compressed>>) -> Self {
        let made = made.map(|form| {
            let identity = self.plain.identity.with_size(form.len() as u64);
            let etag = Digest::of(form.bytes()).etag();
            let content = Content::Compressed(Arc::downgrade(form));
            self.plain.coded(coding, &etag, identity, false, content)
        });
        let Some(mut coded) = self.coded().cloned() else { return self.clone() };
        coded.take(coding, made);
        Self::new(self.plain.clone(), coded)
    }
}
