//! An engine's [`Driver`] for the simulated network.
//!
//! It guarantees no more than the contract of [`Driver`]: the readiness of a connection is reported
//! once per change, a send may complete in the call or long after it, and a call may fail with
//! `WouldBlock` although the connection or listener was reported as ready. [`SimDriver::wait`]
//! never waits. It returns the events that have occurred, and stores the time at which a real wait
//! would end. The [`World`](crate::World) advances the clock.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_engine::driver::{Driver, IoEvent, Received, Sending, Target, Wake};
use sockeye_proto::driver::Key;
use sockeye_proto::{Access, Address, FileRange, Output, Time, WallTime};

use crate::endpoint::{ConnectionState, Endpoint, EndpointId, Owner};
use crate::net::{Acceptor, Net, ScheduledEvent, Shared};
use crate::poll::{Edge, Poller};

/// Errors of Linux when resources are exhausted: EMFILE, ENFILE, ENOBUFS and ENOMEM.
const SHORTAGES: [i32; 4] = [24, 23, 105, 12];

/// The error of Linux when the user's limit on watched descriptors is reached: ENOSPC.
const NOT_WATCHED: i32 = 28;

/// The driver of one worker (event loop) on the simulated network.
#[derive(Debug)]
pub struct SimDriver {
    net: Shared,
    /// The index of this driver's [`Poller`].
    poller: usize,
    /// The local address of connections that this driver opens.
    ip: Option<IpAddr>,
    receive_buffer: Vec<u8>,
}

/// A connection's descriptor. It must be closed by [`Driver::close`]; dropping it is a violation
/// that fails the test.
#[derive(Debug)]
pub struct SimSocket {
    net: Shared,
    poller: usize,
    endpoint: EndpointId,
    closed: bool,
}

/// A listener's descriptor. It must be closed by [`Driver::close_listener`].
#[derive(Debug)]
pub struct SimListener {
    net: Shared,
    listener: usize,
    was_watched: bool,
    closed: bool,
}

impl SimDriver {
    pub(crate) fn new(net: &Shared, ip: Option<IpAddr>, descriptors: usize) -> Self {
        let mut inner = net.borrow_mut();
        inner.pollers.push(Poller::default());
        inner.audit.open_sockets.push(0);
        inner.audit.limits.push(descriptors);
        let (poller, receive_buffer) = (inner.pollers.len() - 1, inner.faults.read_size);
        drop(inner);
        Self { net: Rc::clone(net), poller, ip, receive_buffer: vec![0; receive_buffer] }
    }

    pub(crate) fn poller(&self) -> usize {
        self.poller
    }

    /// Opens a listener for this driver.
    pub(crate) fn listen(&self, target: Target) -> SimListener {
        let acceptor = Acceptor::Driver { poller: self.poller, id: None };
        let mut net = self.net.borrow_mut();
        let listener = net.listen(target, acceptor);
        net.audit.open_sockets[self.poller] += 1;
        SimListener { net: Rc::clone(&self.net), listener, was_watched: false, closed: false }
    }

    /// Called at the start of most methods that stand for a system call. Counts the call, and may
    /// let a network event occur, because real ones also occur between two system calls.
    fn call(&self, net: &mut Net) {
        net.pollers[self.poller].summary.calls += 1;
        net.mid_turn_event();
    }

    fn socket(&self, net: &mut Net, endpoint: EndpointId) -> SimSocket {
        net.audit.open_sockets[self.poller] += 1;
        SimSocket { net: Rc::clone(&self.net), poller: self.poller, endpoint, closed: false }
    }

    /// The error of a call that needs a descriptor, if this driver has reached its limit on
    /// descriptors, or if a fault is injected.
    fn shortage(&self, net: &mut Net) -> Option<io::Error> {
        if net.audit.open_sockets[self.poller] >= net.audit.limits[self.poller] {
            return Some(io::Error::from_raw_os_error(SHORTAGES[0]));
        }
        let no_descriptor = net.faults.no_descriptor;
        net.inject(no_descriptor).then(|| io::Error::from_raw_os_error(net.rng.pick(&SHORTAGES)))
    }
}

impl Driver for SimDriver {
    type Socket = SimSocket;
    const KEEPS_OUTPUT: bool = true;

    type Listener = SimListener;

    fn now(&self) -> Time {
        self.net.borrow().now
    }

    fn wall(&self) -> WallTime {
        self.net.borrow().wall()
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.net.borrow().pollers[self.poller].waker) as Arc<dyn Wake>
    }

    fn wait(
        &mut self,
        _: Time,
        until: Option<Time>,
        io_events: &mut Vec<IoEvent>,
    ) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        let net = &mut *net;
        net.check_fins(self.poller);
        let (spurious, partial) = (net.faults.spurious, net.faults.partial_wait);
        if net.inject(spurious) {
            let endpoint = EndpointId(net.rng.below(net.endpoints.len()));
            let ours = net.endpoints.get(endpoint.0).map(|endpoint| endpoint.owner);
            if let Some(Owner::Driver { poller, key: Some(key) }) = ours
                && poller == self.poller
            {
                net.pollers[poller].ready(key, Edge::READABLE.or(Edge::WRITABLE));
            }
        }
        let partial = net.rng.chance(partial);
        let Net { pollers, rng, now, .. } = net;
        pollers[self.poller].wait(until, *now, partial, rng, io_events);
        Ok(())
    }

    fn watch_listener(&mut self, listener: &mut SimListener, id: u32) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        let fails = net.faults.watch_listener_fails;
        // Only later calls fail: the first one is part of the worker's creation, which would fail.
        if mem::replace(&mut listener.was_watched, true) && net.inject(fails) {
            return Err(io::Error::from_raw_os_error(NOT_WATCHED));
        }
        net.listeners[listener.listener].acceptor =
            Acceptor::Driver { poller: self.poller, id: Some(id) };
        net.update_incoming(listener.listener);
        Ok(())
    }

    fn unwatch_listener(&mut self, listener: &mut SimListener) {
        let mut net = self.net.borrow_mut();
        net.set_incoming(listener.listener, false);
        net.listeners[listener.listener].acceptor =
            Acceptor::Driver { poller: self.poller, id: None };
    }

    fn accept(&mut self, listener: &mut SimListener) -> io::Result<(SimSocket, Address)> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        let at = listener.listener;
        if net.listeners[at].queue.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (would_block, reset_before_accept) =
            (net.faults.would_block, net.faults.reset_before_accept);
        if net.inject(would_block) {
            // As if the connections in the queue came later.
            net.withhold_listener(at);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(error) = self.shortage(&mut net) {
            return Err(error);
        }
        let Some(endpoint) = net.listeners[at].queue.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        net.update_incoming(at);
        net.progress += 1;
        if net.inject(reset_before_accept) {
            net.abort(endpoint);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        net.endpoints[endpoint.0].owner = Owner::Driver { poller: self.poller, key: None };
        let address = net.endpoints[endpoint.0].address;
        net.record(10, endpoint.0, at as u64);
        Ok((self.socket(&mut net, endpoint), address))
    }

    fn block_new_clients(&mut self, listener: &mut SimListener) {
        // A real kernel drops the client's SYN packet. The client sends it again, and is refused
        // when the listener is closed. The simulation refuses the first attempt.
        self.net.borrow_mut().listeners[listener.listener].open = false;
    }

    fn close_listener(&mut self, mut listener: SimListener) {
        let mut net = self.net.borrow_mut();
        listener.closed = true;
        net.progress += 1;
        net.audit.open_sockets[self.poller] -= 1;
        let state = &mut net.listeners[listener.listener];
        state.open = false;
        let waiting: Vec<EndpointId> = state.queue.drain(..).collect();
        net.update_incoming(listener.listener);
        for endpoint in waiting {
            net.abort(endpoint);
        }
    }

    fn set_key(&mut self, socket: &mut SimSocket, key: Key) {
        let mut net = self.net.borrow_mut();
        net.endpoints[socket.endpoint.0].owner =
            Owner::Driver { poller: self.poller, key: Some(key) };
    }

    fn watch(&mut self, socket: &mut SimSocket) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        let watch_fails = net.faults.watch_fails;
        if net.inject(watch_fails) {
            return Err(io::Error::from_raw_os_error(NOT_WATCHED));
        }
        let endpoint = &mut net.endpoints[socket.endpoint.0];
        let mut edge = Edge::WRITABLE;
        edge.readable = endpoint.is_readable();
        edge.ended = endpoint.eof;
        edge.failed = endpoint.failure().is_some();
        net.report(socket.endpoint, edge);
        Ok(())
    }

    fn connect(&mut self, target: &Target, key: Key) -> io::Result<SimSocket> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        if let Some(error) = self.shortage(&mut net) {
            return Err(error);
        }
        let address = match target {
            Target::Ip(address) => Address::Ip(*address),
            Target::Unix(_) => Address::Unix,
        };
        let owner = Owner::Driver { poller: self.poller, key: Some(key) };
        let endpoint = net.add_endpoint(Endpoint::new(owner, ConnectionState::Connecting, address));
        net.endpoints[endpoint.0].connecting_to = Some((target.clone(), self.ip));
        net.start_connecting(endpoint);
        net.progress += 1;
        Ok(self.socket(&mut net, endpoint))
    }

    fn connected(&mut self, socket: &mut SimSocket) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        match net.endpoints[socket.endpoint.0].state {
            ConnectionState::Connecting => Err(io::ErrorKind::WouldBlock.into()),
            ConnectionState::Established => {
                net.progress += 1;
                Ok(())
            }
            ConnectionState::Failed(kind) => {
                net.progress += 1;
                Err(kind.into())
            }
        }
    }

    fn receive(&mut self, socket: &mut SimSocket) -> io::Result<Received<'_>> {
        let net = Rc::clone(&self.net);
        let mut net = net.borrow_mut();
        self.call(&mut net);
        let Some((count, more)) = net.receive(socket.endpoint, &mut self.receive_buffer)? else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        Ok(Received { bytes: &mut self.receive_buffer[..count], more })
    }

    fn limit_unsent(&mut self, socket: &mut SimSocket, bytes: u32) {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        net.endpoints[socket.endpoint.0].unsent_limit = Some(bytes as usize);
    }

    fn read_resident(&mut self, range: &FileRange, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let max = buffer.len().min(usize::try_from(range.len).unwrap_or(usize::MAX));
        let is_direct = range.source.access() == Access::Direct;
        is_direct.then(|| range.source.read_at(range.offset, &mut buffer[..max]))
    }

    fn send(&mut self, socket: &mut SimSocket, out: Box<Output>) -> Sending {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        if net.endpoints[socket.endpoint.0].pending.is_some() {
            net.report_violation(format!("endpoint {} has two pending sends", socket.endpoint.0));
        }
        let late_send = net.faults.late_send;
        if !out.is_empty() && net.inject(late_send) {
            net.endpoints[socket.endpoint.0].pending = Some(out);
            let after = net.latency();
            net.schedule(after, ScheduledEvent::SendDue(socket.endpoint));
            net.progress += 1;
            return Sending::Pending;
        }
        let sent = net.transmit(socket.endpoint, out);
        net.progress += u64::from(sent.count > 0);
        Sending::Done(sent)
    }

    fn send_before_fin(&mut self, socket: &mut SimSocket, out: Box<Output>) -> Sending {
        let sending = self.send(socket, out);
        let mut net = self.net.borrow_mut();
        net.sends_before_fin += 1;
        if let Sending::Done(sent) = &sending
            && sent.out.is_empty()
        {
            net.pollers[self.poller].fins_due.push(socket.endpoint);
        }
        sending
    }

    fn unacknowledged(&self, socket: &SimSocket) -> io::Result<u64> {
        Ok(self.net.borrow().endpoints[socket.endpoint.0].in_flight.len() as u64)
    }

    fn finish(&mut self, socket: &mut SimSocket) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        if net.endpoints[socket.endpoint.0].pending.is_some() {
            net.report_violation(format!(
                "endpoint {} finishes with a pending send",
                socket.endpoint.0
            ));
        }
        net.progress += 1;
        if net.endpoints[socket.endpoint.0].failure().is_some() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        net.finish(socket.endpoint);
        Ok(())
    }

    fn failure(&self, socket: &SimSocket) -> Option<io::Error> {
        self.net.borrow().endpoints[socket.endpoint.0].failure().map(Into::into)
    }

    fn close(&mut self, mut socket: SimSocket) {
        let mut net = self.net.borrow_mut();
        socket.closed = true;
        net.progress += 1;
        net.audit.open_sockets[self.poller] -= 1;
        if let Owner::Driver { key: Some(key), .. } = net.endpoints[socket.endpoint.0].owner
            && net.rng.chance(500)
        {
            // In half of the cases, unreported readiness is dropped. In the other half, it is
            // reported after the close, as a kernel may do within one batch of events.
            net.pollers[self.poller].forget(key);
        }
        net.close(socket.endpoint);
    }
}

impl Net {
    /// Checks, at a wait of the driver, that a FIN has followed each output that was wholly sent by
    /// [`Driver::send_before_fin`] since the last wait. A real kernel may hold back the last bytes
    /// of the output until the FIN.
    fn check_fins(&mut self, poller: usize) {
        for endpoint in mem::take(&mut self.pollers[poller].fins_due) {
            let this = &self.endpoints[endpoint.0];
            if !this.fin_queued && !this.is_closed() && this.failure().is_none() {
                self.report_violation(format!(
                    "no FIN follows the output of endpoint {}",
                    endpoint.0
                ));
            }
        }
    }

    /// Receives into `buffer`. Returns the number of bytes, and whether there may be more, or
    /// `None` if the call would block.
    fn receive(
        &mut self,
        endpoint: EndpointId,
        buffer: &mut [u8],
    ) -> io::Result<Option<(usize, bool)>> {
        let (would_block, short_read) = (self.faults.would_block, self.faults.short_read);
        let this = &mut self.endpoints[endpoint.0];
        if !this.is_readable() {
            return Ok(None);
        }
        if self.inject(would_block) {
            let after = self.latency();
            let edge = if self.endpoints[endpoint.0].eof { Edge::ENDED } else { Edge::READABLE };
            self.schedule(after, ScheduledEvent::ReportReady(endpoint, edge));
            return Ok(None);
        }
        self.progress += 1;
        let this = &mut self.endpoints[endpoint.0];
        if this.unread.is_empty() {
            if let Some(kind) = this.failure()
                && !this.failure_reported
            {
                this.failure_reported = true;
                return Err(kind.into());
            }
            return Ok(Some((0, false)));
        }
        let mut count = this.unread.len().min(buffer.len());
        if count > 1 && self.inject(short_read) {
            count = self.rng.between(1, count);
        }
        let this = &mut self.endpoints[endpoint.0];
        for (to, from) in buffer.iter_mut().zip(this.unread.drain(..count)) {
            *to = from;
        }
        self.record(11, endpoint.0, count as u64);
        if let Some(peer) = self.endpoints[endpoint.0].peer {
            self.dispatch(peer);
        }
        let more = !self.endpoints[endpoint.0].unread.is_empty() || count == buffer.len();
        Ok(Some((count, more)))
    }

    /// Resets a connection that waits to be accepted.
    fn abort(&mut self, endpoint: EndpointId) {
        let peer = self.endpoints[endpoint.0].peer;
        self.endpoints[endpoint.0].fail(io::ErrorKind::ConnectionReset);
        self.endpoints[endpoint.0].owner = Owner::Closed;
        peer.into_iter().for_each(|peer| self.send_reset(peer));
    }
}

impl Drop for SimDriver {
    fn drop(&mut self) {
        if let Ok(mut net) = self.net.try_borrow_mut() {
            net.pollers[self.poller].clear();
        }
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        if !self.closed
            && let Ok(mut net) = self.net.try_borrow_mut()
        {
            let (endpoint, poller) = (self.endpoint, self.poller);
            net.report_violation(format!(
                "the socket of endpoint {} of driver {poller} leaked",
                endpoint.0
            ));
            net.close(endpoint);
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        if !self.closed
            && let Ok(mut net) = self.net.try_borrow_mut()
        {
            net.report_violation(format!("listener {} leaked", self.listener));
        }
    }
}
