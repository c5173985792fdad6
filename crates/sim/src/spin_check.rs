//! Detects a worker (event loop) that spins: one that wakes up repeatedly without progress. A turn
//! (a pass of the event loop) makes progress if its wait reported an event of a connection, or if a
//! simulated system call of the worker had an effect.

use std::time::Duration;

use sockeye_proto::Time;

use crate::poll::{Poller, WaitSummary};

/// Maximum number of turns in a row without progress at one moment of the virtual clock. A worker
/// may make a few needless turns, but must not spin.
const MAX_IDLE_NOW: u32 = 16;

/// Maximum number of turns without progress within one second of the virtual clock, for a worker
/// without connections. [`SpinCheck::record_turn`] adds four for each connection and one for each
/// turn with progress in this second, because timers may fire early and readiness may be spurious.
const MAX_IDLE_PER_SECOND: u32 = 100;

/// Counts the turns of a worker.
#[derive(Debug, Default)]
pub(crate) struct SpinCheck {
    /// Whether the last turn found nothing to do (it was not woken, and made no system call after
    /// its wait), and the test has changed nothing since.
    settled: bool,
    /// Turns without progress at `moment`, since the last turn with progress.
    idle_now: u32,
    moment: Time,
    /// Turns without progress since `second`.
    idle_this_second: u32,
    /// Turns with progress since `second`.
    useful: u32,
    second: Time,
}

impl SpinCheck {
    /// Gives the worker another turn, even if no event is due, because the test changes something.
    pub(crate) fn expect_turn(&mut self) {
        self.settled = false;
    }

    /// Whether the worker may have something to do.
    pub(crate) fn wants_turn(&self, poller: &Poller, now: Time) -> bool {
        !self.settled || poller.is_woken(now)
    }

    /// Counts a turn. `summary` is that of the turn's wait. `progressed`: whether a simulated
    /// system call of the worker had an effect in this turn. `connections`: how many the worker
    /// has.
    ///
    /// # Panics
    ///
    /// If the worker spins.
    pub(crate) fn record_turn(
        &mut self,
        summary: WaitSummary,
        now: Time,
        progressed: bool,
        connections: usize,
    ) {
        self.settled = !summary.woken && summary.calls == 0;
        if now > self.moment {
            (self.moment, self.idle_now) = (now, 0);
        }
        if now.since(self.second) >= Duration::from_secs(1) {
            (self.second, self.idle_this_second, self.useful) = (now, 0, 0);
        }
        if progressed || summary.events > 0 {
            self.idle_now = 0;
            self.useful += 1;
        } else if !self.settled {
            // A turn after which the worker is settled isn't counted: it found nothing to do, so
            // the worker waits next.
            self.idle_now += 1;
            self.idle_this_second += 1;
        }
        let some = 4 * u32::try_from(connections).unwrap_or(1000);
        let bound = MAX_IDLE_PER_SECOND + self.useful + some;
        assert!(
            self.idle_now <= MAX_IDLE_NOW && self.idle_this_second <= bound,
            "wake-up without progress: {} turns at {now:?}, {} within a second; {summary:?}",
            self.idle_now,
            self.idle_this_second,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_TURN: WaitSummary = WaitSummary { until: None, woken: true, events: 0, calls: 1 };

    #[test]
    #[should_panic(expected = "wake-up without progress")]
    fn a_worker_that_spins_is_detected() {
        let mut spin_check = SpinCheck::default();
        (0..=MAX_IDLE_NOW).for_each(|_| spin_check.record_turn(IDLE_TURN, Time::ZERO, false, 0));
    }

    #[test]
    #[should_panic(expected = "wake-up without progress")]
    fn a_worker_that_polls_is_detected() {
        let mut spin_check = SpinCheck::default();
        (1..1000).for_each(|at| {
            spin_check.record_turn(IDLE_TURN, Time::from_nanos(at * 1_000_000), false, 0);
        });
    }

    #[test]
    fn a_worker_that_makes_progress_or_waits_is_not_reported() {
        let mut spin_check = SpinCheck::default();
        let quiet = WaitSummary { woken: false, calls: 0, ..IDLE_TURN };
        for at in 0..1000 {
            let now = Time::ZERO + Duration::from_millis(at * 100);
            spin_check.record_turn(IDLE_TURN, now, true, 0);
            spin_check.record_turn(IDLE_TURN, now, false, 0);
            spin_check.record_turn(quiet, now, false, 0);
            assert!(!spin_check.wants_turn(&Poller::default(), now));
        }
    }
}
