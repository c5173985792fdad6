//! Answers requests with files.
//!
//! - `handler`: one request, and what it waits for.
//! - `site`: the folders and caches of a shard.
//! - `answer`: answers from the cache; `jobs`: lookups and compression that requests wait for.
//! - `error_page`: errors as pages for browsers.
//! - `listing`: a request for a folder as a listing or an archive, with its headers
//!   (`listing_headers`) and its body (`listing_body`).
//! - `live`: the script of pages that reload, and its WebSocket.
//! - `explain`: why a URL is answered as it is.

mod answer;
mod error_page;
pub(crate) mod explain;
pub(crate) mod handler;
mod jobs;
mod listing;
mod listing_body;
mod listing_headers;
mod live;
pub(crate) mod site;
