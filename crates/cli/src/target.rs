//! Targets: the servers that `sockeye send`, `sockeye load` and `sockeye health` connect to, parsed
//! from what the user types.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

use sockeye::engine::{ListenAddr, driver};

/// A server, and the protocol to speak with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Bytes over TCP or TLS.
    Tcp(Server),
    /// Bytes over a Unix domain socket.
    Unix(PathBuf),
    /// Messages in frames (`docs/message.md`), over TCP or TLS.
    Message(Server),
    /// An HTTP URL: its server, and its path with the query.
    Http { server: Server, path: String },
    /// A WebSocket: its server, and the path of its URL with the query.
    WebSocket { server: Server, path: String },
}

/// The address of a server, and whether it is reached over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) has_tls: bool,
}

const SEND_FORMS: &str = "a target is tcp://HOST:PORT, unix:PATH, message://HOST:PORT or \
                          ws://HOST[:PORT]/PATH; with TLS, tls://HOST:PORT, message+tls://HOST:PORT \
                          or wss://HOST[:PORT]/PATH";
const ALL_FORMS: &str = "a target is http://HOST[:PORT]/PATH, ws://HOST[:PORT]/PATH, \
                          tcp://HOST:PORT, unix:PATH or message://HOST:PORT; with TLS, https://, \
                          wss://, tls:// or message+tls://";

/// The port of `http://` and `ws://` URLs without a port.
pub(crate) const HTTP_PORT: u16 = 80;
/// The port of `https://` and `wss://` URLs without a port.
pub(crate) const HTTPS_PORT: u16 = 443;

/// The default ports of URLs, without and with TLS.
const PORTS: [u16; 2] = [HTTP_PORT, HTTPS_PORT];

/// Parses a target of `sockeye send`: every form except HTTP URLs.
pub(crate) fn target_of_send(text: &str) -> Result<Target, String> {
    parse(text, false)
}

/// Parses a target of any form, for `sockeye load` and `sockeye health`.
pub(crate) fn any_target(text: &str) -> Result<Target, String> {
    parse(text, true)
}

/// Parses `HOST:PORT`.
pub(crate) fn address(text: &str) -> Result<Target, String> {
    authority(text, false).map(Target::Tcp)
}

/// Parses the path or the abstract name of a Unix socket, without `unix:`.
pub(crate) fn unix_socket(text: &str) -> Result<Target, String> {
    parse(&format!("unix:{text}"), false)
}

/// Parses a target. HTTP URLs are valid only if `allows_http`.
fn parse(text: &str, allows_http: bool) -> Result<Target, String> {
    let forms = if allows_http { ALL_FORMS } else { SEND_FORMS };
    let scheme = text.split(':').next().unwrap_or_default();
    if scheme.eq_ignore_ascii_case("unix") {
        return match text.parse() {
            Ok(ListenAddr::Unix(path)) => Ok(Target::Unix(path)),
            Ok(ListenAddr::Host(..) | ListenAddr::Any(_)) => Err(forms.into()),
            Err(error) => Err(format!("{}; {forms}", error.reason())),
        };
    }
    let Some((_, rest)) = text.split_once("://") else {
        return Err(match authority(text, false) {
            Ok(server) if allows_http => {
                let http = if server.port == HTTPS_PORT { "https" } else { "http" };
                format!("did you mean {http}://{text}/, tcp://{text} or message://{text}?")
            }
            Ok(_) => format!("did you mean tcp://{text}, message://{text} or ws://{text}/?"),
            Err(_) => forms.into(),
        });
    };
    let server = |has_tls| authority(rest.strip_suffix('/').unwrap_or(rest), has_tls);
    match &*scheme.to_ascii_lowercase() {
        "tcp" => server(false).map(Target::Tcp),
        "tls" => server(true).map(Target::Tcp),
        "message" => server(false).map(Target::Message),
        "message+tls" => server(true).map(Target::Message),
        "http" if allows_http => {
            url(rest, false).map(|(server, path)| Target::Http { server, path })
        }
        "https" if allows_http => {
            url(rest, true).map(|(server, path)| Target::Http { server, path })
        }
        "ws" => websocket(rest, false),
        "wss" => websocket(rest, true),
        "http" | "https" => {
            let ws = scheme.to_ascii_lowercase().replace("http", "ws");
            Err(format!(
                "'{scheme}' is not supported: for a WebSocket, write {ws}://{rest}; {forms}"
            ))
        }
        _ => Err(format!("'{scheme}' is not supported; {forms}")),
    }
}

/// Parses what follows `ws://` or `wss://`. Such a URL has no fragment (RFC 6455, section 3).
fn websocket(rest: &str, has_tls: bool) -> Result<Target, String> {
    if let Some((before, _)) = rest.split_once('#') {
        let scheme = if has_tls { "wss" } else { "ws" };
        return Err(format!(
            "the URL of a WebSocket has no fragment: write {scheme}://{before}, or write %23 if # is \
             part of the path"
        ));
    }
    url(rest, has_tls).map(|(server, path)| Target::WebSocket { server, path })
}

/// Parses what follows the scheme of a URL with a path: the server, and the path with the query.
fn url(rest: &str, has_tls: bool) -> Result<(Server, String), String> {
    let (server, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = path.split('#').next().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    if server.contains('@') {
        return Err("a URL can't contain a user and password here: \
                    with send and load, add -H 'Authorization: Basic …'"
            .into());
    }
    let has_port = server.rsplit(']').next().unwrap_or(server).contains(':');
    let port = PORTS[usize::from(has_tls)];
    let server = if has_port { server.into() } else { format!("{server}:{port}") };
    let server = authority(&server, has_tls)?;
    Ok((server, format!("{slash}{path}")))
}

/// Parses `HOST:PORT` by the rules for an address to listen on, except that the host is required
/// and the port isn't 0.
fn authority(text: &str, has_tls: bool) -> Result<Server, String> {
    if text.contains("://") {
        return Err("there is more than one scheme: write HOST:PORT after the first".into());
    }
    match text.parse() {
        Ok(ListenAddr::Host(_, 0)) => Err("port 0 is not in the range from 1 to 65535".into()),
        Ok(ListenAddr::Host(host, port)) => Ok(Server { host, port, has_tls }),
        Ok(ListenAddr::Any(_) | ListenAddr::Unix(_)) => Err("a host is missing: HOST:PORT".into()),
        Err(error) => Err(error.reason().to_owned()),
    }
}

/// A host as it is written in a URL: an IPv6 address in brackets.
fn in_brackets(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A host without the zone of an IPv6 address: `fe80::1` of `fe80::1%eth0`.
fn without_zone(host: &str) -> &str {
    match host.split_once('%') {
        Some((address, _)) if address.contains(':') => address,
        _ => host,
    }
}

impl Target {
    /// The server's addresses, in the order to try them.
    pub(crate) fn look_up(&self) -> io::Result<Vec<driver::Target>> {
        let Server { host, port, .. } = match self {
            Self::Unix(path) => return Ok(vec![driver::Target::Unix(path.clone())]),
            Self::Tcp(server)
            | Self::Message(server)
            | Self::Http { server, .. }
            | Self::WebSocket { server, .. } => server,
        };
        let mut found: Vec<driver::Target> = Vec::new();
        for address in (host.as_str(), *port).to_socket_addrs()? {
            let target = driver::Target::Ip(address);
            if !found.contains(&target) {
                found.push(target);
            }
        }
        Ok(found)
    }

    /// Whether both targets name the same server with the same protocol. The paths of HTTP URLs may
    /// differ, those of WebSockets may not.
    pub(crate) fn has_server_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http { server, .. }, Self::Http { server: others, .. }) => server == others,
            _ => self == other,
        }
    }

    /// The value of the `Host` header: without the zone of an IPv6 address, which means something
    /// only on this machine. Empty for a Unix socket.
    pub(crate) fn authority(&self) -> String {
        self.server()
            .map(|server| self.authority_of(server, without_zone(&server.host)))
            .unwrap_or_default()
    }

    /// The authority in a URL of `server`, with `host` as its host. The port is left out if it is
    /// the default of the URL's scheme.
    fn authority_of(&self, server: &Server, host: &str) -> String {
        let host = in_brackets(host);
        match self {
            Self::Http { .. } | Self::WebSocket { .. }
                if server.port == PORTS[usize::from(server.has_tls)] =>
            {
                host
            }
            _ => format!("{host}:{}", server.port),
        }
    }

    /// The server's address. `None` for a Unix socket.
    fn server(&self) -> Option<&Server> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(server)
            | Self::Message(server)
            | Self::Http { server, .. }
            | Self::WebSocket { server, .. } => Some(server),
        }
    }

    /// The host whose certificate is expected: without the zone of an IPv6 address. `None` without
    /// TLS.
    pub(crate) fn tls_host(&self) -> Option<&str> {
        self.server().filter(|server| server.has_tls).map(|server| without_zone(&server.host))
    }

    /// The end of an error message for a failure that TLS at the port may explain: it names the
    /// target to write in that case. Empty if there is no such target.
    pub(crate) fn tls_hint(&self) -> String {
        let text = |with_tls| format!("; if the port speaks TLS, write {with_tls}");
        self.with_tls().map_or_else(String::new, text)
    }

    /// This target with TLS. For HTTP and WebSockets, port 80 becomes 443. `None` for a Unix
    /// socket, and if this target has TLS already.
    pub(crate) fn with_tls(&self) -> Option<Self> {
        if self.tls_host().is_some() {
            return None;
        }
        let mut target = self.clone();
        match &mut target {
            Self::Unix(_) => return None,
            Self::Tcp(server) | Self::Message(server) => server.has_tls = true,
            Self::Http { server, .. } | Self::WebSocket { server, .. } => {
                server.has_tls = true;
                if server.port == HTTP_PORT {
                    server.port = HTTPS_PORT;
                }
            }
        }
        Some(target)
    }

    /// This URL with TLS, if `location` is an https:// URL at the same host and port: a server that
    /// redirects there says that the port expects TLS, not plain text. `None` for other locations,
    /// and if this target has TLS already or is no HTTP or WebSocket URL.
    pub(crate) fn with_tls_by(&self, location: &str) -> Option<Self> {
        let mut target = self.clone();
        let (Self::Http { server, .. } | Self::WebSocket { server, .. }) = &mut target else {
            return None;
        };
        if std::mem::replace(&mut server.has_tls, true) {
            return None;
        }
        let (host, port) = (in_brackets(without_zone(&server.host)), server.port);
        let rest = location.strip_prefix("https://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let is_same = [format!("{host}:{port}"), target.authority()]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(authority));
        is_same.then_some(target)
    }

    /// This target without TLS, at the same port.
    pub(crate) fn without_tls(&self) -> Self {
        let mut target = self.clone();
        match &mut target {
            Self::Unix(_) => {}
            Self::Tcp(server)
            | Self::Message(server)
            | Self::Http { server, .. }
            | Self::WebSocket { server, .. } => server.has_tls = false,
        }
        target
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server();
        let has_tls = server.is_some_and(|server| server.has_tls);
        let of = |plain, tls| if has_tls { tls } else { plain };
        let authority = server.map(|server| self.authority_of(server, &server.host));
        let authority = authority.unwrap_or_default();
        match self {
            Self::Unix(path) => ListenAddr::Unix(path.clone()).fmt(f),
            Self::Tcp(_) => write!(f, "{}://{authority}", of("tcp", "tls")),
            Self::Message(_) => write!(f, "{}://{authority}", of("message", "message+tls")),
            Self::Http { path, .. } => write!(f, "{}://{authority}{path}", of("http", "https")),
            Self::WebSocket { path, .. } => write!(f, "{}://{authority}{path}", of("ws", "wss")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parsed_and_displayed() {
        let server = |host: &str, port, has_tls| Server { host: host.into(), port, has_tls };
        let tcp = |host: &str, port| Target::Tcp(server(host, port, false));
        let message = |host: &str, port| Target::Message(server(host, port, false));
        let table = [
            ("tcp://127.0.0.1:65432", tcp("127.0.0.1", 65432), "tcp://127.0.0.1:65432"),
            ("tcp://localhost:1/", tcp("localhost", 1), "tcp://localhost:1"),
            ("tcp://[::1]:80", tcp("::1", 80), "tcp://[::1]:80"),
            ("message://[::1]:65432/", message("::1", 65432), "message://[::1]:65432"),
            ("unix:/run/s", Target::Unix("/run/s".into()), "unix:/run/s"),
            ("unix:///run/s", Target::Unix("/run/s".into()), "unix:/run/s"),
            ("UNIX:@a", Target::Unix("\0a".into()), "unix:@a"),
            ("TCP://localhost:1", tcp("localhost", 1), "tcp://localhost:1"),
            ("Message://h:1", message("h", 1), "message://h:1"),
            ("tls://h:443", Target::Tcp(server("h", 443, true)), "tls://h:443"),
            ("Message+TLS://h:1", Target::Message(server("h", 1, true)), "message+tls://h:1"),
            ("tcp://[::ffff:127.0.0.1]:1", tcp("127.0.0.1", 1), "tcp://127.0.0.1:1"),
            ("tcp://[fe80::1%lo]:1", tcp("fe80::1%lo", 1), "tcp://[fe80::1%lo]:1"),
        ];
        for (text, target, back) in table {
            assert_eq!(target_of_send(text), Ok(target.clone()), "{text}");
            assert_eq!(any_target(text), Ok(target.clone()), "{text}");
            assert_eq!(target.to_string(), back);
        }
    }

    #[test]
    fn urls_are_parsed_and_displayed() {
        for (text, back) in [
            ("http://localhost", "http://localhost/"),
            ("http://localhost:80/a?b#c", "http://localhost/a?b"),
            ("http://127.0.0.1:8000?x", "http://127.0.0.1:8000/?x"),
            ("http://[::1]:1/", "http://[::1]:1/"),
            ("http://[::1]/a:b", "http://[::1]/a:b"),
            ("HTTP://localhost/A", "http://localhost/A"),
            ("http://[::ffff:127.0.0.1]:8000", "http://127.0.0.1:8000/"),
            ("https://h", "https://h/"),
            ("https://h:443/a", "https://h/a"),
            ("https://h:80/a", "https://h:80/a"),
            ("http://h:443/a", "http://h:443/a"),
            ("HTTPS://[::1]?b", "https://[::1]/?b"),
            ("ws://localhost", "ws://localhost/"),
            ("WS://[::1]:80?a", "ws://[::1]/?a"),
            ("wss://h:443/chat", "wss://h/chat"),
            ("wss://h:80/", "wss://h:80/"),
        ] {
            assert_eq!(any_target(text).map(|target| target.to_string()), Ok(back.into()));
        }
    }

    #[test]
    fn a_wrong_target_is_refused_with_what_to_write_instead() {
        let either = [target_of_send, any_target];
        let (send, load) = (&either[..1], &either[1..]);
        let table = [
            (send, "", "tcp://HOST:PORT, unix:PATH, message://HOST:PORT or ws://HOST[:PORT]/PATH;"),
            (send, "localhost", "tcp://HOST:PORT, unix:PATH, message://HOST:PORT or ws://HOST"),
            (
                send,
                "localhost:80",
                "did you mean tcp://localhost:80, message://localhost:80 or ws://localhost:80/?",
            ),
            (load, "localhost:80", "did you mean http://localhost:80/, tcp://localhost:80 or"),
            (load, "localhost:443", "did you mean https://localhost:443/, tcp://localhost:443 or"),
            (send, "http://localhost:80", "'http' is not supported: for a WebSocket, write ws://"),
            (&either, "ws://localhost/a#b", "write ws://localhost/a, or write %23"),
            (&either, "ws://", "host is missing"),
            (&either, "ws://a:b@c/", "a user and password"),
            (send, "HTTP://localhost:80", "'HTTP' is not supported"),
            (send, "https://localhost/", "'https' is not supported"),
            (load, "ssl://localhost:1", "'ssl' is not supported"),
            (load, "https://h:0/", "from 1 to 65535"),
            (&either, "tls://localhost", "port is missing"),
            (&either, "message+tls://:80", "host is missing"),
            (load, "ftp://localhost/", "a target is http://"),
            (load, "http://::1/", "as in [::1]:8000"),
            (load, "http://a b/", "'a b' is neither"),
            (load, "http://localhost:+80/", "up to 65535"),
            (load, "http:///x", "host is missing"),
            (load, "http://a:b@c/", "Authorization"),
            (load, "http://h:0/", "from 1 to 65535"),
            (&either, "tcp://localhost", "port is missing"),
            (&either, "message://localhost", "port is missing"),
            (&either, "tcp://:80", "host is missing"),
            (&either, "tcp://localhost:0", "from 1 to 65535"),
            (&either, "tcp://localhost:x", "up to 65535"),
            (&either, "tcp://localhost:+80", "up to 65535"),
            (&either, "tcp://*:80", "host is missing"),
            (&either, "tcp://localhost:80/path", "remove the path"),
            (&either, "tcp://tcp://localhost:80", "more than one scheme"),
            (&either, "tcp://a b:80", "'a b' is neither"),
            (&either, "tcp://::1:80", "brackets"),
            (&either, "tcp://[nonsense]:80", "IPv6"),
            (&either, "unix:", "is missing"),
            (&either, "UNIX:", "is missing"),
            (&either, "unix:@", "is missing"),
        ];
        for (parsers, text, expected_text) in table {
            for parse in parsers {
                let error = parse(text).unwrap_err();
                assert!(error.contains(expected_text), "{text}: {error}");
            }
        }
    }

    #[test]
    fn a_certificate_is_expected_for_the_host() {
        for (text, host) in [
            ("https://example.org/", Some("example.org")),
            ("tls://[::1]:1", Some("::1")),
            ("tls://[fe80::1%lo]:1", Some("fe80::1")),
            ("message+tls://127.0.0.1:1", Some("127.0.0.1")),
            ("http://example.org/", None),
            ("unix:/s", None),
        ] {
            assert_eq!(any_target(text).unwrap().tls_host(), host, "{text}");
        }
        let with_tls = |text| Some(any_target(text).unwrap().with_tls()?.to_string());
        assert_eq!(with_tls("http://h/a").unwrap(), "https://h/a");
        assert_eq!(with_tls("http://h:81/a").unwrap(), "https://h:81/a");
        assert_eq!(with_tls("tcp://h:1").unwrap(), "tls://h:1");
        assert_eq!(with_tls("ws://h/a").unwrap(), "wss://h/a");
        assert_eq!(with_tls("unix:/s"), None);
        assert_eq!(with_tls("https://h:80/"), None);
        assert_eq!(any_target("https://h/").unwrap().without_tls().to_string(), "http://h:443/");
    }

    /// RFC 6874, 4 says so, and servers refuse a `Host` with a zone.
    #[test]
    fn the_zone_of_an_address_is_not_sent() {
        for (text, authority) in [
            ("http://[fe80::1%lo]/", "[fe80::1]"),
            ("ws://[fe80::1%lo]:81/", "[fe80::1]:81"),
            ("http://[::1]/", "[::1]"),
            ("unix:/s", ""),
        ] {
            assert_eq!(any_target(text).unwrap().authority(), authority, "{text}");
        }
    }

    #[test]
    fn an_ip_address_is_not_looked_up() {
        let found = address("127.0.0.1:9").unwrap().look_up().unwrap();
        assert_eq!(found, [driver::Target::Ip(([127, 0, 0, 1], 9).into())]);
    }
}
