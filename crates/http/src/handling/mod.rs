//! Answering requests on any wire (HTTP/1.1, HTTP/2 or, in tests, JSON lines).

pub(crate) mod answer;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod handler;
pub(crate) mod in_flight;
pub(crate) mod log_buffer;
pub(crate) mod pending_log;
pub(crate) mod prepared;
pub(crate) mod responder;
pub(crate) mod stream;
pub(crate) mod wire;
