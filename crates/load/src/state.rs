//! The state that the connections of one worker share.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sockeye_proto::Time;

use crate::expected::{ExpectedResponse, ExpectedResponses};
use crate::plan::Plan;
use crate::schedule::Schedule;
use crate::stats::Stats;

#[derive(Debug)]
pub(crate) struct WorkerState {
    pub(crate) plan: Arc<Plan>,
    /// The number of this worker's first connection among all.
    pub(crate) first: usize,
    pub(crate) expected: ExpectedResponses,
    pub(crate) stats: RefCell<Stats>,
    /// Requests that may still be sent.
    pub(crate) left: Cell<u64>,
    /// No more requests are sent.
    pub(crate) over: Cell<bool>,
    /// When the last response was complete.
    pub(crate) last_response: Cell<Time>,
    /// When the last request or connection failed.
    pub(crate) last_failure: Cell<Time>,
    /// Connections in a row that ended without a response.
    pub(crate) fruitless: Cell<u64>,
    /// The server leaves it to the client to close connections.
    pub(crate) we_close: Cell<bool>,
    /// What a connection was waiting for when the load ended.
    pub(crate) unfinished: RefCell<Option<String>>,
    /// The worker's connections.
    pub(crate) slots: RefCell<Vec<Slot>>,
    /// Connections that have ended, for the worker to reopen.
    pub(crate) closed: RefCell<Vec<Closed>>,
    /// Responses to requests for which none was expected.
    pub(crate) learned: RefCell<Vec<(usize, ExpectedResponse)>>,
}

/// What is kept of a connection when it is reopened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) established: bool,
    /// When its requests are due, if there is a rate. `None` until it is first established.
    pub(crate) schedule: Option<Schedule>,
}

/// A connection that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) number: usize,
    /// It ended without a response, so it is reopened after a delay.
    pub(crate) fruitless: bool,
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
            stats: RefCell::default(),
            left: Cell::new(requests),
            over: Cell::new(false),
            last_response: Cell::new(Time::ZERO),
            last_failure: Cell::new(Time::ZERO),
            fruitless: Cell::new(0),
            we_close: Cell::new(false),
            unfinished: RefCell::default(),
            slots: RefCell::new(vec![Slot::default(); connections]),
            closed: RefCell::default(),
            learned: RefCell::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.get() || self.left.get() == 0
    }

    /// Lets other connections send `count` requests that this one won't.
    pub(crate) fn give_back(&self, count: usize) {
        self.left.set(self.left.get().saturating_add(count as u64));
    }

    /// The schedule of a connection that is established at `now`, if there is a rate.
    pub(crate) fn schedule(&self, number: usize, now: Time) -> Option<Schedule> {
        let connections = self.plan.connections.get();
        self.plan.rate.map(|rate| Schedule::new(rate, self.first + number, connections, now))
    }
}
