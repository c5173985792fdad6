//! Pages that reload in the browser when their files change, while someone edits them.
//!
//! ```text
//!  file watcher ──▶ changes: Live ──wake──▶ channel, one per open page ──▶ script.js in the page
//!                      │ token                                              reloads, or swaps styles
//!                      ▼
//!  file ─▶ page: puts the script's tag into HTML (with the token) ─▶ response
//!             policy: does its Content-Security-Policy forbid the script?
//! ```
//!
//! - `changes`: which paths have changed lately, and which WebSockets to tell of the next change.
//!   The token in a page stands for all changes before the page was made. The script sends the
//!   token when it opens the WebSocket, and is told of the changes since the page was made.
//! - `channel`: the WebSocket of an open page.
//! - `page`: the script's tag, and where it is put into a page.
//! - `policy`: what the user has to change in a Content-Security-Policy so that the script may run.
//! - `problems`: logs which pages can't reload themselves, and why.
//!
//! Nothing here watches files. The program that created a [`Live`](changes::Live) does, and calls
//! `Live::changed`.

pub(crate) mod changes;
pub(crate) mod channel;
pub(crate) mod page;
mod policy;
pub(crate) mod problems;
