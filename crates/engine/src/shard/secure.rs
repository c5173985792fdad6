//! TLS connections: handshakes, and sending ciphertext.

use sockeye_proto::driver::{InFlight, Key, Session};
use sockeye_proto::{
    Client, Consumed, DRAIN_GRACE, Event, Fault, Part, Peer, Protocol, Reason, Time, Turn,
};

use super::input::reason_of;
use super::state::{Active, Shard, find};
use crate::conn::{Conn, SendState, ShardResources, Stage, catch_panic};
use crate::driver::{Driver, SendStatus, Sending, Sent};
use crate::output_budget::UNCHARGED_BYTES;
use crate::tls::{FileError, Secure, Tls, TlsError};

/// Stands for the protocol until the handshake is complete.
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

impl<D: Driver> Shard<D> {
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
        let is_possible = conn.secure_with(tls, true);
        self.insert(key, conn);
        self.unwatched.push(key);
        self.serve(key, |_| Ok(()));
        if !is_possible {
            return;
        }
        let conns = &mut self.conns;
        let is_in_progress = |key| find(conns, key).is_some_and(|conn| conn.is_shaking_hands());
        if let Some(first) = self.resources.handshakes.begin(key, is_in_progress) {
            let what = "had not completed its TLS handshake when there were too many";
            self.close(first, Reason::Fault(Fault::peer("tls_handshake_limit", what)));
        }
    }

    /// Begins the handshake of a connection that we opened.
    #[cold]
    pub(super) fn begin_handshake(&mut self, key: Key) {
        self.serve(key, |active| {
            let until = active.resources.now + active.resources.config.handshake_timeout;
            active.conn.stage = Stage::Handshaking { until };
            // Makes the client hello.
            active.conn.decrypt(&mut [], active.resources);
            Ok(())
        });
    }

    /// Opens the sessions of connections whose handshake is complete.
    pub(super) fn open_handshaken(&mut self) {
        while let Some(key) = self.resources.handshaken.pop() {
            self.open_session(key);
        }
    }

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
            if conn.readable {
                conn.queue_read(resources);
            }
            Ok(())
        });
        // After what came with the handshake: a server that drains reads more.
        self.catch_up(key);
    }

    /// Closes the TLS of a connection. One that was idle gets close_notify, if that can be sent at
    /// once.
    #[cold]
    pub(super) fn close_secure(
        &mut self,
        mut secure: Secure,
        conn: &mut Conn<D::Socket>,
        reason: &Reason,
    ) {
        if matches!(conn.stage, Stage::Handshaking { .. }) {
            self.resources.stats.handshakes.failed += u64::from(!reason.is_orderly());
            if conn.counted {
                self.resources.handshakes.end();
            }
        }
        let is_open = matches!(conn.stage, Stage::Established) && !secure.is_closed;
        if is_open && secure.is_flushed() && reason.is_orderly() {
            let mut out = self.resources.outputs.lend();
            secure.close(&mut out);
            if let Sending::Done(sent) = self.driver.send(&mut conn.socket, out) {
                self.resources.outputs.take_back(sent.out);
            }
        }
        if let Some(out) = secure.out {
            self.resources.outputs.take_back(out);
        }
    }
}

impl<D: Driver> Active<'_, D> {
    /// Sends once: ciphertext that is left, or that of more plaintext.
    #[inline(never)]
    pub(super) fn send_secure(&mut self) -> Result<(), Reason> {
        if self.conn.send != SendState::Ready {
            return Ok(());
        }
        let Some(secure) = self.conn.secure.as_deref() else { return Ok(()) };
        if secure.is_sending {
            return Ok(());
        }
        if secure.out.is_none() {
            self.seal()?;
        }
        let Some(secure) = self.conn.secure.as_deref_mut() else { return Ok(()) };
        let Some(out) = secure.out.take() else { return Ok(()) };
        match self.driver.send(&mut self.conn.socket, out) {
            Sending::Done(sent) => self.count_sent_secure(sent),
            Sending::Pending => {
                if let Some(secure) = self.conn.secure.as_deref_mut() {
                    secure.is_sending = true;
                }
                self.set_write_deadline();
                Ok(())
            }
        }
    }

    /// Seals at most about a quantum of the session's output.
    fn seal(&mut self) -> Result<(), Reason> {
        let Self { conn, driver, resources } = self;
        let Some(secure) = conn.secure.as_deref_mut() else { return Ok(()) };
        if secure.is_closed || secure.tls.is_handshaking() {
            return Ok(());
        }
        let Some(mut plain) = conn.session.take_output() else { return Ok(()) };
        let max = resources.max_read(Client::of(conn.session.peer().address));
        let mut out = resources.outputs.lend_for_records(plain.unsent().min(max));
        secure.begin_sealing(resources.now);
        let mut sealed = 0;
        let end = loop {
            let left = max.saturating_sub(sealed);
            if left == 0 {
                break Ok(false);
            }
            let sealed_now = match plain.part(left) {
                Part::Nothing => break Ok(false),
                Part::Changed => break Err(Reason::FileChanged),
                Part::Unread(_) => break Ok(true),
                Part::Memory => secure.seal_memory(&plain, left as usize, &mut out),
                Part::File(range) => {
                    let piece = &mut resources.file_piece;
                    match secure.seal_file(*driver, range, left as usize, piece, &mut out) {
                        None => break Ok(true),
                        // The file ends before its range does.
                        Some(Ok(0)) => break Err(Reason::FileChanged),
                        Some(Ok(count)) => Ok(count),
                        Some(Err(FileError::Tls(error))) => Err(error),
                        Some(Err(FileError::File(error))) => break Err(Reason::FileFailed(error)),
                    }
                }
            };
            match sealed_now {
                Ok(count) => {
                    plain.advance(count as u64);
                    sealed += count as u64;
                }
                Err(error) => break Err(Reason::Fault(error.fault())),
            }
        };
        if out.is_empty() {
            resources.outputs.take_back(out);
        } else {
            secure.out = Some(out);
        }
        secure.sealed = u32::try_from(sealed).unwrap_or(u32::MAX);
        conn.session.put_back(plain, 0, *resources);
        conn.session.set_in_flight(InFlight::of_bytes(sealed as usize));
        // The peer may be slow to take the records, and its client may have many connections.
        if conn.session.held() > UNCHARGED_BYTES {
            conn.charge(resources);
        }
        if sealed > 0 {
            return Ok(());
        }
        match end {
            Ok(true) => self.start_read(),
            Ok(false) => Ok(()),
            Err(reason) => Err(reason),
        }
    }

    /// Takes ciphertext back from the driver. When all of it is sent, the plaintext is.
    pub(super) fn count_sent_secure(&mut self, sent: Sent) -> Result<(), Reason> {
        let Self { conn, resources, .. } = self;
        let resources: &mut ShardResources = resources;
        let Sent { out, count, status } = sent;
        resources.stats.sent += count;
        let Some(secure) = conn.secure.as_deref_mut() else { return Ok(()) };
        secure.is_sending = false;
        let mut is_left = !out.is_empty();
        if is_left {
            // Records that were made meanwhile follow.
            let mut out = out;
            if let Some(mut newer) = secure.out.take() {
                out.append(&mut newer);
                resources.outputs.take_back(newer);
            }
            secure.out = Some(out);
        } else {
            resources.outputs.take_back(out);
            is_left = secure.out.is_some();
        }
        if !is_left {
            let sealed = std::mem::take(&mut secure.sealed);
            conn.session.set_in_flight(InFlight::default());
            if sealed > 0 {
                let plain = conn.session.take_output().unwrap_or_else(|| resources.outputs.lend());
                conn.session.put_back(plain, u64::from(sealed), resources);
                if conn.charged {
                    conn.charge(resources);
                }
            }
            is_left = conn.session.output().is_some();
        }
        match status {
            SendStatus::Again if is_left => conn.mark_dirty(resources),
            SendStatus::Again => {}
            SendStatus::Blocked => conn.send = SendState::Blocked,
            SendStatus::Failed(error) => return Err(reason_of(error)),
            SendStatus::NeedsRead | SendStatus::FileChanged | SendStatus::FileFailed(_) => {
                unreachable!("ciphertext has no files")
            }
        }
        if !is_left {
            conn.write_deadline = Time::NEVER;
        } else if count > 0 || conn.write_deadline == Time::NEVER {
            self.extend_write_deadline();
        }
        Ok(())
    }

    /// Sends close_notify, before the sending side is closed.
    #[cold]
    pub(super) fn send_close(&mut self) -> Result<(), Reason> {
        let Some(secure) = self.conn.secure.as_deref_mut() else { return Ok(()) };
        let mut out = self.resources.outputs.lend();
        secure.close(&mut out);
        if out.is_empty() {
            self.resources.outputs.take_back(out);
        } else {
            secure.out = Some(out);
        }
        self.conn.mark_dirty(self.resources);
        Ok(())
    }
}

impl<S> Conn<S> {
    /// Decrypts what has arrived, and passes it to the session.
    #[inline(never)]
    pub(super) fn decrypt(&mut self, input: &mut [u8], resources: &mut ShardResources) {
        let Self { session, secure, stage, .. } = self;
        let Some(secure) = secure.as_deref_mut() else { return };
        let is_handshaking = matches!(stage, Stage::Handshaking { .. });
        if is_handshaking && secure.is_not_tls(input) {
            secure.is_plain = true;
            resources.handshaken.push(session.key());
            return secure.early.extend_from_slice(input);
        }
        if is_handshaking && secure.completes_hello(input) {
            if resources.must_sign_elsewhere() {
                return self.pass_hello(input, resources);
            }
            resources.handshakes.count_signature();
        }
        let now = resources.wall;
        let mut out = secure.out.take().unwrap_or_else(|| resources.outputs.lend());
        let before = out.unsent();
        let Secure { tls, early, .. } = &mut *secure;
        let mut result = Ok(());
        out.write_with(|records| {
            result = tls.read(now, input, records, |plain| match is_handshaking {
                true => early.extend_from_slice(plain),
                false => session.input(plain, resources),
            });
        });
        // After close_notify, not even an alert is sent.
        if secure.is_closed && before == 0 {
            out.clear();
        }
        let is_more = out.unsent() > before;
        if is_handshaking && is_more {
            resources.handshakes.count_step();
        }
        if out.is_empty() {
            resources.outputs.take_back(out);
        } else {
            secure.out = Some(out);
        }
        self.handle_decrypted(result, is_more, resources);
    }

    /// Handles the result of reading ciphertext. `is_more`: there is more to send.
    pub(super) fn handle_decrypted(
        &mut self,
        result: Result<(), TlsError>,
        is_more: bool,
        resources: &mut ShardResources,
    ) {
        let Self { session, secure, stage, .. } = self;
        let Some(secure) = secure.as_deref_mut() else { return };
        let is_handshaking = matches!(stage, Stage::Handshaking { .. });
        if is_handshaking && !secure.tls.awaits_hello() {
            resources.handshakes.note_signature(secure.tls.signs_slowly());
        }
        match result {
            Err(error) => {
                session.fail(error.fault());
                // Nothing may follow the alert.
                secure.is_closed = true;
                secure.early = Vec::new();
                if let Some(unsent) = session.take_output() {
                    resources.outputs.take_back(unsent);
                }
                if is_handshaking {
                    resources.stats.handshakes.failed += 1;
                    if secure.opens_session {
                        resources.handshakes.end();
                    }
                    // The alert is sent, and then the connection closes as others do.
                    *stage = Stage::Established;
                }
                self.mark_dirty(resources);
            }
            Ok(()) if is_handshaking && !secure.tls.is_handshaking() => {
                resources.handshaken.push(session.key());
            }
            Ok(()) if is_handshaking => {}
            Ok(()) if secure.tls.is_closed_by_peer() && !session.is_at_end_of_input() => {
                session.end_of_input(resources);
            }
            Ok(()) => {}
        }
        if is_more {
            self.mark_dirty(resources);
        }
    }

    /// Uses TLS, if that is possible; else the session fails. `opens_session`: we have accepted the
    /// connection.
    pub(super) fn secure_with(&mut self, tls: Result<Tls, TlsError>, opens_session: bool) -> bool {
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

    /// Why a connection ends whose peer closes it during the handshake.
    #[cold]
    pub(super) fn handshake_cut(&self) -> Reason {
        match self.has_begun_handshake() {
            true => {
                let what = "closed the connection during the TLS handshake";
                Reason::Fault(Fault::peer("tls_cut", what))
            }
            // Port scans and health checks do that.
            false => Reason::PeerClosed,
        }
    }

    /// Why a connection ends whose handshake takes too long.
    #[cold]
    pub(super) fn handshake_expired(&self) -> Reason {
        if self.session.is_drained() && !self.has_begun_handshake() {
            return Reason::Drained;
        }
        let what = "did not complete the TLS handshake in time";
        Reason::Fault(Fault::peer("tls_timeout", what))
    }

    /// The server is stopping: a client that has not begun a handshake is not waited for as long as
    /// another.
    #[cold]
    pub(super) fn drain_handshake(&mut self, resources: &mut ShardResources) -> Result<(), Reason> {
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

    fn has_begun_handshake(&self) -> bool {
        self.secure.as_ref().is_none_or(|secure| secure.tls.has_begun())
    }

    /// The end of input has come. Without close_notify, it may have been cut.
    pub(super) fn end_of_input(&mut self, resources: &mut ShardResources) {
        if let Some(secure) = &self.secure
            && !secure.tls.is_closed_by_peer()
        {
            self.session.truncate();
        }
        self.session.end_of_input(resources);
    }

    /// Whether everything is sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.session.is_flushed() && self.secure.as_ref().is_none_or(|secure| secure.is_flushed())
    }

    /// Whether everything is sent but close_notify.
    pub(super) fn must_send_close(&self) -> bool {
        self.secure.as_ref().is_some_and(|secure| !secure.is_closed) && self.is_flushed()
    }
}

/// The fault of a client that doesn't speak TLS.
fn not_tls() -> Fault {
    Fault::peer("not_tls", "did not begin a TLS handshake")
}
