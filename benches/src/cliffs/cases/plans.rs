//! Loads that several cases use.

use std::num::NonZeroUsize;

use sockeye_load::{HttpRequest, LoadKind, Plan, PreparedRequest, Until};

use crate::Result;

/// A load on `connections` connections, without an end.
pub(super) fn load(connections: usize, prepared: Vec<PreparedRequest>) -> Result<Plan> {
    let mut plan = Plan::new(LoadKind::Http, prepared);
    plan.connections = NonZeroUsize::new(connections).ok_or("no connection")?;
    plan.until = Until::Requests(u64::MAX);
    Ok(plan)
}

/// One request, repeated.
pub(super) fn get(path: &str) -> Result<Vec<PreparedRequest>> {
    Ok(vec![HttpRequest::get("localhost", path).prepare()?])
}
