//! When the requests of a connection are due, however slowly the server responds.

use std::time::Duration;

use sockeye_proto::Time;

/// The schedule of one connection: request `n` is due at `start + n × gap`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// When the first request is due.
    start: Time,
    /// The time between two requests in nanoseconds. It is not rounded to whole nanoseconds, so
    /// that the rate doesn't drift.
    gap: f64,
    /// How many requests were sent.
    sent: u64,
}

impl Schedule {
    /// The schedule of connection `number`, from `now` on. All `connections` together send `rate`
    /// requests per second, evenly spaced.
    pub(crate) fn new(rate: f64, number: usize, connections: usize, now: Time) -> Self {
        const SECOND: f64 = 1e9;
        let offset = Duration::from_nanos((number as f64 * SECOND / rate) as u64);
        Self { start: now + offset, gap: connections as f64 * SECOND / rate, sent: 0 }
    }

    /// When the next request is due.
    pub(crate) fn next(&self) -> Time {
        self.start + Duration::from_nanos((self.sent as f64 * self.gap) as u64)
    }

    /// The next request was sent.
    pub(crate) fn advance(&mut self) {
        self.sent += 1;
    }

    /// How many requests are due by `now` and were not sent.
    pub(crate) fn overdue(&self, now: Time) -> u64 {
        if now < self.start {
            return 0;
        }
        let due = (now.since(self.start).as_nanos() as f64 / self.gap) as u64 + 1;
        due.saturating_sub(self.sent)
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
            let mut schedule = Schedule::new(1000.0, number, 4, now);
            for _ in 0..3 {
                times.push(schedule.next().since(now).as_micros());
                schedule.advance();
            }
        }
        times.sort_unstable();
        assert_eq!(times, (0..12).map(|n| n * 1000).collect::<Vec<_>>());
    }

    #[test]
    fn late_requests_are_counted_and_a_rate_does_not_drift() {
        let mut schedule = Schedule::new(3.0, 0, 1, Time::ZERO);
        assert_eq!(schedule.overdue(Time::ZERO), 1);
        assert_eq!(schedule.overdue(Time::ZERO + SECOND * 3600), 3600 * 3 + 1);
        (0..3 * 3600).for_each(|_| schedule.advance());
        assert_eq!(schedule.next(), Time::ZERO + SECOND * 3600);
        assert_eq!(Schedule::new(1.0, 5, 9, Time::ZERO).overdue(Time::ZERO + SECOND * 4), 0);
    }
}
