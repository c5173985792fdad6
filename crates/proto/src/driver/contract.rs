//! Every call of a [`Session`] (a protocol with its input and output) into its protocol, in the
//! order that [`Protocol`] guarantees.

use std::mem;

use super::owner::Owner;
use super::session::{Expects, InputState, Session};
use crate::protocol::{Effects, RareEffects};
use crate::remote::{Delivery, Envelope};
use crate::{
    Consumed, End, Event, Fault, Mark, Next, Output, Protocol, Reason, Ticket, Time, Turn,
};

/// Whether to offer unused input again before new input arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reoffer {
    /// No.
    No,
    /// Yes: the protocol has ended its pause.
    AfterResume,
    /// Yes: another protocol has replaced this one.
    AfterSwitch,
}

/// What the session's owner (the code that runs it) calls.
impl Session {
    /// Sends [`Event::Open`]: the connection is established. Call this first.
    pub fn open<O: Owner>(&mut self, owner: &mut O) {
        self.expects = Expects::Input;
        self.notify_open(owner);
    }

    /// Offers received input to the protocol, after the unused input, and keeps what isn't used.
    // Runs for each request. The engine's caller is compiled twice, for two values of a const
    // parameter. With two callers, the compiler might not inline this.
    #[inline(always)]
    pub fn input<O: Owner>(&mut self, bytes: &[u8], owner: &mut O) {
        if self.unused.is_empty() {
            let used = self.offer(bytes, owner);
            if used < bytes.len() {
                self.unused.push(&bytes[used..]);
            }
        } else {
            self.unused.push(bytes);
            self.offer_unused(owner);
        }
        if self.unused.len() > owner.max_unused_input() && self.is_open() {
            self.fail_for_unused();
        }
    }

    #[cold]
    pub(super) fn fail_for_unused(&mut self) {
        let what = "left more input unused than a connection may hold";
        self.fail(Fault::ours("unused_input_limit", what));
    }

    /// The input has ended. Sends [`Event::HalfClosed`] if it is due: see
    /// [`Session::notify_half_close`]. Then sends [`Event::Eof`]: now or, if the protocol pauses,
    /// when the pause ends. After [`Session::truncate`], sends [`Event::Truncated`] just before it.
    pub fn end_of_input<O: Owner>(&mut self, owner: &mut O) {
        self.half_close();
        self.notify_half_close(owner);
        self.input_state = self.input_state.max(InputState::Ended);
        self.notify_end_of_input(owner);
        // A session that is ending may have waited for the end of its input. Its owner closes it in
        // the next flush.
        self.needs_flush = true;
    }

    /// Sends [`Event::HalfClosed`] if the peer has closed its sending side while the session reads
    /// no input. A session that reads gets the remaining input and [`Event::Eof`] anyway.
    pub fn notify_half_close<O: Owner>(&mut self, owner: &mut O) {
        if self.input_state == InputState::HalfClosed
            && self.is_open()
            && !self.wants_input(owner.high_water())
        {
            self.input_state = InputState::HalfClosedNotified;
            self.send_event(Event::HalfClosed, owner);
        }
    }

    /// Delivers what a promise or a remote (both for use by any thread) has sent.
    pub fn deliver<O: Owner>(&mut self, envelope: Envelope, owner: &mut O) {
        let event = match envelope.content {
            Delivery::Settled(ticket, body) => Event::Message(ticket, body),
            Delivery::Sent(message) => Event::Message(Ticket::REMOTE, Ok(message)),
            Delivery::Wake(credit) => {
                credit.take_wake();
                Event::Woken
            }
        };
        self.deliver_event(event, envelope.stream, owner);
    }

    /// Delivers a message or a wake-up to the protocol, or to one of its streams.
    pub(super) fn deliver_event<O: Owner>(&mut self, event: Event<'_>, stream: u32, owner: &mut O) {
        // Only a remote's message takes credit (flow control). For the remotes of a stream, the
        // protocol returns it: `Stream::end_delivery`.
        let takes_credit =
            matches!(event, Event::Message(Ticket::REMOTE, _)) && stream == owner.stream();
        self.send_stream_event(event, stream, owner);
        if let Some(credit) = self.credit.as_ref().filter(|_| takes_credit) {
            // The credit is returned now, or by `progress` when the output has room.
            match self.held() < owner.high_water() {
                true => credit.give_back(1),
                false => self.unreturned_credit += 1,
            }
        }
    }

    /// Sends [`Event::Deadline`]: [`Session::deadline`] has passed. Returns whether the protocol
    /// has set a different deadline. If not, the deadline is removed: otherwise it would expire
    /// again and again.
    pub fn expire<O: Owner>(&mut self, owner: &mut O) -> bool {
        let before = self.deadline;
        self.send_event(Event::Deadline, owner);
        let is_new = self.deadline != before;
        if !is_new {
            self.deadline = Time::NEVER;
        }
        is_new
    }

    /// Sends [`Event::Sent`] and [`Event::Room`] if they are due, and returns credit to the
    /// session's remotes. Call this after [`Session::put_back`].
    pub fn progress<O: Owner>(&mut self, owner: &mut O) {
        if self.may_return_credit(owner.high_water())
            && let Some(credit) = &self.credit
        {
            credit.give_back(mem::take(&mut self.unreturned_credit));
        }
        let sent_some = mem::take(&mut self.sent_some);
        if let Some(mark) = self.mark
            && self.reason.is_none()
        {
            let sent = Mark(self.sent);
            if sent >= mark {
                self.mark = None;
            }
            if sent_some || sent >= mark {
                // Not through `send_event`, because this event is sent even after the protocol has
                // asked to be closed.
                let called =
                    self.call(owner, |protocol, turn| protocol.on_event(Event::Sent(sent), turn));
                if called.is_some_and(|((), reoffer)| reoffer != Reoffer::No) && self.is_open() {
                    self.reoffer(owner);
                }
            }
        }
        if self.wants_room && self.has_room(sent_some, owner.high_water()) {
            self.wants_room = false;
            self.send_event(Event::Room, owner);
        }
    }

    /// Whether [`Event::Room`] is due, if the protocol wants it. The output must be at most a
    /// quarter full: see [`Owner::high_water`].
    #[inline]
    fn has_room(&self, sent_some: bool, high_water: usize) -> bool {
        // Room is due only if something was sent, or nothing is left to send. Otherwise, a protocol
        // that needs more room than there is would get the event again and again.
        self.held() <= high_water / 4
            && self.file_ranges() < Output::MAX_FILE_RANGES
            && (sent_some || self.is_flushed())
    }

    /// Whether [`Session::progress`] would send an event, or return credit.
    pub(super) fn is_progress_due(&self, high_water: usize) -> bool {
        let is_marked = self.reason.is_none()
            && self.mark.is_some_and(|mark| self.sent_some || Mark(self.sent) >= mark);
        is_marked
            || (self.wants_room && self.has_room(self.sent_some, high_water))
            || self.may_return_credit(high_water)
    }

    fn may_return_credit(&self, high_water: usize) -> bool {
        self.unreturned_credit > 0 && self.credit.is_some() && self.held() < high_water
    }

    /// Sends [`Event::Drain`]: the server is stopping. `unread`: input has arrived that was not
    /// offered. Only the first call has an effect.
    pub fn drain<O: Owner>(&mut self, unread: bool, owner: &mut O) {
        if !mem::replace(&mut self.is_drained, true) {
            let unused = !self.unused.is_empty();
            self.send_event(Event::Drain { unused, unread }, owner);
        }
    }

    /// Ends the session for `reason`: sends [`Event::Closed`], and drops the protocol and unsent
    /// output. Only the first call has an effect. If the protocol panics, [`Session::reason`] says
    /// so.
    pub fn close<O: Owner>(&mut self, reason: &Reason, owner: &mut O) {
        if mem::replace(&mut self.expects, Expects::Nothing) == Expects::Nothing {
            return;
        }
        self.call(owner, |protocol, turn| protocol.on_event(Event::Closed(reason), turn));
        self.mark = None;
        self.wants_room = false;
        if let Some(credit) = self.credit.take() {
            credit.close();
        }
        if let Some(output) = self.output.take() {
            owner.take_back_output(output);
        }
        // Last: the protocol's destructor may wait for a thread that sends through one of the
        // session's remotes. Such a thread waits no longer, since the credit is closed.
        self.drop_protocol::<O>();
    }
}

impl Session {
    fn notify_open<O: Owner>(&mut self, owner: &mut O) {
        let peer = self.peer.clone();
        self.send_event(Event::Open(&peer), owner);
    }

    fn notify_end_of_input<O: Owner>(&mut self, owner: &mut O) {
        if self.is_truncated
            && self.input_state == InputState::Ended
            && self.expects == Expects::Input
        {
            self.is_truncated = false;
            self.send_event(Event::Truncated, owner);
        }
        if self.input_state == InputState::Ended && self.expects == Expects::Input {
            self.input_state = InputState::EofNotified;
            let clean = self.unused.is_empty();
            self.send_event(Event::Eof { clean }, owner);
        }
    }

    /// Sends an event, if the session is open. Owners call this for events that have no method
    /// here, such as [`Event::LameDuck`].
    pub fn send_event<O: Owner>(&mut self, event: Event<'_>, owner: &mut O) {
        self.send_stream_event(event, owner.stream(), owner);
    }

    /// Sends an event to one of the protocol's streams, or to the protocol itself if `stream` is
    /// [`Owner::stream`].
    fn send_stream_event<O: Owner>(&mut self, event: Event<'_>, stream: u32, owner: &mut O) {
        if !self.is_open() {
            return drop_event::<O>(event);
        }
        let called = self.call(owner, |protocol, turn| {
            turn.stream = stream;
            protocol.on_event(event, turn)
        });
        if called.is_some_and(|((), reoffer)| reoffer != Reoffer::No) {
            self.reoffer(owner);
        }
    }

    /// Continues after an event in which the protocol has ended its pause, or another protocol has
    /// replaced it: offers unused input, and then sends the end of input or the half-close, if due.
    fn reoffer<O: Owner>(&mut self, owner: &mut O) {
        self.resume();
        self.offer_unused(owner);
        self.notify_end_of_input(owner);
        self.notify_half_close(owner);
        self.needs_flush = true;
    }

    pub(super) fn offer_unused<O: Owner>(&mut self, owner: &mut O) {
        if self.unused.is_empty() {
            return;
        }
        // Moved out of the session, so that `offer` can borrow the session.
        let mut unused = mem::take(&mut self.unused);
        let used = self.offer(unused.bytes(), owner);
        unused.consume(used);
        self.unused = unused;
    }

    /// Offers input until the protocol needs more, or pauses. Returns how many bytes it used.
    #[inline(always)] // Runs for each request.
    fn offer<O: Owner>(&mut self, input: &[u8], owner: &mut O) -> usize {
        let mut used = 0;
        while used < input.len() && self.expects == Expects::Input {
            let rest = &input[used..];
            let called = self.call(owner, |protocol, turn| protocol.on_bytes(rest, turn));
            let Some((consumed, reoffer)) = called else { break };
            if consumed.used > rest.len() {
                let what = "used more input than there was";
                self.fail(Fault::ours("used_too_much", what));
                return input.len();
            }
            used += consumed.used;
            match (reoffer, consumed) {
                (Reoffer::AfterSwitch, _) => {}
                // The protocol has ended its pause, and has used input. If it has used none, the
                // same input is not offered again, because that could go on forever.
                (Reoffer::AfterResume, Consumed { used: 1.., .. }) => {}
                (Reoffer::AfterResume, _) | (Reoffer::No, Consumed { next: Next::More, .. }) => {
                    break;
                }
                (Reoffer::No, Consumed { next: Next::Pause, .. }) => self.pause(),
            }
        }
        used
    }

    /// Calls the protocol. Returns the result, and whether to offer unused input again; `None` if
    /// the protocol fails, panics or is gone.
    fn call<T, O: Owner>(
        &mut self,
        owner: &mut O,
        call: impl FnOnce(&mut dyn Protocol, &mut Turn<'_>) -> Result<T, Fault>,
    ) -> Option<(T, Reoffer)> {
        let protocol = self.protocol.as_deref_mut()?;
        let out = self.output.get_or_insert_with(|| owner.lend_output());
        let unsent = out.unsent();
        let mut effects = Effects::default();
        let mut context = owner.context(&self.peer);
        // Output that the owner has taken, but not sent yet, takes up room, too.
        if self.in_flight.is_any() {
            context.room = context.room.min(self.in_flight.remaining_room(owner.high_water()));
        }
        let mut turn = Turn {
            out,
            context,
            key: self.key,
            stream: owner.stream(),
            peer: &self.peer,
            effects: &mut effects,
            credit: &mut self.credit,
            position: self.sent + self.in_flight.bytes,
            in_flight: self.in_flight.bytes,
        };
        let mut deadline = None;
        let result = O::catch_panic(|| {
            let result = call(protocol, &mut turn);
            deadline = protocol.deadline();
            result
        });
        if out.unsent() > unsent {
            self.needs_flush = true;
        }
        if let Some(out) = self.output.take_if(|out| out.is_empty()) {
            owner.take_back_output(out);
        }
        let Some(result) = result else {
            self.handle_panic::<O>(effects);
            return None;
        };
        self.deadline = deadline.unwrap_or(Time::NEVER);
        let reoffer = if effects.is_any() { self.apply(effects, owner) } else { Reoffer::No };
        match result {
            Ok(value) => Some((value, reoffer)),
            Err(fault) => {
                self.fail(fault);
                None
            }
        }
    }

    /// Applies the effects of a call. Returns whether to offer unused input again.
    fn apply<O: Owner>(&mut self, effects: Effects, owner: &mut O) -> Reoffer {
        let Effects { resume, want_room, end, mark, rare } = effects;
        if end.is_some() || want_room || mark.is_some() {
            self.end = self.end.max(end);
            self.wants_room |= want_room;
            self.mark = mark.or(self.mark);
            if self.end >= Some(End::Close) {
                self.stop_calling();
            }
            self.needs_flush = true;
        }
        let Some(protocol) = rare.and_then(|rare| self.apply_rare(rare, owner)) else {
            return if resume { Reoffer::AfterResume } else { Reoffer::No };
        };
        let replaced = self.protocol.replace(protocol);
        if O::catch_panic(|| drop(replaced)).is_none() {
            self.handle_panic::<O>(Effects::default());
            return Reoffer::No;
        }
        self.resume();
        // If the old protocol got `Event::HalfClosed` or `Event::Eof`, the new one must get it,
        // too.
        self.input_state = match self.input_state {
            InputState::HalfClosedNotified => InputState::HalfClosed,
            InputState::EofNotified => InputState::Ended,
            state => state,
        };
        // Not through `send_event`, which might send the end of input, too. The caller offers the
        // rest of the input before that. If the new protocol also switches, this `call` sends the
        // next `Event::Open`.
        if self.is_open() {
            let peer = self.peer.clone();
            self.call(owner, |protocol, turn| protocol.on_event(Event::Open(&peer), turn));
        }
        Reoffer::AfterSwitch
    }

    /// Applies the effects that only few calls have. Returns the protocol to switch to.
    fn apply_rare<O: Owner>(
        &mut self,
        mut rare: Box<RareEffects>,
        owner: &mut O,
    ) -> Option<Box<dyn Protocol>> {
        let RareEffects { switch, unsent_limit, held } = mem::take(&mut *rare);
        // The memory of `rare` is kept for a later call.
        owner.context(&self.peer).handles.keep_spare(rare);
        if let Some(held) = held {
            // What the protocol holds besides its output counts towards the client's memory.
            self.held_outside = u32::try_from(held).unwrap_or(u32::MAX);
            owner.charge(self.key);
        }
        if let Some(bytes) = unsent_limit {
            owner.limit_unsent(self.key, bytes);
        }
        switch
    }

    /// Ends the session because of a fault.
    pub fn fail(&mut self, fault: Fault) {
        self.reason = Some(Box::new(Reason::Fault(fault)));
        self.end = Some(End::Linger);
        self.stop_calling();
        self.needs_flush = true;
    }

    /// Ends the session because of a panic. Drops `effects`, which are not applied.
    #[cold]
    fn handle_panic<O: Owner>(&mut self, effects: Effects) {
        self.reason = Some(Box::new(Reason::Panicked));
        self.stop_calling();
        let _ = O::catch_panic(|| drop(effects));
        self.drop_protocol::<O>();
    }

    /// Drops the protocol, whose destructor may panic.
    fn drop_protocol<O: Owner>(&mut self) {
        let protocol = self.protocol.take();
        if O::catch_panic(|| drop(protocol)).is_none() {
            self.reason = Some(Box::new(Reason::Panicked));
        }
    }

    /// From now on the protocol gets only [`Event::Sent`] (not after a failure) and
    /// [`Event::Closed`].
    fn stop_calling(&mut self) {
        if self.is_open() {
            self.expects = Expects::LastByteSent;
        }
    }

    fn pause(&mut self) {
        if self.expects == Expects::Input {
            self.expects = Expects::Resume;
        }
    }

    fn resume(&mut self) {
        if self.expects == Expects::Resume {
            self.expects = Expects::Input;
        }
    }
}

/// Drops an event for a session that is not open. The destructor of its message may panic.
#[cold]
fn drop_event<O: Owner>(event: Event<'_>) {
    let _ = O::catch_panic(|| drop(event));
}
