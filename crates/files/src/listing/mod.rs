//! A folder as a page, for people and for programs.
//!
//! ```text
//!  query, Accept ─▶ ask ─┐
//!                        ▼            a job off the loop
//!  store ─▶ read ─▶ recent ─▶ view: filter, order, page ─▶ document ─▶ html, data ─▶ reply
//!           rows      one second                             so much at a time as there is room
//! ```
//!
//! What is read of a folder is bounded in entries and in bytes, all that is read at a time together
//! by a budget, and what is written of it is never in memory as a whole.

mod ask;
mod budget;
mod data;
mod document;
mod html;
mod order;
mod read;
mod recent;
mod rows;
mod show;
#[cfg(test)]
mod tests;
mod text;
mod view;

pub(crate) use budget::{Budget, Lease};
pub(crate) use read::beneath;
pub(crate) use recent::Weigh;
