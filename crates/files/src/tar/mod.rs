//! Folders as tar archives. The position of every byte is known before the first is sent.
//!
//! ```text
//!  store ─▶ manifest: names, sizes, times, inodes ─▶ length and ETag ─▶ head of the response
//!               │
//!               └─▶ writer: a batch at a time, in jobs ─▶ bytes and ranges of files
//! ```
//!
//! So an aborted download can be resumed with `Range` and `If-Range`: the same files make the same
//! archive, with the same ETag. But if a file was modified just now, each archive gets a new ETag.
//! Entries are sorted by name and have the modification times of the files. All have the same
//! owner, and one of two modes: for files or for folders.

mod header;
pub(crate) mod manifest;
#[cfg(test)]
mod tests;
pub(crate) mod writer;
