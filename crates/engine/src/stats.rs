//! What a shard has counted.

use std::collections::BTreeMap;
use std::time::Duration;

use sockeye_proto::Reason;

/// Counters of a shard, or of several added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that came in.
    pub accepted: u64,
    /// Connections that we opened and that came to stand.
    pub connected: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes that the kernel took for sending.
    pub sent: u64,
    /// Connections that were cut because draining took too long, or that a stop ended.
    pub cut: u64,
    /// Connections on which more came after they had been ended for a stop: it was not read.
    pub unread: u64,
    /// Ended connections by [`Reason::code`].
    pub closed: BTreeMap<&'static str, u64>,
    /// Work off the loop. A server's shards have a pool in common, so a shard's own tally has
    /// nothing here.
    pub jobs: Jobs,
}

/// Counters of work that was done off the loop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Jobs that a thread began.
    pub run: u64,
    /// Jobs that were refused, because too many waited.
    pub dropped: u64,
    /// Jobs that nobody waited for any more when their turn came, and that were not run.
    pub cancelled: u64,
    /// How long those that were begun had waited for a thread, all together.
    pub waited: Duration,
    /// The longest of these waits.
    pub longest_wait: Duration,
}

impl Jobs {
    /// One was begun that had waited so long.
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
    pub fn closed_in_all(&self) -> u64 {
        self.closed.values().sum()
    }

    /// Adds another shard's.
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
