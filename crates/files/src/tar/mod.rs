//! A folder as a tar archive, whose every byte has its place before the first is sent.
//!
//! ```text
//!  store ─▶ manifest: names, sizes, times, identities ─▶ length and tag ─▶ head of the response
//!               │
//!               └─▶ packing: a batch at a time, off the loop ─▶ bytes and parts of files
//! ```
//!
//! So a download that was cut goes on where it was, with `Range` and `If-Range`: the same files make
//! the same archive, and the tag says whether they are the same. The archive is in the order of its
//! names, with the files' own times; owners and permissions are not told.

mod header;
pub(crate) mod manifest;
#[cfg(test)]
mod tests;
pub(crate) mod writer;
