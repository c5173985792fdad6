//! Reading: each ready connection once a turn, one buffer.

use std::io::{self, ErrorKind};

use sockeye_proto::{Key, Reason};

use super::{Shard, find};
use crate::conn::Stage;
use crate::driver::Driver;

impl<D: Driver> Shard<D> {
    /// Serves the connections that were ready when the turn began; those that still are then are
    /// served in the next.
    pub(super) fn read_ready(&mut self) {
        let mut keys = std::mem::take(&mut self.keys);
        std::mem::swap(&mut keys, &mut self.common.ready);
        for key in keys.drain(..) {
            if let Some(conn) = find(&mut self.conns, key) {
                conn.unqueue();
                self.read(key);
                self.settle(key);
            }
        }
        self.keys = keys;
    }

    /// Receives once.
    fn read(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        if !conn.readable || !conn.wants_input(&self.common.config) {
            return;
        }
        match self.driver.receive(&mut conn.socket) {
            Ok(received) if received.bytes.is_empty() => match conn.stage {
                Stage::Lingering { .. } => self.close_finished(key),
                _ => conn.end_of_input(key, &mut self.common),
            },
            Ok(received) => {
                // A short receive took all that was there, unless the end stands behind it.
                conn.readable = received.more || conn.ended;
                conn.received += received.bytes.len() as u64;
                self.common.tally.received += received.bytes.len() as u64;
                match &mut conn.stage {
                    Stage::Lingering { quiet, left, .. } => {
                        let len = received.bytes.len() as u64;
                        *quiet = self.common.now + self.common.config.linger.quiet;
                        if len > *left {
                            self.close_finished(key);
                            return;
                        }
                        *left -= len;
                    }
                    _ => conn.input(key, received.bytes, &mut self.common),
                }
                if conn.readable && conn.wants_input(&self.common.config) {
                    conn.queue(key, &mut self.common);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => conn.readable = false,
            Err(error) => self.close(key, reason_of(error)),
        }
    }

    /// A connection failed that nobody is reading from, so that no receive would tell.
    pub(super) fn check_failed(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        if let Some(error) = self.driver.failure(&conn.socket) {
            self.close(key, reason_of(error));
        }
    }
}

/// Why a connection ended whose socket says `error`.
pub(super) fn reason_of(error: io::Error) -> Reason {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Reason::Reset
        }
        _ => Reason::Socket(error),
    }
}
