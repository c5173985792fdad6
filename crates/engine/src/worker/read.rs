//! Reading files on threads of the pool, if reading might block the event loop.
//!
//! A connection has at most one read in progress, of at most [`QUANTUM`](crate::driver::QUANTUM)
//! bytes. The read is a job of the pool. The job is cancelled when the connection closes. The
//! result comes through the mailbox, replaces the beginning of the file range at the front of the
//! output, and is flushed in the same turn (pass of the event loop). If the protocol has dropped
//! that range meanwhile, the result is dropped, too. During a read the connection sends nothing,
//! and its write deadline is that of the read.

use std::time::Duration;

use sockeye_proto::{Reason, Time};

use super::state::{Active, Worker};
use crate::conn::SendState;
use crate::driver::Driver;
use crate::mailbox::{ReadDone, ReadError};
use crate::output_budget::UNCHARGED_BYTES;

/// How long a read may take, including its wait for a thread.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

impl<D: Driver> Worker<D> {
    /// Handles the result of a read. If its connection has closed, the result is dropped.
    pub(super) fn handle_read(&mut self, read: ReadDone) {
        let ReadDone { key, result } = read;
        self.serve(key, |active| active.handle_read(result));
    }
}

impl<D: Driver> Active<'_, D> {
    /// Starts a read of the file range at the front of the output. If no file range is there,
    /// schedules a flush instead.
    pub(super) fn start_read(&mut self) -> Result<(), Reason> {
        let Self { conn, resources, .. } = self;
        let (key, client) = (conn.session.key(), conn.client());
        let max = resources.max_read(client);
        // `must_verify`: the end of the range is read, so the thread must also check that the file
        // still has the content that was promised.
        let Some((range, must_verify)) =
            conn.session.output().and_then(|out| out.range_to_read(max))
        else {
            conn.mark_dirty(resources);
            return Ok(());
        };
        resources.reads.start(key, client, range, must_verify)?;
        conn.send = SendState::Reading;
        conn.write_deadline = resources.now + READ_TIMEOUT;
        Ok(())
    }

    fn handle_read(&mut self, result: Result<Vec<u8>, ReadError>) -> Result<(), Reason> {
        let Self { conn, resources, .. } = self;
        if conn.send != SendState::Reading {
            return Ok(());
        }
        conn.send = SendState::Ready;
        let started = resources.reads.remove(conn.session.key());
        conn.write_deadline = Time::NEVER;
        let is_wanted = started
            .zip(conn.session.output())
            .is_some_and(|(started, out)| started.is_at_front_of(out));
        if !is_wanted {
            // The protocol has dropped the output, and may have written something else.
            conn.mark_dirty(resources);
            return Ok(());
        }
        match result {
            Ok(bytes) => {
                if let Some(out) = conn.session.output_mut() {
                    out.replace_with_read(bytes.into());
                    // Charge the client: the peer may be slow to take these bytes, and the client
                    // may have many connections.
                    if conn.session.held() > UNCHARGED_BYTES {
                        conn.charge(resources);
                    }
                }
                conn.mark_dirty(resources);
                Ok(())
            }
            Err(ReadError::Changed) => Err(Reason::FileChanged),
            Err(ReadError::Failed(error)) => Err(Reason::FileFailed(error)),
            Err(ReadError::Panicked) => Err(Reason::Panicked),
        }
    }
}
