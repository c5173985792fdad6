//! The cases that are measured. Each compares two conditions of a server: plain, and under a strain
//! that should not make other requests more expensive.

mod connections;
mod files;
mod plans;
mod requests;

use super::scene::Case;

/// All cases, in the order in which the results are printed.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    connections::CASES.iter().chain(files::CASES).chain(requests::CASES)
}
