//! What a load (one run of requests) has counted, and its latencies.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use sockeye_proto::TlsInfo;

use crate::failure::Failures;

/// The range of times in nanoseconds, and their precision in decimal digits. With these, a
/// histogram takes about 190 KiB.
const MIN: u64 = 1_000;
const MAX: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

/// The counts of a load.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Complete responses, including errors.
    pub responses: u64,
    /// Bytes of content in the responses.
    pub content: u64,
    /// Bytes received, including framing.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// For HTTP, responses by the first digit of their status, which is the index. Interim
    /// responses count at index 1.
    pub statuses: [u64; 6],
    /// Connections that were established.
    pub connected: u64,
    /// With [`Plan::rate`](crate::Plan::rate): requests that were due and not sent, because their
    /// connections were waiting for responses or not established.
    pub unsent: u64,
    /// The part of [`Stats::unsent`] that was due on connections which were not established at the
    /// end.
    pub unsent_unconnected: u64,
    /// Requests that were sent and had no complete response when the load ended.
    pub unanswered: u64,
    /// Failures, by kind.
    pub failures: Failures,
    /// The version of HTTP on the first connection, such as `HTTP/2`. `None` for other protocols.
    pub protocol: Option<&'static str>,
    /// What the first TLS handshake agreed on.
    pub tls: Option<Arc<TlsInfo>>,
    /// TLS connections that resumed an earlier session.
    pub resumed: u64,
    /// How long it took to establish connections, with their TLS handshakes.
    pub connect_times: Times,
    /// Latencies of responses that aren't errors.
    pub latencies: Times,
}

/// A histogram of durations, from a microsecond to an hour, with three significant digits.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(MIN, MAX, DIGITS).expect("the bounds are valid"))
    }
}

impl Times {
    pub(crate) fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(MAX));
    }

    fn merge(&mut self, other: Self) {
        // Never fails: all histograms have the same bounds.
        let _ = self.0.add(other.0);
    }

    /// The number of recorded times.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that `percent` of the recorded times don't exceed; 0 if there are none.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_percentile(percent))
    }

    /// The shortest time, the mean, and the longest time.
    #[must_use]
    pub fn min_mean_max(&self) -> (Duration, Duration, Duration) {
        let mean = Duration::from_nanos(self.0.mean() as u64);
        (Duration::from_nanos(self.0.min()), mean, Duration::from_nanos(self.0.max()))
    }
}

impl Stats {
    /// Counts a response. The latency of an error is not recorded: servers refuse requests faster,
    /// or slower, than they serve them.
    pub(crate) fn count(&mut self, latency: Duration, status: u16, is_error: bool) {
        self.responses += 1;
        self.statuses[usize::from(status / 100).min(5)] += 1;
        if is_error {
            return;
        }
        self.latencies.record(latency);
    }

    /// Adds the counts and latencies of another worker.
    pub(crate) fn merge(&mut self, other: Self) {
        self.responses += other.responses;
        self.content += other.content;
        self.received += other.received;
        self.sent += other.sent;
        for (own, others) in self.statuses.iter_mut().zip(other.statuses) {
            *own += others;
        }
        self.connected += other.connected;
        self.unsent += other.unsent;
        self.unsent_unconnected += other.unsent_unconnected;
        self.unanswered += other.unanswered;
        self.failures.merge(other.failures);
        self.protocol = self.protocol.or(other.protocol);
        self.tls = self.tls.take().or(other.tls);
        self.resumed += other.resumed;
        self.connect_times.merge(other.connect_times);
        self.latencies.merge(other.latencies);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_have_three_digits_from_microseconds_to_an_hour() {
        let mut stats = Stats::default();
        for micros in 1..=1000 {
            stats.count(Duration::from_micros(micros), 200, false);
        }
        stats.count(Duration::from_secs(1_000_000), 503, true);
        assert_eq!((stats.responses, stats.latencies.count()), (1001, 1000));
        assert!(
            stats.latencies.min_mean_max().2 < Duration::from_millis(2),
            "an error has no latency"
        );
        stats.count(Duration::from_secs(1_000_000), 200, false);
        let near = |percent, micros: f64| {
            let found = stats.latencies.percentile(percent).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.002, "{percent} %: {found}");
        };
        near(50.0, 501.0);
        near(99.0, 991.0);
        near(100.0, 3.6e9);
        assert_eq!(stats.statuses, [0, 0, 1001, 0, 0, 1]);
        let mut sum = Stats::default();
        sum.merge(stats.clone());
        sum.merge(stats);
        assert_eq!((sum.responses, sum.statuses[2]), (2004, 2002));
        assert!(sum.latencies.min_mean_max().0 < Duration::from_micros(2));
    }
}
