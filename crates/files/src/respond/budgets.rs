//! Limits on the resources that requests hold, over all folders of a server.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sockeye_proto::{Budget, Client, Permit, ReportLimiter, Time};
use tracing::field::display;
use tracing::warn;

use super::failures::Failures;
use crate::coding::compressed_cache::CompressedCache;
use crate::store::absent::Absent;

const NO_MORE_FILES: &str = "too many files are being sent: some requests get 503, or wait (HTTP/2); a higher \
     limit on open files allows more (ulimit -Hn, or LimitNOFILE= in a systemd unit)";

/// The most resources that requests hold at a time, over all folders and workers (event loops). One
/// client gets at most a quarter of each, or a half if it is on the same machine, since it may be a
/// proxy that names no client. The memory of compressors is an exception: the share doesn't limit
/// the first compressor of a client. It limits further ones only if too little would be left for
/// the largest compressor of another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Open files that are being sent or wait to be read, each with a descriptor. Responses to one
    /// client over HTTP/2 that send the same open file count once. Beyond this limit, requests for
    /// files that are not kept in memory get a 503; those over HTTP/2 wait instead, up to 1,024 in
    /// all, and 256 of a client (512 if it is on the same machine). Default: 512.
    pub open_files: u64,
    /// Bytes of compressed contents that are cached or being sent. At this limit, cached contents
    /// that are not being sent are evicted. If too little can be evicted, files are sent
    /// uncompressed. Default: 32 MiB.
    pub compressed: u64,
    /// Bytes of working memory of compressors, and of decompressors that check precompressed files.
    /// Beyond this limit, files are sent uncompressed. Default: 64 MiB.
    pub compressor_memory: u64,
    /// Bytes of listings, of pages made from them or from Markdown, of the manifests of archives,
    /// and of files whose size, as the system reports it, isn't that of their content, as in
    /// `/proc`. Beyond this limit, requests for these get a 503. Default: 128 MiB.
    pub listings: u64,
}

impl Default for BudgetLimits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            open_files: 512,
            compressed: 32 * MIB,
            compressor_memory: 64 * MIB,
            listings: 128 * MIB,
        }
    }
}

/// The budgets of one server. Folders share them: see
/// [`Folder::with_budgets`](crate::Folder::with_budgets).
#[derive(Debug)]
pub struct Budgets {
    pub(crate) open_files: Arc<Budget>,
    pub(crate) compressed: Arc<Budget>,
    pub(crate) listings: Arc<Budget>,
    /// The compressed contents of all folders.
    pub(crate) cache: Arc<CompressedCache>,
    failures: Failures,
    /// When the next report is due, in nanoseconds of [`Time`].
    reports_due: AtomicU64,
}

impl Budgets {
    /// Budgets with these limits.
    #[must_use]
    pub fn new(limits: BudgetLimits) -> Arc<Self> {
        let BudgetLimits { open_files, compressed, compressor_memory, listings } = limits;
        let compressed = Budget::new("compressed bytes", compressed);
        let compressor_memory = Budget::new("bytes of compressors", compressor_memory);
        Arc::new(Self {
            open_files: Budget::new("open files", open_files),
            cache: Arc::new(CompressedCache::new(&compressed, &compressor_memory)),
            compressed,
            listings: Budget::new("bytes of listings", listings),
            failures: Failures::default(),
            reports_due: AtomicU64::new(Time::NEVER.as_nanos()),
        })
    }

    /// Changes [`BudgetLimits::open_files`], once the number of descriptors is known.
    pub fn set_open_files(&self, open_files: u64) {
        self.open_files.set_total(open_files);
    }

    /// A permit of `client` for a file that is open while it waits for a job. `None` once the share
    /// of the client or half of the budget is used: the other half is left for files that are being
    /// sent. Without a permit, the job opens the file again.
    pub(crate) fn take_waiting_file(&self, client: Client) -> Option<Permit> {
        let has_room = self.open_files.used() < self.open_files.total() / 2;
        has_room.then(|| self.open_files.take(client, 1)).flatten()
    }

    /// Logs that a request of `client` for `path` is answered with an error.
    pub(crate) fn log_absent(&self, absent: Absent, path: &[u8], client: Client, now: Time) {
        if self.failures.log(absent, path, client, now) {
            self.lower_reports_due(self.failures.due());
        }
    }

    /// Logs, at most once a minute, that a request of `client` found one of these budgets spent.
    pub(crate) fn log_spent(&self, budget: &Budget, client: Client, now: Time) {
        match budget.report(now) {
            Some(requests) => self.warn(budget, Some(client), requests),
            None => self.lower_reports_due(budget.reports().due()),
        }
    }

    /// Logs that this number of requests found a budget spent. `client` sent the last of them.
    fn warn(&self, budget: &Budget, client: Option<Client>, requests: u64) {
        let effect = match ptr::eq(budget, &*self.open_files) {
            true => NO_MORE_FILES,
            false => "a budget is spent: some requests get uncompressed content, or a 503",
        };
        let (total, used, client) = (budget.total(), budget.used(), client.map(display));
        warn!(budget = budget.name(), total, used, client, requests, "{effect}");
    }

    /// When [`Budgets::report_due`] has something to report. `None` while there is nothing.
    pub(crate) fn reports_due(&self) -> Option<Time> {
        let due = Time::from_nanos(self.reports_due.load(Ordering::Relaxed));
        (due != Time::NEVER).then_some(due)
    }

    /// Reports the requests that were not reported yet, if a minute has passed since the last
    /// report.
    pub(crate) fn report_due(&self, now: Time) {
        // If another worker counts a request from now on, the request is either reported below, or
        // sets `reports_due` again.
        self.reports_due.store(Time::NEVER.as_nanos(), Ordering::Relaxed);
        self.report(|reports| reports.take_due(now));
        self.lower_reports_due(self.failures.due());
        self.logged().iter().for_each(|budget| self.lower_reports_due(budget.reports().due()));
    }

    /// Reports the requests that were not reported yet. Each worker calls this when it stops.
    pub(crate) fn report_rest(&self) {
        self.report(ReportLimiter::take);
    }

    fn report(&self, take: impl Fn(&ReportLimiter) -> Option<u64>) {
        self.failures.report_rest(&take);
        for budget in self.logged() {
            if let Some(requests) = take(budget.reports()) {
                self.warn(budget, None, requests);
            }
        }
    }

    /// The budgets that are logged when they are spent. The one for the memory of compressors
    /// isn't.
    fn logged(&self) -> [&Budget; 3] {
        [&self.open_files, &self.compressed, &self.listings]
    }

    fn lower_reports_due(&self, due: Option<Time>) {
        if let Some(due) = due {
            self.reports_due.fetch_min(due.as_nanos(), Ordering::Relaxed);
        }
    }
}
