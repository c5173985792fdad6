//! Responses with files, and without.
//!
//! - `conditions`: whether preconditions and ranges leave something to send.
//! - `send`: a file; `multipart`: several ranges of it.
//! - `instead`: errors, redirects, and pages that are sent in place of a file.
//! - `budgets`: what all folders of a server may hold, together.
//! - `failures`: log lines about requests that fail.

pub(crate) mod budgets;
pub(crate) mod conditions;
mod failures;
pub(crate) mod instead;
pub(crate) mod multipart;
pub(crate) mod send;
