//! Flushing: each dirty connection once a turn, and what follows when everything is sent.

use sockeye_proto::{End, Key, Reason, Time};

use super::input::reason_of;
use super::{Shard, find};
use crate::conn::{InFlight, Stage};
use crate::driver::{Driver, Sending, Sent, Then};

impl<D: Driver> Shard<D> {
    /// Flushes the connections that are dirty now; those that are again afterwards are flushed in
    /// the next turn, so that one that never runs dry holds nobody up.
    pub(super) fn flush_dirty(&mut self) {
        let mut keys = std::mem::take(&mut self.keys);
        std::mem::swap(&mut keys, &mut self.common.dirty);
        for key in keys.drain(..) {
            let Some(conn) = find(&mut self.conns, key) else { continue };
            conn.unmark_dirty();
            if conn.has_panicked() {
                self.close(key, Reason::Panicked);
                continue;
            }
            self.flush(key);
            self.after_flush(key);
        }
        self.keys = keys;
    }

    /// Sends once.
    fn flush(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        if conn.in_flight.is_some()
            || conn.blocked
            || matches!(conn.stage, Stage::Connecting { .. })
        {
            return;
        }
        let Some(out) = conn.out.take() else { return };
        let in_flight = InFlight { bytes: out.unsent(), held: out.held() };
        match self.driver.send(&mut conn.socket, out) {
            Sending::Done(sent) => self.count_sent(key, sent),
            Sending::Pending => {
                conn.in_flight = Some(in_flight);
                self.watch_writing(key);
            }
        }
    }

    /// A send that the driver kept is done.
    pub(super) fn take_sent(&mut self, key: Key, sent: Sent) {
        let Some(conn) = find(&mut self.conns, key) else {
            // The connection has gone meanwhile.
            self.common.outputs.take_back(sent.out);
            return;
        };
        conn.in_flight = None;
        self.count_sent(key, sent);
        if let Some(conn) = find(&mut self.conns, key) {
            conn.mark_dirty(key, &mut self.common);
            self.settle(key);
        }
    }

    /// Takes back an output, and notes how far it has come.
    fn count_sent(&mut self, key: Key, sent: Sent) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        let Sent { mut out, count, then } = sent;
        conn.sent += count;
        conn.moved |= count > 0;
        self.common.tally.sent += count;
        // What was written while it was away comes behind what is left of it.
        if let Some(mut newer) = conn.out.take() {
            out.append(&mut newer);
            self.common.outputs.take_back(newer);
        }
        if out.is_empty() {
            self.common.outputs.take_back(out);
            conn.write_deadline = Time::NEVER;
        } else {
            conn.out = Some(out);
        }
        match then {
            Then::Again => {
                if conn.out.is_some() {
                    conn.mark_dirty(key, &mut self.common);
                }
            }
            Then::Blocked => conn.blocked = true,
            Then::FileChanged => return self.close(key, Reason::FileChanged),
            Then::Failed(error) => return self.close(key, reason_of(error)),
        }
        if conn.out.is_some() && (count > 0 || conn.write_deadline == Time::NEVER) {
            self.watch_writing(key);
        }
    }

    /// Sets the write deadline: the peer has come forward, or just fallen behind.
    fn watch_writing(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        conn.write_deadline = self.common.now + self.common.config.write_timeout;
        conn.unacknowledged = self.driver.unacknowledged(&conn.socket).unwrap_or(0);
    }

    /// The write deadline has come. The kernel may have taken nothing from us and still have sent
    /// and had acknowledged much of what it holds: that is progress, too.
    pub(super) fn check_stalled(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        let before = conn.unacknowledged;
        let now = self.driver.unacknowledged(&conn.socket).unwrap_or(before);
        if now < before {
            self.watch_writing(key);
        } else {
            self.close(key, Reason::WriteStalled);
        }
    }

    /// Tells what was to be told, and ends what was to end when everything is sent.
    fn after_flush(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        conn.tell_progress(key, &mut self.common);
        if conn.is_flushed() && conn.stage == Stage::Open {
            match conn.end {
                None => {}
                Some(End::Finish) => self.finish(key),
                // Unread input would turn our closing into a reset.
                Some(End::Close) if !conn.readable || conn.eof => return self.close_finished(key),
                Some(End::Close | End::Linger) => return self.linger(key),
            }
        }
        self.settle(key);
    }

    /// Ends our side, once; closes when the peer's has ended too.
    fn finish(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        if !conn.finished {
            conn.finished = true;
            if let Err(error) = self.driver.finish(&mut conn.socket) {
                return self.close(key, reason_of(error));
            }
        }
        if conn.eof {
            self.close_finished(key);
        }
    }

    /// Ends our side, and reads and throws away what comes until the peer ends its own.
    fn linger(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        if conn.eof {
            return self.close_finished(key);
        }
        if !conn.finished {
            conn.finished = true;
            if self.driver.finish(&mut conn.socket).is_err() {
                return self.close_finished(key);
            }
        }
        conn.drop_tail();
        let (now, linger) = (self.common.now, &self.common.config.linger);
        conn.stage = Stage::Lingering {
            until: now + linger.total,
            quiet: now + linger.quiet,
            left: linger.bytes,
        };
        if conn.readable {
            conn.queue(key, &mut self.common);
        }
        self.settle(key);
    }
}
