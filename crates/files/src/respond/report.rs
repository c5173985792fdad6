//! What the log hears of requests that are not answered as they should be. What is our fault is a
//! warning, at once and then once a minute with how many requests it was.

use sockeye_proto::{Budget, Client, Reports, Time};
use tracing::{debug, warn};

use super::absent::status;
use crate::store::absent::{Absent, OpenFilesOf};
use crate::store::disk::open_files_limit;

/// So much of a path is logged, in bytes.
const LONGEST: usize = 512;

/// When each kind of failure is reported next, of all folders and shards of a server.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    open_files: Reports,
    open_files_of_all: Reports,
    closing: Reports,
    memory: Reports,
    changing: Reports,
    file_system: Reports,
    forbidden: Reports,
}

impl Failures {
    /// When this is reported; `None` for what is no failure of ours.
    fn of(&self, absent: Absent) -> Option<&Reports> {
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
}

/// A request of `client` for `path` is answered with an error, since there is nothing to send.
pub(crate) fn absent(absent: Absent, path: &[u8], client: Client, failures: &Failures, now: Time) {
    // A target has RFC 3986's characters only: nothing in it disturbs a log.
    let path = str::from_utf8(&path[..path.len().min(LONGEST)]).unwrap_or_default();
    let status = status(absent).code();
    let Some(reports) = failures.of(absent) else {
        debug!(path, status, %client, why = %absent, "nothing to send");
        return;
    };
    let Some(requests) = reports.report(now) else { return };
    let limit = match absent {
        Absent::TooManyOpenFiles(OpenFilesOf::Process) => open_files_limit(),
        _ => None,
    };
    warn!(path, status, %client, requests, limit, why = %absent, "a request failed");
}

/// What requests get that find a budget spent, and what can be done about it.
pub(crate) const GETS_LESS: &str = "a budget is spent: some requests get less";
pub(crate) const NO_MORE_FILES: &str = "too many files are being sent: some requests get 503; a \
     higher limit on open files allows more (ulimit -Hn, or LimitNOFILE= in a systemd unit)";

/// A request of `client` found a budget spent.
pub(crate) fn spent(budget: &Budget, gets: &'static str, client: Client, now: Time) {
    if let Some(requests) = budget.report(now) {
        let (total, used) = (budget.total(), budget.used());
        warn!(budget = budget.name(), total, used, %client, requests, "{gets}");
    }
}
