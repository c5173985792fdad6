//! Turns that take too long: while a handler blocks, its worker serves nobody.
//!
//! A turn is timed by the clock readings that the loop takes anyway: at its beginning, and before a
//! wait that may end by a timeout. Where the next wait doesn't wait, the reading behind it does. Only a
//! turn that is followed by a wait without an end takes one more.

use std::time::Duration;

use sockeye_proto::Time;
use tracing::warn;

/// A turn that takes longer is reported. A worker that is well takes less than a millisecond.
const SLOW: Duration = Duration::from_millis(100);
/// How often a worker reports slow turns.
const REPORT: Duration = Duration::from_secs(10);

/// What is known of a shard's slow turns.
#[derive(Debug)]
pub(super) struct SlowTurns {
    /// When the last turn began. [`Time::NEVER`] before the first.
    began: Time,
    /// How many there were since the last report, and how long the longest took.
    count: u64,
    longest: Duration,
    /// No report before.
    next_report: Time,
}

impl Default for SlowTurns {
    fn default() -> Self {
        Self { began: Time::NEVER, count: 0, longest: Duration::ZERO, next_report: Time::ZERO }
    }
}

impl SlowTurns {
    /// A turn begins.
    pub(super) fn begin(&mut self, now: Time) {
        self.began = now;
    }

    /// The turn has ended.
    pub(super) fn end(&mut self, now: Time) {
        // Most are over at once: no more than this comparison for them.
        if now.as_nanos().saturating_sub(self.began.as_nanos()) > SLOW.as_nanos() as u64 {
            self.note(now);
        }
    }

    #[cold]
    fn note(&mut self, now: Time) {
        self.count += 1;
        self.longest = self.longest.max(now.since(self.began));
        if now < self.next_report {
            return;
        }
        self.next_report = now + REPORT;
        let thread = std::thread::current();
        warn!(
            target: "sockeye",
            worker = thread.name().unwrap_or_default(),
            turns = self.count,
            longest_ms = self.longest.as_millis(),
            "the event loop was held up for more than 100 ms, and every connection of its worker \
             waited: run what blocks on the pool (Reply::run, Response::run, Turn::run). Where \
             nothing blocks, the process gets too little CPU time, or a disk is slow"
        );
        (self.count, self.longest) = (0, Duration::ZERO);
    }
}
