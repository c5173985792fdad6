//! The counters of a shard.

use std::collections::BTreeMap;
use std::time::Duration;

use sockeye_proto::Reason;

/// Counters of a shard, or of several added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that we opened and that were established.
    pub connected: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes that the kernel has taken.
    pub sent: u64,
    /// Connections that were cut: by a stop, or because they had not finished at the drain timeout.
    pub cut: u64,
    /// Connections on which input arrived after they had drained. It was discarded.
    pub unread: u64,
    /// Ended connections by [`Reason::code`].
    pub closed: BTreeMap<&'static str, u64>,
    /// Jobs of the pool. It belongs to all shards: this is zero in a shard's own stats.
    pub jobs: JobStats,
}

/// Counters of the pool's jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs that a thread started.
    pub run: u64,
    /// Jobs that were refused because too many waited.
    pub dropped: u64,
    /// Jobs that were cancelled before they ran.
    pub cancelled: u64,
    /// How long the jobs in `run` had waited for a thread, added up.
    pub waited: Duration,
    /// The longest of these waits.
    pub longest_wait: Duration,
}

impl JobStats {
    /// Counts a job that starts after this wait.
    pub(crate) fn begin(&mut self, waited: Duration) {
        self.run += 1;
        self.waited += waited;
        self.longest_wait = self.longest_wait.max(waited);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.run += other.run;
        self.dropped += other.dropped;
        self.cancelled += other.cancelled;
        self.waited += other.waited;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }
}

impl Stats {
    pub(crate) fn close(&mut self, reason: &Reason) {
        *self.closed.entry(reason.code()).or_default() += 1;
        self.cut += u64::from(matches!(reason, Reason::Cut));
    }

    /// How many connections ended for the reason of this code.
    #[must_use]
    pub fn closed_for(&self, code: &str) -> u64 {
        self.closed.get(code).copied().unwrap_or(0)
    }

    /// How many connections ended.
    #[must_use]
    pub fn total_closed(&self) -> u64 {
        self.closed.values().sum()
    }

    /// Adds the counters of another shard.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.connected += other.connected;
        self.received += other.received;
        self.sent += other.sent;
        self.cut += other.cut;
        self.unread += other.unread;
        for (code, count) in &other.closed {
            *self.closed.entry(code).or_default() += count;
        }
        self.jobs.add(&other.jobs);
    }
}
