//! Files whose ranges are sent. This crate never uses their descriptors: a driver passes them to
//! the kernel.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::JobGroup;

/// An open file, as drivers see it.
pub trait FileSource: Send + Sync + fmt::Debug {
    /// Reads at `offset` into `buffer`; 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The descriptor, if `sendfile` works with it.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the content is unchanged since the file was opened, as far as its metadata shows.
    /// Called before the last part of a range is sent.
    fn is_unchanged(&self) -> bool;

    /// How to send it without blocking. Never blocks itself. Default: [`Access::Direct`].
    fn access(&self) -> Access {
        Access::Direct
    }

    /// The group of jobs that read it: what reading it may block on.
    fn job_group(&self) -> JobGroup {
        JobGroup::default()
    }

    /// Whether to measure sends that are not probed, since they may become slow. Default: `false`.
    fn is_timed(&self) -> bool {
        false
    }

    /// Records how long a send took, after a probe or if [`FileSource::is_timed`].
    fn note_send(&self, took: Duration) {
        let _ = took;
    }
}

/// How a file may be sent without blocking an event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading it never blocks.
    Direct,
    /// With `sendfile`, if a probe finds the content in memory; else as [`Access::Thread`].
    Probe,
    /// A thread must read it. On an event loop, only [`FileSource::access`] and
    /// [`FileSource::job_group`] are called: the other methods may block.
    Thread,
}

/// A range of a file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file.
    pub source: Arc<dyn FileSource>,
    /// In bytes.
    pub offset: u64,
    /// In bytes.
    pub len: u64,
}
