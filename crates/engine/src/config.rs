//! What bounds a server, with defaults that hold with nothing configured.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye_proto::Address;

use crate::Network;

/// Limits and deadlines of an engine. Those of a protocol (heads, idleness) are the protocol's own.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections in all, over all shards. When there are so many, a new one takes the place of
    /// the one that has been idle longest, for a second at least; without such a one, new ones wait.
    pub max_connections: usize,
    /// Connections of one address (of one /64 for IPv6), and never more than a quarter of
    /// `max_connections`. Loopback and Unix sockets are exempt.
    pub max_connections_per_address: usize,
    /// Addresses that may have as many connections as they like: proxies that bring those of many.
    /// None.
    pub uncounted: Vec<Network>,
    /// Bytes of output held in memory for one connection, beyond which it is not read from. A
    /// single response may exceed it. A connection that asked for room hears of it below a quarter.
    pub max_buffered_output: usize,
    /// Bytes of output held in memory for all connections together, as far as one of them holds more
    /// than 40 KiB; a quarter of it for one client, half for one on this machine. While a client has
    /// spent its share, each of its connections is answered further only when it has read what there
    /// is. Default: 64 MiB.
    pub max_buffered_in_all: usize,
    /// Unused input held for one connection, in bytes. A backstop: protocols have limits of their
    /// own, which answer.
    pub max_unused_input: usize,
    /// How long a peer may take none of what we send.
    pub write_timeout: Duration,
    /// How long a server that was told to drain goes on before it begins to: it still accepts
    /// connections, and its protocols ask clients to come again elsewhere
    /// ([`Event::LameDuck`](sockeye_proto::Event::LameDuck)). Load balancers use this time to find out
    /// and to send new connections to other servers. Default: 0 s.
    pub lame_duck: Duration,
    /// How long draining may take before what is left is cut.
    pub drain_timeout: Duration,
    /// How long a connection that we open may take to come to stand.
    pub connect_timeout: Duration,
    /// How a connection lingers whose peer may still be sending when we close it.
    pub linger: Linger,
}

impl Config {
    /// How many connections `address` may have.
    pub(crate) fn max_connections_of(&self, address: Address) -> usize {
        let Address::Ip(address) = address else { return usize::MAX };
        let ip = SocketAddr::ip(&address);
        match self.uncounted.iter().any(|network| network.contains(ip)) {
            true => usize::MAX,
            // Whatever the limits are, it takes several addresses to use up all connections.
            false => self.max_connections_per_address.min(self.max_connections / 4).max(1),
        }
    }
}

/// How long, and how much, a closing connection's input is read and thrown away.
#[derive(Clone, Debug)]
pub struct Linger {
    /// Bytes at the most.
    pub bytes: u64,
    /// Without input for so long, it is over.
    pub quiet: Duration,
    /// In all.
    pub total: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_connections_per_address: 1024,
            uncounted: Vec::new(),
            max_buffered_output: 256 * 1024,
            max_buffered_in_all: 64 * 1024 * 1024,
            max_unused_input: 1024 * 1024,
            write_timeout: Duration::from_secs(60),
            lame_duck: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            linger: Linger::default(),
        }
    }
}

impl Default for Linger {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, quiet: Duration::from_secs(2), total: Duration::from_secs(5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_may_bring_as_many_connections_as_they_like() {
        let uncounted = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let config = Config { max_connections_per_address: 7, uncounted, ..Config::default() };
        let from = |ip: &str| Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1));
        for (address, most) in [
            (from("10.1.2.3"), usize::MAX),
            (from("::ffff:10.1.2.3"), usize::MAX),
            (from("2001:db8::1"), usize::MAX),
            (from("192.0.2.1"), 7),
            (from("2001:db9::1"), 7),
            (Address::Unix, usize::MAX),
        ] {
            assert_eq!(config.max_connections_of(address), most, "{address}");
        }
    }

    #[test]
    fn one_address_has_a_quarter_of_all_connections_at_the_most() {
        let from = |ip: &str| Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1));
        let uncounted = vec!["10.0.0.0/8".parse().unwrap()];
        for (max_connections, most) in [(100_000, 1024), (4096, 1024), (768, 192), (3, 1)] {
            let config =
                Config { max_connections, uncounted: uncounted.clone(), ..Config::default() };
            assert_eq!(config.max_connections_of(from("192.0.2.1")), most, "{max_connections}");
            for exempt in [from("10.0.0.1"), Address::Unix] {
                assert_eq!(config.max_connections_of(exempt), usize::MAX);
            }
        }
    }
}
