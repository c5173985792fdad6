//! Log lines about failed requests.
//!
//! Failures that the server is at fault for are warnings: the first of each kind is logged at once.
//! Later ones are counted, and their number is logged at most once a minute. Other failures, such
//! as missing files, are logged one by one at level debug.

use std::sync::Mutex;

use sockeye_proto::{Client, ReportLimiter, Time};
use tracing::{debug, warn};

use super::substitutes::status;
use crate::limits::lock::lock;
use crate::store::absent::{Absent, OpenFilesOf};
use crate::store::disk::open_files_limit;

/// The most bytes of a path that are logged.
const MAX_LOGGED_PATH: usize = 512;

/// The kinds of failures that the server is at fault for.
#[derive(Debug, Default)]
pub(super) struct Failures([Failure; 10]);

#[derive(Debug, Default)]
struct Failure {
    reports: ReportLimiter,
    /// The reason of the last failure of this kind.
    last: Mutex<Option<Absent>>,
}

impl Failures {
    /// The kind of failure; `None` if the server is not at fault.
    fn kind_of(&self, absent: Absent) -> Option<&Failure> {
        let kind = match absent {
            Absent::TooManyOpenFiles(OpenFilesOf::Process) => 0,
            Absent::TooManyOpenFiles(OpenFilesOf::System) => 1,
            Absent::ClosingHangs => 2,
            Absent::Exhausted => 3,
            Absent::Changing => 4,
            Absent::Failed(_) => 5,
            Absent::Forbidden(_) => 6,
            Absent::TooLong => 7,
            Absent::Denied(_) => 8,
            Absent::OutOfMemory => 9,
            _ => return None,
        };
        Some(&self.0[kind])
    }

    /// Logs that a request of `client` for `path` is answered with an error. Returns true if the
    /// failure was only counted, and is to be reported later.
    pub(super) fn log(&self, absent: Absent, path: &[u8], client: Client, now: Time) -> bool {
        // A path has only visible ASCII characters. The log's formatter escapes quotes.
        let path = str::from_utf8(&path[..path.len().min(MAX_LOGGED_PATH)]).unwrap_or_default();
        let status = status(absent).code();
        let Some(failure) = self.kind_of(absent) else {
            debug!(path, status, %client, reason = %absent, "nothing to send");
            return false;
        };
        *lock(&failure.last) = Some(absent);
        let Some(requests) = failure.reports.report(now) else { return true };
        let limit = limit(absent);
        warn!(path, status, %client, requests, limit, reason = %absent, "a request failed");
        false
    }

    /// When the next report is due. `None` if there is nothing to report.
    pub(super) fn due(&self) -> Option<Time> {
        self.0.iter().filter_map(|failure| failure.reports.due()).min()
    }

    /// Logs the failures that were counted and not logged yet. `take` returns how many of one kind
    /// to log now.
    pub(super) fn report_rest(&self, take: impl Fn(&ReportLimiter) -> Option<u64>) {
        for failure in &self.0 {
            let (Some(requests), Some(absent)) = (take(&failure.reports), *lock(&failure.last))
            else {
                continue;
            };
            let (status, limit) = (status(absent).code(), limit(absent));
            warn!(status, requests, limit, reason = %absent, "more requests failed");
        }
    }
}

/// The process's limit on open files, if it was reached.
fn limit(absent: Absent) -> Option<u64> {
    match absent {
        Absent::TooManyOpenFiles(OpenFilesOf::Process) => open_files_limit(),
        _ => None,
    }
}
