//! The peer of a connection, and its address.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::TlsInfo;

/// The address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix domain socket, whose clients have no address.
    Unix,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

/// The peer of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: Address,
    /// The listener that accepted the connection: its index in the list of bound addresses. (A host
    /// name may have several.) For a connection that we opened, a number chosen by the code that
    /// opened it.
    pub via: u32,
    /// What the TLS handshake has agreed on. `None` without TLS.
    pub tls: Option<Arc<TlsInfo>>,
}

impl Peer {
    /// A peer without TLS.
    #[must_use]
    pub fn new(address: Address, via: u32) -> Self {
        Self { address, via, tls: None }
    }
}
