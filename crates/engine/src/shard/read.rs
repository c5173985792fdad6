//! Reading files by threads, where sending them by the kernel might block the loop.
//!
//! A connection has at most one read under way, of at most one quantum: a job of the pool, which is
//! cancelled with the connection. The result comes by the mailbox, takes its place at the front of
//! the output and is flushed in the same turn. While a read is under way nothing is sent, and the
//! write deadline is the read's.

use std::time::Duration;

use sockeye_proto::{Output, Reason, Time};

use super::{Shard, Visit};
use crate::buffered::FREE;
use crate::conn::SendState;
use crate::driver::{Driver, QUANTUM};
use crate::mailbox::{ReadDone, ReadError};

/// How long a read may take, its wait for a thread included: as long as a peer may take nothing.
const TIMEOUT: Duration = Duration::from_secs(60);

/// So much is read at a time while the client holds as much as it may: what it holds without being
/// charged for it.
const LITTLE: u64 = 32 * 1024;

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
