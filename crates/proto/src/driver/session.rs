//! One protocol instance, and what its owner keeps for it.

use std::fmt;
use std::mem;
use std::sync::Arc;

use super::owner::Owner;
use super::unused::Unused;
use crate::remote::{Credit, Key};
use crate::{End, Mark, Output, Peer, Protocol, Reason, Time};

/// A protocol instance, and what its owner keeps for it.
pub struct Session {
    pub(super) key: Key,
    pub(super) peer: Peer,
    /// `None` once it has panicked.
    pub(super) protocol: Option<Box<dyn Protocol>>,
    pub(super) expects: Expects,
    pub(super) incoming: Incoming,
    /// How the protocol wants it to end.
    pub(super) end: Option<End>,
    /// Why it ends, where the protocol could not go on.
    pub(super) reason: Option<Box<Reason>>,
    pub(super) deadline: Time,
    pub(super) unused: Unused,
    /// What is to be sent; never present and empty.
    pub(super) output: Option<Box<Output>>,
    pub(super) in_flight: InFlight,
    /// Bytes.
    pub(super) sent: u64,
    /// The last mark that was set, until it is reached.
    pub(super) mark: Option<Mark>,
    pub(super) credit: Option<Arc<Credit>>,
    /// Places of the credit that are given back when the output has room again.
    pub(super) owed_credit: u32,
    pub(super) wants_room: bool,
    /// Something was sent since the protocol was last told of progress.
    pub(super) has_moved: bool,
    pub(super) is_drained: bool,
    pub(super) is_changed: bool,
}

/// What a session expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// [`Session::open`].
    Opening,
    /// Input, or an event.
    Input,
    /// An event that resumes it: the protocol has paused.
    Resume,
    /// The last byte to be sent: the protocol has failed, or wants to be closed. It hears no more but
    /// of its output, and of the end.
    LastByte,
    /// Nothing: the protocol was told of the end.
    Nothing,
}

/// What is still to come from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Incoming {
    /// Input.
    Input,
    /// The rest of the input, if any: the peer has ended its side.
    Rest,
    /// The rest of the input, and the protocol was told that the peer has ended its side.
    RestTold,
    /// Nothing.
    Nothing,
    /// Nothing, and the protocol was told so.
    NothingTold,
}

/// Output that was taken from a session and may not be sent yet: no bytes, if there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct InFlight {
    pub(super) bytes: u64,
    // Narrow, for the sake of those that have nothing in flight; at the limit they count as full.
    held: u32,
    ranges: u32,
}

impl InFlight {
    /// All of `output`.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            bytes: output.unsent(),
            held: narrow(output.held()),
            ranges: narrow(output.file_ranges()),
        }
    }

    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.bytes > 0
    }

    /// How many bytes the output may hold beside it, of `most` in all, before it counts as full: none
    /// while as many ranges of files are in flight as may be.
    #[cold]
    pub(super) fn room_beside(&self, most: usize) -> usize {
        let has_range = (self.ranges as usize) < Output::MAX_FILE_RANGES;
        if has_range { most.saturating_sub(self.held as usize) } else { 0 }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("expects", &self.expects)
            .field("incoming", &self.incoming)
            .field("end", &self.end)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// What the owner asks and does.
impl Session {
    /// A session with `peer` that is to be opened, or closed. Messages for it carry `key`.
    #[must_use]
    pub fn new(protocol: Box<dyn Protocol>, key: Key, peer: Peer) -> Self {
        Self {
            key,
            peer,
            protocol: Some(protocol),
            expects: Expects::Opening,
            incoming: Incoming::Input,
            end: None,
            reason: None,
            deadline: Time::NEVER,
            unused: Unused::default(),
            output: None,
            in_flight: InFlight::default(),
            sent: 0,
            mark: None,
            credit: None,
            owed_credit: 0,
            wants_room: false,
            has_moved: false,
            is_drained: false,
            is_changed: false,
        }
    }

    /// What messages for it carry.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Who is at the other end.
    #[inline]
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether the protocol takes part: it was opened, and has neither failed nor asked to be closed.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.expects, Expects::Input | Expects::Resume)
    }

    /// Whether it is to be read from: it takes part, is not paused, and its peer reads, too.
    #[inline]
    #[must_use]
    pub fn wants_input(&self, high_water: usize) -> bool {
        self.expects == Expects::Input
            && self.incoming < Incoming::Nothing
            && self.held() < high_water
    }

    /// When [`Session::expire`] is due; [`Time::NEVER`] for not at all.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// How the protocol wants it to end, when everything is sent.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Why it ends, where the protocol could not go on.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_deref()
    }

    /// Takes [`Session::reason`], for good.
    pub fn take_reason(&mut self) -> Option<Reason> {
        self.reason.take().map(|reason| *reason)
    }

    /// Why it is over, where nothing went wrong.
    #[must_use]
    pub fn conclusion(&self) -> Reason {
        match self.end {
            _ if self.is_drained => Reason::Drained,
            Some(End::Close | End::Linger) if self.is_at_end_of_input() => Reason::PeerClosed,
            _ => Reason::Finished,
        }
    }

    /// Whether the protocol panicked: the session is to be closed now.
    #[inline]
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        self.protocol.is_none()
    }

    /// Whether the protocol has written or asked for something, so that the owner is to flush, and to
    /// read on if it has stopped; since the last call of this.
    #[inline]
    pub fn take_changed(&mut self) -> bool {
        mem::take(&mut self.is_changed)
    }

    /// Whether the protocol was told that the server is stopping.
    #[inline]
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Since when it has been idle: everything written is sent, everything received is used, the peer's
    /// side is open, and the protocol says so.
    #[must_use]
    pub fn idle_since(&self) -> Option<Time> {
        let expects_input = self.expects == Expects::Input && self.incoming == Incoming::Input;
        if !expects_input || !self.unused.is_empty() || self.end.is_some() || !self.is_flushed() {
            return None;
        }
        self.protocol.as_ref()?.idle_since()
    }

    /// Bytes of input that were offered and not used.
    #[inline]
    #[must_use]
    pub fn unused(&self) -> usize {
        self.unused.len()
    }

    /// Drops the input that was not used: nobody will take it.
    pub fn drop_unused(&mut self) {
        self.unused = Unused::default();
    }

    /// Notes that the peer has ended its side, though input that it sent before may still come.
    #[inline]
    pub fn half_close(&mut self) {
        self.incoming = self.incoming.max(Incoming::Rest);
    }

    /// Whether the peer has ended its side.
    #[inline]
    #[must_use]
    pub fn is_half_closed(&self) -> bool {
        self.incoming >= Incoming::Rest
    }

    /// Whether no more input will come.
    #[inline]
    #[must_use]
    pub fn is_at_end_of_input(&self) -> bool {
        self.incoming >= Incoming::Nothing
    }

    /// Bytes that were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> Option<&Output> {
        self.output.as_deref()
    }

    /// What is to be sent, for [`Output::put_read`].
    pub fn output_mut(&mut self) -> Option<&mut Output> {
        self.output.as_deref_mut()
    }

    /// Takes what is to be sent, until [`Session::put_back`].
    #[inline]
    pub fn take_output(&mut self) -> Option<Box<Output>> {
        self.output.take()
    }

    /// Notes what of the output that was taken will be sent later; until then it counts as unsent.
    #[inline]
    pub fn set_in_flight(&mut self, in_flight: InFlight) {
        self.in_flight = in_flight;
    }

    /// Whether an output that was taken is still to be sent.
    #[inline]
    #[must_use]
    pub fn has_in_flight(&self) -> bool {
        self.in_flight.is_any()
    }

    /// Puts back an output that was taken, when `count` bytes of it have been sent. Returns whether
    /// anything is left to send. [`Session::progress`] is due after it.
    #[inline(always)] // On every response's way.
    pub fn put_back<O: Owner>(
        &mut self,
        mut output: Box<Output>,
        count: u64,
        owner: &mut O,
    ) -> bool {
        self.sent += count;
        self.has_moved |= count > 0;
        // What was written while it was away comes behind what is left of it.
        if let Some(mut newer) = self.output.take() {
            output.append(&mut newer);
            owner.take_back_output(newer);
        }
        let is_left = !output.is_empty();
        if is_left {
            self.output = Some(output);
        } else {
            owner.take_back_output(output);
        }
        is_left
    }

    /// Output bytes held in memory.
    #[inline]
    #[must_use]
    pub fn held(&self) -> usize {
        let queued = self.output.as_ref().map_or(0, |output| output.held());
        queued + self.in_flight.held as usize
    }

    /// Whether everything written has been sent.
    #[inline]
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.output.is_none() && !self.in_flight.is_any()
    }

    /// Unsent ranges of files.
    pub(super) fn file_ranges(&self) -> usize {
        let queued = self.output.as_ref().map_or(0, |output| output.file_ranges());
        queued + self.in_flight.ranges as usize
    }
}
