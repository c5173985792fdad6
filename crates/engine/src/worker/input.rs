//! Reading from connections: at most one buffer per ready connection in each turn (pass of the
//! event loop). When a drain begins, several buffers may be read from a connection.

use std::io::{self, ErrorKind};

use sockeye_proto::driver::Key;
use sockeye_proto::{Event, Reason};

use super::state::{Active, Worker, find};
use crate::conn::{Conn, Stage, WorkerResources};
use crate::driver::Driver;

impl<D: Driver> Worker<D> {
    /// Reads once from each connection in the ready list. Connections that are still ready are read
    /// again in the next turn.
    ///
    /// This is the only caller of `Active::read`, which is therefore inlined here. This method
    /// itself is not inlined.
    #[inline(never)]
    pub(super) fn read_ready(&mut self) {
        let mut keys = std::mem::take(&mut self.keys);
        std::mem::swap(&mut keys, &mut self.resources.ready);
        for key in keys.drain(..) {
            let has_large_output = self.serve(key, |active| {
                active.conn.unqueue_read();
                active.read()
            });
            if has_large_output {
                self.flush_large(key);
            }
        }
        self.keys = keys;
    }

    /// Flushes a large output before another connection is read, if all of the output is plain
    /// bytes and the connection has no TLS. The bytes are still in the cache of the core, and the
    /// next output can then reuse their memory.
    #[cold]
    fn flush_large(&mut self, key: Key) {
        if find(&mut self.conns, key).is_some_and(|conn| conn.has_plain_output()) {
            self.flush_now(key);
        }
    }

    /// Reads from one connection now, whether or not it was reported readable.
    pub(super) fn read_now(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        conn.readable = true;
        let others = std::mem::replace(&mut self.resources.ready, vec![key]);
        self.read_ready();
        let again = std::mem::replace(&mut self.resources.ready, others);
        self.resources.ready.extend(again);
    }

    /// Handles a failure or a half-close of a connection that is not being read from: no receive
    /// would report it.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the path of the method is for one lifetime of Active, serve calls it for any"
    )]
    pub(super) fn check_disconnect(&mut self, key: Key) {
        self.serve(key, |active| active.check_disconnect());
    }
}

impl<D: Driver> Active<'_, D> {
    /// Receives once, if there may be input and the connection wants it.
    fn read(&mut self) -> Result<(), Reason> {
        self.receive::<false>()
    }

    /// Like `read`, for a server that is draining: the protocol gets [`Event::LameDuck`] before the
    /// last input that has arrived.
    #[cold]
    pub(super) fn read_before_drain(&mut self) -> Result<(), Reason> {
        self.receive::<true>()
    }

    #[inline(always)]
    fn receive<const IS_DRAINING: bool>(&mut self) -> Result<(), Reason> {
        let Self { conn, driver, resources } = self;
        let resources: &mut WorkerResources = resources;
        if !conn.readable || !conn.wants_input(&resources.config) {
            return Ok(());
        }
        if conn.secure.is_some() && !conn.may_receive(resources) {
            return Ok(());
        }
        let received = match driver.receive(&mut conn.socket) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                conn.readable = false;
                return Ok(());
            }
            Err(error) => return Err(reason_of(error)),
        };
        // Without `more`, nothing is left to receive, except the end of input if the peer has
        // closed its sending side.
        conn.readable = received.more || conn.session.is_half_closed();
        let len = received.bytes.len() as u64;
        conn.received += len;
        resources.stats.received += len;
        if IS_DRAINING && !received.more {
            conn.session.send_event(Event::LameDuck, resources);
        }
        match conn.stage {
            Stage::Lingering(_) => conn.discard(received.bytes, resources)?,
            Stage::Handshaking { .. } if len == 0 => return Err(conn.handshake_cut()),
            _ if len == 0 => {
                conn.readable = false;
                conn.end_of_input(resources);
            }
            _ if conn.secure.is_some() => conn.decrypt(received.bytes, resources),
            _ => {
                conn.session.input(received.bytes, resources);
            }
        }
        if conn.readable {
            if conn.wants_input(&resources.config) {
                conn.queue_read(resources);
            } else if conn.session.is_half_closed() {
                return self.check_disconnect();
            }
        }
        Ok(())
    }

    /// For a connection that is not being read from: returns an error if it has failed, otherwise
    /// tells the protocol of a half-close.
    pub(super) fn check_disconnect(&mut self) -> Result<(), Reason> {
        if self.conn.failed {
            self.check_failed()?;
        }
        self.conn.session.notify_half_close(self.resources);
        Ok(())
    }

    /// Asks the kernel whether the connection has failed.
    pub(super) fn check_failed(&mut self) -> Result<(), Reason> {
        self.driver.failure(&self.conn.socket).map_or(Ok(()), |error| Err(reason_of(error)))
    }
}

impl<S> Conn<S> {
    /// Discards input that has arrived while the connection lingers. If the connection has drained,
    /// it is counted in `stats.unread` when the first data for its protocol arrives. Over TLS, a
    /// client that only answers the close sends close_notify, which is no data.
    #[cold]
    fn discard(&mut self, input: &mut [u8], resources: &mut WorkerResources) -> Result<(), Reason> {
        let Self { session, secure, stage, .. } = self;
        let Stage::Lingering(lingering) = stage else { return Ok(()) };
        let len = input.len() as u64;
        if len == 0 || len > lingering.bytes_left {
            return Err(session.orderly_reason());
        }
        lingering.bytes_left -= len;
        lingering.quiet_until = resources.now + resources.config.linger.quiet;
        if !lingering.got_data {
            lingering.got_data =
                secure.as_deref_mut().is_none_or(|secure| secure.has_data(resources.wall, input));
            resources.stats.unread += u64::from(lingering.got_data && session.is_drained());
        }
        Ok(())
    }
}

/// Converts a socket's `error` into the reason why its connection ends.
pub(super) fn reason_of(error: io::Error) -> Reason {
    match error.kind() {
        // Closing the sending side fails with NotConnected after a reset.
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => Reason::Reset,
        _ => Reason::Socket(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_that_a_reset_causes_is_one() {
        for kind in [
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
            ErrorKind::BrokenPipe,
            ErrorKind::NotConnected,
        ] {
            assert!(matches!(reason_of(kind.into()), Reason::Reset), "{kind}");
        }
        assert!(matches!(reason_of(ErrorKind::OutOfMemory.into()), Reason::Socket(_)));
    }
}
