//! Requests answered with files.
//!
//! - `handler`: the requests of a connection, and what they wait for.
//! - `site`: the folders as one shard sees them.
//! - `answer`: answers by what is known; `jobs`: what has to be waited for.
//! - `listing`: a request for a folder as a listing or an archive, with its headers
//!   (`listing_headers`) and its body (`listing_body`).
//! - `explain`: why a URL is answered as it is.

mod answer;
pub(crate) mod explain;
pub(crate) mod handler;
mod jobs;
mod listing;
mod listing_body;
mod listing_headers;
pub(crate) mod site;
