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
pub struct Tally {
    /// Whole replies, errors among them.
    pub replies: u64,
    /// Bytes of content in the replies.
    pub content: u64,
    /// Bytes that came, framing and all.
    pub received: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Replies by the first digit of their status, for HTTP.
    pub statuses: [u64; 6],
    /// Connections that came to stand.
    pub connected: u64,
    /// With a rate: requests that were due by the end and could not be made, since all connections
    /// were waiting for replies.
    pub unmade: u64,
    /// What went wrong.
    pub troubles: Troubles,
    /// In nanoseconds.
    latencies: Histogram<u64>,
}

impl Default for Tally {
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
            troubles: Troubles::default(),
            latencies: latencies.expect("the bounds are in order, and the figures at most five"),
        }
    }
}

impl Tally {
    /// Counts a reply that took so long.
    pub(crate) fn count(&mut self, latency: Duration, status: u16) {
        self.replies += 1;
        self.statuses[usize::from(status / 100).min(5)] += 1;
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
        self.troubles.merge(other.troubles);
        // They have the same bounds.
        let _ = self.latencies.add(other.latencies);
    }

    /// The latency that `percent` of the replies had at the most.
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
        let mut tally = Tally::default();
        for micros in 1..=1000 {
            tally.count(Duration::from_micros(micros), 200);
        }
        tally.count(Duration::from_secs(1_000_000), 503);
        let near = |percent, micros: f64| {
            let found = tally.percentile(percent).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.002, "{percent} %: {found}");
        };
        near(50.0, 501.0);
        near(99.0, 991.0);
        near(100.0, 3.6e9);
        assert_eq!(tally.statuses, [0, 0, 1000, 0, 0, 1]);
        let mut sum = Tally::default();
        sum.merge(tally.clone());
        sum.merge(tally);
        assert_eq!((sum.replies, sum.statuses[2]), (2002, 2000));
        assert!(sum.extremes().0 < Duration::from_micros(2));
    }
}
