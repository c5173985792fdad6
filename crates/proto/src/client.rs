//! Clients, as budgets (limits on resources) count them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Address;

/// A client, as [budgets](crate::Budget) count them: an IPv4 address, the /64 of an IPv6 address (a
/// network that providers give to one customer), or all peers at Unix sockets.
///
/// Behind a trusted proxy, this is the client that the proxy names, if the protocol supports that:
/// `sockeye-http` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
    /// The peers at Unix sockets.
    Unix,
}

impl Client {
    /// The client at `address`. An IPv4-mapped IPv6 address counts as the IPv4 address.
    #[must_use]
    pub fn of(address: Address) -> Self {
        let Address::Ip(address) = address else { return Self::Unix };
        match SocketAddr::ip(&address).to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let mut network = [0; 8];
                network.copy_from_slice(&ip.octets()[..8]);
                // The loopback address `::1` counts as 127.0.0.1, so that it is local.
                if ip.is_loopback() { Self::V4([127, 0, 0, 1]) } else { Self::V6(network) }
            }
        }
    }

    /// Whether the client is on this machine: a local user, or a proxy that doesn't name its
    /// clients.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Self::V4([127, ..]) | Self::Unix)
    }

    /// The most that this client may have of `total`: a quarter, or half if the client is local. At
    /// least 1, unless `total` is 0.
    #[must_use]
    pub fn share(self, total: u64) -> u64 {
        (if self.is_local() { total / 2 } else { total / 4 }).max(1).min(total)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => Ipv4Addr::from(*ip).fmt(f),
            Self::V6(network) => {
                let mut ip = [0; 16];
                ip[..8].copy_from_slice(network);
                write!(f, "{}/64", Ipv6Addr::from(ip))
            }
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_addresses_and_networks_and_have_shares() {
        for (ip, shown, share) in [
            ("192.0.2.1", "192.0.2.1", 25),
            ("::ffff:192.0.2.1", "192.0.2.1", 25),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", 25),
            ("127.0.0.3", "127.0.0.3", 50),
            ("::1", "127.0.0.1", 50),
        ] {
            let address = Address::Ip(SocketAddr::new(ip.parse().unwrap(), 7));
            let client = Client::of(address);
            assert_eq!((client.to_string(), client.share(100)), (shown.to_owned(), share), "{ip}");
        }
        assert_eq!((Client::Unix.share(100), Client::Unix.share(1)), (50, 1));
        assert_eq!(Client::V4([1, 2, 3, 4]).share(3), 1);
        assert_eq!(Client::V4([1, 2, 3, 4]).share(0), 0);
    }
}
