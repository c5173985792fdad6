//! What is counted.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::trouble::Troubles;

/// The shortest and the longest latency that are told apart from others, in nanoseconds. With three
/// figures between them the histogram has about 250 KiB, however many it holds.
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 3_600_000_000_000;
const FIGURES: u8 = 3;

/// What a load came to so far.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Whole responses, errors among them.
    pub replies: u64,
    /// Bytes of content in the responses.
    pub content: u64,
    /// Bytes that came, framing and all.
    pub received: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Responses by the first digit of their status, for HTTP; at 1, the interim responses before them.
    pub statuses: [u64; 6],
    /// Connections that came to stand.
    pub connected: u64,
    /// With a rate: requests that were due by the end and could not be made, since their connections
    /// were waiting for responses, or were not established.
    pub unmade: u64,
    /// Those of them whose connections were not established at the end.
    pub unmade_unconnected: u64,
    /// Requests that were sent and had no whole response when the load ended.
    pub unanswered: u64,
    /// What went wrong.
    pub troubles: Troubles,
    /// Of the responses that are no errors, in nanoseconds.
    latencies: Histogram<u64>,
}

impl Default for Stats {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(SHORTEST, LONGEST, FIGURES);
        Self {
            replies: 0,
            content: 0,
            received: 0,
            sent: 0,
            statuses: [0; 6],
            connected: 0,
            unmade: 0,
            unmade_unconnected: 0,
            unanswered: 0,
            troubles: Troubles::default(),
            latencies: latencies.expect("the bounds are in order, and the figures at most five"),
        }
    }
}

impl Stats {
    /// Counts a response that took so long. That of an error is no latency: servers refuse faster, or
    /// slower, than they answer.
    pub(crate) fn count(&mut self, latency: Duration, status: u16, is_error: bool) {
        self.replies += 1;
        self.statuses[usize::from(status / 100).min(5)] += 1;
        if is_error {
            return;
        }
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(LONGEST);
        self.latencies.saturating_record(nanos);
    }

    /// Takes another worker's counts in.
    pub(crate) fn merge(&mut self, other: Self) {
        self.replies += other.replies;
        self.content += other.content;
        self.received += other.received;
        self.sent += other.sent;
        for (own, others) in self.statuses.iter_mut().zip(other.statuses) {
            *own += others;
        }
        self.connected += other.connected;
        self.unmade += other.unmade;
        self.unmade_unconnected += other.unmade_unconnected;
        self.unanswered += other.unanswered;
        self.troubles.merge(other.troubles);
        // They have the same bounds.
        let _ = self.latencies.add(other.latencies);
    }

    /// The responses whose latency was counted: those that are no errors.
    #[must_use]
    pub fn measured(&self) -> u64 {
        self.latencies.len()
    }

    /// The latency that `percent` of the measured responses had at the most; of none, 0.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_percentile(percent))
    }

    /// The shortest, the mean and the longest latency.
    #[must_use]
    pub fn extremes(&self) -> (Duration, Duration, Duration) {
        let mean = Duration::from_nanos(self.latencies.mean() as u64);
        let (least, most) = (self.latencies.min(), self.latencies.max());
        (Duration::from_nanos(least), mean, Duration::from_nanos(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_hold_three_figures_from_microseconds_to_an_hour() {
        let mut stats = Stats::default();
        for micros in 1..=1000 {
            stats.count(Duration::from_micros(micros), 200, false);
        }
        stats.count(Duration::from_secs(1_000_000), 503, true);
        assert_eq!((stats.replies, stats.measured()), (1001, 1000));
        assert!(stats.extremes().2 < Duration::from_millis(2), "an error has no latency");
        stats.count(Duration::from_secs(1_000_000), 200, false);
        let near = |percent, micros: f64| {
            let found = stats.percentile(percent).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.002, "{percent} %: {found}");
        };
        near(50.0, 501.0);
        near(99.0, 991.0);
        near(100.0, 3.6e9);
        assert_eq!(stats.statuses, [0, 0, 1001, 0, 0, 1]);
        let mut sum = Stats::default();
        sum.merge(stats.clone());
        sum.merge(stats);
        assert_eq!((sum.replies, sum.statuses[2]), (2004, 2002));
        assert!(sum.extremes().0 < Duration::from_micros(2));
    }
}
