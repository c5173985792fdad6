//! Who sent a request, where proxies stand in front.

use std::fmt;

use sockeye_proto::{Client, Peer};

use crate::Request;

/// Says who is charged for a request: the peer, or whom a proxy that is trusted names.
///
/// Asked only where a request makes the server hold something, so it may parse fields.
pub trait Clients: fmt::Debug {
    /// The client that sent `request` by way of `peer`.
    fn client(&self, peer: &Peer, request: &Request<'_>) -> Client;
}
