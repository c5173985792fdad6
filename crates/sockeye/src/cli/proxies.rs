//! Proxies in front of the server: whose word is taken for who the client is.
//!
//! A proxy that is trusted adds the address that it was asked from to `X-Forwarded-For`, or to
//! `Forwarded` (RFC 7239). What stands further left came from the client, who can write anything
//! there. So the list is read from the right, for as long as it names trusted proxies: the first
//! that is none is the client. What can't be read ends the list, and the proxy to its right is all
//! that is known.
//!
//! Where a request has both headers, `X-Forwarded-For` counts: almost every proxy adds to it, and
//! passes a `Forwarded` on as the client wrote it. One that adds to `Forwarded` alone has to drop
//! the other.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use sockeye_engine::Network;
use sockeye_proto::http1::{Clients, Request};
use sockeye_proto::{Address, Client, Peer};

/// Who is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// Proxies of this network.
    Network(Network),
    /// Whoever comes by a Unix socket.
    Unix,
}

impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        text.parse().map(Self::Network).map_err(|error| format!("{error}, or unix"))
    }
}

/// All who are trusted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    networks: Vec<Network>,
    unix: bool,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<Trusted>) -> Self {
        let mut proxies = Self::default();
        for trusted in trusted {
            match trusted {
                Trusted::Network(network) => proxies.networks.push(network),
                Trusted::Unix => proxies.unix = true,
            }
        }
        proxies
    }

    /// Those that have an address.
    pub(crate) fn networks(&self) -> &[Network] {
        &self.networks
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether `peer` is one of them.
    pub(crate) fn is_trusted(&self, peer: Address) -> bool {
        match peer {
            Address::Ip(address) => self.trust(address.ip()),
            Address::Unix => self.unix,
        }
    }

    /// Who has sent a request with these values of `X-Forwarded-For` and `Forwarded` by a
    /// connection from `peer`.
    pub(crate) fn client<'a>(
        &self,
        peer: Address,
        x_forwarded_for: impl Iterator<Item = &'a [u8]>,
        forwarded: impl Iterator<Item = &'a [u8]>,
    ) -> Address {
        if !self.is_trusted(peer) {
            return peer;
        }
        let mut seen = Seen::Nothing;
        for hop in x_forwarded_for.flat_map(elements) {
            seen.go_on(self, address_in(hop));
        }
        if seen == Seen::Nothing {
            for hop in forwarded.flat_map(elements) {
                seen.go_on(self, forwarded_for(hop).and_then(address_in));
            }
        }
        match seen {
            Seen::Client(ip) | Seen::Proxy(ip) => Address::Ip(SocketAddr::new(ip, 0)),
            Seen::Nothing | Seen::Nonsense => peer,
        }
    }

    /// Who has sent `request` by a connection from `peer`.
    pub(crate) fn client_of(&self, peer: Address, request: &Request<'_>) -> Address {
        let (x_forwarded_for, forwarded) =
            (request.fields_named("x-forwarded-for"), request.fields_named("forwarded"));
        self.client(peer, x_forwarded_for, forwarded)
    }

    fn trust(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }
}

/// Budgets are charged to the client that is logged.
impl Clients for Proxies {
    fn client(&self, peer: &Peer, request: &Request<'_>) -> Client {
        Client::of(self.client_of(peer.address, request))
    }
}

/// What is known of the client behind so many hops, read from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// The last hop but trusted ones is not to be read.
    Nonsense,
    /// There were only trusted ones since: this is the first of them.
    Proxy(IpAddr),
    /// The last that is not trusted.
    Client(IpAddr),
}

impl Seen {
    fn go_on(&mut self, proxies: &Proxies, hop: Option<IpAddr>) {
        *self = match (*self, hop) {
            (_, None) => Self::Nonsense,
            (_, Some(ip)) if !proxies.trust(ip) => Self::Client(ip),
            (Self::Nothing | Self::Nonsense, Some(ip)) => Self::Proxy(ip),
            (known, Some(_)) => known,
        }
    }
}

/// The elements of a list (RFC 9110, 5.6.1): what stands between commas outside of quotes. Empty
/// ones are none.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(list, b',').filter(|element| !element.is_empty())
}

/// Parts between separators outside of quoted strings, without spaces around them. In a string
/// without an end everything belongs to it.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.iter().position(|byte| {
            match (*byte, quoted) {
                _ if escaped => escaped = false,
                (b'\\', true) => escaped = true,
                (b'"', _) => quoted = !quoted,
                (byte, false) => return byte == separator,
                _ => {}
            }
            false
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim_ascii())
    })
}

/// The value of `for` in an element of `Forwarded`, without quotes. One with an escape in it is no
/// address.
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    let mut values = split(element, b';').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        pair[..at].eq_ignore_ascii_case(b"for").then_some(&pair[at + 1..])
    });
    // Twice is malformed (RFC 7239, 4).
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    match value {
        [b'"', inner @ .., b'"'] => Some(inner),
        value => Some(value),
    }
}

/// An address, perhaps with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address_in(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?;
    let inner = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let ip = match inner {
        Some(inner) => IpAddr::V6(inner.parse().ok()?),
        None => {
            hop.parse().or_else(|_| hop.parse().map(|address: SocketAddr| address.ip())).ok()?
        }
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests;
