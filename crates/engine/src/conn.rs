//! One connection: its conversation, what the conversation has not used and not sent, and how far
//! it has come.
//!
//! A connection never touches its socket: the shard reads and writes. Here is every call into a
//! conversation, each with a fence around it, so that a panic ends one connection and not the shard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::{
    Asks, Credit, Desk, End, Event, Fault, Key, Mark, Next, Output, Peer, Protocol, Reason, Time,
    Took, Turn, TurnParts, Wall,
};

use crate::Config;
use crate::outputs::Outputs;
use crate::tally::Tally;
use crate::timers::Timers;

/// What the connections of a shard share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: Arc<Config>,
    pub(crate) desk: Desk,
    /// The clocks, read once a turn.
    pub(crate) now: Time,
    pub(crate) wall: Wall,
    pub(crate) outputs: Outputs,
    pub(crate) timers: Timers,
    pub(crate) tally: Tally,
    /// Connections to flush at the end of the turn: something to send, to tell or to end.
    pub(crate) dirty: Vec<Key>,
    /// Connections to serve without waiting for an edge: there is something to read already.
    pub(crate) ready: Vec<Key>,
}

/// What a connection expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// To come to stand, by then.
    Connecting { until: Time },
    /// The conversation.
    Open,
    /// The peer's end, while what it still sends is thrown away.
    Lingering { until: Time, quiet: Time, left: u64 },
}

/// What was handed to the driver and has not come back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InFlight {
    pub(crate) bytes: u64,
    pub(crate) held: usize,
}

#[derive(Debug)]
pub(crate) struct Conn<S> {
    pub(crate) socket: S,
    pub(crate) peer: Peer,
    pub(crate) generation: u32,
    pub(crate) stage: Stage,
    /// Why it ends, once that is known.
    pub(crate) reason: Option<Reason>,
    /// How the conversation wants it to end.
    pub(crate) end: Option<End>,
    /// What is to be sent; never present and empty.
    pub(crate) out: Option<Box<Output>>,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) deadline: Time,
    pub(crate) write_deadline: Time,
    /// What was unacknowledged when the write deadline was set.
    pub(crate) unacknowledged: u64,
    pub(crate) opened: Time,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Places of the credit that are given back when the output has room again.
    owed_credit: u32,
    credit: Option<Arc<Credit>>,
    /// The last mark that was set, until it is reached, and how much was told to be sent.
    mark: Option<(Mark, u64)>,
    tail: Tail,
    protocol: Conversation,
    /// The census counts it: it came in, we did not open it.
    pub(crate) counted: bool,
    /// There may be something to receive.
    pub(crate) readable: bool,
    /// The peer ended its side, though we may not have received everything before that.
    pub(crate) ended: bool,
    /// We have received everything that will come.
    pub(crate) eof: bool,
    eof_told: bool,
    paused: bool,
    want_room: bool,
    /// The kernel takes no more until it says so.
    pub(crate) blocked: bool,
    /// Our side has ended: the FIN is out.
    pub(crate) finished: bool,
    pub(crate) drained: bool,
    /// In `Common::dirty`.
    dirty: bool,
    /// In `Common::ready`.
    queued: bool,
}

/// A conversation, until it panics.
struct Conversation(Option<Box<dyn Protocol>>);

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Protocol" } else { "Panicked" })
    }
}

impl<S> Conn<S> {
    pub(crate) fn new(
        socket: S,
        peer: Peer,
        generation: u32,
        stage: Stage,
        protocol: Box<dyn Protocol>,
        now: Time,
    ) -> Self {
        Self {
            socket,
            peer,
            generation,
            stage,
            reason: None,
            end: None,
            out: None,
            in_flight: None,
            deadline: Time::NEVER,
            write_deadline: Time::NEVER,
            unacknowledged: 0,
            opened: now,
            received: 0,
            sent: 0,
            owed_credit: 0,
            credit: None,
            mark: None,
            tail: Tail::default(),
            protocol: Conversation(Some(protocol)),
            counted: false,
            readable: false,
            ended: false,
            eof: false,
            eof_told: false,
            paused: false,
            want_room: false,
            blocked: false,
            finished: false,
            drained: false,
            dirty: false,
            queued: false,
        }
    }

    /// Whether the conversation takes part: it has neither failed nor said its last word.
    pub(crate) fn is_talking(&self) -> bool {
        self.stage == Stage::Open
            && self.reason.is_none()
            && self.end < Some(End::Close)
            && self.protocol.0.is_some()
    }

    /// Whether the conversation's code panicked: the connection is to be closed now.
    pub(crate) fn has_panicked(&self) -> bool {
        self.protocol.0.is_none()
    }

    /// Whether it is to be read from: it takes part, is not paused, and its peer reads too.
    pub(crate) fn wants_input(&self, config: &Config) -> bool {
        match self.stage {
            Stage::Connecting { .. } => false,
            Stage::Lingering { .. } => !self.eof,
            Stage::Open => {
                self.is_talking()
                    && !self.eof
                    && !self.paused
                    && self.held() < config.max_buffered_output
            }
        }
    }

    /// Output bytes held in memory.
    fn held(&self) -> usize {
        let queued = self.out.as_ref().map_or(0, |out| out.held());
        queued + self.in_flight.map_or(0, |in_flight| in_flight.held)
    }

    /// Whether everything written has been sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_none() && self.in_flight.is_none()
    }

    /// When to look at it again.
    pub(crate) fn next_deadline(&self) -> Time {
        match self.stage {
            Stage::Connecting { until } => until,
            Stage::Lingering { until, quiet, .. } => until.min(quiet),
            Stage::Open if self.is_talking() => self.deadline.min(self.write_deadline),
            Stage::Open => self.write_deadline,
        }
    }

    /// Has it flushed at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, key: Key, common: &mut Common) {
        if !std::mem::replace(&mut self.dirty, true) {
            common.dirty.push(key);
        }
    }

    pub(crate) fn unmark_dirty(&mut self) {
        self.dirty = false;
    }

    /// Has it served in this turn, or in the next if this one has passed that point.
    pub(crate) fn queue(&mut self, key: Key, common: &mut Common) {
        if !std::mem::replace(&mut self.queued, true) {
            common.ready.push(key);
        }
    }

    pub(crate) fn unqueue(&mut self) {
        self.queued = false;
    }

    /// Takes what was received: offers it, behind what was left before, and keeps what is left.
    pub(crate) fn input(&mut self, key: Key, bytes: &[u8], common: &mut Common) {
        if self.tail.is_empty() {
            let used = self.offer(key, bytes, common);
            self.tail.push(&bytes[used..]);
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
        }
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
        if let Some((mark, told)) = &mut self.mark
            && (self.reason.is_none() && self.protocol.0.is_some())
            && (*told < self.sent || mark.0 <= self.sent)
        {
            let sent = Mark(self.sent);
            *told = self.sent;
            if sent >= *mark {
                self.mark = None;
            }
            self.call(key, common, |protocol, turn| protocol.on_event(Event::Sent(sent), turn));
        }
        if self.want_room && self.held() <= common.config.max_buffered_output / 4 {
            self.want_room = false;
            self.event(key, Event::Room, common);
        }
        // Reading stopped at the high-water mark, perhaps in the middle of what has arrived.
        if self.readable && self.wants_input(&common.config) {
            self.queue(key, common);
        }
    }

    /// A letter was dealt with: its place is free again, now or when the output has room.
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

    fn fail(&mut self, key: Key, fault: Fault, common: &mut Common) {
        self.reason = Some(Reason::Fault(fault));
        self.end = Some(End::Linger);
        self.mark_dirty(key, common);
    }

    fn tell_eof(&mut self, key: Key, common: &mut Common) {
        if self.eof && !self.eof_told && !self.paused && self.is_talking() {
            self.eof_told = true;
            let clean = self.tail.is_empty();
            self.event(key, Event::Eof { clean }, common);
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
        let mut out = self.out.take().unwrap_or_else(|| common.outputs.lend());
        let unsent = out.unsent();
        let mut asks = Asks::default();
        let in_flight = self.in_flight.unwrap_or_default();
        let mut turn = Turn::new(TurnParts {
            out: &mut out,
            now: common.now,
            wall: common.wall,
            key,
            desk: &common.desk,
            asks: &mut asks,
            credit: &mut self.credit,
            position: self.sent + in_flight.bytes,
            in_flight: in_flight.bytes,
            room: common.config.max_buffered_output.saturating_sub(in_flight.held),
        });
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = call(protocol, &mut turn);
            let deadline = protocol.deadline();
            (result, deadline)
        }));
        let wrote = out.unsent() > unsent;
        if out.is_empty() {
            common.outputs.take_back(out);
        } else {
            self.out = Some(out);
        }
        if wrote {
            self.mark_dirty(key, common);
        }
        let Ok((result, deadline)) = result else {
            self.reason = Some(Reason::Panicked);
            // Its destructor may panic as well.
            let protocol = self.protocol.0.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(protocol)));
            return None;
        };
        self.deadline = deadline.unwrap_or(Time::NEVER);
        let again = self.grant(key, asks, common);
        match result {
            Ok(value) => Some((value, again)),
            Err(fault) => {
                self.fail(key, fault, common);
                None
            }
        }
    }

    /// Acts on what a call asked for. Returns whether unused input is to be offered again.
    fn grant(&mut self, key: Key, asks: Asks, common: &mut Common) -> Again {
        self.end = self.end.max(asks.end);
        self.want_room |= asks.want_room;
        if let Some(mark) = asks.mark {
            let told = self.mark.map_or(self.sent, |(_, told)| told);
            self.mark = Some((mark, told));
        }
        if asks.end.is_some() || asks.want_room || asks.mark.is_some() {
            self.mark_dirty(key, common);
        }
        let Some(protocol) = asks.switch else {
            return if asks.resume { Again::Resumed } else { Again::No };
        };
        self.protocol = Conversation(Some(protocol));
        self.paused = false;
        let peer = self.peer;
        self.event(key, Event::Open(&peer), common);
        Again::Switched
    }
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

/// Input that was not used yet. Empty, it owns no memory.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    // Invariant: start < bytes.len(), or both are 0.
    start: usize,
}

impl Tail {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.bytes.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_what_is_left_and_an_empty_one_owns_nothing() {
        let mut tail = Tail::default();
        tail.push(b"GET / HT");
        tail.consume(4);
        assert_eq!(tail.bytes(), b"/ HT");
        tail.push(b"TP/1.1");
        assert_eq!((tail.bytes(), tail.len()), (&b"/ HTTP/1.1"[..], 10));
        tail.consume(10);
        assert!(tail.is_empty());
        assert_eq!(tail.bytes.capacity(), 0);
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert!(
            size_of::<Conn<crate::driver::Socket>>() <= 320,
            "{}",
            size_of::<Conn<crate::driver::Socket>>()
        );
    }
}
