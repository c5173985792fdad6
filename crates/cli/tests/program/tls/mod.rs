//! Servers with TLS.

mod acme;
pub(crate) mod certificates;
pub(crate) mod client;
mod plain;
mod reload;
mod serve;
