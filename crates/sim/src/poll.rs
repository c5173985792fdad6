//! The events that a driver's next wait reports: changes of connections' readiness (edges),
//! completed sends, and listeners at which connections wait.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sockeye_engine::driver::{IoEvent, Sent, Wake};
use sockeye_proto::Time;
use sockeye_proto::driver::Key;

use crate::Rng;
use crate::endpoint::EndpointId;

/// How a connection's readiness has changed. [`IoEvent::Ready`] describes the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) ended: bool,
    pub(crate) failed: bool,
}

impl Edge {
    pub(crate) const READABLE: Self =
        Self { readable: true, writable: false, ended: false, failed: false };
    pub(crate) const WRITABLE: Self =
        Self { readable: false, writable: true, ended: false, failed: false };
    /// The end of input has arrived. It makes the connection readable: a receive returns it.
    pub(crate) const ENDED: Self =
        Self { readable: true, writable: false, ended: true, failed: false };
    /// The connection has failed. As epoll does, this reports everything else, too.
    pub(crate) const FAILED: Self =
        Self { readable: true, writable: true, ended: true, failed: true };

    /// Combines two edges.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            readable: self.readable | other.readable,
            writable: self.writable | other.writable,
            ended: self.ended | other.ended,
            failed: self.failed | other.failed,
        }
    }
}

#[derive(Debug)]
enum PollEvent {
    Ready(Key, Edge),
    Sent(Key, Sent),
}

impl PollEvent {
    /// The key of the connection that the event is about.
    fn key(&self) -> Key {
        match self {
            Self::Ready(key, _) | Self::Sent(key, _) => *key,
        }
    }
}

/// The result of a driver's last wait. [`SpinCheck`](crate::spin_check::SpinCheck) uses it to
/// decide whether the worker has anything to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WaitSummary {
    /// The time at which the wait ends if nothing happens. `None`: it has no timeout.
    pub(crate) until: Option<Time>,
    /// A real driver's wait would have returned at once. A simulated wait always returns at once.
    pub(crate) woken: bool,
    /// Number of events that the wait reported. Listeners don't count: they are reported again
    /// until their connections are accepted, so a report is no progress.
    pub(crate) events: usize,
    /// Number of simulated system calls since the wait, as `SimDriver::call` counts them.
    pub(crate) calls: u64,
}

/// The unreported events of one driver. An edge is reported once. The next one is reported when the
/// connection changes again, for example because more bytes arrive.
#[derive(Debug, Default)]
pub(crate) struct Poller {
    events: VecDeque<PollEvent>,
    /// The watched listeners at which a connection waits. Each wait reports them, unless it is one
    /// that reports only some of the events.
    incoming: BTreeSet<u32>,
    /// Endpoints that must send a FIN before the next wait: `send_before_fin` sent their output.
    pub(crate) fins_due: Vec<EndpointId>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) summary: WaitSummary,
}

impl Poller {
    /// Sets whether a connection waits at this listener: see [`Poller::incoming`].
    pub(crate) fn set_incoming(&mut self, listener: u32, incoming: bool) {
        if incoming {
            self.incoming.insert(listener);
        } else {
            self.incoming.remove(&listener);
        }
    }

    /// Adds an edge. Unreported edges of one connection are combined, unless a send completed
    /// between them: then the later edge is reported after that send.
    pub(crate) fn ready(&mut self, key: Key, edge: Edge) {
        let last = self.events.iter_mut().rev().find(|event| event.key() == key);
        match last {
            Some(PollEvent::Ready(_, known)) => *known = known.or(edge),
            _ => self.events.push_back(PollEvent::Ready(key, edge)),
        }
    }

    /// Adds the event that a send has completed.
    pub(crate) fn sent(&mut self, key: Key, sent: Sent) {
        self.events.push_back(PollEvent::Sent(key, sent));
    }

    /// Removes the unreported edges of a closed connection. Its completed sends are still reported,
    /// because they return the output to the worker.
    pub(crate) fn forget(&mut self, key: Key) {
        self.events.retain(|event| !matches!(event, PollEvent::Ready(of, _) if *of == key));
    }

    /// Whether a real driver's wait would return at once.
    pub(crate) fn is_woken(&self, now: Time) -> bool {
        !self.events.is_empty()
            || !self.incoming.is_empty()
            || self.waker.0.load(Ordering::SeqCst)
            || self.summary.until.is_some_and(|until| until <= now)
    }

    /// Moves the events to `io_events`, and adds the listeners at which connections wait. If
    /// `partial` is true, moves a random number of the events, at least one, with the connections
    /// in a random order, and may leave out the listeners. Events of one connection keep their
    /// order.
    pub(crate) fn wait(
        &mut self,
        until: Option<Time>,
        now: Time,
        partial: bool,
        rng: &mut Rng,
        io_events: &mut Vec<IoEvent>,
    ) {
        self.summary = WaitSummary { until, woken: false, events: 0, calls: 0 };
        self.summary.woken = self.is_woken(now);
        self.waker.0.store(false, Ordering::SeqCst);
        let mut count = self.events.len();
        if partial && count > 1 {
            let salt = rng.draw();
            let place = |event: &PollEvent| Rng::new(salt ^ event.key().0).draw();
            self.events.make_contiguous().sort_by_key(place);
            count = rng.between(1, count);
        }
        self.summary.events = count;
        let these = self.events.drain(..count);
        io_events.extend(these.map(|event| match event {
            PollEvent::Sent(key, sent) => IoEvent::Sent { key, sent },
            PollEvent::Ready(key, Edge { readable, writable, ended, failed }) => {
                IoEvent::Ready { key, readable, writable, ended, failed }
            }
        }));
        if !partial || count == 0 || rng.chance(500) {
            io_events.extend(self.incoming.iter().map(|id| IoEvent::ListenerReady(*id)));
        }
    }

    /// Drops all events, with the output of completed sends. Called when the driver is dropped.
    pub(crate) fn clear(&mut self) {
        drop(mem::take(&mut self.events));
        self.incoming.clear();
        self.summary = WaitSummary::default();
    }
}

/// Wakes a simulated driver, from any thread.
#[derive(Debug, Default)]
pub(crate) struct Waker(AtomicBool);

impl Wake for Waker {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
