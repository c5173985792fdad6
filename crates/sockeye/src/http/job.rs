//! Jobs of the pool that make a [`Reply`].

use http::StatusCode;
use sockeye_proto::{Client, Job, JobKind, Promise};

use super::reply::{Reply, Work};

/// Makes a job that keeps `promise` with the [`Reply`] of `work`. If the job is dropped instead of
/// run, because the pool is full, it keeps the promise with a 503. If `work` panics, the promise is
/// abandoned.
pub(super) fn job(client: Client, promise: Promise, work: Work) -> Job {
    let mut pending = Pending(Some((promise, work)));
    Job::new(JobKind::Other, client, move || pending.run())
}

/// A job that has not run.
struct Pending(Option<(Promise, Work)>);

impl Pending {
    fn run(&mut self) {
        if let Some((promise, work)) = self.0.take() {
            promise.keep(Box::new(work()));
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((promise, _)) = self.0.take() {
            promise.keep(Box::new(Reply::from(StatusCode::SERVICE_UNAVAILABLE)));
        }
    }
}
