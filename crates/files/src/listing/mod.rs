//! A folder as a page, for people and for programs.
//!
//! ```text
//!  query, Accept ─▶ ask ─┐
//!                        ▼            a job off the loop
//!  store ─▶ read ─▶ cache ──▶ view: filter, order, page ─▶ document ─▶ html, data ─▶ reply
//!           rows      one second                             so much at a time as there is room
//! ```
//!
//! [`Exchange`] is a request up to the head of its reply, [`Sending`] what follows. The job is
//! [`ListingCache`]'s, which all shards share; an archive instead of a page is made in the same way, by
//! [`crate::tar`].
//!
//! What is read of a folder is bounded in entries and in bytes, all that is read at a time together
//! by a budget, and what is written of it is never in memory as a whole.

mod ask;
mod assets;
mod cache;
mod data;
mod document;
mod exchange;
mod fields;
mod folder_cache;
mod html;
mod order;
mod read;
mod rows;
mod sending;
mod show;
#[cfg(test)]
mod tests;
mod text;
mod view;

pub(crate) use ask::is_known;
pub(crate) use cache::ListingCache;
pub(crate) use exchange::{Exchange, Outcome, answer_head};
pub(crate) use sending::Sending;
