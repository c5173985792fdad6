//! A folder as a listing, for people and for programs.
//!
//! ```text
//!  query, Accept ─▶ query ─┐
//!                          ▼            a job off the loop
//!  store ─▶ read ─▶ cache ──▶ view: filter, order, page ─▶ document ─▶ html, data
//!           rows      one second                             piece by piece, on the loop
//! ```
//!
//! A job makes the document, from the `cache` that all shards share; it makes an archive in the same
//! way, with `tar`. Requests are answered in `serve`.
//!
//! A listing is bounded in entries and in bytes, all listings together by a budget, and the text of a
//! response is never in memory as a whole.

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
