//! Reading files by threads, where sending them by the kernel might block the loop.
//!
//! A connection has at most one read under way, of at most one quantum: a job of the pool, which is
//! cancelled with the connection. The result comes by the mailbox, takes its place at the front of
//! the output and is flushed in the same turn. While a read is under way nothing is sent, and the
//! write deadline is the read's.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::driver::Key;
use sockeye_proto::{Client, FileRange, Job, JobKind, Output, Reason, Spawn, Time, Waiter};

use super::{Shard, Visit};
use crate::buffered::FREE;
use crate::conn::SendState;
use crate::driver::{Driver, QUANTUM};
use crate::mailbox::{Mailbox, ReadDone, ReadError};

/// How long a read may take, its wait for a thread included: as long as a peer may take nothing.
const TIMEOUT: Duration = Duration::from_secs(60);

/// So much is read at a time while the client holds as much as it may: what it holds without being
/// charged for it.
const LITTLE: u64 = 32 * 1024;

/// The reads of a shard that are under way.
pub(crate) struct Reads {
    spawn: Arc<dyn Spawn>,
    mailbox: Arc<Mailbox>,
    /// Dropping a waiter cancels its read.
    waiters: HashMap<Key, Waiter>,
}

impl Reads {
    pub(super) fn new(spawn: Arc<dyn Spawn>, mailbox: Arc<Mailbox>) -> Self {
        Self { spawn, mailbox, waiters: HashMap::new() }
    }

    /// Runs another job on the threads that read.
    pub(super) fn spawn(&self, job: Job) -> Result<(), Job> {
        self.spawn.spawn(job)
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Ends the read of a connection: it is done, or nobody wants it any more.
    pub(super) fn end(&mut self, key: Key) {
        self.waiters.remove(&key);
    }

    /// Has the beginning of `range`, `most` bytes of it, read for a connection of `client`.
    fn start(
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

impl<D: Driver> Shard<D> {
    /// A read is done. That of a connection that has gone is dropped.
    pub(super) fn take_read(&mut self, read: ReadDone) {
        let ReadDone { key, result } = read;
        self.visit(key, |visit| visit.take_read(result));
    }
}

impl<D: Driver> Visit<'_, D> {
    /// Has a thread read what is at the front of the output.
    pub(super) fn start_read(&mut self) -> Result<(), Reason> {
        let Self { conn, common, .. } = self;
        let Some(range) = conn.session.output().and_then(Output::front_file) else {
            conn.mark_dirty(common);
            return Ok(());
        };
        let client = conn.client();
        let is_spent = common.buffered.is_tight() && common.buffered.is_spent(client);
        let most = if is_spent { LITTLE } else { QUANTUM };
        common.reads.start(conn.session.key(), client, range.clone(), most)?;
        conn.send = SendState::Reading;
        conn.write_deadline = common.now + TIMEOUT;
        Ok(())
    }

    fn take_read(&mut self, result: Result<Vec<u8>, ReadError>) -> Result<(), Reason> {
        let Self { conn, common, .. } = self;
        if conn.send != SendState::Reading {
            return Ok(());
        }
        conn.send = SendState::Ready;
        common.reads.end(conn.session.key());
        conn.write_deadline = Time::NEVER;
        match result {
            Ok(bytes) => {
                if let Some(out) = conn.session.output_mut() {
                    out.put_read(bytes.into());
                    // The peer may not take them for long, and its client may have many connections.
                    if conn.session.held() > FREE {
                        conn.charge(common);
                    }
                }
                conn.mark_dirty(common);
                Ok(())
            }
            Err(ReadError::Changed) => Err(Reason::FileChanged),
            Err(ReadError::Failed(error)) => Err(Reason::FileFailed(error)),
        }
    }
}
