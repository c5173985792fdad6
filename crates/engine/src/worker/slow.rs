//! Logs turns (passes of the event loop) that take too long: while a handler blocks the loop, its
//! worker serves nobody.
//!
//! A turn ends when the loop waits for events. Timing the turns costs little. Before a wait with a
//! deadline, and after a wait of zero time, the loop reads the clock anyway. Only before a wait
//! without a deadline does it read the clock just to time the turn.

use std::time::Duration;

use sockeye_proto::Time;
use tracing::warn;

/// A turn that takes longer than this is reported. Most turns take less than a millisecond.
const SLOW_TURN: Duration = Duration::from_millis(100);
/// A worker reports slow turns at most once in this time.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The slow turns of a worker.
#[derive(Debug)]
pub(super) struct SlowTurns {
    /// When the last turn began. [`Time::NEVER`] before the first.
    began: Time,
    /// Slow turns since the last report.
    count: u64,
    /// How long the longest of these turns took.
    longest: Duration,
    /// No report before this time.
    next_report: Time,
}

impl Default for SlowTurns {
    fn default() -> Self {
        Self { began: Time::NEVER, count: 0, longest: Duration::ZERO, next_report: Time::ZERO }
    }
}

impl SlowTurns {
    /// From now on, reports no slow turns: for workers that only open connections, where a slow
    /// turn keeps no client waiting.
    pub(super) fn ignore(&mut self) {
        self.next_report = Time::NEVER;
    }

    /// To be called when a turn begins.
    pub(super) fn begin(&mut self, now: Time) {
        self.began = now;
    }

    /// To be called when the turn has ended.
    pub(super) fn end(&mut self, now: Time) {
        // For most turns, this comparison is all that is done.
        if now.as_nanos().saturating_sub(self.began.as_nanos()) > SLOW_TURN.as_nanos() as u64 {
            self.count(now);
        }
    }

    /// Counts a slow turn. Logs all slow turns since the last report, unless that was less than
    /// [`REPORT_INTERVAL`] ago.
    #[cold]
    fn count(&mut self, now: Time) {
        self.count += 1;
        self.longest = self.longest.max(now.since(self.began));
        if now < self.next_report {
            return;
        }
        self.next_report = now + REPORT_INTERVAL;
        let thread = std::thread::current();
        warn!(
            target: "sockeye",
            worker = thread.name().unwrap_or_default(),
            turns = self.count,
            longest_ms = self.longest.as_millis(),
            "the event loop was blocked for more than 100 ms, and all connections of this worker \
             waited. Run blocking code on the pool (Reply::run, Responder::run, Turn::run). If \
             no handler blocks, the process gets too little CPU time, or a disk is slow"
        );
        (self.count, self.longest) = (0, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_turns_are_never_reported() {
        for is_ignored in [false, true] {
            let mut turns = SlowTurns::default();
            if is_ignored {
                turns.ignore();
            }
            turns.begin(Time::ZERO);
            turns.end(Time::ZERO + 2 * SLOW_TURN);
            // A report starts the count again.
            assert_eq!(turns.count, u64::from(is_ignored));
        }
    }
}
