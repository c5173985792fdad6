//! The semantics of requests and responses, which all versions of HTTP share (RFC 9110).

pub(crate) mod body;
pub(crate) mod chars;
pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod cors;
pub mod date;
pub(crate) mod decimal;
pub(crate) mod exchange;
pub(crate) mod fields;
pub(crate) mod host;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod method;
pub(crate) mod names;
pub(crate) mod origin;
pub(crate) mod owned_request;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod span;
pub(crate) mod status;
