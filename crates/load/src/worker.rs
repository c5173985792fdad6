//! One thread of a load: an event loop with its share of the connections.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::driver::{Driver, Epoll, Target, Wake};
use sockeye_engine::{
    self as engine, Config, ConnectionCounts, Linger, Mailbox, Pool, WorkerParts,
};
use sockeye_proto::{Peer, Protocol, Time};

use crate::connection::Connection;
use crate::expected::{ExpectedResponse, Probe};
use crate::failure::Failures;
use crate::plan::{Plan, Until};
use crate::state::WorkerState;
use crate::stats::{Stats, Times};

/// Delay before reopening a connection that ended without a response.
const REOPEN_DELAY: Duration = Duration::from_millis(100);
/// Maximum time to wait for pending responses at the end of a load with [`Until::Time`].
const MAX_FINISH_TIME: Duration = Duration::from_secs(1);

/// A worker's part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number of this worker's first connection among those of all workers.
    first: usize,
    connections: usize,
    /// Number of requests to send; `u64::MAX` with [`Until::Time`].
    requests: u64,
}

impl Share {
    /// The share that is the whole plan.
    #[must_use]
    pub fn all(plan: &Plan) -> Self {
        let requests = match plan.until {
            Until::Requests(count) => count,
            Until::Time(_) => u64::MAX,
        };
        Self { first: 0, connections: plan.connections.get(), requests }
    }

    /// The shares of the plan's threads, each with at least one connection.
    #[must_use]
    pub fn of_threads(plan: &Plan) -> Vec<Self> {
        let all = Self::all(plan);
        let threads = plan.threads.get().min(all.connections) as u64;
        let part = |of: u64, thread: u64| of / threads + u64::from(thread < of % threads);
        let mut first = 0;
        let share = |thread| {
            let connections = part(all.connections as u64, thread) as usize;
            let requests = match plan.until {
                Until::Requests(count) => part(count, thread),
                Until::Time(_) => u64::MAX,
            };
            let share = Self { first, connections, requests };
            first += connections;
            share
        };
        (0..threads).map(share).collect()
    }
}

/// An event loop with its connections.
#[expect(missing_debug_implementations, reason = "a worker has none")]
pub struct Worker {
    event_loop: engine::Worker<Epoll>,
    state: Rc<WorkerState>,
    target: Target,
    share: Share,
    /// Connections to reopen, and when.
    delayed: VecDeque<(Time, usize)>,
    started: Time,
}

impl Worker {
    /// Creates a worker, and starts to establish its connections to the target of `probe`.
    ///
    /// # Errors
    ///
    /// When the poller can't be created.
    pub fn new(plan: Arc<Plan>, probe: &Probe, share: Share) -> io::Result<Self> {
        let driver = Epoll::new()?;
        let started = driver.now();
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        let none = |_: &Peer| -> Box<dyn Protocol> { unreachable!("a client has no listener") };
        let event_loop = engine::Worker::new(WorkerParts {
            driver,
            listeners: Vec::new(),
            service: Box::new(none),
            config: Arc::new(config(&plan)),
            counts: Arc::new(ConnectionCounts::default()),
            mailbox,
            spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
            handover: None,
            tls: [].into(),
        })?;
        let Share { first, connections, requests } = share;
        let expected = Arc::clone(&probe.expected);
        let state = WorkerState::new(plan, expected, first, connections, requests);
        let mut worker = Self {
            event_loop,
            state: Rc::new(state),
            target: probe.target.clone(),
            share,
            delayed: VecDeque::new(),
            started,
        };
        if requests > 0 {
            (0..connections).for_each(|number| worker.open(number));
        }
        Ok(worker)
    }

    /// A waker with which any thread can make [`Worker::run`] call its `keep_running`.
    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        self.event_loop.driver().waker()
    }

    /// Runs until `time` has passed, every request was answered or has failed, or `keep_running`
    /// returns false. With [`Until::Requests`], also ends when too many connections in a row have
    /// ended without a response. `keep_running` is called before every turn of the event loop, with
    /// the number of responses and the number of failures so far.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn run(
        &mut self,
        time: Option<Duration>,
        mut keep_running: impl FnMut(u64, u64) -> bool,
    ) -> io::Result<()> {
        let until = time.map_or(Time::NEVER, |time| self.event_loop.driver().now() + time);
        let mut keep_running = |state: &WorkerState| {
            let stats = state.stats.borrow();
            keep_running(stats.responses, stats.failures.total())
        };
        while keep_running(&self.state) && !self.is_done() && self.event_loop.driver().now() < until
        {
            let reopen = self.delayed.front().map_or(until, |(time, _)| until.min(*time));
            self.event_loop.turn_until(reopen)?;
            self.reopen();
        }
        Ok(())
    }

    /// Sends no more requests, waits for pending responses while `keep_running` returns true, and
    /// returns the counts and the duration of the load. Waits at most for [`Plan::timeout`]; with
    /// [`Until::Time`], also no longer than a second.
    ///
    /// The duration ends with the last response or with this call, whichever is later. With
    /// [`Until::Requests`], it does not end before the last failure either. If every request of
    /// [`Until::Requests`] is already done, the time of this call doesn't count.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn finish(
        mut self,
        keep_running: impl FnMut(u64, u64) -> bool,
    ) -> io::Result<(Stats, Duration)> {
        let now = self.event_loop.driver().now();
        let state = Rc::clone(&self.state);
        let (waiting, unconnected) = self.unsent(now);
        let remaining = state.remaining.get();
        let sent_all = state.sends_no_more();
        let mut end = if sent_all && self.is_done() { Time::ZERO } else { now };
        state.finishing.set(true);
        self.delayed.clear();
        self.event_loop.drain();
        self.run(None, keep_running)?;
        self.event_loop.stop();
        let mut stats = state.stats.take();
        if !sent_all {
            // With `Until::Requests`, only `remaining` requests may still be sent. The schedules of
            // connections don't regard this number, so more requests may seem due.
            stats.unsent = (waiting + unconnected).min(remaining);
            stats.unsent_unconnected = unconnected.min(stats.unsent);
        }
        stats.received = self.event_loop.stats().received;
        stats.sent = self.event_loop.stats().sent;
        if self.share.requests < u64::MAX {
            end = end.max(state.last_failure.get());
        }
        Ok((stats, end.max(state.last_response.get()).since(self.started)))
    }

    /// How many requests are due at `now` and were not sent: first the number on established
    /// connections, then the number on all other connections.
    fn unsent(&self, now: Time) -> (u64, u64) {
        let (mut waiting, mut unconnected) = (0, 0);
        for (number, slot) in self.state.slots.borrow().iter().enumerate() {
            let schedule = slot.schedule.or_else(|| self.state.schedule(number, self.started));
            let count = schedule.map_or(0, |schedule| schedule.overdue(now));
            *(if slot.established { &mut waiting } else { &mut unconnected }) += count;
        }
        (waiting, unconnected)
    }

    /// Ends all connections now, and returns what one of them was waiting for.
    pub(crate) fn stop(&mut self) -> Option<String> {
        self.event_loop.stop();
        self.state.unfinished.take()
    }

    /// The number of responses so far.
    #[must_use]
    pub fn responses(&self) -> u64 {
        self.state.stats.borrow().responses
    }

    /// Forgets the latencies of the responses so far, and keeps all other counts: for a load with a
    /// warm-up.
    pub fn reset_latencies(&mut self) {
        self.state.stats.borrow_mut().latencies = Times::default();
    }

    /// The failures so far.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.state.stats.borrow().failures.clone()
    }

    /// Whether an answer has shown that the port doesn't expect TLS: the HTTP request itself, sent
    /// back as by an echo server, or any response to a request for a WebSocket, except a redirect
    /// or one with status 400.
    pub(crate) fn answered_without_tls(&self) -> bool {
        self.state.answered_without_tls.get()
    }

    /// Takes what was learned: the response to each request that had no expected response yet, with
    /// the index of the request in the plan.
    pub(crate) fn learned(&self) -> Vec<(usize, ExpectedResponse)> {
        self.state.learned.take()
    }

    fn is_done(&self) -> bool {
        let failed = self.share.requests < u64::MAX
            && self.state.unresponsive.get() > self.state.max_unresponsive();
        failed || (self.event_loop.is_done() && self.delayed.is_empty())
    }

    fn open(&mut self, number: usize) {
        let connection = Connection::new(Rc::clone(&self.state), number);
        // `Peer::via` of the connection is its number.
        let via = u32::try_from(number).unwrap_or(u32::MAX);
        self.state.slots.borrow_mut()[number].opened = self.event_loop.driver().now();
        match &self.state.plan.tls {
            Some(tls) => {
                let connection = Box::new(connection);
                self.event_loop.connect_tls(&self.target, &tls.connector, connection, via);
            }
            None => self.event_loop.connect(&self.target, Box::new(connection), via),
        }
    }

    /// Reopens connections that have ended, at once or after a delay.
    fn reopen(&mut self) {
        let now = self.event_loop.driver().now();
        // The list is taken out of the state first, since `open` adds to the list a connection that
        // can't be opened.
        let closed = self.state.closed.take();
        if self.state.sends_no_more() {
            self.delayed.clear();
            return;
        }
        for closed in closed {
            if closed.no_response {
                self.delayed.push_back((now + REOPEN_DELAY, closed.number));
            } else {
                self.open(closed.number);
            }
        }
        while let Some((_, number)) = self.delayed.pop_front_if(|(time, _)| *time <= now) {
            self.open(number);
        }
    }
}

fn config(plan: &Plan) -> Config {
    Config {
        connect_timeout: plan.connect_timeout,
        handshake_timeout: plan.connect_timeout,
        drain_timeout: match plan.until {
            Until::Time(_) => plan.timeout.min(MAX_FINISH_TIME),
            Until::Requests(_) => plan.timeout,
        },
        // No limit: while a connection had more unsent bytes of requests than a limit, the engine
        // would read no responses from it.
        max_buffered_output: usize::MAX,
        // A `Connection` has its own timeout, so this one, a year, is never to expire.
        write_timeout: Duration::from_secs(366 * 24 * 3600),
        // Input after the last response is not read.
        linger: Linger { bytes: 0, quiet: Duration::ZERO, total: Duration::ZERO },
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{LoadKind, PreparedRequest};

    #[test]
    fn shares_are_even_and_make_up_the_whole() {
        let mut plan = Plan::new(LoadKind::Echo, vec![PreparedRequest::bytes("x".into())]);
        plan.connections = NonZeroUsize::new(5).unwrap();
        plan.threads = NonZeroUsize::new(3).unwrap();
        plan.until = Until::Requests(7);
        let share = |first, connections, requests| Share { first, connections, requests };
        assert_eq!(Share::of_threads(&plan), [share(0, 2, 3), share(2, 2, 2), share(4, 1, 2)]);
        plan.threads = NonZeroUsize::new(99).unwrap();
        assert_eq!(Share::of_threads(&plan).len(), 5);
    }
}
