//! Answers requests with files.
//!
//! - `handler`: one request, and what it waits for.
//! - `site`: the folders and caches of a worker (event loop).
//! - `answer`: answers from the cache; `jobs`: lookups and compression that requests wait for.
//! - `error_page`: errors as pages for browsers.
//! - `listing`: responses with a folder as a listing or an archive, or with a Markdown file as a
//!   page. `listing_headers` makes the headers of such a response, `listing_body` sends its content
//!   if that is long or an archive.
//! - `live`: for `--live`, the script by which pages reload, and the script's WebSocket.
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
