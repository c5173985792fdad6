//! Files that are sent: what a driver may ask of one, and how it may be sent without blocking.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::Place;

/// A file that ranges of can be sent. Opening it is somebody else's work; this is how a driver
/// reads it, and how it may send it without reading.
pub trait FileSource: Send + Sync + fmt::Debug {
    /// Reads at `offset` into `buffer`; 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The descriptor, where the kernel can send from it by itself.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the file is still the one that was opened: same content, as far as can be told
    /// without reading it. Asked before the last part of a range is sent.
    fn is_unchanged(&self) -> bool;

    /// How it may be sent now. Never blocks.
    fn access(&self) -> Access {
        Access::Direct
    }

    /// Where reading it may get stuck.
    fn place(&self) -> Place {
        Place::default()
    }

    /// Whether it matters how long sending takes that is not probed: reading may become slow.
    fn is_timed(&self) -> bool {
        false
    }

    /// Takes note of how long the kernel took to send from it, where it was probed before or is
    /// timed.
    fn note_send(&self, took: Duration) {
        let _ = took;
    }
}

/// How a file may be sent without blocking an event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// At once: reading it never blocks.
    Direct,
    /// By the kernel, from its descriptor, if a probe finds the content in memory; else as
    /// [`Access::Thread`].
    Probe,
    /// After a thread has read it. No other method but [`FileSource::place`] is called on a loop:
    /// each may block.
    Thread,
}

/// A range of a file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file.
    pub source: Arc<dyn FileSource>,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}
