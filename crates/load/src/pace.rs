//! When a connection's requests are meant to be made, whatever the server does.

use std::time::Duration;

use sockeye_proto::Time;

/// The timetable of one connection: the n-th request at `start + n × gap`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    start: Time,
    /// In nanoseconds; not whole, so that a rate is kept over hours.
    gap: f64,
    made: u64,
}

impl Pace {
    /// The timetable of connection `number` of `connections` that together make `rate` requests per
    /// second, spread evenly, from `now` on.
    pub(crate) fn new(rate: f64, number: usize, connections: usize, now: Time) -> Self {
        const SECOND: f64 = 1e9;
        let offset = Duration::from_nanos((number as f64 * SECOND / rate) as u64);
        Self { start: now + offset, gap: connections as f64 * SECOND / rate, made: 0 }
    }

    /// When the next request is meant to be made.
    pub(crate) fn next(&self) -> Time {
        self.start + Duration::from_nanos((self.made as f64 * self.gap) as u64)
    }

    /// The next request was made, or was lost.
    pub(crate) fn advance(&mut self) {
        self.made += 1;
    }

    /// How many requests should have been made by `now` and were not.
    pub(crate) fn behind(&self, now: Time) -> u64 {
        if now < self.start {
            return 0;
        }
        let meant = (now.since(self.start).as_nanos() as f64 / self.gap) as u64 + 1;
        meant.saturating_sub(self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn connections_take_turns_at_even_distances() {
        let now = Time::ZERO + SECOND;
        let mut times = Vec::new();
        for number in 0..4 {
            let mut pace = Pace::new(1000.0, number, 4, now);
            for _ in 0..3 {
                times.push(pace.next().since(now).as_micros());
                pace.advance();
            }
        }
        times.sort_unstable();
        assert_eq!(times, (0..12).map(|n| n * 1000).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_late_is_counted_and_a_rate_does_not_drift() {
        let mut pace = Pace::new(3.0, 0, 1, Time::ZERO);
        assert_eq!(pace.behind(Time::ZERO), 1);
        assert_eq!(pace.behind(Time::ZERO + SECOND * 3600), 3600 * 3 + 1);
        (0..3 * 3600).for_each(|_| pace.advance());
        assert_eq!(pace.next(), Time::ZERO + SECOND * 3600);
        assert_eq!(Pace::new(1.0, 5, 9, Time::ZERO).behind(Time::ZERO + SECOND * 4), 0);
    }
}
