//! TLS connections: decrypting, and sending ciphertext.
//!
//! A chore is work that the code for one connection leaves to the worker, because the work needs
//! more than that connection: for example, opening its session (its protocol and plaintext).

use sockeye_proto::driver::InFlight;
use sockeye_proto::{Blame, Client, Output, Part, Reason, Time};

use super::input::reason_of;
use super::state::{Active, Worker};
use crate::conn::{Chore, Conn, SendState, Stage, WorkerResources};
use crate::driver::{Driver, SendStatus, Sending, Sent};
use crate::output_budget::UNCHARGED_BYTES;
use crate::tls::{Secure, TlsError, Unsealed};

/// Maximum size of an output that is sealed (encrypted) and sent together with unsent records of
/// the handshake.
const SMALL: u64 = 4 * 1024;

impl<D: Driver> Worker<D> {
    /// Closes the TLS of a connection. Sends close_notify if the reason is orderly, nothing else is
    /// left to send, and the kernel takes it at once.
    #[cold]
    pub(super) fn close_secure(
        &mut self,
        mut secure: Secure,
        conn: &mut Conn<D::Socket>,
        reason: &Reason,
    ) {
        if matches!(conn.stage, Stage::Handshaking { .. }) {
            self.end_handshake(conn, reason);
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
    /// Sends once: the ciphertext that an earlier send left or, if there is none, newly sealed
    /// ciphertext. A small output shares the send with the last records of the handshake, such as
    /// session tickets, and the last output shares it with close_notify.
    #[inline(never)]
    pub(super) fn send_secure(&mut self) -> Result<(), Reason> {
        if self.conn.send != SendState::Ready {
            return Ok(());
        }
        let Some(secure) = self.conn.secure.as_deref() else { return Ok(()) };
        if secure.is_sending {
            return Ok(());
        }
        let may_seal = match secure.out {
            None => true,
            // Output that was sealed earlier is sent first.
            Some(_) => secure.sealed == 0 && self.conn.session.output().is_some_and(is_small),
        };
        if may_seal {
            self.seal()?;
        }
        let may_close = self.conn.may_close_behind_output();
        let Some(secure) = self.conn.secure.as_deref_mut() else { return Ok(()) };
        let Some(mut out) = secure.out.take() else { return Ok(()) };
        if may_close {
            secure.close(&mut out);
        }
        let is_last = secure.is_closed && self.conn.session.end().is_some();
        let socket = &mut self.conn.socket;
        let sending = match is_last {
            false => self.driver.send(socket, out),
            // If all is sent, `flush` closes our sending side next.
            true => self.driver.send_before_fin(socket, out),
        };
        match sending {
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

    /// Seals at most about [`WorkerResources::max_read`] bytes of the session's output.
    fn seal(&mut self) -> Result<(), Reason> {
        let Self { conn, driver, resources } = self;
        let Some(secure) = conn.secure.as_deref_mut() else { return Ok(()) };
        if secure.is_closed || secure.tls.is_handshaking() {
            return Ok(());
        }
        let Some(mut plain) = conn.session.take_output() else { return Ok(()) };
        let max = resources.max_read(Client::of(conn.session.peer().address));
        let outputs = &mut resources.outputs;
        let mut out = match secure.out.take() {
            Some(out) => out,
            None => outputs.lend_for_records(plain.unsent().min(max)),
        };
        secure.begin_sealing(resources.now);
        let mut sealed = 0;
        // `Ok(true)`: a thread must read the next part of the output first.
        let end = loop {
            let left = max.saturating_sub(sealed);
            if left == 0 || plain.is_empty() {
                break Ok(false);
            }
            let buffer = &mut resources.sealing_buffer;
            match secure.seal_front(*driver, &plain, left, buffer, &mut out) {
                Ok(count) => {
                    plain.advance(count as u64);
                    sealed += count as u64;
                }
                Err(Unsealed::NeedsRead) => break Ok(true),
                Err(Unsealed::FileChanged) => break Err(Reason::FileChanged),
                Err(Unsealed::FileFailed(error)) => break Err(Reason::FileFailed(error)),
                Err(Unsealed::Tls(error)) => break Err(Reason::Fault(error.fault())),
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
        // The peer may take the records slowly, and one client address may have many such
        // connections. So the client is charged before the send.
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

    /// Takes ciphertext back from the driver. When all of it is sent, its plaintext counts as sent.
    pub(super) fn count_sent_secure(&mut self, sent: Sent) -> Result<(), Reason> {
        let Self { conn, resources, .. } = self;
        let resources: &mut WorkerResources = resources;
        let Sent { out, count, status } = sent;
        resources.stats.sent += count;
        let Some(secure) = conn.secure.as_deref_mut() else { return Ok(()) };
        secure.is_sending = false;
        let mut is_left = !out.is_empty();
        if is_left {
            // Records that were made during the send follow the unsent ones.
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
            SendStatus::Ready if is_left => conn.mark_dirty(resources),
            SendStatus::Ready => {}
            SendStatus::Blocked => conn.send = SendState::Blocked,
            SendStatus::Failed(error) => return Err(reason_of(error)),
            SendStatus::NeedsRead | SendStatus::FileChanged | SendStatus::FileFailed(_) => {
                unreachable!("ciphertext has no files")
            }
        }
        if !is_left {
            conn.write_deadline = Time::NEVER;
        } else if count > 0 || conn.write_deadline == Time::NEVER {
            self.set_write_deadline();
        }
        Ok(())
    }

    /// Queues close_notify to be sent before the sending side is closed.
    #[cold]
    pub(super) fn send_close_notify(&mut self) -> Result<(), Reason> {
        let Some(secure) = self.conn.secure.as_deref_mut() else { return Ok(()) };
        let mut out = self.resources.outputs.lend();
        secure.close(&mut out);
        secure.put_out(out, &mut self.resources.outputs);
        self.conn.mark_dirty(self.resources);
        Ok(())
    }
}

/// Whether `output` is small and in memory, so that all of it can be sealed at once.
fn is_small(output: &Output) -> bool {
    output.unsent() <= SMALL && output.parts(SMALL).all(|part| matches!(part, Part::Memory(_)))
}

impl<S> Conn<S> {
    /// Decrypts what has arrived, and passes it to the session.
    #[inline(never)]
    pub(super) fn decrypt(&mut self, input: &mut [u8], resources: &mut WorkerResources) {
        let is_handshaking = matches!(self.stage, Stage::Handshaking { .. });
        if is_handshaking && !self.has_begun_handshake() {
            self.note_begin(resources);
        }
        let Self { session, secure, .. } = self;
        let Some(secure) = secure.as_deref_mut() else { return };
        if is_handshaking && secure.is_not_tls(input) {
            // The service may answer in plain text, for example with a redirect to TLS.
            secure.is_plain = true;
            resources.chores.push((session.key(), Chore::OpenSession));
            return secure.early.extend_from_slice(input);
        }
        if is_handshaking && secure.tls.completes_hello(input) {
            if resources.must_answer_on_thread() {
                return self.pass_hello(input, resources);
            }
            resources.handshakes.count_signature();
        }
        // The session gets no input before the end of the handshake. Until then, decrypted input is
        // kept in `early`.
        let now = resources.wall;
        let mut out = secure.out.take().unwrap_or_else(|| resources.outputs.lend());
        let before = out.unsent();
        let Secure { tls, early, received, .. } = &mut *secure;
        let mut result = Ok(());
        out.write_with(|records| {
            result = tls.read(now, input, records, |plain| {
                *received += plain.len() as u64;
                match is_handshaking {
                    true => early.extend_from_slice(plain),
                    false => session.input(plain, resources),
                }
            });
        });
        // After our close_notify, a new alert is discarded, unless unsent records are in front of
        // it. Then it can't be removed from the output, so it is sent, and the peer ignores it.
        if secure.is_closed && before == 0 {
            out.clear();
        }
        let has_records = out.unsent() > before;
        if is_handshaking && has_records {
            resources.handshakes.count_step();
        }
        secure.put_out(out, &mut resources.outputs);
        self.handle_tls_result(result, has_records, resources);
    }

    /// Handles the result of reading ciphertext, here or on the thread that answered a client
    /// hello. `has_records`: reading has made records to send.
    pub(super) fn handle_tls_result(
        &mut self,
        result: Result<(), TlsError>,
        has_records: bool,
        resources: &mut WorkerResources,
    ) {
        let Self { session, secure, stage, .. } = self;
        let Some(secure) = secure.as_deref_mut() else { return };
        let is_handshaking = matches!(stage, Stage::Handshaking { .. });
        if is_handshaking && let Some(signs_slowly) = secure.tls.take_signs_slowly() {
            resources.handshakes.note_key(signs_slowly);
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
                    // The connection sends the alert, and then closes like an established one.
                    *stage = Stage::Established;
                }
                self.mark_dirty(resources);
            }
            Ok(()) if is_handshaking && !secure.tls.is_handshaking() => {
                resources.chores.push((session.key(), Chore::OpenSession));
            }
            Ok(()) if is_handshaking => {}
            Ok(()) if secure.tls.is_closed_by_peer() && !session.is_at_end_of_input() => {
                session.end_of_input(resources);
            }
            Ok(()) => {}
        }
        if has_records {
            self.mark_dirty(resources);
        }
    }

    /// Handles the end of input. Without close_notify, the input may have been cut.
    pub(super) fn end_of_input(&mut self, resources: &mut WorkerResources) {
        if let Some(secure) = &self.secure
            && !secure.tls.is_closed_by_peer()
        {
            self.session.truncate();
        }
        self.session.end_of_input(resources);
    }

    /// Whether all output and all ciphertext is sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.session.is_flushed() && self.secure.as_ref().is_none_or(|secure| secure.is_flushed())
    }

    /// Whether only close_notify remains to be sent.
    pub(super) fn must_send_close_notify(&self) -> bool {
        self.is_flushed() && self.may_send_close_notify()
    }

    /// Whether close_notify may be appended to the ciphertext that is about to be sent: all output
    /// is sealed, and the session writes no more.
    fn may_close_behind_output(&self) -> bool {
        let is_last = self.session.writes_no_more() && self.session.output().is_none();
        is_last && self.may_send_close_notify()
    }

    /// Whether close_notify may be sent. It tells the peer that nothing was cut, so it isn't sent
    /// if we are at fault: a response may be incomplete.
    fn may_send_close_notify(&self) -> bool {
        let is_cut = match self.session.reason() {
            Some(Reason::Fault(fault)) => fault.blame == Blame::Ours,
            Some(_) => true,
            None => false,
        };
        let is_open = self.secure.as_ref().is_some_and(|secure| !secure.is_closed);
        is_open && !is_cut
    }
}
