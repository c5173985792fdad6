//! What will run: made from the flags, with every check that is possible before the command starts.

mod content;
mod contents;
mod load;
mod send;
mod serve;
#[cfg(test)]
mod tests;

pub(crate) use self::content::{Content, Place};
pub(crate) use self::load::{Load, load};
pub(crate) use self::send::{Send, SendMessages, send_bytes, send_messages};
pub(crate) use self::serve::{Http, Message, Serve, http, message, serve};
