//! HTTP/1.1 and 1.0, the server's side (RFC 9110, RFC 9112).

mod chars;
mod config;
pub mod date;
mod fields;
mod framing;
mod head;
mod refusal;
mod reply;
mod request;
mod server;
mod state;
mod status;
mod target;

pub use config::{Limits, Shared};
pub use fields::{BadField, Fields};
pub use reply::{Answer, Body, Reply};
pub use request::{Method, Request, Version};
pub use server::{Handler, Server};
pub use status::Status;
