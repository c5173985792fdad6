//! TLS in servers: certificates, and plain HTTP beside it.

mod redirect;

