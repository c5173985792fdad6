//! Content codings (RFC 9110, 8.4) of files: which there are, and which is sent.
//!
//! - `coder`: what a folder's owner chose, and what is known about its files, for all shards.
//! - `file_entry`: a file in all its representations, and the choice among them.
//! - `coded`: the codings of one file; `form`: the one that is sent.
//! - `sibling`: those that are beside it, as files.
//! - `select`: which coding is sent, of those that there are.
//! - `codec`: the encoders and decoders; there are none without the feature `compression`.
//! - `pack`: compressing what is not compressed yet; `content`: what is read for it.
//! - `forms`: what was compressed, kept for all shards.
//! - `unpack`: whether what somebody compressed is the original.
//! - `verdicts`: which siblings are, found out once.

#[cfg_attr(not(feature = "compression"), path = "no_codec.rs")]
mod codec;
pub(crate) mod coded;
pub(crate) mod coder;
mod content;
pub(crate) mod file_entry;
pub(crate) mod form;
pub(crate) mod forms;
pub(crate) mod pack;
mod select;
mod sibling;
mod unpack;
pub(crate) mod verdicts;

use crate::options::codings::Coding;
