//! Files whose ranges are sent. This crate never uses their descriptors: the engine passes them
//! to the kernel.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::{CancelToken, JobGroup};

/// An open file, as the engine sees it.
pub trait FileSource: Send + Sync + fmt::Debug {
    /// Reads at `offset` into `buffer`; 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The descriptor, if `sendfile` works with it.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the content is still what was promised, as far as the file's metadata say. Called
    /// before the last part of a range is sent. Default: [`Validity::Valid`], the content never
    /// changes.
    fn check(&self) -> Validity {
        Validity::Valid
    }

    /// As [`FileSource::check`], but may read the file to find out: up to its whole content. Called
    /// on a thread, after the last part of a range was read. `cancel` is set when nobody waits for
    /// the result any more. Default: no file is read, and [`Validity::Unknown`] counts as changed.
    fn verify(&self, cancel: &CancelToken) -> bool {
        let _ = cancel;
        self.check() == Validity::Valid
    }

    /// How to send the file without blocking. This call never blocks. Default: [`Access::Direct`].
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
    fn record_send(&self, took: Duration) {
        let _ = took;
    }
}

/// Whether the content of a file is what was promised when its response began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is.
    Valid,
    /// It is not: the response must not be completed.
    Changed,
    /// Only reading the file can tell. [`FileSource::verify`] does that, on a thread.
    Unknown,
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
