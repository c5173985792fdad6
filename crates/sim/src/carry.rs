//! How bytes, ends of input and resets get from one end of a connection to the other.

use std::io;
use std::mem;

use sockeye_engine::driver::{SendStatus, Sent};
use sockeye_proto::Output;

use crate::link::{EndId, Owner, Stage};
use crate::net::{Incident, Net};
use crate::poll::Edge;

impl Net {
    /// Schedules the next delivery from `end`, if there is something that can be delivered.
    pub(crate) fn dispatch(&mut self, end: EndId) {
        let from = &self.ends[end.0];
        let Some(peer) = from.peer else { return };
        let to = &self.ends[peer.0];
        let fits = from.wire.is_empty() || to.is_closed() || self.window(peer) > 0;
        if from.delivering || from.vanished || !from.has_cargo() || !fits {
            return;
        }
        let mut after = self.latency();
        let (stall, longest) = (self.faults.stall, self.faults.stall_time);
        if self.strikes(stall) {
            after += self.rng.duration(longest);
        }
        self.ends[end.0].delivering = true;
        self.schedule(after, Incident::Deliver(end));
    }

    /// How much may still arrive at `end` unread.
    fn window(&self, end: EndId) -> usize {
        self.faults.receive_buffer.saturating_sub(self.ends[end.0].inbox.len())
    }

    /// Part of what is on the wire of `end` arrives, and perhaps its end of input with it.
    pub(crate) fn deliver(&mut self, end: EndId) {
        self.ends[end.0].delivering = false;
        let from = &self.ends[end.0];
        let Some(peer) = from.peer else { return };
        let to = &self.ends[peer.0];
        // Nothing reaches an end that has failed: it would come behind what was lost.
        if from.vanished || !from.has_cargo() || to.failure().is_some() {
            return;
        }
        if to.is_closed() {
            return self.deliver_to_nobody(end);
        }
        let split = self.faults.split;
        let mut count = from.wire.len().min(self.window(peer));
        if count > 1 && self.strikes(split) {
            count = self.rng.between(1, count);
        }
        let bytes: Vec<u8> = self.ends[end.0].wire.drain(..count).collect();
        self.ends[peer.0].inbox.extend(bytes);
        self.record(2, end.0, count as u64);
        let mut edge = if count > 0 { Edge::READABLE } else { Edge::default() };

        let from = &self.ends[end.0];
        // Bytes and the end of input are one event or two.
        if from.wire.is_empty() && from.finishing && (count == 0 || !self.strikes(split)) {
            self.ends[end.0].finished = true;
            self.ends[peer.0].eof = true;
            edge = edge.or(Edge::ENDED);
        }
        if edge != Edge::default() {
            self.tell(peer, edge);
        }
        self.make_room(end);
        self.dispatch(end);
    }

    /// What arrives where nobody has the socket any more is answered with a reset; an end of input
    /// alone isn't.
    fn deliver_to_nobody(&mut self, end: EndId) {
        if mem::take(&mut self.ends[end.0].wire).is_empty() {
            self.ends[end.0].finished = true;
            return;
        }
        if let Some(peer) = self.ends[end.0].peer {
            self.ends[peer.0].wire.clear();
            self.ends[peer.0].finished = true;
        }
        self.send_reset(end);
    }

    /// Room has come on the wire of `end`: a send that waits goes on, or its sender is told.
    fn make_room(&mut self, end: EndId) {
        let buffer = self.faults.send_buffer;
        if self.ends[end.0].pending_due {
            self.send_due(end);
        } else if self.ends[end.0].blocked && self.ends[end.0].is_worth_telling(buffer) {
            self.ends[end.0].blocked = false;
            self.tell(end, Edge::WRITABLE);
        }
    }

    /// A send that was put off is worked on: it is done now, or when there is room.
    pub(crate) fn send_due(&mut self, end: EndId) {
        let buffer = self.faults.send_buffer;
        let Owner::Driver { poller, key: Some(key) } = self.ends[end.0].owner else { return };
        let stands = self.ends[end.0].failure().is_none();
        if stands && self.ends[end.0].room(buffer) == 0 {
            self.ends[end.0].pending_due = true;
            return;
        }
        self.ends[end.0].pending_due = false;
        if let Some(out) = self.ends[end.0].pending.take() {
            let sent = self.transmit(end, out);
            self.progress += 1;
            self.pollers[poller].sent(key, sent);
        }
    }

    /// A reset arrives at `end`, after a while.
    pub(crate) fn send_reset(&mut self, end: EndId) {
        if !self.ends[end.0].vanished {
            let after = self.latency();
            self.schedule(after, Incident::Reset(end));
        }
    }

    /// The connection is over for `end`.
    pub(crate) fn fail(&mut self, end: EndId, kind: io::ErrorKind) {
        let this = &mut self.ends[end.0];
        if this.is_closed() || this.vanished || this.failure().is_some() {
            return;
        }
        this.fail(kind);
        self.record(3, end.0, kind as u64);
        if self.ends[end.0].pending_due {
            self.send_due(end);
        }
        self.tell(end, Edge::FAILED);
    }

    /// Nothing arrives any more, either way.
    pub(crate) fn vanish(&mut self, end: EndId) {
        self.record(4, end.0, 0);
        self.ends[end.0].vanished = true;
        if let Some(peer) = self.ends[end.0].peer {
            self.ends[peer.0].vanished = true;
        }
    }

    /// Ends the output of `end`: a FIN follows what is on the wire.
    pub(crate) fn finish(&mut self, end: EndId) {
        self.ends[end.0].finishing = true;
        self.dispatch(end);
    }

    /// Closes `end`. What it sent still arrives, unless it has left something unread: then the
    /// other end is reset.
    pub(crate) fn close(&mut self, end: EndId) {
        self.record(5, end.0, 0);
        self.give_up_send(end);
        let this = &mut self.ends[end.0];
        this.owner = Owner::Nobody;
        let unread = !mem::take(&mut this.inbox).is_empty();
        let peer = this.peer;
        match this.stage {
            Stage::Connecting | Stage::Failed(_) => return,
            Stage::Standing if unread => {
                this.wire.clear();
                this.finished = true;
                peer.into_iter().for_each(|peer| self.send_reset(peer));
            }
            Stage::Standing => self.finish(end),
        }
        // What the other end could not send for want of room can go nowhere now, and finds out.
        peer.into_iter().for_each(|peer| self.dispatch(peer));
    }

    /// A send that is pending when its socket is closed comes back, late and undone, as a
    /// completion that was cancelled does.
    fn give_up_send(&mut self, end: EndId) {
        let Some(out) = self.ends[end.0].pending.take() else { return };
        self.ends[end.0].pending_due = false;
        let Owner::Driver { poller, key: Some(key) } = self.ends[end.0].owner else { return };
        let status = SendStatus::Failed(io::ErrorKind::ConnectionAborted.into());
        let sent = Sent { out, count: 0, status };
        let after = self.latency();
        self.schedule(after, Incident::GivenUp { poller, key, sent });
    }

    /// Puts what fits of `out` on the wire of `end`.
    pub(crate) fn transmit(&mut self, end: EndId, mut out: Box<Output>) -> Sent {
        if let Some(kind) = self.ends[end.0].failure() {
            return Sent { out, count: 0, status: SendStatus::Failed(kind.into()) };
        }
        if self.ends[end.0].finishing {
            self.complain(format!("end {} sends after it has finished", end.0));
        }
        let room = self.ends[end.0].room(self.faults.send_buffer);
        let (would_block, short_write) = (self.faults.would_block, self.faults.short_write);
        let quantum = sockeye_engine::driver::QUANTUM as usize;
        let mut limit = room.min(quantum);
        if self.strikes(would_block) {
            limit = 0;
        } else if limit > 1 && self.strikes(short_write) {
            limit = self.rng.between(1, limit);
        }
        let (count, stuck) = crate::gather::gather(&mut out, limit, &mut self.ends[end.0].wire);
        self.record(6, end.0, count);
        self.dispatch(end);
        let status = match stuck {
            Some(status) => status,
            None if out.is_empty() || (count as usize) == quantum => SendStatus::Again,
            None => self.block(end, count > 0),
        };
        Sent { out, count, status }
    }

    /// Less was taken than there is: says so, and sees to it that the sender hears when to go on.
    fn block(&mut self, end: EndId, took_some: bool) -> SendStatus {
        if self.ends[end.0].room(self.faults.send_buffer) == 0 {
            self.ends[end.0].blocked = true;
            return SendStatus::Blocked;
        }
        if took_some && self.rng.chance(500) {
            return SendStatus::Again;
        }
        let after = self.latency();
        self.schedule(after, Incident::Nudge(end, Edge::WRITABLE));
        SendStatus::Blocked
    }
}
