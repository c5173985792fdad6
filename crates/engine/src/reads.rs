//! Files that threads read for a shard, one part of one file for each connection at a time.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use sockeye_proto::driver::Key;
use sockeye_proto::{Client, FileRange, Job, JobKind, Reason, Spawn, Waiter};

use crate::mailbox::{Mailbox, ReadDone, ReadError};

/// The reads of a shard that are under way.
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

    /// Runs another job on the threads that read.
    pub(crate) fn spawn(&self, job: Job) -> Result<(), Job> {
        self.spawn.spawn(job)
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Ends the read of a connection: it is done, or nobody wants it any more.
    pub(crate) fn end(&mut self, key: Key) {
        self.waiters.remove(&key);
    }

    /// Has the beginning of `range`, `most` bytes of it, read for a connection of `client`.
    pub(crate) fn start(
        &mut self,
        key: Key,
        client: Client,
        range: FileRange,
        most: u64,
    ) -> Result<(), Reason> {
        let (waiter, cancel) = Waiter::new();
        let place = range.source.place();
        let report = Report { mailbox: Arc::clone(&self.mailbox), key, result: Some(Err(lost())) };
        let job = Job::new(JobKind::Read, client, move || {
            let mut report = report;
            report.result = Some(read(&range, most));
            // Closing the file may block, and the result doesn't wait for it.
            drop(report);
            drop(range);
        });
        self.spawn.spawn(job.at(place).unless(cancel)).map_err(|_| Reason::ReadRefused)?;
        self.waiters.insert(key, waiter);
        Ok(())
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("under_way", &self.len()).finish_non_exhaustive()
    }
}

/// Posts the result of a read when it is dropped: also when the job panics or is never run.
struct Report {
    mailbox: Arc<Mailbox>,
    key: Key,
    result: Option<Result<Vec<u8>, ReadError>>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            self.mailbox.post_read(ReadDone { key: self.key, result });
        }
    }
}

fn lost() -> ReadError {
    ReadError::Failed(io::Error::other("its reading was given up"))
}

/// Reads the first `most` bytes of `range`. Blocks.
fn read(range: &FileRange, most: u64) -> Result<Vec<u8>, ReadError> {
    let len = range.len.min(most) as usize;
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
    if is_last && !range.source.is_unchanged() {
        return Err(ReadError::Changed);
    }
    Ok(bytes)
}
