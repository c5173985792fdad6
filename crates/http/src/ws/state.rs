//! The state of a WebSocket, except for incomplete messages: what it may send, and what it waits
//! for.

use std::sync::Arc;

use sockeye_proto::{Time, Turn};

use super::close::{self, CloseCode, Closed};
use super::config::{Config, Limits};
use super::extension::Extension;
use super::frame::{FrameHeader, Opcode};
use super::mask::{self, MaskKeys};
use super::message::{Message, SharedMessage};
use super::role::Role;
use super::sender::{Closer, Sent};

/// The length in bytes of the longest frame of a [`SharedMessage`] that a server copies into the
/// output. The output shares the memory of longer frames.
const MAX_COPIED: usize = 1024;

/// What a WebSocket may send, and what it waits for.
#[derive(Debug)]
pub(super) struct State {
    /// A client's masking keys. `None` on the server's side.
    masks: Option<Box<MaskKeys>>,
    pub(super) extension: Extension,
    /// By this, [`Sender`](super::Sender)s on any thread close this WebSocket. `None` until the
    /// first sender is made.
    closer: Option<Arc<Closer>>,
    /// How many bytes the handler holds for this WebSocket: see
    /// [`Socket::set_held`](super::Socket::set_held).
    pub(super) held_by_handler: usize,
    pub(super) expects: Expects,
    /// The deadline for what is expected.
    pub(super) deadline: Time,
    /// The handler has paused the input.
    pub(super) is_paused: bool,
    /// Reading waits for room in the output.
    pub(super) waits_for_room: bool,
    /// `Event::Room` has come, so one frame may be read even if the handler has filled the output
    /// again.
    pub(super) had_room: bool,
    /// The handler has asked for [`Handler::on_room`](super::Handler::on_room).
    pub(super) wants_room: bool,
}

/// What is expected from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// Any frame. If no input arrives before the deadline, a ping is sent.
    Frame,
    /// A pong. Any other input, even a part of a frame, also counts as an answer to our ping. When
    /// the deadline comes, the connection ends.
    Pong,
    /// The peer's close frame, after ours was sent. Other frames are dropped.
    Close,
    /// Nothing: both close frames were sent, or the WebSocket has failed.
    Nothing,
}

impl State {
    pub(super) fn new(masks: Option<MaskKeys>) -> Self {
        Self {
            masks: masks.map(Box::new),
            extension: Extension::default(),
            closer: None,
            held_by_handler: 0,
            expects: Expects::Frame,
            deadline: Time::NEVER,
            is_paused: false,
            waits_for_room: false,
            had_room: false,
            wants_room: false,
        }
    }

    pub(super) fn role(&self) -> Role {
        if self.masks.is_some() { Role::Client } else { Role::Server }
    }

    /// What the [`Sender`](super::Sender)s of this WebSocket share. The first call makes it.
    pub(super) fn closer(&mut self, turn: &Turn<'_>) -> Arc<Closer> {
        let closer = self.closer.get_or_insert_with(|| Arc::new(Closer::new(turn.promise())));
        Arc::clone(closer)
    }

    /// Whether `sent` comes from a [`Sender`](super::Sender) of this WebSocket.
    pub(super) fn is_own(&self, sent: &Sent) -> bool {
        self.closer.as_ref().is_some_and(|closer| closer.ticket == sent.closer)
    }

    /// Whether messages may be sent.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.expects, Expects::Frame | Expects::Pong)
    }

    /// The peer has sent something.
    pub(super) fn on_input(&mut self, now: Time, limits: &Limits) {
        if self.is_open() {
            self.expects = Expects::Frame;
            self.deadline = limits.ping_after.map_or(Time::NEVER, |silence| now + silence);
        }
    }

    /// Restarts the time limit for a pong, because until now, input was not read or the ping may
    /// have been unsent.
    pub(super) fn restart_pong_timeout(&mut self, now: Time, limits: &Limits) {
        if self.expects == Expects::Pong {
            self.deadline = now + limits.pong_timeout;
        }
    }

    /// Writes a frame.
    fn write(&mut self, opcode: Opcode, payload: &[u8], turn: &mut Turn<'_>) {
        self.write_frame(FrameHeader::whole(opcode, payload.len(), None), payload, turn);
    }

    fn write_frame(&mut self, header: FrameHeader, payload: &[u8], turn: &mut Turn<'_>) {
        let mask = self.masks.as_mut().map(|masks| masks.next_key());
        let (bytes, len) = FrameHeader { mask, ..header }.encode();
        match mask {
            None => turn.out.write_all(&[&bytes[..len], payload]),
            Some(key) => turn.out.write_with(|out| {
                out.extend_from_slice(&bytes[..len]);
                let start = out.len();
                out.extend_from_slice(payload);
                mask::mask(&mut out[start..], key);
            }),
        }
    }

    pub(super) fn send_message(
        &mut self,
        message: Message<'_>,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let (opcode, payload) = (message.opcode(), message.bytes());
        if self.is_open() && !self.send_compressed(opcode, payload, config, turn) {
            self.write(opcode, payload, turn);
        }
    }

    pub(super) fn send_shared(
        &mut self,
        message: &SharedMessage,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let payload = message.bytes();
        if !self.is_open() || self.send_compressed(message.opcode, payload, config, turn) {
            return;
        }
        match self.role() {
            Role::Client => self.write(message.opcode, payload, turn),
            Role::Server if message.frame().len() <= MAX_COPIED => turn.out.write(message.frame()),
            Role::Server => turn.out.write_shared(message.frame().clone()),
        }
    }

    /// Sends a message compressed, if the extension allows it and the message becomes smaller.
    /// Returns false if nothing was sent.
    fn send_compressed(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        self.extension.may_compress()
            && config.with_compressed(|compressed| {
                let is_smaller = self.extension.deflate(config, payload, compressed);
                if is_smaller {
                    let header = FrameHeader::whole(opcode, compressed.len(), None);
                    let header = FrameHeader { is_compressed: true, ..header };
                    self.write_frame(header, compressed, turn);
                }
                is_smaller
            })
    }

    /// Sends a ping.
    pub(super) fn ping(&mut self, limits: &Limits, turn: &mut Turn<'_>) {
        self.write(Opcode::Ping, b"", turn);
        (self.expects, self.deadline) = (Expects::Pong, turn.now() + limits.pong_timeout);
    }

    /// Answers a ping. Nothing is read while the output is full, which limits a flood of pings.
    pub(super) fn on_ping(&mut self, payload: &[u8], turn: &mut Turn<'_>) {
        if self.is_open() {
            self.write(Opcode::Pong, payload, turn);
        }
    }

    /// Sends a close frame, unless one was sent already.
    pub(super) fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        limits: &Limits,
        turn: &mut Turn<'_>,
    ) {
        if !self.is_open() {
            return;
        }
        let code = if code.may_be_sent() { code } else { CloseCode::INTERNAL_ERROR };
        self.write_close(Closed { code, reason: close::cut_reason(reason) }, turn);
        (self.expects, self.deadline) = (Expects::Close, turn.now() + limits.close_timeout);
        if std::mem::take(&mut self.is_paused) {
            turn.resume();
        }
    }

    /// Sends a close frame, unless one was sent already, and expects nothing more.
    pub(super) fn end(&mut self, closed: Closed<'_>, turn: &mut Turn<'_>) {
        if self.is_open() {
            self.write_close(closed, turn);
        }
        (self.expects, self.deadline) = (Expects::Nothing, Time::NEVER);
    }

    fn write_close(&mut self, Closed { code, reason }: Closed<'_>, turn: &mut Turn<'_>) {
        if code == CloseCode::NO_STATUS {
            return self.write(Opcode::Close, b"", turn);
        }
        let payload = [&code.0.to_be_bytes(), reason.as_bytes()].concat();
        self.write(Opcode::Close, &payload, turn);
    }
}
