//! Responses with a file or parts of it, and responses instead of a file.
//!
//! - `conditions`: preconditions and ranges.
//! - `send`: a file; `multipart`: several ranges of it.
//! - `substitutes`: errors, redirects, and pages that are sent in place of a file.
//! - `budgets`: limits on the resources that requests hold. Several folders can share them.
//! - `failures`: log lines about failed requests.

pub(crate) mod budgets;
pub(crate) mod conditions;
mod failures;
pub(crate) mod multipart;
pub(crate) mod send;
pub(crate) mod substitutes;
