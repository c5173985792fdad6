//! The content of a representation: in memory, or an open file.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use sockeye_proto::{CancelToken, FileSource, Permit};

use super::version::FileVersion;
use crate::store::absent::Absent;

/// Files of up to this size, in bytes, are cached in memory; larger ones are kept open. Content in
/// memory is sent with the head of the response; that of an open file takes a second system call.
/// Up to about 16 KiB, sending from memory is cheaper than this call. Up to 32 KiB it costs little
/// more than the call, and saves a descriptor.
pub const MAX_SMALL_FILE: u64 = 32 * 1024;

/// The content of a representation, or where it is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Memory(Bytes),
    Open(Arc<FileVersion>),
    /// In the cache of compressed files, which may drop it.
    Compressed(Weak<Compressed>),
}

impl Content {
    /// The first `count` bytes, or all if there are fewer. Compressed content, which no caller
    /// inspects, counts as empty.
    pub(crate) fn start(&self, count: usize) -> Result<Bytes, Absent> {
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(..count.min(bytes.len()))),
            Self::Open(file) => {
                let mut start = vec![0; count];
                let filled = file.file().fill(0, &mut start)?;
                start.truncate(filled);
                Ok(start.into())
            }
            Self::Compressed(_) => Ok(Bytes::new()),
        }
    }

    /// Whether the content has the length `size`, which is from the file's metadata. Only content
    /// in memory is checked; for any other, the result is true.
    pub(crate) fn has_size(&self, size: u64) -> bool {
        !matches!(self, Self::Memory(bytes) if bytes.len() as u64 != size)
    }
}

/// Content that was compressed on demand.
#[derive(Debug)]
pub(crate) struct Compressed {
    content: Bytes,
    /// Whether the content was sent since the last call of [`Compressed::take_used`].
    used: AtomicBool,
    /// Holds the memory of the bytes in a budget. Released with the bytes: the cache drops this
    /// value only if no response holds them.
    _permit: Permit,
}

impl Compressed {
    pub(crate) fn new(content: Vec<u8>, permit: Permit) -> Self {
        let content = Bytes::from(content);
        // The first clone allocates the reference count. Do that here, not on the event loop.
        drop(content.clone());
        Self { content, used: AtomicBool::new(true), _permit: permit }
    }

    /// The content, to be sent; marks it as used.
    pub(crate) fn content(&self) -> Bytes {
        // Written only if it changes, so that cores can share the cache line.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.content.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.content.len()
    }

    /// The content, without marking it as used.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.content
    }

    /// Whether the content was sent since the last call of this method.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Whether no response holds its bytes.
    pub(crate) fn is_unique(&self) -> bool {
        self.content.is_unique()
    }
}

/// Reads content from its beginning. No read returns `Interrupted`, because stores retry
/// interrupted reads.
#[derive(Debug)]
pub(crate) struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
    cancel: CancelToken,
}

impl<'a> ContentReader<'a> {
    /// Reading fails once `cancel` says that the job is cancelled.
    pub(crate) fn new(content: &'a Content, cancel: CancelToken) -> Self {
        Self { content, at: 0, cancel }
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let count = match self.content {
            Content::Memory(bytes) => {
                let rest = usize::try_from(self.at).ok().and_then(|at| bytes.get(at..));
                rest.unwrap_or_default().read(buffer)?
            }
            Content::Open(file) => file.read_at(self.at, buffer)?,
            // Never read, because compressed content is not compressed again.
            Content::Compressed(_) => 0,
        };
        self.at += count as u64;
        Ok(count)
    }
}
