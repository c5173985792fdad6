//! One thread's part of a load: a loop, and its share of the connections.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::driver::{Driver, Epoll, Target, Wake};
use sockeye_engine::{Config, ConnectionCounts, Linger, Mailbox, Pool, Shard, ShardParts};
use sockeye_proto::{Peer, Protocol, Time};

use crate::common::{Common, Known, Learned};
use crate::lane::Lane;
use crate::lesson::Lesson;
use crate::pace::Pace;
use crate::plan::{Plan, Until};
use crate::stats::Stats;

/// After a connection without a response the next one waits so long.
const REST: Duration = Duration::from_millis(100);
/// What is under way when a load's time is over is waited for, for at most so long.
const GRACE: Duration = Duration::from_secs(1);
/// When each connection has failed so often in a row, a load that is bounded by its requests is
/// given up.
const PATIENCE: u64 = 10;

/// Which part of a plan a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number of its first connection, of all.
    first: usize,
    connections: usize,
    requests: u64,
}

impl Share {
    /// Everything.
    #[must_use]
    pub fn all(plan: &Plan) -> Self {
        let requests = match plan.until {
            Until::Requests(count) => count,
            Until::Time(_) => u64::MAX,
        };
        Self { first: 0, connections: plan.connections.get(), requests }
    }

    /// The shares of a plan's threads: none of them is without a connection.
    #[must_use]
    pub fn of_threads(plan: &Plan) -> Vec<Self> {
        let all = Self::all(plan);
        let threads = plan.threads.get().min(all.connections);
        let part = |of: u64, thread: usize| {
            let (count, thread) = (threads as u64, thread as u64);
            of / count + u64::from(thread < of % count)
        };
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

/// A loop with its connections.
#[expect(missing_debug_implementations, reason = "a shard has none")]
pub struct Worker {
    shard: Shard<Epoll>,
    common: Rc<Common>,
    target: Target,
    share: Share,
    /// Connections that are to be opened again, and when.
    resting: VecDeque<(Time, usize)>,
    begun: Time,
}

impl Worker {
    /// Begins to connect.
    ///
    /// # Errors
    ///
    /// When there is no poller to be had.
    pub fn new(plan: Arc<Plan>, lesson: &Lesson, share: Share) -> io::Result<Self> {
        Self::with(plan, Arc::clone(&lesson.models.known), lesson.target.clone(), share)
    }

    pub(crate) fn with(
        plan: Arc<Plan>,
        known: Known,
        target: Target,
        share: Share,
    ) -> io::Result<Self> {
        let driver = Epoll::new()?;
        let begun = driver.now();
        let mailbox = Arc::new(Mailbox::new(driver.waker()));
        let nobody = |_: &Peer| -> Box<dyn Protocol> { unreachable!("a client accepts nobody") };
        let shard = Shard::new(ShardParts {
            driver,
            listeners: Vec::new(),
            service: Box::new(nobody),
            config: Arc::new(config(&plan)),
            counts: Arc::new(ConnectionCounts::default()),
            mailbox,
            spawn: Arc::new(Pool::new(NonZeroUsize::MIN)),
            handover: None,
        })?;
        let common = Rc::new(Common::new(plan, known, share.connections, share.requests));
        let mut worker = Self { shard, common, target, share, resting: VecDeque::new(), begun };
        if share.requests > 0 {
            (0..share.connections).for_each(|number| worker.open(number));
        }
        Ok(worker)
    }

    /// What makes a worker return early from [`Worker::run`], together with whatever its `go_on`
    /// looks at.
    #[must_use]
    pub fn waker(&self) -> Arc<dyn Wake> {
        self.shard.driver().waker()
    }

    /// Goes on for so long, or until everything was asked, or until `go_on` says no: it is asked in
    /// every turn, with the number of responses so far.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn run(
        &mut self,
        length: Option<Duration>,
        mut go_on: impl FnMut(u64, u64) -> bool,
    ) -> io::Result<()> {
        let until = length.map_or(Time::NEVER, |length| self.shard.driver().now() + length);
        let mut go_on = |common: &Common| {
            let stats = common.stats.borrow();
            go_on(stats.replies, stats.troubles.total())
        };
        while go_on(&self.common) && !self.is_done() && self.shard.driver().now() < until {
            let next = self.resting.front().map_or(until, |(time, _)| until.min(*time));
            self.shard.turn_until(next)?;
            self.open_again();
        }
        Ok(())
    }

    /// Makes no more requests, waits for the responses still owed, and returns the counts and the time:
    /// up to now, or up to the last response if that is later. A number of requests ends with its last
    /// response or failure.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn finish(mut self, go_on: impl FnMut(u64, u64) -> bool) -> io::Result<(Stats, Duration)> {
        let end = self.shard.driver().now();
        let common = Rc::clone(&self.common);
        let (behind, unconnected) = self.behind(end);
        let left = common.left();
        let asked_all = common.is_over();
        let ended = asked_all && self.is_done();
        common.over.set(true);
        self.resting.clear();
        self.shard.drain();
        self.run(None, go_on)?;
        self.shard.stop();
        let mut stats = common.stats.take();
        if !asked_all {
            // Of a number of requests, no more were due than are left.
            stats.unmade = (behind + unconnected).min(left);
            stats.unmade_unconnected = unconnected.min(stats.unmade);
        }
        stats.received = self.shard.stats().received;
        stats.sent = self.shard.stats().sent;
        let mut end = if ended { Time::ZERO } else { end };
        if self.share.requests < u64::MAX {
            end = end.max(common.last_failure.get());
        }
        Ok((stats, end.max(common.last_reply.get()).since(self.begun)))
    }

    /// The requests that are due by `end` and were not made: of connections that are established, and
    /// of those that are not.
    fn behind(&self, end: Time) -> (u64, u64) {
        let Some(rate) = self.common.plan.rate else { return (0, 0) };
        let (paces, established) = (self.common.paces.borrow(), self.common.established.borrow());
        let seats = self.common.plan.connections.get();
        let mut behind = (0, 0);
        for (number, (pace, established)) in paces.iter().zip(&*established).enumerate() {
            let begun = || Pace::new(rate, self.share.first + number, seats, self.begun);
            let count = pace.unwrap_or_else(begun).behind(end);
            if *established { behind.0 += count } else { behind.1 += count }
        }
        behind
    }

    /// Ends all connections now, and says what one of them was waiting for.
    pub(crate) fn stop(&mut self) -> Option<String> {
        self.shard.stop();
        self.common.unfinished.take()
    }

    /// The responses so far.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.common.stats.borrow().replies
    }

    /// What has gone wrong so far.
    #[must_use]
    pub fn troubles(&self) -> crate::Troubles {
        self.common.stats.borrow().troubles.clone()
    }

    /// What was learned, where nothing was known.
    pub(crate) fn learned(&self) -> Learned {
        self.common.learned.take()
    }

    fn is_done(&self) -> bool {
        let given_up = self.share.requests < u64::MAX
            && self.common.vain.get() > PATIENCE * self.share.connections as u64;
        given_up || (self.shard.is_done() && self.resting.is_empty())
    }

    fn open(&mut self, number: usize) {
        let seat = (self.share.first + number, self.common.plan.connections.get());
        let lane = Lane::new(Rc::clone(&self.common), number, seat);
        let via = u32::try_from(number).unwrap_or(u32::MAX);
        self.shard.connect(&self.target, Box::new(lane), via);
    }

    /// Opens connections for those that have gone, at once or after a rest.
    fn open_again(&mut self) {
        let now = self.shard.driver().now();
        // One that can't be opened is among those that have gone when the call returns.
        let gone = self.common.gone.take();
        for gone in gone {
            if self.common.is_over() {
                continue;
            }
            if gone.vain {
                self.resting.push_back((now + REST, gone.number));
            } else {
                self.open(gone.number);
            }
        }
        if self.common.is_over() {
            self.resting.clear();
        }
        while let Some((time, number)) = self.resting.front().copied()
            && time <= now
        {
            self.resting.pop_front();
            self.open(number);
        }
    }
}

fn config(plan: &Plan) -> Config {
    Config {
        connect_timeout: plan.connect_timeout,
        drain_timeout: match plan.until {
            Until::Time(_) => plan.timeout.min(GRACE),
            Until::Requests(_) => plan.timeout,
        },
        // Responses are read while requests are written, however long these are.
        max_buffered_output: usize::MAX,
        // Lanes watch over progress themselves.
        write_timeout: Duration::from_secs(366 * 24 * 3600),
        // What a server sends after we are done with it is of no interest.
        linger: Linger { bytes: 0, quiet: Duration::ZERO, total: Duration::ZERO },
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Ask, Speaks};

    #[test]
    fn shares_are_even_and_make_up_the_whole() {
        let mut plan = Plan::new(Speaks::Echo, vec![Ask::bytes("x".into())]);
        plan.connections = NonZeroUsize::new(5).unwrap();
        plan.threads = NonZeroUsize::new(3).unwrap();
        plan.until = Until::Requests(7);
        let share = |first, connections, requests| Share { first, connections, requests };
        assert_eq!(Share::of_threads(&plan), [share(0, 2, 3), share(2, 2, 2), share(4, 1, 2)]);
        plan.threads = NonZeroUsize::new(99).unwrap();
        assert_eq!(Share::of_threads(&plan).len(), 5);
    }
}
