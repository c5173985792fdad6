//! The server's side of a connection.

mod h1;
mod h2;
#[cfg(feature = "test-wire")]
pub(crate) mod json_lines;

pub use h1::Server;
