//! A folder, or a single file, as HTTP responses.
//!
//! A program opens a [`Folder`] with [`Options`], or several folders, each at its own path
//! ([`Mounts`]). Each worker (an event loop on one core) makes a [`Site`] of them, which answers
//! the requests of its connections:
//!
//! ```
//! use std::rc::Rc;
//!
//! use sockeye_files::{CacheLimits, Folder, memory::Memory};
//! use sockeye_http as http;
//! use sockeye_proto::harness::Harness;
//!
//! let files = Memory::new();
//! files.write("index.html", "<!doctype html>Hello World");
//! // For a folder on a disk: `Folder::open("site")?.site(…)`.
//! let site = Folder::new(files).site(CacheLimits::default());
//!
//! let mut peer = Harness::new(http::Server::new(Rc::default(), site.clone()));
//! peer.input(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
//! peer.run_jobs(); // Files are looked up by jobs, which run on threads in a server.
//! let response = String::from_utf8(peer.output()).unwrap();
//! assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
//! assert!(response.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"));
//! assert!(response.ends_with("\r\n\r\n<!doctype html>Hello World"));
//! ```
//!
//! What this crate does:
//!
//! - Conditional and range requests, content negotiation of encodings, clean URLs, single-page
//!   apps, `404.html`, CORS, security headers, caching headers by file name.
//! - Precompressed files (`page.html.br`), if they decompress to the original. Other files are
//!   compressed on demand, and the results cached.
//! - Folders as listings (HTML, JSON, text) and as tar archives, if [`Options::listing`] is on.
//!   Downloads of archives can be resumed, too.
//! - Errors as small pages, with a link back, for clients whose `Accept` prefers HTML; as plain
//!   text for others. Their text doesn't tell a hidden name from a missing one.
//! - [`Mounts::explain`] says why a URL is answered as it is. The reason why a path is not served
//!   is logged at level debug.
//!
//! What this crate guarantees:
//!
//! - Only what is in the folder, or in the folders of [`Disk::links_into`], is ever served,
//!   whatever the path, and however symbolic links change ([`RequestPath`]). A symbolic link to a
//!   hidden name is hidden, too.
//! - A change is visible to requests after one second ([`FRESH`]): each worker uses the result of a
//!   lookup for at most that time. With [`Options::fresh`], a change is visible at once.
//! - No response mixes two contents of a file. A small file is read whole, and then checked for
//!   changes. A larger file is checked before its last part is sent. If it has changed, its content
//!   up to the original size is hashed again, and the response is completed only if the hash is
//!   still the same. Files above [`Options::hashed_up_to`] have no hash: their size and their
//!   modification time decide. A request with `If-Range` gets a range only if it names the ETag of
//!   the current content. With a date, it gets the whole file.
//! - A file whose size is not that of its content, as in `/proc`, is read to its end for each
//!   request, and is never cached. If it has more than 1 MiB, it is not served.
//! - For a cached small file, this crate makes no system call and no allocation.
//!
//! Features: `compression` (on by default) adds the encoders and decoders of zstd, brotli and gzip.
//! Without it every file is sent uncompressed, since precompressed files can't be checked either.
//! `markdown` (on by default) renders a README in Markdown below a listing, and Markdown files as
//! pages of their own; without it, a README is shown as text, and Markdown files have no pages.
//! `memory` adds a store in memory, for tests.
//!
//! HTTP itself is in `sockeye-http`; threads, sockets and the sending of files are in the engine.

#![forbid(unsafe_code)]

mod coding;
mod file;
mod limits;
mod listing;
mod live;
mod lookup;
mod naming;
mod options;
mod request;
mod respond;
mod serve;
mod store;
mod tar;
#[cfg(test)]
mod tests;

#[cfg(all(test, not(feature = "compression")))]
compile_error!("the tests need the feature `compression`");

pub use file::content::MAX_SMALL_FILE;
pub use live::changes::Live;
pub use lookup::cache::CacheLimits;
pub use lookup::folder::Folder;
pub use lookup::mounts::{BadMount, Mounts};
pub use lookup::rule::Rule;
pub use naming::by_name::ByName;
pub use naming::content_types::{BadContentType, ContentTypes};
pub use naming::mime::content_type;
pub use naming::path::{MAX_NAME, MAX_SEGMENT, Refusal, RequestPath};
pub use options::codings::{Coding, Codings};
pub use options::content_encodings::ContentEncodings;
pub use options::cors::{BadOrigin, Cors};
pub use options::folder_options::Options;
pub use options::headers::Headers;
pub use respond::budgets::{BudgetLimits, Budgets};
pub use serve::explain::Explanation;
pub use serve::handler::FileHandler;
pub use serve::site::Site;
pub use sockeye_http::BadField;
pub use store::absent::{Absent, OpenFilesOf, Permission, Special};
pub use store::disk::Disk;
pub use store::identity::{Identity, Stamp};
#[cfg(any(test, feature = "memory"))]
pub use store::memory;
pub use store::omitted::{Omission, Omitted};
pub use store::open_error::OpenError;
pub use store::traits::{Child, FRESH, Followed, Kind, Link, OpenFile, Opened, Store};
