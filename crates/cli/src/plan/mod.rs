//! Turns the flags of each command into a plan, which has everything that the command needs. All
//! values are checked, and folders and files opened where possible, before the command starts.

pub(crate) mod acme;
mod client_tls;
mod folders;
mod listing;
mod load;
mod messages;
mod send;
mod serve;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod websocket;

pub(crate) use self::folders::{Folders, MountedFolder};
pub(crate) use self::listing::Listing;
pub(crate) use self::load::{Health, Load, health, load};
pub(crate) use self::send::{
    Send, SendMessages, SendWebSocket, send_bytes, send_messages, send_websocket,
};
pub(crate) use self::serve::{Echo, Http, Message, Serve, WebSocket, echo, http, message};
pub(crate) use self::websocket::{OwnedMessage, UpgradeRequest};
