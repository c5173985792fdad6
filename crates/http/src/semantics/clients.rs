//! Who sent a request, behind proxies.

use std::fmt;

use sockeye_proto::{Client, Peer};

use super::request::Request;

/// Decides who is charged for a request: the peer, or the client that a trusted proxy names.
///
/// Called only where a request makes the server hold something, so it may parse fields.
pub trait Clients: fmt::Debug {
    /// The client that sent `request`, which arrived from `peer`.
    fn client(&self, peer: &Peer, request: &Request<'_>) -> Client;
}
