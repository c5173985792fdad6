//! The pairs of conditions: a plain server, and a strained one.

mod connections;
mod files;
mod plans;
mod requests;

use super::scene::Case;

/// All cases, in the order of the table.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    connections::CASES.iter().chain(files::CASES).chain(requests::CASES)
}
