//! The state that the connections of one worker share.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use sockeye_http::h2_client::RequestHeads;
use sockeye_proto::Time;

use crate::expected::{ExpectedResponse, ExpectedResponses};
use crate::plan::{Http2Request, Plan};
use crate::schedule::Schedule;
use crate::stats::Stats;

/// With `Until::Requests`, a worker gives up when too many connections have ended without a
/// response since its last response: more than this number times its number of connections.
const MAX_UNRESPONSIVE: u64 = 10;

#[derive(Debug)]
pub(crate) struct WorkerState {
    pub(crate) plan: Arc<Plan>,
    /// The number of this worker's first connection among those of all workers.
    pub(crate) first: usize,
    pub(crate) expected: ExpectedResponses,
    /// The heads of the plan's requests, for HTTP/2. Created when a connection first needs them.
    request_heads: OnceCell<RequestHeads>,
    pub(crate) stats: RefCell<Stats>,
    /// Requests that may still be sent.
    pub(crate) remaining: Cell<u64>,
    /// The load is ending: no more requests are sent.
    pub(crate) finishing: Cell<bool>,
    /// When the last response was complete.
    pub(crate) last_response: Cell<Time>,
    /// When the last request or connection failed.
    pub(crate) last_failure: Cell<Time>,
    /// How many connections have ended without a response since the worker's last response.
    pub(crate) unresponsive: Cell<u64>,
    /// The server has announced the end of a connection, but did not close it soon: from then on,
    /// the client closes such connections.
    pub(crate) client_closes: Cell<bool>,
    /// The answer to a request has shown that the port doesn't expect TLS.
    pub(crate) answered_without_tls: Cell<bool>,
    /// What a connection was waiting for when the load ended.
    pub(crate) unfinished: RefCell<Option<String>>,
    /// The worker's connections.
    pub(crate) slots: RefCell<Vec<Slot>>,
    /// Connections that have ended, for the worker to reopen.
    pub(crate) closed: RefCell<Vec<ClosedConnection>>,
    /// Expected responses that were learned from first responses, each with the index of its
    /// request.
    pub(crate) learned: RefCell<Vec<(usize, ExpectedResponse)>>,
}

/// The state of one connection, which is kept when the connection ends and is opened again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    /// Whether the connection is established now.
    pub(crate) established: bool,
    /// When the connection was last opened.
    pub(crate) opened: Time,
    /// When the connection's requests are due, if there is a rate. `None` until the connection is
    /// first established.
    pub(crate) schedule: Option<Schedule>,
}

/// A connection that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedConnection {
    pub(crate) number: usize,
    /// The connection ended without a response, so it is reopened after a delay.
    pub(crate) no_response: bool,
}

impl WorkerState {
    pub(crate) fn new(
        plan: Arc<Plan>,
        expected: ExpectedResponses,
        first: usize,
        connections: usize,
        requests: u64,
    ) -> Self {
        Self {
            plan,
            first,
            expected,
            request_heads: OnceCell::new(),
            stats: RefCell::default(),
            remaining: Cell::new(requests),
            finishing: Cell::new(false),
            last_response: Cell::new(Time::ZERO),
            last_failure: Cell::new(Time::ZERO),
            unresponsive: Cell::new(0),
            client_closes: Cell::new(false),
            answered_without_tls: Cell::new(false),
            unfinished: RefCell::default(),
            slots: RefCell::new(vec![Slot::default(); connections]),
            closed: RefCell::default(),
            learned: RefCell::default(),
        }
    }

    /// The heads of the plan's requests, for HTTP/2, in the plan's order.
    pub(crate) fn request_heads(&self) -> &RequestHeads {
        self.request_heads.get_or_init(|| {
            let mut heads = RequestHeads::default();
            let scheme = if self.plan.tls.is_some() { "https" } else { "http" };
            for request in self.plan.requests.iter().filter_map(|it| it.http2.as_deref()) {
                let Http2Request { method, authority, path, fields, .. } = request;
                let fields = fields.iter().map(|(name, value)| (name.as_str(), &value[..]));
                heads.add(method, scheme, authority, path, &fields.collect::<Vec<_>>());
            }
            heads
        })
    }

    /// Whether no further request is sent: the load is ending, or no request remains to be sent.
    pub(crate) fn sends_no_more(&self) -> bool {
        self.finishing.get() || self.remaining.get() == 0
    }

    /// The limit on [`WorkerState::unresponsive`].
    pub(crate) fn max_unresponsive(&self) -> u64 {
        MAX_UNRESPONSIVE * self.slots.borrow().len() as u64
    }

    /// Adds `count` requests, which a connection will not send, to those that may still be sent.
    pub(crate) fn return_requests(&self, count: usize) {
        self.remaining.set(self.remaining.get().saturating_add(count as u64));
    }

    /// The schedule of a connection that is established at `now`, if there is a rate.
    pub(crate) fn schedule(&self, number: usize, now: Time) -> Option<Schedule> {
        let connections = self.plan.connections.get();
        self.plan.rate.map(|rate| Schedule::new(rate, self.first + number, connections, now))
    }
}
