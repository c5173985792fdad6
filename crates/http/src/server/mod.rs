//! The server's side of a connection.

mod h1;

pub use h1::Server;
