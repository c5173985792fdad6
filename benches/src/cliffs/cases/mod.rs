//! The pairs of states: one of a server with nothing to worry about, and one that strains it.

mod connections;
mod files;
mod plans;
mod requests;

use super::scene::Case;

/// All of them, in the order of the table.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    connections::CASES.iter().chain(files::CASES).chain(requests::CASES)
}
