//! A folder, or a single file, as HTTP responses.
//!
//! ```text
//!  request ─▶ naming: a checked path ─▶ lookup/cache ── fresh ──▶ respond: conditions, ranges ─▶ response
//!                                           │                    from memory, or from a kept descriptor
//!                                           └── not known, or a second old
//!                                                  │ one job per name
//!                                                  ▼
//!        a job off the loop: mounts ─▶ find ─▶ store ─▶ entry ─▶ lookup/cache, and all who wait
//! ```
//!
//! The rooms, each of which imports only those before it: `limits`, `naming`, `options`, `request`,
//! `store`, `file` (one file, ready to be sent), `coding` (its content codings), `respond`, `tar`,
//! `listing`, `lookup`, `serve`.
//!
//! [`Folder`] is what a program opens, with [`Options`]; several are placed by [`Mounts`]. Each
//! shard makes a [`Site`] of them, and each connection gets its handler there:
//!
//! ```
//! use std::rc::Rc;
//! use sockeye_files::{CacheLimits, Folder, memory::Memory};
//! use sockeye_http as http;
//! use sockeye_proto::harness::Harness;
//!
//! let files = Memory::new();
//! files.write("index.html", "<!doctype html>Hello World");
//! let site = Folder::new(files).site(CacheLimits::default());
//!
//! let mut peer = Harness::new(http::Server::new(Rc::default(), site.clone()));
//! peer.input(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
//! peer.run_jobs();
//! let reply = String::from_utf8(peer.output()).unwrap();
//! assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"));
//! assert!(reply.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"));
//! assert!(reply.ends_with("\r\n\r\n<!doctype html>Hello World"));
//! ```
//!
//! What holds:
//!
//! - Nothing outside of the folder is ever opened, whatever the path says and however links are
//!   swapped ([`RequestPath`], `store/open`). A symbolic link to a hidden name is as hidden as the name.
//! - A change is seen by the next request one second later at the latest, and a path is looked up
//!   at most once in that time on each shard.
//! - A response is never half of one content and half of another: small files are read whole and
//!   looked at again; large ones are checked before their last part is sent.
//! - A resumed download is of one content: a range is sent of the very file whose tag or date the
//!   client names, and no range has a byte sent twice.
//! - A hot small file is answered without a system call and without an allocation.
//! - Where listing is allowed, a folder is a page, JSON, text or a tar archive, none of which is in
//!   memory as a whole; a download of the archive is resumed as one of a file is.
//!
//! [`Mounts::explain`] says why a URL is answered as it is, by the lookup that answers requests; each
//! absence is logged with its reason, at debug.
//!
//! The feature `compression`, on by default, brings the encoders and decoders of zstd, brotli and gzip.
//! Without it every file is sent as it is: files that were packed ahead can't be compared with their
//! originals either, so they are not sent in their place.
//!
//! What it leaves to others: HTTP itself is `sockeye-http`'s; threads, sockets and the sending of
//! files are the engine's.

#![forbid(unsafe_code)]

mod coding;
mod file;
mod limits;
mod listing;
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

pub use file::held::SMALL;
pub use lookup::cache::CacheLimits;
pub use lookup::folder::Folder;
pub use lookup::mounts::{BadMount, Mounts};
pub use lookup::rule::Rule;
pub use naming::by_name::ByName;
pub use naming::mime::content_type;
pub use naming::path::{MAX_NAME, MAX_SEGMENT, Refusal, RequestPath};
pub use options::choices::Options;
pub use options::codings::{Coding, Codings};
pub use options::cors::{BadOrigin, Cors};
pub use options::headers::Headers;
pub use respond::budgets::{BudgetLimits, Budgets};
pub use serve::explain::Explanation;
pub use serve::handler::Files;
pub use serve::site::Site;
pub use sockeye_http::BadField;
pub use store::absent::{Absent, Denied, Need, OpenFilesOf, Special};
pub use store::disk::{Disk, OpenError};
pub use store::identity::{Identity, Stamp};
pub use store::memory;
pub use store::traits::{Child, FRESH, Kind, Opened, Store, Stored};
