//! Writes an archive, or any part of it, in batches that jobs make.
//!
//! A batch is bytes, perhaps followed by a range of a large file. Small files are read here and
//! then checked again. If a file differs from the manifest, the archive is aborted: the client gets
//! the right bytes, or fewer than announced.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{Access, FileRange, FileSource, JobGroup, Permit};

use super::header::END_LEN;
use super::manifest::Manifest;
use crate::file::content::MAX_SMALL_FILE;
use crate::limits::lease::Lease;
use crate::store::absent::Absent;
use crate::store::identity::Identity;
use crate::store::traits::{Kind, OpenFile, Opened, Store};

/// The bytes of a batch: at least this many, and less than twice as many.
pub(crate) const BATCH: usize = 128 * 1024;

/// The part of an archive that is not sent yet.
#[derive(Debug)]
pub(crate) struct ArchiveWriter {
    pub(crate) manifest: Arc<Manifest>,
    position: u64,
    end: u64,
    /// The memory for the batches and the manifest.
    _memory: (Lease, Permit),
}

/// The next bytes to send.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// Sent after the bytes.
    pub(crate) file: Option<FileRange>,
    /// Whether it is the last batch.
    pub(crate) last: bool,
}

/// Why an archive is aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveAborted {
    /// A file differs from the manifest.
    Changed,
    /// A file can't be opened or read.
    Absent(Absent),
}

impl fmt::Display for ArchiveAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("a file in it changed"),
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
    /// Writes the whole archive. `memory` is charged for the batches and the manifest.
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
    pub(crate) fn next(&mut self, store: &dyn Store) -> Result<Batch, ArchiveAborted> {
        let mut batch = Batch::default();
        while batch.bytes.len() < BATCH && batch.file.is_none() && self.position < self.end {
            let index = self.manifest.find(self.position);
            if index == self.manifest.count() {
                let zeros = self.end.min(self.manifest.len) - self.position;
                debug_assert!(zeros <= END_LEN);
                self.put(&mut batch.bytes, &[0; END_LEN as usize][..zeros as usize]);
                continue;
            }
            self.entry(index, store, &mut batch)?;
        }
        batch.last = self.position >= self.end;
        Ok(batch)
    }

    /// Adds one entry, up to its end or to where a large file begins or ends.
    fn entry(
        &mut self,
        index: usize,
        store: &dyn Store,
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
            self.content(index, content, store, batch)?;
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

    /// Adds the content of a file, which begins at `content`.
    fn content(
        &mut self,
        index: usize,
        content: u64,
        store: &dyn Store,
        batch: &mut Batch,
    ) -> Result<(), ArchiveAborted> {
        let manifest = Arc::clone(&self.manifest);
        if let Some(note) = manifest.note(index) {
            self.put(&mut batch.bytes, &note[(self.position - content) as usize..]);
            return Ok(());
        }
        let (name, expected) = manifest.file(index);
        let (file, identity) = match store.open(&name) {
            Ok(Opened::File(file, identity)) => (file, identity),
            Ok(Opened::Folder) | Err(Absent::Missing) => return Err(ArchiveAborted::Changed),
            Err(absent) => return Err(absent.into()),
        };
        if !expected.has_same_content(&identity) {
            return Err(ArchiveAborted::Changed);
        }
        let offset = self.position - content;
        let len = (expected.size - offset).min(self.end - self.position);
        if expected.size > MAX_SMALL_FILE {
            let source = Arc::new(CheckedFile { file, expected });
            batch.file = Some(FileRange { source, offset, len });
            self.position += len;
            return Ok(());
        }
        // Small, so it fits a `usize`.
        let mut bytes = vec![0; len as usize];
        let filled = file.fill(offset, &mut bytes)?;
        if filled < bytes.len() || !file.identity().is_ok_and(|now| expected.has_same_content(&now))
        {
            return Err(ArchiveAborted::Changed);
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

/// A file that is compared with the manifest before its last part is sent. A comparison with its
/// identity when it was opened would not be enough, since it was opened after the manifest was
/// made.
#[derive(Debug)]
struct CheckedFile {
    file: Arc<dyn OpenFile>,
    expected: Identity,
}

impl FileSource for CheckedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.file.descriptor()
    }

    fn is_unchanged(&self) -> bool {
        self.file.identity().is_ok_and(|now| self.expected.has_same_content(&now))
    }

    fn access(&self) -> Access {
        self.file.access()
    }

    fn job_group(&self) -> JobGroup {
        self.file.job_group()
    }

    fn is_timed(&self) -> bool {
        self.file.is_timed()
    }

    fn note_send(&self, took: Duration) {
        self.file.note_send(took);
    }
}
