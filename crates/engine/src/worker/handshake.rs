//! The TLS handshakes of a worker (event loop): how they begin, end and fail. The session, which
//! calls the protocol, is opened after the handshake.

use sockeye_proto::driver::{Key, Session};
use sockeye_proto::{Consumed, DRAIN_GRACE, Event, Fault, Peer, Protocol, Reason, Time, Turn};

use super::state::{Active, Worker, find};
use crate::conn::{Chore, Conn, Stage, WorkerResources, catch_panic};
use crate::driver::Driver;
use crate::tls::{Secure, Tls, TlsError};

/// A placeholder for the protocol until the handshake is complete.
struct Handshake;

impl Protocol for Handshake {
    fn on_bytes(&mut self, _: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(0))
    }
    fn on_event(&mut self, _: Event<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Ok(())
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
}

impl<D: Driver> Worker<D> {
    /// Begins the handshake of an accepted connection.
    #[cold]
    pub(super) fn accept_tls(
        &mut self,
        socket: D::Socket,
        key: Key,
        peer: Peer,
        tls: Result<Tls, TlsError>,
    ) {
        let now = self.resources.now;
        let stage = Stage::Handshaking { until: now + self.resources.config.handshake_timeout };
        let mut conn = Conn::new(socket, key, peer, stage, Box::new(Handshake), now);
        conn.counted = true;
        let is_possible = conn.set_tls(tls, true);
        self.insert(key, conn);
        self.unwatched.push(key);
        // The closure does nothing. After it, `serve` arms the connection's timer, here for the
        // timeout of the handshake.
        self.serve(key, |_| Ok(()));
        if !is_possible {
            return;
        }
        let conns = &mut self.conns;
        let is_in_progress = |key| find(conns, key).is_some_and(|conn| conn.is_shaking_hands());
        if let Some(first) = self.resources.handshakes.begin(key, is_in_progress) {
            let what = "had not completed its TLS handshake when too many were in progress";
            self.close(first, Reason::Fault(Fault::peer("tls_handshake_limit", what)));
        }
        self.catch_up(key);
    }

    /// Begins the handshake of a connection that we opened.
    #[cold]
    pub(super) fn begin_handshake(&mut self, key: Key) {
        self.serve(key, |active| {
            let until = active.resources.now + active.resources.config.handshake_timeout;
            active.conn.stage = Stage::Handshaking { until };
            // Called without input, `decrypt` makes the client hello.
            active.conn.decrypt(&mut [], active.resources);
            Ok(())
        });
    }

    /// Counts the end of a handshake whose connection closes before the handshake is complete.
    #[cold]
    pub(super) fn end_handshake(&mut self, conn: &Conn<D::Socket>, reason: &Reason) {
        self.resources.stats.handshakes.failed += u64::from(!reason.is_orderly());
        // Handshakes of connections that this side has opened are not limited.
        if conn.counted {
            self.resources.handshakes.end();
        }
    }

    /// Does the chores (see [`Chore`]) that connections have queued since the last call.
    pub(super) fn do_chores(&mut self) {
        while let Some((key, chore)) = self.resources.chores.pop() {
            match chore {
                Chore::OpenSession => self.open_session(key),
                Chore::Charge => {
                    if let Some(conn) = find(&mut self.conns, key) {
                        conn.charge(&mut self.resources);
                    }
                }
                Chore::LimitUnsent(bytes) => {
                    if let Some(conn) = find(&mut self.conns, key) {
                        self.driver.limit_unsent(&mut conn.socket, bytes);
                    }
                }
            }
        }
    }

    /// Opens the session of a connection whose handshake is complete, or whose client doesn't speak
    /// TLS. If we have accepted the connection, first creates the session, with the service's
    /// protocol instead of the placeholder.
    #[cold]
    fn open_session(&mut self, key: Key) {
        let Some(conn) = find(&mut self.conns, key) else { return };
        let Some(secure) = &mut conn.secure else { return };
        let (opens_session, is_plain) = (secure.opens_session, secure.is_plain);
        if !is_plain {
            let tls = secure.tls.take_info();
            self.resources.stats.handshakes.completed += 1;
            self.resources.stats.handshakes.resumed += u64::from(tls.resumed);
            conn.session.set_tls(self.resources.handshakes.share(tls));
        }
        if opens_session {
            let peer = conn.session.peer().clone();
            let service = &mut self.service;
            let opened = catch_panic(|| match is_plain {
                true => service.open_plain(&peer),
                false => Some(service.open(&peer)),
            });
            let protocol = match opened {
                Some(Some(protocol)) => protocol,
                Some(None) => return self.close(key, Reason::Fault(not_tls())),
                None => return self.close(key, Reason::Panicked),
            };
            let is_half_closed = conn.session.is_half_closed();
            conn.session = Session::new(protocol, key, peer);
            conn.notifies_service = true;
            if is_half_closed {
                conn.session.half_close();
            }
            self.resources.handshakes.end();
        }
        conn.stage = Stage::Established;
        self.serve(key, |active| {
            let Active { conn, resources, .. } = active;
            conn.session.open(*resources);
            let Some(secure) = conn.secure.as_deref_mut() else { return Ok(()) };
            let early = std::mem::take(&mut secure.early);
            let is_at_end = secure.tls.is_closed_by_peer();
            if is_plain {
                conn.secure = None;
            }
            if !early.is_empty() {
                conn.session.input(&early, *resources);
            }
            if is_at_end {
                conn.session.end_of_input(*resources);
            }
            // If the session has ended with this input, this queues no read, so that the connection
            // can close in this pass of the event loop.
            conn.queue_if_readable(resources);
            // The peer may have closed its sending side during the handshake. If the session reads
            // no input now, no receive will report that.
            if conn.session.is_half_closed() && !conn.wants_input(&resources.config) {
                return active.check_disconnect();
            }
            Ok(())
        });
        // If the server is stopping, `catch_up` tells the session so, and reads more input while it
        // drains. So it is called only now, after the session got the input that came with the
        // handshake.
        self.catch_up(key);
    }
}

impl<S> Conn<S> {
    /// Makes this connection use `tls`. If `tls` is an error, the session fails, and this returns
    /// false. `opens_session`: whether we have accepted the connection, see
    /// [`Secure::opens_session`].
    pub(super) fn set_tls(&mut self, tls: Result<Tls, TlsError>, opens_session: bool) -> bool {
        match tls {
            Ok(tls) => {
                self.secure = Some(Box::new(Secure::new(tls, opens_session)));
                true
            }
            Err(error) => {
                self.session.fail(error.fault());
                self.stage = Stage::Established;
                false
            }
        }
    }

    /// The reason why this connection ends, if its peer closes it during the handshake.
    #[cold]
    pub(super) fn handshake_cut(&self) -> Reason {
        match self.has_begun_handshake() {
            true => {
                let what = "closed the connection during the TLS handshake";
                Reason::Fault(Fault::peer("tls_cut", what))
            }
            // Port scans and health checks close the connection without a handshake.
            false => Reason::PeerClosed,
        }
    }

    /// The reason why this connection ends, if its handshake takes too long.
    #[cold]
    pub(super) fn handshake_expired(&self) -> Reason {
        if self.session.is_drained() && !self.has_begun_handshake() {
            return Reason::Drained;
        }
        let what = "did not complete the TLS handshake in time";
        Reason::Fault(Fault::peer("tls_timeout", what))
    }

    /// The server is stopping: a client that has not begun its handshake must begin it within
    /// [`DRAIN_GRACE`]. When the client does, [`Conn::note_begin`] restores the usual timeout.
    /// Fails for a connection that we opened, so that it ends at once.
    #[cold]
    pub(super) fn drain_handshake(
        &mut self,
        resources: &mut WorkerResources,
    ) -> Result<(), Reason> {
        let opens_session = self.secure.as_ref().is_some_and(|secure| secure.opens_session);
        if !opens_session {
            return Err(Reason::Drained);
        }
        let has_begun = self.has_begun_handshake();
        if let Stage::Handshaking { until } = &mut self.stage
            && !has_begun
        {
            *until = (*until).min(resources.now + DRAIN_GRACE);
            self.session.drain(false, resources);
        }
        Ok(())
    }

    /// To be called when the handshake begins. If [`Conn::drain_handshake`] has shortened its
    /// timeout, restores the usual one.
    #[cold]
    pub(super) fn note_begin(&mut self, resources: &WorkerResources) {
        if let Stage::Handshaking { until } = &mut self.stage
            && self.session.is_drained()
        {
            *until = self.opened + resources.config.handshake_timeout;
        }
    }
}

/// The fault of a client that doesn't speak TLS.
fn not_tls() -> Fault {
    Fault::peer("not_tls", "did not begin a TLS handshake")
}
