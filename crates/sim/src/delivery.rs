//! Delivers bytes, ends of input and resets from one endpoint of a connection to the other.
//!
//! [`Net::record`] adds each event to a hash of the run, with a number for the kind of event: here
//! 2 for a delivery, 3 for a failure, 4 for a black hole, 5 for a close, and 6 for a send.

use std::io;
use std::mem;

use sockeye_engine::driver::{SendStatus, Sent};
use sockeye_proto::Output;

use crate::endpoint::{ConnectionState, EndpointId, Owner};
use crate::net::{Net, ScheduledEvent};
use crate::poll::Edge;

impl Net {
    /// Schedules the next delivery from `endpoint`, if something can be delivered.
    pub(crate) fn dispatch(&mut self, endpoint: EndpointId) {
        let from = &self.endpoints[endpoint.0];
        let Some(peer) = from.peer else { return };
        let to = &self.endpoints[peer.0];
        let fits = from.in_flight.is_empty() || to.is_closed() || self.window(peer) > 0;
        if from.delivery_scheduled || from.black_holed || !from.has_undelivered() || !fits {
            return;
        }
        let mut after = self.latency();
        let (stall, longest) = (self.faults.stall, self.faults.max_stall);
        if self.inject(stall) {
            after += self.rng.duration(longest);
        }
        self.endpoints[endpoint.0].delivery_scheduled = true;
        self.schedule(after, ScheduledEvent::Deliver(endpoint));
    }

    /// Free space in the receive buffer of `endpoint`, in bytes.
    fn window(&self, endpoint: EndpointId) -> usize {
        self.faults.receive_buffer.saturating_sub(self.endpoints[endpoint.0].unread.len())
    }

    /// Delivers some of the bytes in flight from `endpoint`, and possibly its FIN.
    pub(crate) fn deliver(&mut self, endpoint: EndpointId) {
        self.endpoints[endpoint.0].delivery_scheduled = false;
        let from = &self.endpoints[endpoint.0];
        let Some(peer) = from.peer else { return };
        let to = &self.endpoints[peer.0];
        // An endpoint that has failed gets nothing more: its unread bytes were discarded, so later
        // bytes would follow a gap.
        if from.black_holed || !from.has_undelivered() || to.failure().is_some() {
            return;
        }
        if to.is_closed() {
            return self.deliver_to_closed(endpoint);
        }
        let split = self.faults.split;
        let mut count = from.in_flight.len().min(self.window(peer));
        if count > 1 && self.inject(split) {
            count = self.rng.between(1, count);
        }
        let bytes: Vec<u8> = self.endpoints[endpoint.0].in_flight.drain(..count).collect();
        self.endpoints[peer.0].unread.extend(bytes);
        self.record(2, endpoint.0, count as u64);
        let mut edge = if count > 0 { Edge::READABLE } else { Edge::default() };

        let from = &self.endpoints[endpoint.0];
        // The last bytes and the FIN arrive together or separately.
        if from.in_flight.is_empty() && from.fin_queued && (count == 0 || !self.inject(split)) {
            self.endpoints[endpoint.0].fin_delivered = true;
            self.endpoints[peer.0].eof = true;
            edge = edge.or(Edge::ENDED);
        }
        if edge != Edge::default() {
            self.report(peer, edge);
        }
        self.on_space(endpoint);
        self.dispatch(endpoint);
    }

    /// Delivers what `endpoint` has sent to a peer whose socket is closed. Bytes are answered with
    /// a reset, and what the peer still had in flight is lost. A FIN alone is not answered.
    fn deliver_to_closed(&mut self, endpoint: EndpointId) {
        if mem::take(&mut self.endpoints[endpoint.0].in_flight).is_empty() {
            self.endpoints[endpoint.0].fin_delivered = true;
            return;
        }
        if let Some(peer) = self.endpoints[endpoint.0].peer {
            self.endpoints[peer.0].in_flight.clear();
            self.endpoints[peer.0].fin_delivered = true;
        }
        self.send_reset(endpoint);
    }

    /// Called when the send buffer of `endpoint` has more space: continues a pending send, or
    /// reports that the socket is writable.
    fn on_space(&mut self, endpoint: EndpointId) {
        let buffer = self.faults.send_buffer;
        if self.endpoints[endpoint.0].pending_waits_for_space {
            self.send_due(endpoint);
        } else if self.endpoints[endpoint.0].waits_for_space
            && self.endpoints[endpoint.0].has_enough_space(buffer)
        {
            self.endpoints[endpoint.0].waits_for_space = false;
            self.report(endpoint, Edge::WRITABLE);
        }
    }

    /// Completes a pending send now, or when the send buffer has space.
    pub(crate) fn send_due(&mut self, endpoint: EndpointId) {
        let buffer = self.faults.send_buffer;
        let Owner::Driver { poller, key: Some(key) } = self.endpoints[endpoint.0].owner else {
            return;
        };
        let connected = self.endpoints[endpoint.0].failure().is_none();
        if connected && self.endpoints[endpoint.0].free_space(buffer) == 0 {
            self.endpoints[endpoint.0].pending_waits_for_space = true;
            return;
        }
        self.endpoints[endpoint.0].pending_waits_for_space = false;
        if let Some(out) = self.endpoints[endpoint.0].pending.take() {
            let sent = self.transmit(endpoint, out);
            self.progress += 1;
            self.pollers[poller].sent(key, sent);
        }
    }

    /// Sends a reset to `endpoint`. It arrives after the network's latency.
    pub(crate) fn send_reset(&mut self, endpoint: EndpointId) {
        if !self.endpoints[endpoint.0].black_holed {
            let after = self.latency();
            self.schedule(after, ScheduledEvent::Reset(endpoint));
        }
    }

    /// Fails the connection at `endpoint` with an error of this kind. Nothing happens if the
    /// endpoint is closed or has failed, or if nothing is delivered to it any more.
    pub(crate) fn fail(&mut self, endpoint: EndpointId, kind: io::ErrorKind) {
        let this = &mut self.endpoints[endpoint.0];
        if this.is_closed() || this.black_holed || this.failure().is_some() {
            return;
        }
        this.fail(kind);
        self.record(3, endpoint.0, kind as u64);
        if self.endpoints[endpoint.0].pending_waits_for_space {
            self.send_due(endpoint);
        }
        self.report(endpoint, Edge::FAILED);
    }

    /// From now on, the connection of `endpoint` delivers nothing in either direction.
    pub(crate) fn black_hole(&mut self, endpoint: EndpointId) {
        self.record(4, endpoint.0, 0);
        self.endpoints[endpoint.0].black_holed = true;
        if let Some(peer) = self.endpoints[endpoint.0].peer {
            self.endpoints[peer.0].black_holed = true;
        }
    }

    /// Closes the sending side of `endpoint`: a FIN follows the bytes in flight.
    pub(crate) fn finish(&mut self, endpoint: EndpointId) {
        self.endpoints[endpoint.0].fin_queued = true;
        self.dispatch(endpoint);
    }

    /// Closes `endpoint`. Bytes that it sent still arrive, unless it closes with unread input: then
    /// the peer gets a reset, as on Linux.
    pub(crate) fn close(&mut self, endpoint: EndpointId) {
        self.record(5, endpoint.0, 0);
        self.cancel_send(endpoint);
        let this = &mut self.endpoints[endpoint.0];
        this.owner = Owner::Closed;
        let has_unread = !mem::take(&mut this.unread).is_empty();
        let peer = this.peer;
        match this.state {
            ConnectionState::Connecting | ConnectionState::Failed(_) => return,
            ConnectionState::Established if has_unread => {
                this.in_flight.clear();
                this.fin_delivered = true;
                peer.into_iter().for_each(|peer| self.send_reset(peer));
            }
            ConnectionState::Established => self.finish(endpoint),
        }
        // The peer may wait for space in this endpoint's buffer. The peer's bytes are now delivered
        // to a closed socket, so that the peer gets a reset.
        peer.into_iter().for_each(|peer| self.dispatch(peer));
    }

    /// Cancels the pending send of a socket that is being closed. As with asynchronous I/O, the
    /// completion of the send is reported later, with an error.
    fn cancel_send(&mut self, endpoint: EndpointId) {
        let Some(out) = self.endpoints[endpoint.0].pending.take() else { return };
        self.endpoints[endpoint.0].pending_waits_for_space = false;
        let Owner::Driver { poller, key: Some(key) } = self.endpoints[endpoint.0].owner else {
            return;
        };
        let status = SendStatus::Failed(io::ErrorKind::ConnectionAborted.into());
        let sent = Sent { out, count: 0, status };
        let after = self.latency();
        self.schedule(after, ScheduledEvent::SendCancelled { poller, key, sent });
    }

    /// Moves bytes of `out` into the send buffer of `endpoint`: as many as fit, but at most the
    /// engine's quantum (its limit on the bytes of one send). An injected fault may lower the
    /// number.
    pub(crate) fn transmit(&mut self, endpoint: EndpointId, mut out: Box<Output>) -> Sent {
        if let Some(kind) = self.endpoints[endpoint.0].failure() {
            return Sent { out, count: 0, status: SendStatus::Failed(kind.into()) };
        }
        if self.endpoints[endpoint.0].fin_queued {
            self.report_violation(format!(
                "endpoint {} sends after it has closed its sending side",
                endpoint.0
            ));
        }
        let free_space = self.endpoints[endpoint.0].free_space(self.faults.send_buffer);
        let (would_block, short_write) = (self.faults.would_block, self.faults.short_write);
        let quantum = sockeye_engine::driver::QUANTUM as usize;
        let mut limit = free_space.min(quantum);
        if self.inject(would_block) {
            limit = 0;
        } else if limit > 1 && self.inject(short_write) {
            limit = self.rng.between(1, limit);
        }
        let (count, obstacle) =
            crate::gather::gather(&mut out, limit, &mut self.endpoints[endpoint.0].in_flight);
        self.record(6, endpoint.0, count);
        self.dispatch(endpoint);
        let status = match obstacle {
            Some(status) => status,
            None if out.is_empty() || (count as usize) == quantum => SendStatus::Ready,
            None => self.block(endpoint, count > 0),
        };
        Sent { out, count, status }
    }

    /// The status of a send that took less than all of its output.
    ///
    /// If the send buffer is full, the sender waits for [`Net::on_space`]. Otherwise an injected
    /// fault has cut the send. If some bytes were taken, the sender may try again at once in half
    /// of the cases. In all other cases, it waits until the event that is scheduled here reports
    /// that the socket is writable.
    fn block(&mut self, endpoint: EndpointId, took_some: bool) -> SendStatus {
        if self.endpoints[endpoint.0].free_space(self.faults.send_buffer) == 0 {
            self.endpoints[endpoint.0].waits_for_space = true;
            return SendStatus::Blocked;
        }
        if took_some && self.rng.chance(500) {
            return SendStatus::Ready;
        }
        let after = self.latency();
        self.schedule(after, ScheduledEvent::ReportReady(endpoint, Edge::WRITABLE));
        SendStatus::Blocked
    }
}
