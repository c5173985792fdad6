//! Reading files on threads of the pool, because `sendfile` might block the event loop.
//!
//! A connection has at most one read in progress, of at most [`QUANTUM`] bytes. The read is a job
//! of the pool, which is cancelled when the connection closes. The result comes through the
//! mailbox, replaces the beginning of the file range at the front of the output, and is flushed in
//! the same turn. During a read the connection sends nothing, and its write deadline is that of the
//! read.

use std::time::Duration;

use sockeye_proto::{Output, Reason, Time};

use super::state::{Active, Shard};
use crate::buffered::FREE;
use crate::conn::SendState;
use crate::driver::{Driver, QUANTUM};
use crate::mailbox::{ReadDone, ReadError};

/// How long a read may take, including its wait for a thread.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum size of a read while the client's share of the output budget is spent: no more than a
/// connection may hold without being charged.
const LITTLE: u64 = 32 * 1024;

impl<D: Driver> Shard<D> {
    /// Takes the result of a read. If its connection has closed, the result is dropped.
    pub(super) fn take_read(&mut self, read: ReadDone) {
        let ReadDone { key, result } = read;
        self.serve(key, |active| active.take_read(result));
    }
}

impl<D: Driver> Active<'_, D> {
    /// Starts a read of the file range at the front of the output.
    pub(super) fn start_read(&mut self) -> Result<(), Reason> {
        let Self { conn, common, .. } = self;
        let Some(range) = conn.session.output().and_then(Output::front_file) else {
            conn.mark_dirty(common);
            return Ok(());
        };
        let client = conn.client();
        let is_exhausted = common.buffered.is_tight() && common.buffered.is_exhausted(client);
        let most = if is_exhausted { LITTLE } else { QUANTUM };
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
                    // The peer may be slow to take these bytes, and its client may have many
                    // connections.
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
