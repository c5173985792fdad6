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
//! - `changes`: which paths have changed lately, and who waits for the next change. A token says up
//!   to which change a page has seen: the script sends it when it opens its WebSocket.
//! - `channel`: the WebSocket of an open page.
//! - `page`: the script's tag, and where it is put into a page.
//! - `policy`: what a Content-Security-Policy lacks for the script.
//! - `problems`: pages that don't get the script, or forbid it, are named in the log.
//!
//! Nothing here watches files. The program that created a [`Live`](changes::Live) does, and calls
//! `Live::changed`.

pub(crate) mod changes;
pub(crate) mod channel;
pub(crate) mod page;
mod policy;
pub(crate) mod problems;
