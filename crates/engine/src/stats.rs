//! The counters of a worker (event loop).

use std::collections::BTreeMap;
use std::time::Duration;

use sockeye_proto::{Fault, Reason};

/// Counters of a worker, or the sums of the counters of several workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that were accepted, except refused ones: if an address has too many connections,
    /// further ones are refused, and counted only in [`Stats::closed`].
    pub accepted: u64,
    /// Connections that we opened and that were established.
    pub connected: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes that the kernel has taken to send.
    pub sent: u64,
    /// Connections that [`Handle::stop`](crate::Handle::stop) or the drain timeout ended before
    /// they had finished.
    pub cut: u64,
    /// Connections on which input arrived after they had drained. The input was discarded.
    pub unread: u64,
    /// TLS handshakes, with clients and with servers.
    pub handshakes: HandshakeStats,
    /// Ended connections by [`Reason::code`].
    pub closed: BTreeMap<&'static str, u64>,
    /// Faults of this program that ended a stream but not its connection ([`Turn::report`]), by
    /// their codes.
    ///
    /// [`Turn::report`]: sockeye_proto::Turn::report
    pub failed_streams: BTreeMap<&'static str, u64>,
    /// Jobs of the pool. All workers share the pool, so these counters are 0 in the stats of one
    /// worker.
    pub jobs: JobStats,
}

/// Counters of TLS handshakes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandshakeStats {
    /// Handshakes that were completed.
    pub completed: u64,
    /// Those in `completed` that resumed an earlier session, which costs no signature.
    pub resumed: u64,
    /// Handshakes that failed: the connection ended before the handshake was complete, for a reason
    /// other than an orderly one ([`Reason::is_orderly`]). [`Stats::closed`] counts the reasons. A
    /// client that closes its connection before it sends a byte isn't counted here.
    pub failed: u64,
}

impl HandshakeStats {
    pub(crate) fn add(&mut self, other: &Self) {
        self.completed += other.completed;
        self.resumed += other.resumed;
        self.failed += other.failed;
    }
}

/// Counters of the pool's jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs that a thread started.
    pub run: u64,
    /// Jobs that were refused, because too many waited or no thread could be started.
    pub dropped: u64,
    /// Jobs that were cancelled before they ran.
    pub cancelled: u64,
    /// Total time that the jobs in `run` waited for a thread.
    pub waited: Duration,
    /// The longest of these waits.
    pub longest_wait: Duration,
}

impl JobStats {
    /// Counts a job that starts now, after it `waited` for a thread.
    pub(crate) fn count_start(&mut self, waited: Duration) {
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
    /// Counts a connection that ended.
    pub(crate) fn count_closed(&mut self, reason: &Reason) {
        *self.closed.entry(reason.code()).or_default() += 1;
        self.cut += u64::from(matches!(reason, Reason::Cut));
    }

    /// Counts a fault that ended a stream.
    pub(crate) fn count_failed_stream(&mut self, fault: &Fault) {
        *self.failed_streams.entry(fault.code).or_default() += 1;
    }

    /// How many connections ended with this [`Reason::code`].
    #[must_use]
    pub fn closed_for(&self, code: &str) -> u64 {
        self.closed.get(code).copied().unwrap_or(0)
    }

    /// How many connections ended.
    #[must_use]
    pub fn total_closed(&self) -> u64 {
        self.closed.values().sum()
    }

    /// Adds the counters of another worker.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.connected += other.connected;
        self.received += other.received;
        self.sent += other.sent;
        self.cut += other.cut;
        self.unread += other.unread;
        self.handshakes.add(&other.handshakes);
        for (code, count) in &other.closed {
            *self.closed.entry(code).or_default() += count;
        }
        for (code, count) in &other.failed_streams {
            *self.failed_streams.entry(code).or_default() += count;
        }
        self.jobs.add(&other.jobs);
    }
}
