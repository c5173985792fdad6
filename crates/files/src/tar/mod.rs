//! A folder as a tar archive, whose every byte has its position before the first is sent.
//!
//! ```text
//!  store ─▶ manifest: names, sizes, times, identities ─▶ length and ETag ─▶ head of the response
//!               │
//!               └─▶ writer: a batch at a time, off the loop ─▶ bytes and ranges of files
//! ```
//!
//! So an aborted download can be resumed, with `Range` and `If-Range`: the same files make the same
//! archive and the same ETag. The order is that of the names, the times are those of the files; owners
//! and permissions are left out.

mod header;
pub(crate) mod manifest;
#[cfg(test)]
mod tests;
pub(crate) mod writer;
