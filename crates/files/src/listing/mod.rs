//! Listings of folders, for people and programs.
//!
//! ```text
//!  query, Accept ─▶ query ─┐
//!                          ▼            in a job
//!  store ─▶ read ─▶ cache ──▶ view: filter, order, page ─▶ document ─▶ html, data
//!           rows      one second                             in pieces, on the event loop
//! ```
//!
//! A job makes the document, with the `cache` that all shards share, or an archive with `tar`.
//!
//! The entries of a listing are limited, and the memory of all listings by a budget. The text of a
//! long response is never in memory as a whole.

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
