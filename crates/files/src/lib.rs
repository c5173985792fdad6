//! A folder, or a single file, as HTTP replies.
//!
//! ```text
//!  request ─▶ path: a checked name ─▶ cache ── fresh ──▶ conditions, ranges ─▶ reply from memory,
//!                                       │                    or from a kept descriptor by sendfile
//!                                       └── not known, or a second old
//!                                              │ one job per name
//!                                              ▼
//!             a job off the loop: mount ─▶ rule ─▶ store ─▶ entry ─▶ cache, and all who wait
//! ```
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
//! let mut peer = Harness::new(http::Server::new(Rc::default(), site.handler()));
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
//!   swapped ([`path`](Wanted), `open`). A symbolic link to a hidden name is as hidden as the name.
//! - A change is seen by the next request one second later at the latest, and a path is looked up
//!   at most once in that time on each shard.
//! - A reply is never half of one content and half of another: small files are read whole and
//!   looked at again; large ones are checked before their last part is sent.
//! - A resumed download is of one content: a range is sent of the very file whose tag or date the
//!   client names, and no range has a byte sent twice.
//! - A hot small file is answered without a system call and without an allocation.
//! - Where listing is allowed, a folder is a page, JSON, text or a tar archive, none of which is in
//!   memory as a whole; a download of the archive is resumed as one of a file is.
//!
//! Why a URL is answered as it is says [`Mounts::explain`], by the look-up that answers requests;
//! each absence is logged with its reason, at debug.
//!
//! The feature `compression`, on by default, brings the encoders and decoders of zstd, brotli and gzip.
//! Without it every file is sent as it is: files that were packed ahead can't be compared with their
//! originals either, so they are not sent in their place.
//!
//! What it leaves to others: HTTP itself is `sockeye-http`'s; threads, sockets and the sending of
//! files are the engine's.

#![forbid(unsafe_code)]

mod asked;
mod blocks;
mod budgets;
mod by_name;
mod cache;
mod coding;
mod conditional;
mod cors;
mod device;
mod digest;
mod disk;
mod entry;
mod explain;
mod fingerprint;
mod folder;
mod handler;
mod head;
mod headers;
mod identity;
mod in_flight;
mod listing;
mod look_up;
mod lookup_job;
pub mod memory;
mod mime;
mod mounts;
mod multipart;
mod open;
mod options;
mod path;
mod prepared;
mod range;
mod report;
mod scan;
mod send;
mod site;
mod stage;
mod store;
mod tar;
#[cfg(test)]
mod tests;

#[cfg(all(test, not(feature = "compression")))]
compile_error!("the tests need the feature `compression`");

pub use budgets::{BudgetLimits, Budgets};
pub use by_name::ByName;
pub use cache::{CacheLimits, FRESH};
pub use coding::{Coding, Codings};
pub use cors::{BadOrigin, Cors};
pub use disk::{Disk, OpenError};
pub use entry::SMALL;
pub use explain::{Explanation, Rule};
pub use folder::Folder;
pub use handler::Files;
pub use headers::Headers;
pub use identity::{Identity, Stamp};
pub use mime::content_type;
pub use mounts::{BadMount, Mounts};
pub use options::Options;
pub use path::{MAX_NAME, MAX_SEGMENT, Refusal, Wanted};
pub use site::Site;
pub use sockeye_http::BadField;
pub use store::{Absent, Child, Denied, Kind, Need, OpenFilesOf, Opened, Special, Store, Stored};
