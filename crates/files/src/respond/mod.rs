//! Responses with files, and without.
//!
//! - `send`: a file, as far as conditions and ranges want it.
//! - `multipart`: several ranges of a file.
//! - `absent`: where there is no such file; `redirect`: where there is one by another name.
//! - `budgets`: what all folders of a server may make it hold, together.
//! - `report`: what the log hears of requests that fail.

pub(crate) mod absent;
pub(crate) mod budgets;
pub(crate) mod multipart;
pub(crate) mod redirect;
pub(crate) mod report;
pub(crate) mod send;
