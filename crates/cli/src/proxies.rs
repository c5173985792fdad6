//! Finds the client of a request that a trusted proxy has forwarded.
//!
//! A trusted proxy appends the address of its client to `X-Forwarded-For` or to `Forwarded` (RFC
//! 7239). Entries further left were in the request that the proxy received, and its client can
//! write anything there. So the list is read from the right, past the addresses of trusted proxies:
//! the first address that is not trusted is the client. Several fields of one name form one list.
//!
//! Reading ends at an entry that is malformed or contains no address, and after [`MAX_HOPS`]
//! entries. (An element of `Forwarded` contains no address if it has no `for`, or if its `for` is
//! `unknown` or an obfuscated name such as `_proxy1`.) Then the client is the last address that was
//! read, or the peer if none was.
//!
//! What a client writes on the left must not change how the entries on the right are read:
//!
//! - `X-Forwarded-For` is split at commas, without regard to quotes.
//! - `Forwarded` has quoted strings. Each field is parsed from its end, so that a quote which the
//!   client left open has no effect on the entries of proxies. In a well-formed field, parsing from
//!   the end finds the same elements as parsing from the start: a quoted string ends with a quote,
//!   and starts at the nearest unescaped quote to the left of it.
//!
//! If a request has entries in both fields, `X-Forwarded-For` is used: almost every proxy appends
//! to it, and forwards the client's `Forwarded` unchanged. A proxy that appends only to `Forwarded`
//! must remove `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::str::FromStr;

use sockeye::engine::Network;
use sockeye::http_core::{Clients, Request, UnparsedHead};
use sockeye::proto::{Address, Client, Peer};

use crate::text::refuse_list;

/// Maximum number of entries of a list that are read. A longer list means a loop of proxies, or an
/// attack from a trusted network.
const MAX_HOPS: usize = 64;

/// A value of `--trusted-proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrustedProxy {
    Network(Network),
    /// All clients of Unix sockets.
    Unix,
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        if text == "loopback" || text == "localhost" {
            return Err("for a proxy on this machine, write 127.0.0.1 or ::1; for all Unix \
                        sockets, write unix"
                .into());
        }
        refuse_list("--trusted-proxy", text)?;
        text.parse()
            .map(Self::Network)
            .map_err(|error| format!("{error}; for all Unix sockets, write unix"))
    }
}

/// All trusted proxies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    pub(crate) networks: Vec<Network>,
    unix: bool,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<TrustedProxy>) -> Self {
        let mut proxies = Self::default();
        for trusted in trusted {
            match trusted {
                TrustedProxy::Network(network) => proxies.networks.push(network),
                TrustedProxy::Unix => proxies.unix = true,
            }
        }
        proxies
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    pub(crate) fn is_trusted(&self, peer: Address) -> bool {
        match peer {
            Address::Ip(address) => self.trusts(address.ip()),
            Address::Unix => self.unix,
        }
    }

    /// The client of a request with these values of `X-Forwarded-For` and `Forwarded`, on a
    /// connection from `peer`.
    pub(crate) fn client<'a>(
        &self,
        peer: Address,
        x_forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> Address {
        if !self.is_trusted(peer) {
            return peer;
        }
        let x_forwarded_for = x_forwarded_for.rev().flat_map(x_forwarded_for_from_right);
        let forwarded = forwarded.rev().flat_map(forwarded_from_right);
        let client = self.first_untrusted(peer, x_forwarded_for);
        client.or_else(|| self.first_untrusted(peer, forwarded)).unwrap_or(peer)
    }

    /// The client, according to `hops`: the entries of a list, from the right. An entry without a
    /// valid address is `None`, and ends the reading.
    ///
    /// Returns the first address that is not trusted. If all that were read are trusted, returns
    /// the last of them, or `peer` if the first entry has no address. Returns `None` if `hops` is
    /// empty.
    fn first_untrusted(
        &self,
        peer: Address,
        hops: impl Iterator<Item = Option<IpAddr>>,
    ) -> Option<Address> {
        let mut known = None;
        for hop in hops.take(MAX_HOPS) {
            let Some(ip) = hop else { return known.or(Some(peer)) };
            known = Some(Address::Ip(SocketAddr::new(ip, 0)));
            if !self.trusts(ip) {
                break;
            }
        }
        known
    }

    /// The client of `request`, on a connection from `peer`.
    pub(crate) fn client_of(&self, peer: Address, request: &Request<'_>) -> Address {
        let (x_forwarded_for, forwarded) =
            (request.fields_named("x-forwarded-for"), request.fields_named("forwarded"));
        self.client(peer, x_forwarded_for, forwarded)
    }

    /// The client of a malformed or incomplete request, according to those of its fields that have
    /// arrived whole.
    #[cold]
    pub(crate) fn client_of_unparsed(&self, peer: Address, unparsed: &UnparsedHead<'_>) -> Address {
        let (x_forwarded_for, forwarded) =
            (unparsed.fields_named("x-forwarded-for"), unparsed.fields_named("forwarded"));
        self.client(peer, x_forwarded_for, forwarded)
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }
}

/// The client whose share of files, memory and threads a request uses is the one that the access
/// log shows.
impl Clients for Proxies {
    fn client(&self, peer: &Peer, request: &Request<'_>) -> Client {
        Client::of(self.client_of(peer.address, request))
    }
}

/// The addresses in the value of an `X-Forwarded-For`, from the right. A malformed entry is `None`.
/// Skips empty entries, as RFC 9110, 5.6.1.2 requires of recipients.
fn x_forwarded_for_from_right(list: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    let entries = list.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    entries.filter(|entry| !entry.is_empty()).map(address_in)
}

/// The addresses in the value of a `Forwarded`, from the right. Skips empty elements. An element
/// that is malformed or contains no address is `None`. A malformed element ends the iteration,
/// since where it starts is unknown.
fn forwarded_from_right(list: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        loop {
            match last_element(rest.take()?) {
                None => return Some(None),
                Some((Element::Empty, before)) => rest = before,
                Some((Element::For(node), before)) => {
                    rest = before;
                    return Some(node.and_then(node_address));
                }
            }
        }
    })
}

/// An element of `Forwarded`: the parameters that one proxy has added.
enum Element<'a> {
    /// An element without parameters.
    Empty,
    /// An element with parameters, and the value of `for` if that is among them.
    For(Option<&'a [u8]>),
}

/// Parses the last element of a list (RFC 7239, 4). Returns the element, and the list before the
/// comma that precedes the element, if there is a comma. Returns `None` if the element is
/// malformed.
fn last_element(mut rest: &[u8]) -> Option<(Element<'_>, Option<&[u8]>)> {
    let mut element = Element::Empty;
    loop {
        rest = rest.trim_ascii_end();
        // A parameter may be empty: `for=192.0.2.1;`.
        if !matches!(rest.last(), None | Some(b';' | b',')) {
            let (name, value, before) = last_parameter(rest)?;
            let is_for = name.eq_ignore_ascii_case(b"for");
            element = match element {
                // An element with two `for` parameters is malformed.
                Element::For(Some(_)) if is_for => return None,
                _ if is_for => Element::For(Some(value)),
                Element::Empty => Element::For(None),
                known @ Element::For(_) => known,
            };
            rest = before.trim_ascii_end();
        }
        match rest {
            [] => return Some((element, None)),
            [before @ .., b','] => return Some((element, Some(before))),
            [before @ .., b';'] => rest = before,
            _ => return None,
        }
    }
}

/// Parses the last `name=value` in `text`. Returns the name, the value without quotes, and the text
/// before the name. Returns `None` if `text` does not end with a well-formed parameter.
fn last_parameter(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (value, before) = match text {
        [inner @ .., b'"'] if last_unescaped_quote(text) == Some(inner.len()) => {
            let opening = last_unescaped_quote(inner)?;
            (&inner[opening + 1..], &inner[..opening])
        }
        _ => last_where(text, |byte| !b"=;,\" \t\\".contains(byte))?,
    };
    let [before @ .., b'='] = before else { return None };
    let (name, before) = last_where(before, is_token)?;
    Some((name, value, before))
}

/// Splits off the longest suffix of `text` whose bytes all fit. Returns the suffix and the text
/// before it, or `None` if the last byte does not fit.
fn last_where(text: &[u8], fits: impl Fn(&u8) -> bool) -> Option<(&[u8], &[u8])> {
    let start = text.iter().rposition(|byte| !fits(byte)).map_or(0, |at| at + 1);
    let (before, end) = text.split_at(start);
    (!end.is_empty()).then_some((end, before))
}

/// The position of the last quote that is not escaped: one after an even number of backslashes.
fn last_unescaped_quote(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    loop {
        let at = text[..end].iter().rposition(|byte| *byte == b'"')?;
        let escapes = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(at);
        }
        end = at;
    }
}

/// The address of a node, as `for` names it (RFC 7239, 6). The port may be obfuscated:
/// `192.0.2.1:_port`. Backslashes need not be unescaped: no address contains one.
fn node_address(node: &[u8]) -> Option<IpAddr> {
    let colon = node.iter().rposition(|byte| *byte == b':');
    match colon.map(|at| (&node[..at], &node[at + 1..])) {
        Some((name, [b'_', port @ ..])) if !port.is_empty() && port.iter().all(is_obfuscated) => {
            address_in(name)
        }
        _ => address_in(node),
    }
}

/// Whether `byte` can be part of a token (RFC 9110, 5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// Whether `byte` can be part of an obfuscated name or port (RFC 7239, 6.3).
fn is_obfuscated(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(byte)
}

/// Parses an address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]:80`. Drops an IPv6 zone (`fe80::1%eth0`), which means something only on the
/// proxy's machine.
fn address_in(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?;
    let v6 = |text: &str| {
        let ip = text.split_once('%').map_or(text, |(ip, _)| ip);
        ip.parse().ok().map(IpAddr::V6)
    };
    let ip = match hop.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            let digits = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
            let number = port.strip_prefix(':').filter(digits).map(str::parse::<u16>);
            v6(inner).filter(|_| port.is_empty() || matches!(number, Some(Ok(_))))
        }
        None => {
            let v4 = hop.parse().map(|address: SocketAddrV4| *address.ip());
            v4.or_else(|_| hop.parse()).map(IpAddr::V4).ok().or_else(|| v6(hop))
        }
    };
    ip.map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests;
