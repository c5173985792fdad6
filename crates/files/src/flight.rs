//! Look-ups under way: one for each name, however many wait for it.
//!
//! A flight is shared between the shard, which adds those who wait, and the job, which lands it.
//! Each who waits left a promise of its own, so a connection that goes away costs nothing but a
//! letter that is dropped. A flight that everybody left still lands: the next who asks finds it
//! landed. One whose job panicked, or was thrown away, fails, and everybody hears of it.

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_proto::{Promise, Ticket, Time};

use crate::entry::Entry;

/// Most look-ups that one shard has under way. A connection waits for one at a time, so this is for
/// a file system that hangs while clients come and go.
const MAX_JOBS: usize = 4096;

/// So many flights may be kept before those that landed without being fetched are forgotten: each
/// holds what it found, at most a small file.
const KEPT: usize = 256;

/// What a look-up found, and when it began.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    pub(crate) entry: Arc<Entry>,
    pub(crate) started: Time,
}

/// A look-up under way.
#[derive(Debug)]
struct Flight {
    started: Time,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Flying(Vec<Promise>),
    Landed(Arc<Entry>),
    Failed,
}

impl Flight {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The job's end of a flight. Dropped without landing, it fails.
#[derive(Debug)]
pub(crate) struct Pilot {
    flight: Arc<Flight>,
    /// Counts the jobs.
    _job: Arc<()>,
}

impl Pilot {
    /// Tells everybody what was found.
    pub(crate) fn land(self, entry: Arc<Entry>) {
        let landed = State::Landed(Arc::clone(&entry));
        self.tell(landed, &entry);
    }

    /// As [`Pilot::land`], but whoever comes later begins anew: what was found is kept elsewhere.
    pub(crate) fn land_unkept(self, entry: &Arc<Entry>) {
        self.tell(State::Failed, entry);
    }

    fn tell(self, state: State, entry: &Arc<Entry>) {
        let state = mem::replace(&mut *self.flight.lock(), state);
        if let State::Flying(waiting) = state {
            for promise in waiting {
                let landing = Landing { entry: Arc::clone(entry), started: self.flight.started };
                promise.keep(Box::new(landing));
            }
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let mut state = self.flight.lock();
        if let State::Flying(waiting) = &mut *state {
            let waiting = mem::take(waiting);
            *state = State::Failed;
            // Outside of the lock, each of these posts a letter.
            drop(state);
            drop(waiting);
        }
    }
}

/// What came of asking for a look-up.
#[derive(Debug)]
pub(crate) enum Boarding {
    /// One is under way: its landing comes under this ticket.
    Joined(Ticket),
    /// One has begun: the pilot is to be given a job that lands it.
    Started(Ticket, Pilot),
    /// One has landed in the meantime.
    Landed(Landing),
    /// Too many are under way.
    Full,
}

/// The flights of one shard.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    flights: HashMap<Rc<[u8]>, Arc<Flight>>,
    jobs: Arc<()>,
    /// How many flights there were after the last time that landed ones were forgotten.
    flying: usize,
}

impl Flights {
    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    /// Waits for the look-up of `key` with a promise that `promise` makes, if it is needed.
    pub(crate) fn board(
        &mut self,
        key: &[u8],
        now: Time,
        promise: impl FnOnce() -> Promise,
    ) -> Boarding {
        if let Some(flight) = self.flights.get(key) {
            let started = flight.started;
            match &mut *flight.lock() {
                State::Flying(waiting) => {
                    let promise = promise();
                    let ticket = promise.ticket();
                    waiting.push(promise);
                    return Boarding::Joined(ticket);
                }
                State::Landed(entry) => {
                    return Boarding::Landed(Landing { entry: Arc::clone(entry), started });
                }
                State::Failed => {}
            }
        }
        if Arc::strong_count(&self.jobs) > MAX_JOBS {
            return Boarding::Full;
        }
        self.make_room();
        let promise = promise();
        let ticket = promise.ticket();
        let state = Mutex::new(State::Flying(vec![promise]));
        let flight = Arc::new(Flight { started: now, state });
        self.flights.insert(Rc::from(key), Arc::clone(&flight));
        Boarding::Started(ticket, Pilot { flight, _job: Arc::clone(&self.jobs) })
    }

    /// Forgets the flight of `key` if it is over. What it found is in the cache, or came too late.
    pub(crate) fn forget_landed(&mut self, key: &[u8]) {
        let over = |flight: &Arc<Flight>| !matches!(*flight.lock(), State::Flying(_));
        if self.flights.get(key).is_some_and(over) {
            self.flights.remove(key);
        }
    }

    /// Forgets flights that landed when nobody waited any more, once there are many. They are looked
    /// through only when their number may have doubled, so that each costs little.
    fn make_room(&mut self) {
        if self.flights.len() >= KEPT.max(2 * self.flying) {
            self.flights.retain(|_, flight| matches!(*flight.lock(), State::Flying(_)));
            self.flying = self.flights.len();
        }
    }
}
