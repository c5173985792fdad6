//! Reads of files by threads, for a shard: at most one at a time for each connection.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use sockeye_proto::driver::Key;
use sockeye_proto::{
    Access, CancelToken, Client, FileRange, Job, JobKind, Reason, Spawn, Validity, Waiter,
};

use crate::mailbox::{Mailbox, ReadDone, ReadError, ResultSender};

/// The reads in progress of a shard.
pub(crate) struct Reads {
    spawn: Arc<dyn Spawn>,
    mailbox: Arc<Mailbox>,
    /// Dropping a waiter cancels its read.
    waiters: HashMap<Key, Waiter>,
}

impl Reads {
    pub(crate) fn new(spawn: Arc<dyn Spawn>, mailbox: Arc<Mailbox>) -> Self {
        Self { spawn, mailbox, waiters: HashMap::new() }
    }

    /// Runs `job`, which is not a read, on the pool.
    pub(crate) fn spawn(&self, job: Job) -> Result<(), Job> {
        self.spawn.spawn(job)
    }

    /// How many are in progress.
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Removes the read of a connection: it is done, or to be cancelled.
    pub(crate) fn remove(&mut self, key: Key) {
        self.waiters.remove(&key);
    }

    /// Starts to read the first `max` bytes of `range`, for a connection of `client`.
    pub(crate) fn start(
        &mut self,
        key: Key,
        client: Client,
        range: FileRange,
        max: u64,
    ) -> Result<(), Reason> {
        let (waiter, cancel) = Waiter::new();
        let group = range.source.job_group();
        let sender = ResultSender {
            mailbox: Arc::clone(&self.mailbox),
            key,
            result: None,
            post: |mailbox, key, result| {
                let result = result.unwrap_or_else(|| Err(abandoned()));
                mailbox.post_read(ReadDone { key, result });
            },
        };
        let (kind, token) = (kind(&range, max), cancel.clone());
        let job = Job::new(kind, client, move || {
            let mut sender = sender;
            sender.result = Some(read(&range, max, &token));
            // Send the result first: closing the file may block.
            drop(sender);
            drop(range);
        });
        self.spawn
            .spawn(job.in_group(group).cancel_with(cancel))
            .map_err(|_| Reason::ReadRefused)?;
        self.waiters.insert(key, waiter);
        Ok(())
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("in_progress", &self.len()).finish_non_exhaustive()
    }
}

/// The kind of the job that reads the first `max` bytes of `range`. Verifying may read the whole
/// file, which would occupy a lookup thread for too long.
fn kind(range: &FileRange, max: u64) -> JobKind {
    let FileRange { source, len, .. } = range;
    let must_verify =
        *len <= max && source.access() != Access::Thread && source.check() == Validity::Unknown;
    if must_verify { JobKind::ReadWhole } else { JobKind::ReadPart }
}

fn abandoned() -> ReadError {
    ReadError::Failed(io::Error::other("the read was abandoned"))
}

/// Reads the first `max` bytes of `range`, and verifies the file if they are the last. Blocks.
fn read(range: &FileRange, max: u64, cancel: &CancelToken) -> Result<Vec<u8>, ReadError> {
    let len = range.len.min(max) as usize;
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
    let is_last = len as u64 == range.len;
    if is_last && !range.source.verify(cancel) {
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
        for (access, validity, max, expected) in [
            (Access::Probe, Validity::Unknown, 10, ReadWhole),
            (Access::Direct, Validity::Unknown, 10, ReadWhole),
            (Access::Direct, Validity::Unknown, 9, ReadPart),
            (Access::Probe, Validity::Valid, 10, ReadPart),
            (Access::Thread, Validity::Unknown, 10, ReadPart),
        ] {
            let range = FileRange { source: Arc::new(File(access, validity)), offset: 5, len: 10 };
            assert_eq!(kind(&range, max), expected, "{access:?} {validity:?} {max}");
        }
    }
}
