//! Flushing connections, and ending those that have sent everything.
//!
//! A connection is dirty if it may have something to send, or may have to be ended. At the end of
//! each turn of the event loop, each dirty connection is flushed once.

use sockeye_proto::driver::{InFlight, Key};
use sockeye_proto::{End, Reason, Time};

use super::input::reason_of;
use super::state::{Active, Worker, find};
use crate::conn::{Lingering, NOT_ASKED, SendState, Stage, WorkerResources};
use crate::driver::{Driver, SendStatus, Sending, Sent};

/// The first check of a connection with unsent output comes after an eighth of the write timeout.
/// It only records how much is unacknowledged. By then, the peer has acknowledged the data that was
/// on the way. If the first check came earlier, the second would take these acknowledgements for
/// progress, and a peer that reads nothing would have twice the timeout. Each further check comes
/// after the whole timeout, so a peer has at least that.
const FIRST_CHECK: u32 = 8;

impl<D: Driver> Worker<D> {
    /// Flushes each dirty connection once. Connections that become dirty again are flushed in the
    /// next turn, so that a connection with much to send doesn't delay others.
    pub(super) fn flush_dirty(&mut self) {
        let mut keys = std::mem::take(&mut self.keys);
        std::mem::swap(&mut keys, &mut self.resources.dirty);
        for key in keys.drain(..) {
            self.serve(key, |active| {
                active.conn.unmark_dirty();
                active.flush()
            });
        }
        self.keys = keys;
    }

    /// Flushes the connection with this key if it has just become dirty, without waiting for the
    /// end of the turn.
    pub(super) fn flush_now(&mut self, key: Key) {
        if self.resources.dirty.pop_if(|last| *last == key).is_some() {
            self.serve(key, |active| {
                active.conn.unmark_dirty();
                active.flush()
            });
        }
    }

    /// Handles the result of a send that was [`Sending::Pending`].
    pub(super) fn handle_sent(&mut self, key: Key, sent: Sent) {
        if find(&mut self.conns, key).is_none() {
            // The connection was closed while the driver had its output.
            return self.resources.outputs.take_back(sent.out);
        }
        self.serve(key, |active| {
            active.conn.mark_dirty(active.resources);
            if active.conn.secure.is_some() {
                return active.count_sent_secure(sent);
            }
            active.conn.session.set_in_flight(InFlight::default());
            active.count_sent(sent)
        });
    }
}

impl<D: Driver> Active<'_, D> {
    /// Sends once, and notifies the protocol of what was sent. If the protocol has ended the
    /// connection and everything is sent, closes it as the protocol asked for.
    fn flush(&mut self) -> Result<(), Reason> {
        self.send()?;
        self.conn.session.progress(self.resources);
        self.conn.queue_if_readable(self.resources);
        match (self.conn.session.end(), &self.conn.stage) {
            (None, _) | (_, Stage::Lingering(_)) => Ok(()),
            (Some(_), _) if self.conn.must_send_close_notify() => self.send_close_notify(),
            (Some(end), _) if self.conn.is_flushed() => self.end(end),
            _ => Ok(()),
        }
    }

    /// Sends once: stops after about [`QUANTUM`](crate::driver::QUANTUM) bytes.
    fn send(&mut self) -> Result<(), Reason> {
        let conn = &mut *self.conn;
        if conn.secure.is_some() {
            return self.send_secure();
        }
        let has_in_flight = D::KEEPS_OUTPUT && conn.session.has_in_flight();
        if conn.send != SendState::Ready || has_in_flight {
            return Ok(());
        }
        let Some(out) = conn.session.take_output() else { return Ok(()) };
        let in_flight = if D::KEEPS_OUTPUT { InFlight::of(&out) } else { InFlight::default() };
        let sending = match conn.session.end() {
            None => self.driver.send(&mut conn.socket, out),
            // If all is sent, `flush` closes our sending side next.
            Some(_) => self.driver.send_before_fin(&mut conn.socket, out),
        };
        match sending {
            Sending::Done(sent) => self.count_sent(sent),
            Sending::Pending => {
                conn.session.set_in_flight(in_flight);
                self.set_write_deadline();
                Ok(())
            }
        }
    }

    /// Takes an output back from the driver, and counts what was sent.
    #[inline(always)] // Runs for each response, and is not inlined otherwise.
    fn count_sent(&mut self, sent: Sent) -> Result<(), Reason> {
        let Self { conn, resources, .. } = self;
        let resources: &mut WorkerResources = resources;
        let Sent { out, count, status } = sent;
        resources.stats.sent += count;
        let is_left = conn.session.put_back(out, count, resources);
        // The connection holds less memory now.
        if conn.charged {
            conn.charge(resources);
        }
        if !is_left {
            conn.write_deadline = Time::NEVER;
            if matches!(status, SendStatus::Ready) {
                return Ok(());
            }
        }
        match status {
            SendStatus::Ready => conn.mark_dirty(resources),
            SendStatus::Blocked => conn.send = SendState::Blocked,
            // A part of a file comes next, and reading it may block.
            SendStatus::NeedsRead => return self.start_read(),
            SendStatus::FileChanged => return Err(Reason::FileChanged),
            SendStatus::FileFailed(error) => return Err(Reason::FileFailed(error)),
            SendStatus::Failed(error) => return Err(reason_of(error)),
        }
        if is_left && (count > 0 || conn.write_deadline == Time::NEVER) {
            self.set_write_deadline();
        }
        Ok(())
    }

    /// Sets the write deadline anew, because the kernel has taken output, the socket has just
    /// blocked, or a send is [`Sending::Pending`]. Doesn't ask yet how much is unacknowledged,
    /// because the peer still acknowledges data that is on the way, even if it reads nothing:
    /// [`Active::check_stalled`] asks (see [`FIRST_CHECK`]).
    pub(super) fn set_write_deadline(&mut self) {
        let Self { conn, resources, .. } = self;
        conn.write_deadline = resources.now + resources.config.write_timeout / FIRST_CHECK;
        conn.unacknowledged = NOT_ASKED;
    }

    /// Handles a passed write deadline. The kernel has taken no output since it was set, but the
    /// peer may have acknowledged data that the kernel held: that is progress, too.
    pub(super) fn check_stalled(&mut self) -> Result<(), Reason> {
        let Self { conn, driver, resources } = self;
        if conn.is_flushed() {
            // The protocol has dropped the output that the deadline was set for.
            conn.write_deadline = Time::NEVER;
            return Ok(());
        }
        let before = conn.unacknowledged;
        // If the driver can't tell, the peer counts as having made no progress. The first check
        // only records, so it passes: 0 is less than `NOT_ASKED`.
        let if_unknown = if before == NOT_ASKED { 0 } else { before };
        let now = driver.unacknowledged(&conn.socket).unwrap_or(if_unknown);
        if now >= before {
            return Err(Reason::WriteStalled);
        }
        conn.write_deadline = resources.now + resources.config.write_timeout;
        conn.unacknowledged = now;
        Ok(())
    }

    /// Ends a connection that has sent everything, in the way that its protocol asked for. Returns
    /// `Err` with the reason if the connection is to be closed now, also if nothing has failed.
    fn end(&mut self, end: End) -> Result<(), Reason> {
        match end {
            End::Finish => self.finish(),
            // Closing with unread input would send a reset.
            End::Close if !self.conn.readable || self.conn.session.is_at_end_of_input() => {
                Err(self.conn.session.orderly_reason())
            }
            End::Close | End::Linger => self.linger(),
        }
    }

    /// Closes our sending side, once; closes the connection when the peer has closed its sending
    /// side, too.
    fn finish(&mut self) -> Result<(), Reason> {
        if !matches!(self.conn.stage, Stage::Finished) {
            self.conn.stage = Stage::Finished;
            self.driver.finish(&mut self.conn.socket).map_err(reason_of)?;
        }
        let session = &self.conn.session;
        if session.is_at_end_of_input() { Err(session.orderly_reason()) } else { Ok(()) }
    }

    /// Closes our sending side, and discards input until the peer closes its sending side, or until
    /// a limit of [`Linger`](crate::Linger) is reached.
    fn linger(&mut self) -> Result<(), Reason> {
        let Self { conn, driver, resources } = self;
        if conn.session.is_at_end_of_input() {
            return Err(conn.session.orderly_reason());
        }
        let is_finished = matches!(conn.stage, Stage::Finished);
        if !is_finished && driver.finish(&mut conn.socket).is_err() {
            return Err(conn.session.orderly_reason());
        }
        conn.session.drop_unused();
        let (now, linger) = (resources.now, &resources.config.linger);
        conn.stage = Stage::Lingering(Box::new(Lingering {
            until: now + linger.total,
            quiet_until: now + linger.quiet,
            bytes_left: linger.bytes,
            got_data: false,
        }));
        if conn.readable {
            conn.queue_read(resources);
        }
        Ok(())
    }
}
