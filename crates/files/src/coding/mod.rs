//! Content codings (RFC 9110, 8.4): which of them a client reads, and which a file is sent in.
//!
//! - `coder`: what a folder's owner chose, and what is known about its files, for all shards.
//! - `coded`: the codings of one file, and the choice among them.
//! - `form`: a file, as it is or in a coding.
//! - `sibling`: those that lie beside it.
//! - `select`: which coding is sent, of those that there are.
//! - `pack`: packing what is not packed yet.
//! - `forms`: what was packed, kept for all shards.
//! - `unpack`: whether what somebody packed is the original.
//! - `verdicts`: which siblings are, found out once.

mod coded;
mod coder;
mod content;
mod form;
mod forms;
mod pack;
mod select;
mod sibling;
mod unpack;
mod verdicts;

pub(crate) use crate::options::codings::Coding;
pub(crate) use coded::{Choice, Coded};
pub(crate) use coder::{Coder, Renewed};
pub(crate) use form::Form;
pub(crate) use forms::{Compressed, Forms};
#[cfg(test)]
pub(crate) use pack::packed;
use select::{Offer, select};
pub(crate) use sibling::Siblings;
#[cfg(test)]
pub(crate) use verdicts::COMPARED;
pub(crate) use verdicts::Side;
