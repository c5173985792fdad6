//! Addresses to listen on, and how they are written.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An address to listen on.
///
/// | text | address |
/// |---|---|
/// | `HOST:PORT`, `[::1]:PORT` | a host name or an IP address |
/// | `:PORT`, `*:PORT`, `PORT` | every address of this machine, IPv6 and IPv4 |
/// | `unix:PATH`, `unix:///PATH` | a Unix domain socket, at a path of at most 107 bytes |
/// | `unix:@NAME` | an abstract Unix domain socket, which has no file (`unix(7)`) |
///
/// Port 0 selects a free port. TCP addresses may start with `tcp://`. An IPv4-mapped IPv6 address
/// (`::ffff:192.0.2.1`) is read as IPv4.
///
/// A [`SocketAddr`], an IP address with a port, and a path can be converted into a `ListenAddr`.
///
/// ```
/// use sockeye_engine::ListenAddr;
///
/// let address: ListenAddr = "localhost:8000".parse()?;
/// assert_eq!(address, ListenAddr::Host("localhost".into(), 8000));
/// assert_eq!(":80".parse::<ListenAddr>()?, ListenAddr::Any(80));
/// assert!("localhost".parse::<ListenAddr>().is_err());
/// assert_eq!(ListenAddr::from(([127, 0, 0, 1], 80)).to_string(), "127.0.0.1:80");
/// # Ok::<(), sockeye_engine::BadListenAddr>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// A host name or IP address, and a port. If a name has several addresses, all those that this
    /// machine has are used.
    Host(String, u16),
    /// Every address of this machine, IPv6 and IPv4.
    Any(u16),
    /// A Unix domain socket: its path, or NUL and the name of an abstract one.
    Unix(PathBuf),
}

/// The error for a text that is not an address to listen on. `Debug` writes the same sentence as
/// `Display`, because a program whose `main` returns an error prints it with `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct BadListenAddr {
    text: String,
    reason: String,
}

impl BadListenAddr {
    /// What is wrong with the text, and what to write instead.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            // A link-local address is incomplete without its interface.
            SocketAddr::V6(address) if address.scope_id() != 0 => {
                format!("{}%{}", address.ip(), address.scope_id())
            }
            _ => address.ip().to_string(),
        };
        Self::Host(host, address.port())
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ListenAddr {
    fn from(address: (I, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

/// The path of a Unix domain socket.
impl From<PathBuf> for ListenAddr {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

/// The path of a Unix domain socket.
impl From<&Path> for ListenAddr {
    fn from(path: &Path) -> Self {
        Self::Unix(path.into())
    }
}

/// The most bytes of a Unix socket's path or name: `sun_path` has 108, and one of them is the NUL
/// after a path or before a name.
const MAX_PATH_LEN: usize = 107;

impl FromStr for ListenAddr {
    type Err = BadListenAddr;

    fn from_str(text: &str) -> Result<Self, BadListenAddr> {
        let scheme = |name: &str| {
            let (scheme, rest) = text.split_at_checked(name.len())?;
            scheme.eq_ignore_ascii_case(name).then_some(rest)
        };
        let read = match (scheme("unix:"), scheme("tcp://"), text.split_once("://")) {
            (Some(path), ..) => parse_unix(path),
            (_, Some(address), _) => parse_tcp(address.strip_suffix('/').unwrap_or(address)),
            (_, _, Some((scheme, rest))) => match rest.split(['/', '?', '#']).next() {
                None | Some("") => Err(format!("the scheme '{scheme}://' is not supported")),
                Some(rest) => Err(format!("remove '{scheme}://', as in {rest}")),
            },
            _ => parse_tcp(text),
        };
        read.map_err(|reason| BadListenAddr { text: text.to_owned(), reason })
    }
}

/// Parses what follows `unix:`.
fn parse_unix(path: &str) -> Result<ListenAddr, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    let (bytes, path) = match path.strip_prefix('@') {
        Some("") => return Err("the name after 'unix:@' is missing".into()),
        Some(name) => (name.len(), format!("\0{name}")),
        None if path.is_empty() => return Err("the path after 'unix:' is missing".into()),
        None => (path.len(), path.to_owned()),
    };
    if bytes > MAX_PATH_LEN {
        return Err(format!("a socket path has at most {MAX_PATH_LEN} bytes, not {bytes}"));
    }
    Ok(ListenAddr::Unix(path.into()))
}

/// Parses a TCP address without `tcp://`.
fn parse_tcp(text: &str) -> Result<ListenAddr, String> {
    if text.is_empty() {
        return Err("the address is empty".into());
    }
    if let Some((first, _)) = text.split_once(',') {
        return Err(format!("give each address separately, as in {first}"));
    }
    if text.starts_with(['/', '.']) {
        return Err(format!("a Unix socket begins with 'unix:', as in unix:{text}"));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']').ok_or("the closing bracket is missing")?;
        let host = parse_ipv6(inner)?;
        let port = match port.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None => return Err(format!("the port is missing, as in [{inner}]:8000")),
        };
        return Ok(ListenAddr::Host(host, port));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address needs brackets, as in [{text}]:8000"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None if text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains('.') => {
            ("", text)
        }
        None if is_host(text) || text == "*" => {
            return Err(format!("the port is missing, as in {text}:8000"));
        }
        None => ("", text),
    };
    let port = parse_port(port)?;
    match host {
        "" | "*" => Ok(ListenAddr::Any(port)),
        _ if host.contains(':') => match text.split_once(':') {
            Some((scheme, rest)) if !scheme.is_empty() && parse_tcp(rest).is_ok() => {
                Err(format!("remove '{scheme}:', as in {rest}"))
            }
            _ => Err("an IPv6 address needs brackets, as in [::1]:8000".into()),
        },
        _ if is_host(host) => Ok(ListenAddr::Host(host.to_owned(), port)),
        _ => Err(format!("'{host}' is neither an IPv4 address nor a host name")),
    }
}

/// Parses an IPv6 address, with an optional zone: `fe80::1%eth0`.
fn parse_ipv6(inner: &str) -> Result<String, String> {
    let (ip, zone) = inner.split_once('%').map_or((inner, None), |(ip, zone)| (ip, Some(zone)));
    match (ip.parse::<Ipv6Addr>(), zone) {
        (Ok(ip), None) => Ok(ip.to_canonical().to_string()),
        (Ok(_), Some(zone)) if !zone.is_empty() => Ok(inner.to_owned()),
        _ => Err("the text in brackets is not an IPv6 address".into()),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    // `parse` would accept a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ if text.contains('/') => Err("remove the path after the port".into()),
        _ => Err("the port must be a number up to 65535".into()),
    }
}

/// Whether `text` is an IPv4 address or a possible host name. The last label of a host name is not
/// a number, so `256.0.0.1` is neither. The resolver decides about characters outside ASCII.
fn is_host(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || !c.is_ascii();
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<Ipv4Addr>().is_ok() || (name.chars().all(is_plain) && !is_number)
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Any(port) => write!(f, ":{port}"),
            Self::Unix(path) => fmt_unix(path, f),
        }
    }
}

/// Writes `unix:PATH` or `unix:@NAME`.
pub(crate) fn fmt_unix(path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => write!(f, "unix:@{}", Path::new(OsStr::from_bytes(name)).display()),
        _ => write!(f, "unix:{}", path.display()),
    }
}

impl fmt::Display for BadListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, reason } = self;
        write!(
            f,
            "invalid address '{text}': {reason} \
             (HOST:PORT, :PORT, PORT, [::1]:PORT, unix:PATH or unix:@NAME)"
        )
    }
}

impl fmt::Debug for BadListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BadListenAddr {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_parsed_and_displayed() {
        let host = |host: &str, port| ListenAddr::Host(host.into(), port);
        for (text, address, back) in [
            ("127.0.0.1:8000", host("127.0.0.1", 8000), "127.0.0.1:8000"),
            ("localhost:0", host("localhost", 0), "localhost:0"),
            ("[::1]:80", host("::1", 80), "[::1]:80"),
            (":8000", ListenAddr::Any(8000), ":8000"),
            ("8000", ListenAddr::Any(8000), ":8000"),
            ("*:80", ListenAddr::Any(80), ":80"),
            ("tcp://127.0.0.1:0", host("127.0.0.1", 0), "127.0.0.1:0"),
            ("TCP://[::1]:80/", host("::1", 80), "[::1]:80"),
            ("tcp://:80", ListenAddr::Any(80), ":80"),
            ("0.0.0.0:80", host("0.0.0.0", 80), "0.0.0.0:80"),
            ("[::]:80", host("::", 80), "[::]:80"),
            ("[::ffff:127.0.0.1]:0", host("127.0.0.1", 0), "127.0.0.1:0"),
            ("[0:0::1]:80", host("::1", 80), "[::1]:80"),
            ("[fe80::1%eth0]:80", host("fe80::1%eth0", 80), "[fe80::1%eth0]:80"),
            ("a-b.c_d.example.:80", host("a-b.c_d.example.", 80), "a-b.c_d.example.:80"),
            ("b\u{fc}cher.example:80", host("b\u{fc}cher.example", 80), "b\u{fc}cher.example:80"),
            ("unix:/run/s.sock", ListenAddr::Unix("/run/s.sock".into()), "unix:/run/s.sock"),
            ("unix:s", ListenAddr::Unix("s".into()), "unix:s"),
            ("Unix:///run/s", ListenAddr::Unix("/run/s".into()), "unix:/run/s"),
            ("unix:@a b", ListenAddr::Unix("\0a b".into()), "unix:@a b"),
            ("unix:./@a", ListenAddr::Unix("./@a".into()), "unix:./@a"),
        ] {
            assert_eq!(text.parse::<ListenAddr>().as_ref(), Ok(&address), "{text}");
            assert_eq!(address.to_string(), back);
            assert_eq!(back.parse::<ListenAddr>().as_ref(), Ok(&address), "{back}");
        }
    }

    #[test]
    fn addresses_and_paths_convert() {
        let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 2);
        let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
        for (converted, text) in [
            (ListenAddr::from(address), "192.0.2.1:80"),
            (([127, 0, 0, 1], 8080).into(), "127.0.0.1:8080"),
            (([0, 0, 0, 0, 0, 0, 0, 1], 80).into(), "[::1]:80"),
            ((address.ip(), 81).into(), "192.0.2.1:81"),
            (SocketAddr::V6(scoped).into(), "[fe80::1%2]:80"),
            (Path::new("/run/s.sock").into(), "unix:/run/s.sock"),
            (PathBuf::from("s.sock").into(), "unix:s.sock"),
        ] {
            assert_eq!(converted.to_string(), text);
        }
    }

    #[test]
    fn a_converted_address_can_be_bound() {
        let addresses = [([127, 0, 0, 1], 0).into()];
        let bound = crate::driver::bind_all(&addresses, std::num::NonZeroUsize::MIN).unwrap();
        let crate::driver::Bound::Ip(address) = bound[0].bound else { panic!("TCP") };
        assert_eq!(address.ip(), IpAddr::from([127, 0, 0, 1]));
        assert!(address.port() > 0);
    }

    #[test]
    fn an_invalid_address_is_refused_with_a_reason() {
        let long = format!("unix:{}", "x".repeat(108));
        let long_name = format!("unix:@{}", "x".repeat(108));
        for (text, why) in [
            ("", "the address is empty"),
            ("tcp://", "the address is empty"),
            ("tcp:127.0.0.1:0", "remove 'tcp:', as in 127.0.0.1:0"),
            ("127.0.0.1:0,127.0.0.1:1", "give each address separately, as in 127.0.0.1:0"),
            ("/run/a.sock", "a Unix socket begins with 'unix:', as in unix:/run/a.sock"),
            ("file:///x", "'file://' is not supported"),
            ("localhost", "as in localhost:8000"),
            ("0.0.0.0", "as in 0.0.0.0:8000"),
            ("*", "as in *:8000"),
            ("tcp://localhost", "as in localhost:8000"),
            ("[::1]", "as in [::1]:8000"),
            ("::", "as in [::]:8000"),
            ("::1:80", "as in [::1:80]:8000"),
            ("x::1:80", "as in [::1]:8000"),
            ("host:65536", "number"),
            ("65536", "number"),
            ("host:-1", "number"),
            ("+80", "number"),
            (":+80", "number"),
            ("host:+80", "number"),
            ("[::1]:+80", "number"),
            ("80a", "number"),
            ("host: 80", "number"),
            ("host:80/x", "remove the path"),
            ("[::1", "bracket"),
            ("[::1]80", "as in [::1]:8000"),
            ("[::g]:80", "IPv6"),
            ("[::1%]:80", "IPv6"),
            ("[]:80", "IPv6"),
            ("[127.0.0.1]:80", "IPv6"),
            ("256.0.0.1:80", "'256.0.0.1' is neither"),
            ("a b:80", "'a b' is neither"),
            ("user@host:80", "'user@host' is neither"),
            ("http://127.0.0.1:80/a", "remove 'http://', as in 127.0.0.1:80"),
            ("HTTP://127.0.0.1:80", "remove 'HTTP://', as in 127.0.0.1:80"),
            ("unix:", "the path after 'unix:' is missing"),
            ("unix://", "the path after 'unix:' is missing"),
            ("unix:@", "the name after 'unix:@' is missing"),
            (&long, "at most 107 bytes, not 108"),
            (&long_name, "at most 107 bytes, not 108"),
        ] {
            let error = text.parse::<ListenAddr>().unwrap_err();
            assert!(error.reason().contains(why), "{text}: {error}");
            assert!(error.to_string().contains(error.reason()));
        }
        for text in [&long[..long.len() - 1], &long_name[..long_name.len() - 1]] {
            assert!(text.parse::<ListenAddr>().is_ok());
        }
    }
}
