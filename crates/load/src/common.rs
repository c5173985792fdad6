//! What the connections of one worker have in common.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sockeye_proto::Time;

use crate::pace::Pace;
use crate::plan::Plan;
use crate::stats::Stats;
use crate::talk::Model;

/// What the responses to each request look like: on a connection that goes on, and where it ends.
pub(crate) type Known = Arc<[[Option<Model>; 2]]>;

/// What was learned, by the places of the requests.
pub(crate) type Learned = Vec<(usize, Box<Model>)>;

#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) plan: Arc<Plan>,
    pub(crate) known: Known,
    pub(crate) stats: RefCell<Stats>,
    /// Requests that may still be made.
    left: Cell<u64>,
    /// Nothing more is asked.
    pub(crate) over: Cell<bool>,
    /// When the last response came.
    pub(crate) last_reply: Cell<Time>,
    /// When the last request or connection failed.
    pub(crate) last_failure: Cell<Time>,
    /// Connections in a row that ended without a response.
    pub(crate) vain: Cell<u64>,
    /// The server leaves it to us to close connections.
    pub(crate) we_close: Cell<bool>,
    /// What the connection that ended last with the load itself was waiting for.
    pub(crate) unfinished: RefCell<Option<String>>,
    /// The timetables, for each of the worker's connections, where there is a rate.
    pub(crate) paces: RefCell<Vec<Option<Pace>>>,
    /// Which of the worker's connections are established.
    pub(crate) established: RefCell<Vec<bool>>,
    /// Connections that have ended, for the worker to open anew.
    pub(crate) gone: RefCell<Vec<Gone>>,
    /// What was learned, where nothing was known.
    pub(crate) learned: RefCell<Learned>,
}

/// A connection that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) number: usize,
    /// It had not brought a single response: there is no hurry with the next.
    pub(crate) vain: bool,
}

impl Common {
    pub(crate) fn new(plan: Arc<Plan>, known: Known, connections: usize, requests: u64) -> Self {
        Self {
            plan,
            known,
            stats: RefCell::default(),
            left: Cell::new(requests),
            over: Cell::new(false),
            last_reply: Cell::new(Time::ZERO),
            last_failure: Cell::new(Time::ZERO),
            vain: Cell::new(0),
            we_close: Cell::new(false),
            unfinished: RefCell::default(),
            paces: RefCell::new(vec![None; connections]),
            established: RefCell::new(vec![false; connections]),
            gone: RefCell::default(),
            learned: RefCell::default(),
        }
    }

    /// Whether there is nothing more to ask.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get() || self.left.get() == 0
    }

    /// How many requests may still be made.
    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }

    /// Takes a request from those that may still be made.
    pub(crate) fn take_one(&self) {
        self.left.set(self.left.get().saturating_sub(1));
    }

    /// So many were taken, and will be made by others.
    pub(crate) fn give_back(&self, count: u64) {
        self.left.set(self.left.get().saturating_add(count));
    }

    /// What the response to a request looks like.
    pub(crate) fn model(&self, request: usize, last: bool) -> Option<&Model> {
        self.known.get(request)?[usize::from(last)].as_ref()
    }
}
