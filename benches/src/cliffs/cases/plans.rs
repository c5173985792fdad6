//! Loads that several [cases](super) use.

use std::num::NonZeroUsize;

use sockeye_load::{HttpRequest, LoadKind, Plan, PreparedRequest, Until};

use crate::Result;

/// A load on `connections` connections, which lasts until its client is stopped.
pub(super) fn load(connections: usize, prepared: Vec<PreparedRequest>) -> Result<Plan> {
    let mut plan = Plan::new(LoadKind::Http, prepared);
    plan.connections = NonZeroUsize::new(connections).ok_or("no connection")?;
    plan.until = Until::Requests(u64::MAX);
    Ok(plan)
}

/// The requests of a load that repeats a GET of `path`.
pub(super) fn get(path: &str) -> Result<Vec<PreparedRequest>> {
    Ok(vec![HttpRequest::get("localhost", path).prepare()?])
}
