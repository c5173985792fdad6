//! Listings of folders, for people and programs.
//!
//! ```text
//!  query, Accept ─▶ query ─┐
//!                          ▼            in a job
//!  store ─▶ read ─▶ cache ──▶ view: filter, order, page ─┬▶ page ─▶ html ─▶ table, grid
//!           rows      one second                         │          readme ─▶ content ─▶ markdown
//!                       │                                └▶ document ─▶ data
//!                       │                                   in pieces, on the event loop
//!                       └▶ markdown_page ─▶ content ─▶ markdown
//! ```
//!
//! A job, on a thread of the pool, makes a `page` (HTML), with the head and the links of `frame`,
//! or a `document`, whose text (JSON, plain text) is written later. Both come from the `cache` that
//! all workers (event loops) share. The cache also makes archives, with the module `tar` of this
//! crate. `markdown_page` makes a page of one Markdown file. Pages are rendered whole, up to a
//! limit. Those without a filter or paging are cached like listings, so that all requests within a
//! second share them and their compressed forms.
//!
//! The number of entries of a listing is limited. A budget limits the memory of all listings and
//! pages. The text of a long JSON document is never in memory as a whole.

pub(crate) mod assets;
pub(crate) mod cache;
mod content;
mod data;
pub(crate) mod document;
mod folder_cache;
mod frame;
mod grid;
mod html;
mod human;
mod icon;
#[cfg(feature = "markdown")]
mod markdown;
pub(crate) mod markdown_name;
mod markdown_page;
#[cfg(test)]
mod markdown_tests;
#[cfg(feature = "markdown")]
mod markdown_url;
mod order;
pub(crate) mod page;
pub(crate) mod query;
mod read;
mod readme;
mod rows;
mod table;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod text;
mod view;
