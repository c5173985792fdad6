//! Writes an archive, or any part of it, in batches that jobs make.
//!
//! A batch is bytes, perhaps followed by a range of a large file. Small files are read here and
//! then checked. If a file no longer has the content that the manifest promised, the archive is
//! aborted: the client gets the right bytes, or fewer than announced. Whether a file has changed is
//! decided by its size and modification time, or by its content if that was hashed for another
//! request: see [`FileVersion`].

use std::fmt;
use std::sync::Arc;

use sockeye_proto::{CancelToken, FileRange, FileSource, Permit};

use super::header::END_LEN;
use super::manifest::Manifest;
use crate::file::content::MAX_SMALL_FILE;
use crate::file::version::FileVersion;
use crate::limits::lease::Lease;
use crate::store::absent::Absent;
use crate::store::digest::Digests;
use crate::store::traits::{Kind, Opened, Store};

/// A batch has at least this many bytes, unless a file range follows them or the part ends, and
/// always less than twice this many.
pub(crate) const BATCH: usize = 128 * 1024;

/// The bytes of an archive, or of a part of it, that are not in a batch yet.
#[derive(Debug)]
pub(crate) struct ArchiveWriter {
    pub(crate) manifest: Arc<Manifest>,
    /// The position in the archive of the next byte to write.
    position: u64,
    /// The position in the archive where the part ends.
    end: u64,
    /// Charges the client for memory: the lease for the batches, the permit for the manifest.
    _memory: (Lease, Permit),
}

/// The next bytes to send.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// A file range to send after the bytes.
    pub(crate) file: Option<FileRange>,
    /// Whether it is the last batch.
    pub(crate) last: bool,
}

/// Why an archive is aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveAborted {
    /// A file differs from the manifest.
    Changed,
    /// A file ends before its size.
    Shorter,
    /// A file can't be opened or read.
    Absent(Absent),
}

impl fmt::Display for ArchiveAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("a file in it changed"),
            Self::Shorter => f.write_str("a file in it ends before its size"),
            Self::Absent(absent) => write!(f, "a file in it can't be read: {absent}"),
        }
    }
}

impl From<Absent> for ArchiveAborted {
    fn from(absent: Absent) -> Self {
        Self::Absent(absent)
    }
}

impl ArchiveWriter {
    /// A writer of the whole archive. `memory` charges the client for memory: the lease for the
    /// batches, the permit for the manifest.
    pub(crate) fn new(manifest: Arc<Manifest>, memory: (Lease, Permit)) -> Self {
        let end = manifest.len;
        Self { manifest, position: 0, end, _memory: memory }
    }

    /// Writes only the bytes from `start` to `end` (exclusive).
    pub(crate) fn part(self, start: u64, end: u64) -> Self {
        debug_assert!(start <= end && end <= self.manifest.len);
        Self { position: start, end, ..self }
    }

    /// The next batch. Blocks.
    ///
    /// # Errors
    ///
    /// Why the archive is aborted.
    pub(crate) fn next(
        &mut self,
        store: &dyn Store,
        digests: &Digests,
    ) -> Result<Batch, ArchiveAborted> {
        let mut batch = Batch::default();
        while batch.bytes.len() < BATCH && batch.file.is_none() && self.position < self.end {
            let index = self.manifest.find(self.position);
            if index == self.manifest.count() {
                // All entries are written: the end of the archive follows.
                let zeros = self.end.min(self.manifest.len) - self.position;
                debug_assert!(zeros <= END_LEN);
                self.put(&mut batch.bytes, &[0; END_LEN as usize][..zeros as usize]);
                continue;
            }
            self.entry(index, (store, digests), &mut batch)?;
        }
        batch.last = self.position >= self.end;
        Ok(batch)
    }

    /// Adds what is left of the entry with this index, up to the end of the part. A large file ends
    /// the batch; the padding after the file belongs to the next batch.
    fn entry(
        &mut self,
        index: usize,
        files: (&dyn Store, &Digests),
        batch: &mut Batch,
    ) -> Result<(), ArchiveAborted> {
        let manifest = Arc::clone(&self.manifest);
        let start = manifest.start(index);
        let (header_len, size, kind) =
            manifest.with_entry(index, |entry| (entry.header_len(), entry.size, entry.kind));
        let content = start + header_len;
        if self.position < content {
            let mut header = Vec::new();
            manifest.with_entry(index, |entry| entry.write_header(&mut header));
            self.put(&mut batch.bytes, &header[(self.position - start) as usize..]);
        }
        let content_end = content + size;
        if self.position < content_end.min(self.end) && kind == Kind::File {
            self.content(index, content, files, batch)?;
            if batch.file.is_some() {
                return Ok(());
            }
        }
        let next = manifest.start(index + 1);
        if self.position >= content_end && self.position < next {
            let zeros = vec![0; (next - self.position) as usize];
            self.put(&mut batch.bytes, &zeros);
        }
        Ok(())
    }

    /// Adds the content of a file. In the archive, it begins at the position `content`.
    fn content(
        &mut self,
        index: usize,
        content: u64,
        (store, digests): (&dyn Store, &Digests),
        batch: &mut Batch,
    ) -> Result<(), ArchiveAborted> {
        let manifest = Arc::clone(&self.manifest);
        // The note is a text made for the archive, which says what is left out of it.
        if let Some(note) = manifest.note(index) {
            self.put(&mut batch.bytes, &note[(self.position - content) as usize..]);
            return Ok(());
        }
        let (name, expected) = manifest.file(index);
        let file = match store.open(&name) {
            Ok(Opened::File(file, _)) => file,
            Ok(Opened::Folder) => return Err(ArchiveAborted::Changed),
            Err(absent) if absent.is_missing() => return Err(ArchiveAborted::Changed),
            Err(absent) => return Err(absent.into()),
        };
        let digest = digests.get(&expected).map(|summary| summary.digest);
        let file = FileVersion::new(file, expected, digest);
        let offset = self.position - content;
        let len = (expected.size - offset).min(self.end - self.position);
        // A large file is checked again before the end of its range is sent.
        let is_large = expected.size > MAX_SMALL_FILE;
        // The length of a small file fits a `usize`.
        let mut bytes = vec![0; if is_large { 0 } else { len as usize }];
        let filled = file.file().fill(offset, &mut bytes)?;
        if filled < bytes.len() && file.is_current() {
            return Err(ArchiveAborted::Shorter);
        }
        if filled < bytes.len() || !file.verify(&CancelToken::default()) {
            return Err(ArchiveAborted::Changed);
        }
        if is_large {
            batch.file = Some(FileRange { source: Arc::new(file), offset, len });
            self.position += len;
            return Ok(());
        }
        self.put(&mut batch.bytes, &bytes);
        Ok(())
    }

    /// Appends bytes, up to the end of the part.
    fn put(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        let max_len = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(max_len)];
        out.extend_from_slice(bytes);
        self.position += bytes.len() as u64;
    }
}
