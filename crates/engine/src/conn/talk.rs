//! Every call into a conversation, each with a fence around it, so that a panic ends one connection
//! and not the shard.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sockeye_proto::driver::{Credit, Effects, Key, TurnParts};
use sockeye_proto::{
    Client, End, Event, Fault, Mark, Next, Output, Peer, Protocol, Reason, Time, Took, Turn,
};

use super::tail::Tail;
use super::{Common, Conn, Conversation, InFlight, Stage};
use crate::buffered::FREE;

impl<S> Conn<S> {
    /// Takes what was received: offers it, behind what was left before, and keeps what is left.
    pub(crate) fn input(&mut self, key: Key, bytes: &[u8], common: &mut Common) {
        if self.tail.is_empty() {
            let used = self.offer(key, bytes, common);
            if used < bytes.len() {
                self.tail.push(&bytes[used..]);
            }
        } else {
            self.tail.push(bytes);
            self.offer_tail(key, common);
        }
        if self.tail.len() > common.config.max_unused_input && self.is_talking() {
            let what = "left more input unused than a connection may hold";
            self.fail(key, Fault::ours("unused_input_limit", what), common);
        }
    }

    /// The peer's side has come to its end.
    pub(crate) fn end_of_input(&mut self, key: Key, common: &mut Common) {
        self.eof = true;
        self.readable = false;
        self.tell_eof(key, common);
        // A closing connection waits for this, too.
        self.mark_dirty(key, common);
    }

    /// Tells the conversation something, unless it has said its last word.
    pub(crate) fn event(&mut self, key: Key, event: Event<'_>, common: &mut Common) {
        if !self.is_talking() {
            return;
        }
        let again = self.call(key, common, |protocol, turn| protocol.on_event(event, turn));
        if again.is_some_and(|((), again)| again != Again::No) {
            self.paused = false;
            self.offer_tail(key, common);
            self.tell_eof(key, common);
            if self.readable {
                self.queue(key, common);
            }
            if self.ended {
                self.tell_half_close(key, common);
            }
        }
    }

    /// Since when it has been idle: everything written is sent, everything received is used, the
    /// peer's side is open, and the protocol says so. `None` also for connections that we opened:
    /// closing them makes no room for others.
    pub(crate) fn idle_since(&self) -> Option<Time> {
        let input_is_used =
            !self.readable && !self.queued && !self.ended && !self.eof && self.tail.is_empty();
        let is_open = self.counted && self.is_talking() && !self.paused && self.end.is_none();
        if !is_open || !input_is_used || !self.is_flushed() {
            return None;
        }
        let protocol = self.protocol.0.as_deref()?;
        catch_unwind(AssertUnwindSafe(|| protocol.idle_since())).ok().flatten()
    }

    /// Whether input has arrived that the conversation has not used.
    pub(crate) fn has_unread_input(&self) -> bool {
        self.readable || !self.tail.is_empty()
    }

    /// Tells the conversation that it is over.
    pub(crate) fn tell_closed(&mut self, key: Key, reason: &Reason, common: &mut Common) {
        if self.protocol.0.is_some() {
            self.call(key, common, |protocol, turn| protocol.on_event(Event::Closed(reason), turn));
        }
        if let Some(credit) = self.credit.take() {
            credit.close();
        }
        if let Some(out) = self.out.take() {
            common.outputs.take_back(out);
        }
    }

    /// After a flush: what the conversation wanted to hear about its output.
    pub(crate) fn tell_progress(&mut self, key: Key, common: &mut Common) {
        if self.owed_credit > 0
            && self.held() < common.config.max_buffered_output
            && let Some(credit) = &self.credit
        {
            credit.give_back(std::mem::take(&mut self.owed_credit));
        }
        let moved = std::mem::take(&mut self.moved);
        if let Some(mark) = self.mark
            && (self.reason.is_none() && self.protocol.0.is_some())
        {
            let sent = Mark(self.sent);
            if sent >= mark {
                self.mark = None;
            }
            if moved || sent >= mark {
                let tell = |protocol: &mut dyn Protocol, turn: &mut Turn<'_>| {
                    protocol.on_event(Event::Sent(sent), turn)
                };
                self.call(key, common, tell);
            }
        }
        // Room that was there when it was asked for is no news, unless there is all of it: a
        // conversation that wants more than that would be told for ever.
        if self.want_room
            && self.held() <= common.config.max_buffered_output / 4
            && self.file_ranges() < Output::MAX_FILE_RANGES
            && (moved || self.is_flushed())
        {
            self.want_room = false;
            self.event(key, Event::Room, common);
        }
        // Reading stopped at the high-water mark, perhaps in the middle of what has arrived.
        if self.readable && self.wants_input(&common.config) {
            self.queue(key, common);
        }
    }

    /// An envelope was dealt with: its place is free again, now or when the output has room.
    pub(crate) fn free_place(&mut self, credit: &Credit, common: &Common) {
        if self.held() < common.config.max_buffered_output {
            credit.give_back(1);
        } else {
            self.owed_credit += 1;
        }
    }

    /// Drops what was not used: nobody will read it.
    pub(crate) fn drop_tail(&mut self) {
        self.tail = Tail::default();
    }

    pub(super) fn fail(&mut self, key: Key, fault: Fault, common: &mut Common) {
        self.reason = Some(Box::new(Reason::Fault(fault)));
        self.end = Some(End::Linger);
        self.fall_silent();
        self.mark_dirty(key, common);
    }

    /// The conversation hears no more but of its output, and of the end.
    fn fall_silent(&mut self) {
        if self.is_talking() {
            self.stage = Stage::Ending;
        }
    }

    fn tell_eof(&mut self, key: Key, common: &mut Common) {
        if self.eof && !self.eof_told && !self.paused && self.is_talking() {
            self.eof_told = true;
            let clean = self.tail.is_empty();
            self.event(key, Event::Eof { clean }, common);
        }
    }

    /// Tells the conversation that the peer has ended its side, unless it is about to hear that
    /// there is no more input: what lies before the end is read and offered first.
    pub(crate) fn tell_half_close(&mut self, key: Key, common: &mut Common) {
        let told = self.half_close_told || self.eof_told;
        if self.ended && !told && self.is_talking() && !self.wants_input(&common.config) {
            self.half_close_told = true;
            self.event(key, Event::HalfClosed, common);
        }
    }

    fn offer_tail(&mut self, key: Key, common: &mut Common) {
        if self.tail.is_empty() {
            return;
        }
        // Taken out, so that the conversation can be called with it.
        let mut tail = std::mem::take(&mut self.tail);
        let used = self.offer(key, tail.bytes(), common);
        tail.consume(used);
        self.tail = tail;
    }

    /// Offers input for as long as the conversation goes on by itself; returns how much it used.
    fn offer(&mut self, key: Key, input: &[u8], common: &mut Common) -> usize {
        let mut used = 0;
        while used < input.len() && !self.paused && self.is_talking() {
            let rest = &input[used..];
            let called = self.call(key, common, |protocol, turn| protocol.on_bytes(rest, turn));
            let Some((took, again)) = called else { break };
            if took.used > rest.len() {
                let what = "counted more input as used than there was";
                self.fail(key, Fault::ours("used_too_much", what), common);
                return input.len();
            }
            used += took.used;
            match (again, took) {
                // Another conversation: it has not seen the rest.
                (Again::Switched, _) => {}
                // It asked to go on, and came forward: a conversation that stands still is not
                // offered the same again and again.
                (Again::Resumed, Took { used: 1.., .. }) => {}
                (Again::Resumed, _) | (Again::No, Took { next: Next::More, .. }) => break,
                (Again::No, Took { next: Next::Pause, .. }) => self.paused = true,
            }
        }
        used
    }

    /// One call into the conversation. Returns its answer, and whether it asked to be offered its
    /// unused input again; `None` when it failed.
    fn call<T>(
        &mut self,
        key: Key,
        common: &mut Common,
        call: impl FnOnce(&mut dyn Protocol, &mut Turn<'_>) -> Result<T, Fault>,
    ) -> Option<(T, Again)> {
        let protocol = self.protocol.0.as_deref_mut()?;
        let out = self.out.get_or_insert_with(|| common.outputs.lend());
        let unsent = out.unsent();
        let mut effects = Effects::default();
        let in_flight = self.in_flight;
        let mut turn = Turn::new(TurnParts {
            out,
            now: common.now,
            wall: common.wall,
            key,
            peer: &self.peer,
            handles: &common.handles,
            effects: &mut effects,
            credit: &mut self.credit,
            position: self.sent + in_flight.bytes(),
            in_flight: in_flight.bytes(),
            room: if in_flight.is_any() || common.buffered.is_tight() {
                room(in_flight, &self.peer, common)
            } else {
                common.config.max_buffered_output
            },
        });
        let mut deadline = None;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = call(protocol, &mut turn);
            deadline = protocol.deadline();
            result
        }));
        let wrote = out.unsent() > unsent;
        let queued = out.held();
        if let Some(out) = self.out.take_if(|out| out.is_empty()) {
            common.outputs.take_back(out);
        }
        if queued > FREE {
            self.charge(key, queued, common);
        }
        if wrote {
            self.mark_dirty(key, common);
        }
        let Ok(result) = result else {
            self.reason = Some(Box::new(Reason::Panicked));
            self.fall_silent();
            // Its destructor may panic as well.
            let protocol = self.protocol.0.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(protocol)));
            return None;
        };
        self.deadline = deadline.unwrap_or(Time::NEVER);
        let again = if effects.is_any() { self.apply(key, effects, common) } else { Again::No };
        match result {
            Ok(value) => Some((value, again)),
            Err(fault) => {
                self.fail(key, fault, common);
                None
            }
        }
    }

    /// Acts on what a call asked for. Returns whether unused input is to be offered again.
    fn apply(&mut self, key: Key, effects: Effects, common: &mut Common) -> Again {
        if effects.end.is_some() || effects.want_room || effects.mark.is_some() {
            self.end = self.end.max(effects.end);
            self.want_room |= effects.want_room;
            self.mark = effects.mark.or(self.mark);
            if self.end >= Some(End::Close) {
                self.fall_silent();
            }
            self.mark_dirty(key, common);
        }
        let Some(protocol) = effects.switch else {
            return if effects.resume { Again::Resumed } else { Again::No };
        };
        self.protocol = Conversation(Some(protocol));
        self.paused = false;
        self.half_close_told = false;
        let peer = self.peer;
        self.event(key, Event::Open(&peer), common);
        Again::Switched
    }
}

/// How many bytes the output of a connection may hold before it counts as full: less beside what is in
/// flight, and next to nothing while its client holds as much as it may.
#[cold]
fn room(in_flight: InFlight, peer: &Peer, common: &Common) -> usize {
    let most = common.config.max_buffered_output;
    let room = if in_flight.is_any() { in_flight.room_beside(most) } else { most };
    let is_spent = common.buffered.is_tight() && common.buffered.is_spent(Client::of(peer.address));
    if is_spent { room.min(1) } else { room }
}

/// Whether unused input is to be offered again, without more behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    No,
    /// The conversation asked for it.
    Resumed,
    /// Another conversation has taken over.
    Switched,
}
