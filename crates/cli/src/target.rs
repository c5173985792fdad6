//! The servers that `sockeye send`, `sockeye load` and `sockeye health` connect to, as they are
//! typed.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;

use sockeye::engine::{ListenAddr, driver};

/// A server, with its protocol. Hosts are names or addresses, without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Bytes over TCP.
    Tcp(String, u16),
    /// Bytes over a Unix domain socket.
    Unix(PathBuf),
    /// Messages over TCP.
    Message(String, u16),
    /// A URL's host, port, and path with query.
    Http { host: String, port: u16, path: String },
}

const SEND_FORMS: &str = "a target is tcp://HOST:PORT, unix:PATH or message://HOST:PORT";
const LOAD_FORMS: &str =
    "a target is http://HOST[:PORT]/PATH, tcp://HOST:PORT, unix:PATH or message://HOST:PORT";

/// Parses a target of `sockeye send`: everything except a URL.
pub(crate) fn target_of_send(text: &str) -> Result<Target, String> {
    parse(text, false)
}

/// Parses a target of `sockeye load` or `sockeye health`.
pub(crate) fn target_of_load(text: &str) -> Result<Target, String> {
    parse(text, true)
}

/// Parses a path or abstract name, without `unix:`.
pub(crate) fn unix_socket(text: &str) -> Result<Target, String> {
    parse(&format!("unix:{text}"), false)
}

fn parse(text: &str, allows_http: bool) -> Result<Target, String> {
    let forms = if allows_http { LOAD_FORMS } else { SEND_FORMS };
    let scheme = text.split(':').next().unwrap_or_default();
    if scheme.eq_ignore_ascii_case("unix") {
        return match text.parse() {
            Ok(ListenAddr::Unix(path)) => Ok(Target::Unix(path)),
            Ok(ListenAddr::Host(..) | ListenAddr::Any(_)) => Err(forms.into()),
            Err(error) => Err(format!("{}; {forms}", error.reason())),
        };
    }
    let Some((_, rest)) = text.split_once("://") else {
        let http = if allows_http { format!("http://{text}/, ") } else { String::new() };
        return Err(match authority(text) {
            Ok(_) => format!("did you mean {http}tcp://{text} or message://{text}?"),
            Err(_) => forms.into(),
        });
    };
    let server = || authority(rest.strip_suffix('/').unwrap_or(rest));
    match &*scheme.to_ascii_lowercase() {
        "tcp" => server().map(|(host, port)| Target::Tcp(host, port)),
        "message" => server().map(|(host, port)| Target::Message(host, port)),
        "http" if allows_http => url(rest),
        _ => Err(format!("'{scheme}' is not supported; {forms}")),
    }
}

/// Parses what follows `http://`.
fn url(rest: &str) -> Result<Target, String> {
    let (server, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = path.split('#').next().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    if server.contains('@') {
        return Err("a URL can't contain a user and password here: \
                    add -H 'Authorization: Basic …'"
            .into());
    }
    let has_port = server.rsplit(']').next().unwrap_or(server).contains(':');
    let (host, port) = authority(&if has_port { server.into() } else { format!("{server}:80") })?;
    Ok(Target::Http { host, port, path: format!("{slash}{path}") })
}

/// Parses the host and the port, in the form of an address to listen on.
fn authority(text: &str) -> Result<(String, u16), String> {
    if text.contains("://") {
        return Err("there is more than one scheme: write HOST:PORT after the first".into());
    }
    match text.parse() {
        Ok(ListenAddr::Host(_, 0)) => Err("port 0 is not in the range from 1 to 65535".into()),
        Ok(ListenAddr::Host(host, port)) => Ok((host, port)),
        Ok(ListenAddr::Any(_) | ListenAddr::Unix(_)) => Err("a host is missing: HOST:PORT".into()),
        Err(error) => Err(error.reason().to_owned()),
    }
}

impl Target {
    /// The server's addresses, in the order to try them.
    pub(crate) fn look_up(&self) -> io::Result<Vec<driver::Target>> {
        let (host, port) = match self {
            Self::Unix(path) => return Ok(vec![driver::Target::Unix(path.clone())]),
            Self::Tcp(host, port) | Self::Message(host, port) | Self::Http { host, port, .. } => {
                (host.as_str(), *port)
            }
        };
        let mut found: Vec<driver::Target> = Vec::new();
        for address in (host, port).to_socket_addrs()? {
            let target = driver::Target::Ip(address);
            if !found.contains(&target) {
                found.push(target);
            }
        }
        Ok(found)
    }

    /// Whether this is the server of `other`, with the same protocol.
    pub(crate) fn has_server_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http { host, port, .. }, Self::Http { host: theirs, port: at, .. }) => {
                (host, port) == (theirs, at)
            }
            _ => self == other,
        }
    }

    /// The value of the `Host` header: without port 80. Empty for a Unix socket.
    pub(crate) fn authority(&self) -> String {
        let (host, port) = match self {
            Self::Unix(_) => return String::new(),
            Self::Tcp(host, port) | Self::Message(host, port) => (host, Some(*port)),
            Self::Http { host, port, .. } => (host, Some(*port).filter(|port| *port != 80)),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        port.map_or(host.clone(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => ListenAddr::Unix(path.clone()).fmt(f),
            Self::Tcp(..) => write!(f, "tcp://{}", self.authority()),
            Self::Message(..) => write!(f, "message://{}", self.authority()),
            Self::Http { path, .. } => write!(f, "http://{}{path}", self.authority()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parsed_and_displayed() {
        let tcp = |host: &str, port| Target::Tcp(host.into(), port);
        let message = |host: &str, port| Target::Message(host.into(), port);
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
            ("tcp://[::ffff:127.0.0.1]:1", tcp("127.0.0.1", 1), "tcp://127.0.0.1:1"),
            ("tcp://[fe80::1%lo]:1", tcp("fe80::1%lo", 1), "tcp://[fe80::1%lo]:1"),
        ];
        for (text, target, back) in table {
            assert_eq!(target_of_send(text), Ok(target.clone()), "{text}");
            assert_eq!(target_of_load(text), Ok(target.clone()), "{text}");
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
        ] {
            assert_eq!(target_of_load(text).map(|target| target.to_string()), Ok(back.into()));
        }
    }

    #[test]
    fn a_wrong_target_is_refused_with_what_to_write_instead() {
        let either = [target_of_send, target_of_load];
        let (send, load) = (&either[..1], &either[1..]);
        let table = [
            (send, "", "tcp://HOST:PORT, unix:PATH or message://HOST:PORT"),
            (send, "localhost", "tcp://HOST:PORT, unix:PATH or message://HOST:PORT"),
            (send, "localhost:80", "did you mean tcp://localhost:80 or message://localhost:80?"),
            (load, "localhost:80", "did you mean http://localhost:80/, tcp://localhost:80 or"),
            (send, "http://localhost:80", "'http' is not supported"),
            (send, "HTTP://localhost:80", "'HTTP' is not supported"),
            (load, "https://localhost/", "'https' is not supported"),
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
    fn an_ip_address_is_not_looked_up() {
        let found = Target::Tcp("127.0.0.1".into(), 9).look_up().unwrap();
        assert_eq!(found, [driver::Target::Ip(([127, 0, 0, 1], 9).into())]);
    }
}
