//! The pairs of states: one of a server with nothing to worry about, and one that strains it.

mod connections;
mod files;
mod requests;

use std::num::NonZeroUsize;

use sockeye_load::{Ask, Plan, Request, Speaks, Until};

use super::scene::Case;
use crate::Result;

/// All of them, in the order of the table.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    connections::CASES.iter().chain(files::CASES).chain(requests::CASES)
}

/// A load on so many connections that goes on until it is told to stop.
fn load(connections: usize, asks: Vec<Ask>) -> Result<Plan> {
    let mut plan = Plan::new(Speaks::Http, asks);
    plan.connections = NonZeroUsize::new(connections).ok_or("no connection")?;
    plan.until = Until::Requests(u64::MAX);
    Ok(plan)
}

/// The same request again and again.
fn get(path: &str) -> Result<Vec<Ask>> {
    Ok(vec![Request::get("localhost", path).ask()?])
}
