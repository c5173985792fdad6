//! What the log hears of requests that are not answered as they should be. What is our fault is a
//! warning, at once and then once a minute with how many requests it was.

use std::sync::{Mutex, PoisonError};

use sockeye_proto::{Budget, Client, Reports, Time};
use tracing::{debug, warn};

use super::instead::status;
use crate::store::absent::{Absent, OpenFilesOf};
use crate::store::disk::open_files_limit;

/// So much of a path is logged, in bytes.
const LONGEST: usize = 512;

/// When each kind of failure is reported next, of all folders and shards of a server.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    open_files: Failure,
    open_files_of_all: Failure,
    closing: Failure,
    memory: Failure,
    changing: Failure,
    file_system: Failure,
    forbidden: Failure,
}

/// One kind.
#[derive(Debug, Default)]
struct Failure {
    reports: Reports,
    /// The last one that was not reported.
    last: Mutex<Option<Absent>>,
}

impl Failures {
    /// When this is reported; `None` for what is no failure of ours.
    fn of(&self, absent: Absent) -> Option<&Failure> {
        match absent {
            Absent::TooManyOpenFiles(OpenFilesOf::Process) => Some(&self.open_files),
            Absent::TooManyOpenFiles(OpenFilesOf::System) => Some(&self.open_files_of_all),
            Absent::ClosingHangs => Some(&self.closing),
            Absent::Exhausted => Some(&self.memory),
            Absent::Changing => Some(&self.changing),
            Absent::Failed(_) => Some(&self.file_system),
            Absent::Forbidden(_) => Some(&self.forbidden),
            _ => None,
        }
    }

    fn all(&self) -> [&Failure; 7] {
        let Self {
            open_files,
            open_files_of_all,
            closing,
            memory,
            changing,
            file_system,
            forbidden,
        } = self;
        [open_files, open_files_of_all, closing, memory, changing, file_system, forbidden]
    }

    /// When there is something to report.
    pub(super) fn due(&self) -> Option<Time> {
        self.all().iter().filter_map(|failure| failure.reports.due()).min()
    }

    /// Reports the requests that `take` takes.
    pub(super) fn report_rest(&self, take: impl Fn(&Reports) -> Option<u64>) {
        for failure in self.all() {
            let Some(requests) = take(&failure.reports) else { continue };
            let last = *failure.last.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(absent) = last else { continue };
            let (status, limit) = (status(absent).code(), limit(absent));
            warn!(status, requests, limit, reason = %absent, "more requests failed");
        }
    }
}

/// The limit that was reached, if one was.
fn limit(absent: Absent) -> Option<u64> {
    match absent {
        Absent::TooManyOpenFiles(OpenFilesOf::Process) => open_files_limit(),
        _ => None,
    }
}

/// A request of `client` for `path` is answered with an error, since there is nothing to send. Returns
/// whether it is to be reported later.
pub(super) fn absent(
    absent: Absent,
    path: &[u8],
    client: Client,
    failures: &Failures,
    now: Time,
) -> bool {
    // A target has RFC 3986's characters only: nothing in it disturbs a log.
    let path = str::from_utf8(&path[..path.len().min(LONGEST)]).unwrap_or_default();
    let status = status(absent).code();
    let Some(failure) = failures.of(absent) else {
        debug!(path, status, %client, reason = %absent, "nothing to send");
        return false;
    };
    *failure.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(absent);
    let Some(requests) = failure.reports.report(now) else { return true };
    let limit = limit(absent);
    warn!(path, status, %client, requests, limit, reason = %absent, "a request failed");
    false
}

/// What requests get that find a budget spent, and what can be done about it.
pub(super) const GETS_LESS: &str = "a budget is spent: some requests get less";
pub(super) const NO_MORE_FILES: &str = "too many files are being sent: some requests get 503; a \
     higher limit on open files allows more (ulimit -Hn, or LimitNOFILE= in a systemd unit)";

/// A request of `client` found a budget spent. Returns whether it is to be reported later.
pub(super) fn spent(budget: &Budget, gets: &'static str, client: Client, now: Time) -> bool {
    let Some(requests) = budget.report(now) else { return true };
    let (total, used) = (budget.total(), budget.used());
    warn!(budget = budget.name(), total, used, %client, requests, "{gets}");
    false
}

/// `requests` more found a budget spent.
pub(super) fn spent_more(budget: &Budget, gets: &'static str, requests: u64) {
    let (total, used) = (budget.total(), budget.used());
    warn!(budget = budget.name(), total, used, requests, "{gets}");
}
