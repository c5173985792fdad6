//! Loads that several cases use.

use std::num::NonZeroUsize;

use sockeye_load::{Ask, Plan, Request, Speaks, Until};

use crate::Result;

/// A load on `connections` connections, without an end.
pub(super) fn load(connections: usize, asks: Vec<Ask>) -> Result<Plan> {
    let mut plan = Plan::new(Speaks::Http, asks);
    plan.connections = NonZeroUsize::new(connections).ok_or("no connection")?;
    plan.until = Until::Requests(u64::MAX);
    Ok(plan)
}

/// One request, repeated.
pub(super) fn get(path: &str) -> Result<Vec<Ask>> {
    Ok(vec![Request::get("localhost", path).ask()?])
}
