//! Networks in CIDR notation.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network of IPv4 or IPv6 addresses: `192.0.2.0/24`, `2001:db8::/32`, or a single address.
///
/// ```
/// use sockeye_engine::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()));
/// assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!network.contains("11.0.0.1".parse().unwrap()));
/// # Ok::<(), sockeye_engine::BadNetwork>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    // Invariant: no IPv4-mapped IPv6 address, and zeros after the first `len` bits.
    first: IpAddr,
    len: u8,
}

/// The text is not a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNetwork {
    text: String,
    reason: String,
}

impl Network {
    /// Whether `ip` is in this network. An IPv4-mapped IPv6 address counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        masked(ip.to_canonical(), self.len) == self.first
    }
}

/// `ip` with zeros after its first `len` bits.
fn masked(ip: IpAddr, len: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = |reason: String| BadNetwork { text: text.to_owned(), reason };
        let (ip, len) = match text.split_once('/') {
            Some((ip, len)) => (ip, Some(len)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| bad("not an IP address".into()))?;
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => max,
            Some(len) => len
                .parse()
                .ok()
                .filter(|len| *len <= max)
                .ok_or_else(|| bad(format!("the prefix length must be from 0 to {max}")))?,
        };
        // A network of IPv4-mapped IPv6 addresses becomes the IPv4 network.
        let (ip, len) = match ip.to_canonical() {
            canonical if canonical.is_ipv4() && ip.is_ipv6() && len >= 96 => (canonical, len - 96),
            _ => (ip, len),
        };
        let first = masked(ip, len);
        if first != ip {
            return Err(bad(format!("bits are set after the prefix: use {first}/{len}")));
        }
        Ok(Self { first, len })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.len)
    }
}

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, reason } = self;
        write!(
            f,
            "invalid network '{text}': {reason} (valid: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32)"
        )
    }
}

impl std::error::Error for BadNetwork {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_with_its_prefix() {
        for (network, inside, outside) in [
            ("192.0.2.7", &["192.0.2.7", "::ffff:192.0.2.7"][..], &["192.0.2.8", "::1"][..]),
            ("192.0.2.0/24", &["192.0.2.0", "192.0.2.255"], &["192.0.3.0", "192.0.1.255"]),
            ("0.0.0.0/0", &["1.2.3.4", "::ffff:1.2.3.4"], &["2001:db8::1"]),
            ("::/0", &["2001:db8::1"], &["1.2.3.4"]),
            ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::"]),
            ("::ffff:10.0.0.0/104", &["10.1.1.1"], &["11.0.0.0"]),
            ("fe80::1/128", &["fe80::1"], &["fe80::2"]),
        ] {
            let network: Network = network.parse().unwrap();
            for ip in inside {
                assert!(network.contains(ip.parse().unwrap()), "{ip} in {network}");
            }
            for ip in outside {
                assert!(!network.contains(ip.parse().unwrap()), "{ip} in {network}");
            }
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn bad_networks_are_refused_with_a_reason() {
        for (text, why) in [
            ("", "not an IP address"),
            ("localhost", "not an IP address"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/", "from 0 to 32"),
            ("10.0.0.0/-1", "from 0 to 32"),
            ("10.0.0.1/8", "use 10.0.0.0/8"),
            ("2001:db8::1/32", "use 2001:db8::/32"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
