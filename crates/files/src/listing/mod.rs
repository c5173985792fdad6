//! A folder as a page, for people and for programs.
//!
//! ```text
//!  query, Accept ─▶ ask ─┐
//!                        ▼            a job off the loop
//!  store ─▶ read ─▶ cache ──▶ view: filter, order, page ─▶ document ─▶ html, data
//!           rows      one second                             so much at a time as there is room
//! ```
//!
//! A job makes the document, by the `cache` that all shards share; it makes an archive in the same way,
//! by `tar`. Who answers requests with them is in `serve`.
//!
//! What is read of a folder is bounded in entries and in bytes, all that is read at a time together
//! by a budget, and what is written of it is never in memory as a whole.

pub(crate) mod assets;
pub(crate) mod cache;
mod data;
pub(crate) mod document;
mod folder_cache;
mod html;
mod human;
mod order;
pub(crate) mod query;
mod read;
mod rows;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod view;
