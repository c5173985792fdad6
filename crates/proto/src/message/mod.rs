//! Messages: frames of a length, a JSON header and content.

mod client;
mod content;
mod fault;
mod header;
pub mod json;
mod limits;
pub mod reference;
mod reply;
mod server;
pub mod text;

pub use client::{Asker, Client, Ending, Next, Settings, Style};
pub use content::{ContentError, Message};
pub use fault::{ErrorReply, Refusal, error_reply};
pub use header::{Header, Id};
pub use limits::Limits;
pub use reply::Reply;
pub use server::{Answer, Flow, Handler, Server, Wants};

/// The type of JSON content.
pub const JSON: &str = "text/json";
