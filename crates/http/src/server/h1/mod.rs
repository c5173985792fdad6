//! The server's side of an HTTP/1.1 connection.

mod events;
mod reading;
mod server;
mod state;

pub use server::Server;
