//! The simulated network as an engine's [`Driver`].
//!
//! It keeps the driver's contract to the letter and no further: readiness is told once per change,
//! a send may be done in the call or long after it, and a call may find nothing though it was
//! announced. Nothing here waits: [`SimDriver::wait`] says what there is and remembers until when
//! it would have waited, and the [`World`](crate::World) moves the clock.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_engine::driver::{Driver, IoEvent, Received, Sending, Target, Wake};
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Output, Time, WallTime};

use crate::link::{End, EndId, Owner, Stage};
use crate::net::{Host, Incident, Net, Shared};
use crate::poll::{Edge, Poller};

/// Linux' numbers for want of descriptors (of the process, of the system), buffers and memory.
const SHORTAGES: [i32; 4] = [24, 23, 105, 12];

/// The driver of one shard on the simulated network.
#[derive(Debug)]
pub struct SimDriver {
    net: Shared,
    poller: usize,
    /// Where its own connections come from.
    ip: Option<IpAddr>,
    scratch: Vec<u8>,
}

/// A connection's descriptor. To be closed once, by [`Driver::close`]; the network's books show one
/// that was merely dropped.
#[derive(Debug)]
pub struct SimSocket {
    net: Shared,
    poller: usize,
    end: EndId,
    closed: bool,
}

/// A listening descriptor. As for [`SimSocket`].
#[derive(Debug)]
pub struct SimListener {
    net: Shared,
    listener: usize,
    closed: bool,
}

impl SimDriver {
    pub(crate) fn new(net: &Shared, ip: Option<IpAddr>, descriptors: usize) -> Self {
        let mut inner = net.borrow_mut();
        inner.pollers.push(Poller::default());
        inner.books.open.push(0);
        inner.books.limits.push(descriptors);
        let (poller, scratch) = (inner.pollers.len() - 1, inner.faults.scratch);
        drop(inner);
        Self { net: Rc::clone(net), poller, ip, scratch: vec![0; scratch] }
    }

    pub(crate) fn poller(&self) -> usize {
        self.poller
    }

    /// A socket that this driver listens on.
    pub(crate) fn listen(&self, target: Target) -> SimListener {
        let host = Host::Driver { poller: self.poller, id: None };
        let mut net = self.net.borrow_mut();
        let listener = net.listen(target, host);
        net.books.open[self.poller] += 1;
        SimListener { net: Rc::clone(&self.net), listener, closed: false }
    }

    /// What precedes every call: it is counted, and the world may have moved on meanwhile.
    fn call(&self, net: &mut Net) {
        net.pollers[self.poller].note.calls += 1;
        net.jostle();
    }

    fn socket(&self, net: &mut Net, end: EndId) -> SimSocket {
        net.books.open[self.poller] += 1;
        SimSocket { net: Rc::clone(&self.net), poller: self.poller, end, closed: false }
    }

    /// Whether descriptors are used up, really or as a fault.
    fn shortage(&self, net: &mut Net) -> Option<io::Error> {
        if net.books.open[self.poller] >= net.books.limits[self.poller] {
            return Some(io::Error::from_raw_os_error(SHORTAGES[0]));
        }
        let no_descriptor = net.faults.no_descriptor;
        net.strikes(no_descriptor).then(|| io::Error::from_raw_os_error(net.rng.pick(&SHORTAGES)))
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
        let (spurious, partial) = (net.faults.spurious, net.faults.partial_wait);
        if net.strikes(spurious) {
            let end = EndId(net.rng.below(net.ends.len()));
            let ours = net.ends.get(end.0).map(|end| end.owner);
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
        let state = &mut net.listeners[listener.listener];
        state.host = Host::Driver { poller: self.poller, id: Some(id) };
        if !state.queue.is_empty() {
            net.tell_listener(listener.listener);
        }
        Ok(())
    }

    fn accept(&mut self, listener: &mut SimListener) -> io::Result<(SimSocket, Address)> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        let at = listener.listener;
        if net.listeners[at].queue.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (would_block, aborted) = (net.faults.would_block, net.faults.aborted);
        if net.strikes(would_block) {
            let after = net.latency();
            net.schedule(after, Incident::NudgeListener(at));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(error) = self.shortage(&mut net) {
            return Err(error);
        }
        let Some(end) = net.listeners[at].queue.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        net.progress += 1;
        if net.strikes(aborted) {
            net.abort(end);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        net.ends[end.0].owner = Owner::Driver { poller: self.poller, key: None };
        let address = net.ends[end.0].address;
        net.record(10, end.0, at as u64);
        Ok((self.socket(&mut net, end), address))
    }

    fn block_new_clients(&mut self, listener: &mut SimListener) {
        // A client that comes now is told at once what it would find out within a second.
        self.net.borrow_mut().listeners[listener.listener].open = false;
    }

    fn close_listener(&mut self, mut listener: SimListener) {
        let mut net = self.net.borrow_mut();
        listener.closed = true;
        net.progress += 1;
        net.books.open[self.poller] -= 1;
        let state = &mut net.listeners[listener.listener];
        state.open = false;
        let waiting: Vec<EndId> = state.queue.drain(..).collect();
        for end in waiting {
            net.abort(end);
        }
    }

    fn set_key(&mut self, socket: &mut SimSocket, key: Key) {
        let mut net = self.net.borrow_mut();
        net.ends[socket.end.0].owner = Owner::Driver { poller: self.poller, key: Some(key) };
    }

    fn watch(&mut self, socket: &mut SimSocket) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        let no_room = net.faults.no_room;
        if net.strikes(no_room) {
            return Err(io::Error::from_raw_os_error(28));
        }
        let end = &mut net.ends[socket.end.0];
        let mut edge = Edge::WRITABLE;
        edge.readable = end.is_readable();
        edge.ended = end.eof;
        edge.failed = end.failure().is_some();
        net.tell(socket.end, edge);
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
        let end = net.add_end(End::new(owner, Stage::Connecting, address));
        net.ends[end.0].bound_for = Some((target.clone(), self.ip));
        net.set_out(end);
        net.progress += 1;
        Ok(self.socket(&mut net, end))
    }

    fn connected(&mut self, socket: &mut SimSocket) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        match net.ends[socket.end.0].stage {
            Stage::Connecting => Err(io::ErrorKind::WouldBlock.into()),
            Stage::Standing => {
                net.progress += 1;
                Ok(())
            }
            Stage::Failed(kind) => {
                net.progress += 1;
                Err(kind.into())
            }
        }
    }

    fn receive(&mut self, socket: &mut SimSocket) -> io::Result<Received<'_>> {
        let net = Rc::clone(&self.net);
        let mut net = net.borrow_mut();
        self.call(&mut net);
        let Some((count, more)) = net.receive(socket.end, &mut self.scratch)? else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        Ok(Received { bytes: &self.scratch[..count], more })
    }

    fn send(&mut self, socket: &mut SimSocket, out: Box<Output>) -> Sending {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        if net.ends[socket.end.0].pending.is_some() {
            net.complain(format!("end {} has two pending sends", socket.end.0));
        }
        let late_send = net.faults.late_send;
        if !out.is_empty() && net.strikes(late_send) {
            net.ends[socket.end.0].pending = Some(out);
            let after = net.latency();
            net.schedule(after, Incident::SendDue(socket.end));
            net.progress += 1;
            return Sending::Pending;
        }
        let sent = net.transmit(socket.end, out);
        net.progress += u64::from(sent.count > 0);
        Sending::Done(sent)
    }

    fn unacknowledged(&self, socket: &SimSocket) -> io::Result<u64> {
        Ok(self.net.borrow().ends[socket.end.0].wire.len() as u64)
    }

    fn finish(&mut self, socket: &mut SimSocket) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        self.call(&mut net);
        if net.ends[socket.end.0].pending.is_some() {
            net.complain(format!("end {} finishes with a pending send", socket.end.0));
        }
        net.progress += 1;
        if net.ends[socket.end.0].failure().is_some() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        net.finish(socket.end);
        Ok(())
    }

    fn failure(&self, socket: &SimSocket) -> Option<io::Error> {
        self.net.borrow().ends[socket.end.0].failure().map(Into::into)
    }

    fn close(&mut self, mut socket: SimSocket) {
        let mut net = self.net.borrow_mut();
        socket.closed = true;
        net.progress += 1;
        net.books.open[self.poller] -= 1;
        if let Owner::Driver { key: Some(key), .. } = net.ends[socket.end.0].owner
            && net.rng.chance(500)
        {
            // Otherwise what was ready is reported though the connection is gone, as a kernel does
            // within one batch.
            net.pollers[self.poller].forget(key);
        }
        net.close(socket.end);
    }
}

impl Net {
    /// Receives into `buffer`: how many bytes, and whether there may be more. `None`: not now.
    fn receive(&mut self, end: EndId, buffer: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let (would_block, short_read) = (self.faults.would_block, self.faults.short_read);
        let this = &mut self.ends[end.0];
        if !this.is_readable() {
            return Ok(None);
        }
        if self.strikes(would_block) {
            let after = self.latency();
            let edge = if self.ends[end.0].eof { Edge::ENDED } else { Edge::READABLE };
            self.schedule(after, Incident::Nudge(end, edge));
            return Ok(None);
        }
        self.progress += 1;
        let this = &mut self.ends[end.0];
        if this.inbox.is_empty() {
            if let Some(kind) = this.failure()
                && !this.failure_told
            {
                this.failure_told = true;
                return Err(kind.into());
            }
            return Ok(Some((0, false)));
        }
        let mut count = this.inbox.len().min(buffer.len());
        if count > 1 && self.strikes(short_read) {
            count = self.rng.between(1, count);
        }
        let this = &mut self.ends[end.0];
        for (to, from) in buffer.iter_mut().zip(this.inbox.drain(..count)) {
            *to = from;
        }
        self.record(11, end.0, count as u64);
        if let Some(peer) = self.ends[end.0].peer {
            self.dispatch(peer);
        }
        let more = !self.ends[end.0].inbox.is_empty() || count == buffer.len();
        Ok(Some((count, more)))
    }

    /// A connection that waits is reset.
    fn abort(&mut self, end: EndId) {
        let peer = self.ends[end.0].peer;
        self.ends[end.0].fail(io::ErrorKind::ConnectionReset);
        self.ends[end.0].owner = Owner::Nobody;
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
            let (end, poller) = (self.end, self.poller);
            net.complain(format!("the socket of end {} of driver {poller} leaked", end.0));
            net.close(end);
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        if !self.closed
            && let Ok(mut net) = self.net.try_borrow_mut()
        {
            net.complain(format!("listener {} leaked", self.listener));
        }
    }
}
