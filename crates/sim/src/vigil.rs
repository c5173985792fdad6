//! Watches whether a shard has anything to do, and that it doesn't wake up for nothing.

use std::time::Duration;

use sockeye_proto::Time;

use crate::poll::{Note, Poller};

/// Turns at one moment that may get nobody anywhere. A shard may look once more than it must; it
/// may not spin.
const AT_ONE_MOMENT: u32 = 16;

/// The same within one second, beside one for each turn that did get somebody on and some for each
/// connection: timers come up early, and what was announced may not be there.
const IN_ONE_SECOND: u32 = 100;

/// What is known of a shard from its last turn.
#[derive(Debug, Default)]
pub(crate) struct Vigil {
    settled: bool,
    /// Fruitless turns at `moment`.
    at_once: u32,
    moment: Time,
    /// Fruitless turns since `second`.
    lately: u32,
    /// Other turns since then.
    fruitful: u32,
    second: Time,
}

impl Vigil {
    /// The shard was told something from outside.
    pub(crate) fn stir(&mut self) {
        self.settled = false;
    }

    /// Whether the shard has anything to do.
    pub(crate) fn wants_turn(&self, poller: &Poller, now: Time) -> bool {
        !self.settled || poller.is_stirred(now)
    }

    /// Takes note of a turn: what its wait gave, and whether it got anybody anywhere.
    ///
    /// # Panics
    ///
    /// When the shard spins.
    pub(crate) fn turned(&mut self, note: Note, now: Time, got_on: bool, connections: usize) {
        self.settled = !note.stirred && note.calls == 0;
        if now > self.moment {
            (self.moment, self.at_once) = (now, 0);
        }
        if now.since(self.second) >= Duration::from_secs(1) {
            (self.second, self.lately, self.fruitful) = (now, 0, 0);
        }
        if got_on || note.news > 0 {
            self.at_once = 0;
            self.fruitful += 1;
        } else if !self.settled {
            // A turn that finds nothing to do is how the world learns that there is nothing.
            self.at_once += 1;
            self.lately += 1;
        }
        let some = 4 * u32::try_from(connections).unwrap_or(1000);
        let bound = IN_ONE_SECOND + self.fruitful + some;
        assert!(
            self.at_once <= AT_ONE_MOMENT && self.lately <= bound,
            "wake-up without progress: {} turns at {now:?}, {} within a second; {note:?}",
            self.at_once,
            self.lately,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Note = Note { until: None, stirred: true, news: 0, calls: 1 };

    #[test]
    #[should_panic(expected = "wake-up without progress")]
    fn a_shard_that_spins_is_found() {
        let mut vigil = Vigil::default();
        (0..=AT_ONE_MOMENT).for_each(|_| vigil.turned(IDLE, Time::ZERO, false, 0));
    }

    #[test]
    #[should_panic(expected = "wake-up without progress")]
    fn a_shard_that_polls_is_found() {
        let mut vigil = Vigil::default();
        (1..1000).for_each(|at| vigil.turned(IDLE, Time::from_nanos(at * 1_000_000), false, 0));
    }

    #[test]
    fn a_shard_that_gets_on_or_waits_is_left_alone() {
        let mut vigil = Vigil::default();
        let quiet = Note { stirred: false, calls: 0, ..IDLE };
        for at in 0..1000 {
            let now = Time::ZERO + Duration::from_millis(at * 100);
            vigil.turned(IDLE, now, true, 0);
            vigil.turned(IDLE, now, false, 0);
            vigil.turned(quiet, now, false, 0);
            assert!(!vigil.wants_turn(&Poller::default(), now));
        }
    }
}
