//! Files of which ranges are sent. This crate never uses the descriptors of these files: the engine
//! passes them to the kernel.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::{CancelToken, JobGroup};

/// An open file, as the engine sees it.
///
/// Panics of the methods are caught. On an event loop, a panic ends no connection: [`FileRange`]
/// says what each call returns instead. If [`FileSource::read_at`] or [`FileSource::verify`] panics
/// on a thread, the connection ends as [`Reason::Panicked`](crate::Reason::Panicked).
pub trait FileSource: Send + Sync + fmt::Debug {
    /// Reads into `buffer` from `offset` on. Returns how many bytes were read: 0 at the end of the
    /// file.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// The descriptor, if `sendfile` works with it.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the content is still what was promised, as far as the file's metadata show. Called
    /// before the last part of a range is sent. Default: [`Validity::Valid`], for a file whose
    /// content never changes.
    fn check(&self) -> Validity {
        Validity::Valid
    }

    /// Whether the content is still what was promised. May read the whole file to find out. Called
    /// on a thread that may block, after the last part of a range was read. `cancel` is set when
    /// nobody waits for the result any more. Default: calls [`FileSource::check`], reads nothing,
    /// and returns `false` for [`Validity::Unknown`].
    fn verify(&self, cancel: &CancelToken) -> bool {
        let _ = cancel;
        self.check() == Validity::Valid
    }

    /// How to send the file without blocking. This call never blocks. Default: [`Access::Direct`].
    fn access(&self) -> Access {
        Access::Direct
    }

    /// The group of the jobs that read this file. Files whose reads may block on the same thing,
    /// such as a disk, share one group or a few.
    fn job_group(&self) -> JobGroup {
        JobGroup::default()
    }

    /// For [`Access::Direct`]: whether to measure how long sending takes, because the file system
    /// may become slow. Default: `false`.
    fn is_timed(&self) -> bool {
        false
    }

    /// Records how long it took to send a part of the file. Called for a file of [`Access::Probe`]
    /// after a `sendfile`, and for one of [`Access::Direct`] if [`FileSource::is_timed`] says so.
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
    /// Without a probe: reading the file is not expected to block.
    Direct,
    /// Without a thread, if a probe finds the content in memory; else as [`Access::Thread`].
    Probe,
    /// A thread must read it. An event loop calls neither [`FileSource::read_at`] nor
    /// [`FileSource::check`], because these may block.
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

/// Calls of the source's methods on an event loop, where a panic would end all connections. So
/// panics are caught. The results that are returned after panics let a thread read the file, where
/// another panic ends only one connection.
impl FileRange {
    /// Calls [`FileSource::read_at`] for the start of this range. `None` if it panics.
    pub fn read(&self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        caught(|| self.source.read_at(self.offset, buffer))
    }

    /// Calls [`FileSource::descriptor`]. `None` also if it panics.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        caught(|| self.source.descriptor()).flatten()
    }

    /// Calls [`FileSource::check`]. [`Validity::Unknown`] also if it panics.
    #[must_use]
    pub fn check(&self) -> Validity {
        caught(|| self.source.check()).unwrap_or(Validity::Unknown)
    }

    /// Calls [`FileSource::access`]. [`Access::Thread`] also if it panics.
    #[must_use]
    pub fn access(&self) -> Access {
        caught(|| self.source.access()).unwrap_or(Access::Thread)
    }

    /// Calls [`FileSource::job_group`]. The default group also if it panics.
    #[must_use]
    pub fn job_group(&self) -> JobGroup {
        caught(|| self.source.job_group()).unwrap_or_default()
    }

    /// Calls [`FileSource::is_timed`]. `false` also if it panics.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        caught(|| self.source.is_timed()).unwrap_or_default()
    }

    /// Calls [`FileSource::record_send`].
    pub fn record_send(&self, took: Duration) {
        caught(|| self.source.record_send(took));
    }
}

fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
