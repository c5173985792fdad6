//! Limits and deadlines, with safe defaults.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use sockeye_proto::Address;

use crate::{Network, TlsAcceptor};

/// Limits and deadlines of an engine. A protocol has further ones of its own, such as idle
/// timeouts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections of all workers (event loops). Above this, each new connection closes the one
    /// that has been idle longest on its worker or, if none is idle there, on another worker. If
    /// none has been idle for 1 s, new connections wait. Default: 100,000.
    pub max_connections: usize,
    /// Connections of one IPv4 address or IPv6 /64, at most a quarter of `max_connections`. Further
    /// ones are closed at once. Loopback and Unix sockets are exempt. Default: 1024.
    pub max_connections_per_address: usize,
    /// Networks whose addresses have no limit per address, such as those of proxies. Default: none.
    pub unlimited_networks: Vec<Network>,
    /// Bytes of output buffered per connection. Above this, nothing is read from that connection. A
    /// single response may exceed it. Default: 256 KiB.
    pub max_buffered_output: usize,
    /// Bytes of output and incomplete input in memory, of all connections that hold more than
    /// 40 KiB each. A client may use a quarter of this, or half if it is at a loopback address or a
    /// Unix socket. While its share or the whole is used up, a client gets more output on a
    /// connection only when it has read what is buffered there. Default: 64 MiB.
    pub max_buffered_total: usize,
    /// Bytes of input per connection that the protocol has not consumed. A connection with more is
    /// closed. Protocols should have lower limits, above which they send an error response.
    /// Default: 1 MiB.
    pub max_unused_input: usize,
    /// A connection whose peer takes no output for this long is closed. The first check, after an
    /// eighth of this time, only records how much the peer has taken. Each further check comes
    /// after the whole time, so a peer that stops taking output has twice this time at most.
    /// Default: 60 s.
    pub write_timeout: Duration,
    /// How long a server waits before it drains. It accepts connections meanwhile, and protocols
    /// ask clients to connect elsewhere ([`Event::LameDuck`](sockeye_proto::Event::LameDuck)), so
    /// that load balancers can move to other servers. Default: 0 s.
    pub lame_duck: Duration,
    /// How long draining may take. Connections that are not finished then are cut. Default: 30 s.
    pub drain_timeout: Duration,
    /// How long a connection that we open may take to be established. Default: 10 s.
    pub connect_timeout: Duration,
    /// How to close a connection whose peer may still be sending.
    pub linger: Linger,
    /// TLS for accepted connections, at all addresses except those of
    /// [`Server::without_tls`](crate::Server::without_tls). Default: none.
    pub tls: Option<TlsAcceptor>,
    /// How long a TLS handshake may take. Default: 10 s.
    pub handshake_timeout: Duration,
    /// How many jobs of the kind [`JobKind::Other`](sockeye_proto::JobKind::Other) run at a time,
    /// each on a thread of its own. [`Turn::run`](sockeye_proto::Turn::run) and functions that call
    /// it start such jobs; [`Turn::spawn`](sockeye_proto::Turn::spawn) starts jobs of any kind.
    /// Further jobs wait, and clients take turns. Choose more threads for jobs that wait for a
    /// database or another machine, not for this machine's cores and disks. Jobs of other kinds,
    /// such as lookups of files, have threads that this doesn't limit. Default: `None`, which means
    /// two threads per worker and one more.
    pub job_threads: Option<NonZeroUsize>,
}

impl Config {
    /// How many connections `address` may have. `usize::MAX`: it has no limit of its own.
    /// Loopback addresses are exempted later, by [`ConnectionCounts`](crate::ConnectionCounts).
    pub(crate) fn max_connections_of(&self, address: Address) -> usize {
        let Address::Ip(address) = address else { return usize::MAX };
        let ip = SocketAddr::ip(&address);
        match self.unlimited_networks.iter().any(|network| network.contains(ip)) {
            true => usize::MAX,
            // At most a quarter of all connections, so that one address can't use them up.
            false => self.max_connections_per_address.min(self.max_connections / 4).max(1),
        }
    }
}

/// How much input of a closing connection is read and discarded, and for how long. The limit that
/// is reached first closes the connection.
#[derive(Clone, Debug)]
pub struct Linger {
    /// At most this many bytes. Default: 1 MiB.
    pub bytes: u64,
    /// At most until no input has arrived for this long. Default: 2 s.
    pub quiet: Duration,
    /// At most this long. Default: 5 s.
    pub total: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_connections_per_address: 1024,
            unlimited_networks: Vec::new(),
            max_buffered_output: 256 * 1024,
            max_buffered_total: 64 * 1024 * 1024,
            max_unused_input: 1024 * 1024,
            write_timeout: Duration::from_secs(60),
            lame_duck: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            linger: Linger::default(),
            tls: None,
            handshake_timeout: Duration::from_secs(10),
            job_threads: None,
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
    fn trusted_networks_have_no_limit_per_address() {
        let unlimited_networks =
            vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let config =
            Config { max_connections_per_address: 7, unlimited_networks, ..Config::default() };
        let from = |ip: &str| Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1));
        for (address, max) in [
            (from("10.1.2.3"), usize::MAX),
            (from("::ffff:10.1.2.3"), usize::MAX),
            (from("2001:db8::1"), usize::MAX),
            (from("192.0.2.1"), 7),
            (from("2001:db9::1"), 7),
            (Address::Unix, usize::MAX),
        ] {
            assert_eq!(config.max_connections_of(address), max, "{address}");
        }
    }

    #[test]
    fn one_address_has_at_most_a_quarter_of_all_connections() {
        let from = |ip: &str| Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1));
        let unlimited_networks = vec!["10.0.0.0/8".parse().unwrap()];
        for (max_connections, max) in [(100_000, 1024), (4096, 1024), (768, 192), (3, 1)] {
            let config = Config {
                max_connections,
                unlimited_networks: unlimited_networks.clone(),
                ..Config::default()
            };
            assert_eq!(config.max_connections_of(from("192.0.2.1")), max, "{max_connections}");
            for exempt in [from("10.0.0.1"), Address::Unix] {
                assert_eq!(config.max_connections_of(exempt), usize::MAX);
            }
        }
    }
}
