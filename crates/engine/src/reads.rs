//! Reads of files by threads, for a worker (event loop): at most one at a time for each connection.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::ptr;
use std::sync::{Arc, Weak};

use sockeye_proto::driver::Key;
use sockeye_proto::{
    Access, CancelToken, Client, FileRange, FileSource, Job, JobKind, Output, Reason, Spawn,
    Validity, Waiter,
};

use crate::mailbox::{Mailbox, ReadDone, ReadError, ResultSender};

/// The reads in progress of a worker.
pub(crate) struct Reads {
    spawn: Arc<dyn Spawn>,
    mailbox: Arc<Mailbox>,
    in_progress: HashMap<Key, StartedRead>,
}

/// A read in progress, of a range of a file.
pub(crate) struct StartedRead {
    /// The file. A weak reference, since dropping the last strong one may block.
    source: Weak<dyn FileSource>,
    offset: u64,
    len: u64,
    must_verify: bool,
    /// Dropping this cancels the read.
    _waiter: Waiter,
}

impl StartedRead {
    /// Whether the range is still at the front of `out`, the connection's output: the connection's
    /// protocol may have dropped the range.
    pub(crate) fn is_at_front_of(&self, out: &Output) -> bool {
        out.range_to_read(self.len).is_some_and(|(range, must_verify)| {
            ptr::addr_eq(Arc::as_ptr(&range.source), self.source.as_ptr())
                && (range.offset, range.len) == (self.offset, self.len)
                && must_verify == self.must_verify
        })
    }
}

impl Reads {
    pub(crate) fn new(spawn: Arc<dyn Spawn>, mailbox: Arc<Mailbox>) -> Self {
        Self { spawn, mailbox, in_progress: HashMap::new() }
    }

    /// Runs `job`, which is not a read, on the pool.
    pub(crate) fn spawn(&self, job: Job) -> Result<(), Job> {
        self.spawn.spawn(job)
    }

    /// How many reads are in progress.
    pub(crate) fn len(&self) -> usize {
        self.in_progress.len()
    }

    /// Removes the read of a connection. If the read is not done yet, dropping the returned value
    /// cancels it.
    pub(crate) fn remove(&mut self, key: Key) -> Option<StartedRead> {
        self.in_progress.remove(&key)
    }

    /// Starts a job that reads `range` for a connection of `client`. If `must_verify`, the job also
    /// verifies that the file has not changed.
    ///
    /// # Errors
    ///
    /// [`Reason::ReadRefused`] if too many jobs wait for threads.
    pub(crate) fn start(
        &mut self,
        key: Key,
        client: Client,
        range: FileRange,
        must_verify: bool,
    ) -> Result<(), Reason> {
        let (waiter, cancel) = Waiter::new();
        let group = range.job_group();
        let started = StartedRead {
            source: Arc::downgrade(&range.source),
            offset: range.offset,
            len: range.len,
            must_verify,
            _waiter: waiter,
        };
        let sender = ResultSender {
            mailbox: Arc::clone(&self.mailbox),
            key,
            result: None,
            post: |mailbox, key, result| {
                let result = result.unwrap_or_else(|| Err(abandoned()));
                mailbox.post_read(ReadDone { key, result });
            },
        };
        let (kind, token) = (kind(&range, must_verify), cancel.clone());
        let job = Job::new(kind, client, move || {
            let mut sender = sender;
            // The result if the file's source panics.
            sender.result = Some(Err(ReadError::Panicked));
            sender.result = Some(read(&range, must_verify, &token));
            // Send the result first: closing the file may block.
            drop(sender);
            drop(range);
        });
        self.spawn
            .spawn(job.in_group(group).cancel_with(cancel))
            .map_err(|_| Reason::ReadRefused)?;
        self.in_progress.insert(key, started);
        Ok(())
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("in_progress", &self.len()).finish_non_exhaustive()
    }
}

/// The kind of the job that reads `range`. If the job must verify the file, and `check` can't tell
/// whether the file has changed, the job may have to read all of it. That would occupy for too long
/// a thread that also runs [`JobKind::Lookup`], so the kind is [`JobKind::ReadWhole`]. `check` is
/// not called for files of [`Access::Thread`], because it may block the event loop: their reads are
/// always [`JobKind::ReadPart`].
fn kind(range: &FileRange, must_verify: bool) -> JobKind {
    let reads_whole =
        must_verify && range.access() != Access::Thread && range.check() == Validity::Unknown;
    if reads_whole { JobKind::ReadWhole } else { JobKind::ReadPart }
}

fn abandoned() -> ReadError {
    ReadError::Failed(io::Error::other("the read was abandoned"))
}

/// Reads `range`, and verifies the file if `must_verify`. Blocks.
fn read(range: &FileRange, must_verify: bool, cancel: &CancelToken) -> Result<Vec<u8>, ReadError> {
    let len = range.len as usize;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| ReadError::Failed(ErrorKind::OutOfMemory.into()))?;
    bytes.resize(len, 0);
    let mut filled = 0;
    while filled < len {
        match range.source.read_at(range.offset + filled as u64, &mut bytes[filled..]) {
            // The file ends before its range does.
            Ok(0) => return Err(ReadError::Changed),
            Ok(count) => filled += count,
            Err(error) => return Err(ReadError::Failed(error)),
        }
    }
    if must_verify && !range.source.verify(cancel) {
        return Err(ReadError::Changed);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;

    use sockeye_proto::FileSource;

    use super::*;

    #[derive(Debug)]
    struct File(Access, Validity);

    impl FileSource for File {
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            unreachable!("no job runs")
        }
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            None
        }
        fn check(&self) -> Validity {
            assert_ne!(self.0, Access::Thread, "checking such a file may block");
            self.1
        }
        fn access(&self) -> Access {
            self.0
        }
    }

    #[test]
    fn a_read_that_may_take_long_is_a_long_job() {
        use JobKind::{ReadPart, ReadWhole};
        for (access, validity, must_verify, expected) in [
            (Access::Probe, Validity::Unknown, true, ReadWhole),
            (Access::Direct, Validity::Unknown, true, ReadWhole),
            (Access::Direct, Validity::Unknown, false, ReadPart),
            (Access::Probe, Validity::Valid, true, ReadPart),
            (Access::Thread, Validity::Unknown, true, ReadPart),
        ] {
            let range = FileRange { source: Arc::new(File(access, validity)), offset: 5, len: 10 };
            assert_eq!(kind(&range, must_verify), expected, "{access:?} {validity:?}");
        }
    }
}
