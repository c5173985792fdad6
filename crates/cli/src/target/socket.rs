//! Where to send to, as people write it: `tcp://HOST:PORT`, `unix:PATH`, `message://HOST:PORT`.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::str::FromStr;

use sockeye::engine::{ListenAddr, driver};

/// A server to talk to, not yet looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SocketTarget {
    /// A name or an address without brackets, and a port.
    Tcp(String, u16),
    /// A Unix domain socket.
    Unix(PathBuf),
    /// A name or an address, and a port, where messages are answered.
    Message(String, u16),
}

impl SocketTarget {
    /// The addresses that it stands for, the one to try first at the front.
    pub(crate) fn look_up(&self) -> io::Result<Vec<driver::Target>> {
        match self {
            Self::Unix(path) => Ok(vec![driver::Target::Unix(path.clone())]),
            Self::Tcp(host, port) | Self::Message(host, port) => {
                let mut found: Vec<driver::Target> = Vec::new();
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    let target = driver::Target::Ip(address);
                    if !found.contains(&target) {
                        found.push(target);
                    }
                }
                Ok(found)
            }
        }
    }
}

impl FromStr for SocketTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "a target is tcp://HOST:PORT, unix:PATH or message://HOST:PORT";
        if text.split(':').next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("unix")) {
            return match text.parse() {
                Ok(ListenAddr::Unix(path)) => Ok(Self::Unix(path)),
                Ok(ListenAddr::Host(..) | ListenAddr::Any(_)) => Err(FORMS.into()),
                Err(error) => Err(format!("{}; {FORMS}", error.reason())),
            };
        }
        let of = |address: &str, make: fn(String, u16) -> Self| {
            let (host, port) = authority(address.strip_suffix('/').unwrap_or(address))?;
            Ok(make(host, port))
        };
        match text.split_once("://") {
            Some((scheme, address)) if scheme.eq_ignore_ascii_case("tcp") => of(address, Self::Tcp),
            Some((scheme, address)) if scheme.eq_ignore_ascii_case("message") => {
                of(address, Self::Message)
            }
            Some((scheme, _)) => Err(format!("'{scheme}' is not spoken here; {FORMS}")),
            None if authority(text).is_ok() => {
                Err(format!("did you mean tcp://{text} or message://{text} ?"))
            }
            None => Err(FORMS.into()),
        }
    }
}

/// The host, without brackets, and the port. They are written as those to listen at.
pub(super) fn authority(text: &str) -> Result<(String, u16), String> {
    if text.contains("://") {
        return Err("one scheme is enough: HOST:PORT".into());
    }
    match text.parse() {
        Ok(ListenAddr::Host(_, 0)) => {
            Err("a port to connect to is a number from 1 to 65535".into())
        }
        Ok(ListenAddr::Host(host, port)) => Ok((host, port)),
        Ok(ListenAddr::Any(_) | ListenAddr::Unix(_)) => Err("a host is missing: HOST:PORT".into()),
        Err(error) => Err(error.reason().to_owned()),
    }
}

impl fmt::Display for SocketTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Unix(path) => return ListenAddr::Unix(path.clone()).fmt(f),
            Self::Tcp(host, port) => ("tcp", host, port),
            Self::Message(host, port) => ("message", host, port),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written_back() {
        let tcp = |host: &str, port| SocketTarget::Tcp(host.into(), port);
        let table = [
            ("tcp://127.0.0.1:65432", tcp("127.0.0.1", 65432), "tcp://127.0.0.1:65432"),
            ("tcp://localhost:1/", tcp("localhost", 1), "tcp://localhost:1"),
            ("tcp://[::1]:80", tcp("::1", 80), "tcp://[::1]:80"),
            (
                "message://[::1]:65432/",
                SocketTarget::Message("::1".into(), 65432),
                "message://[::1]:65432",
            ),
            ("unix:/run/s", SocketTarget::Unix("/run/s".into()), "unix:/run/s"),
            ("unix:///run/s", SocketTarget::Unix("/run/s".into()), "unix:/run/s"),
            ("UNIX:@a", SocketTarget::Unix("\0a".into()), "unix:@a"),
            ("TCP://localhost:1", tcp("localhost", 1), "tcp://localhost:1"),
            ("Message://h:1", SocketTarget::Message("h".into(), 1), "message://h:1"),
            ("tcp://[::ffff:127.0.0.1]:1", tcp("127.0.0.1", 1), "tcp://127.0.0.1:1"),
            ("tcp://[fe80::1%lo]:1", tcp("fe80::1%lo", 1), "tcp://[fe80::1%lo]:1"),
        ];
        for (text, target, back) in table {
            assert_eq!(text.parse(), Ok(target.clone()), "{text}");
            assert_eq!(target.to_string(), back);
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_to_write_instead() {
        let table = [
            ("", "tcp://HOST:PORT, unix:PATH or message://HOST:PORT"),
            ("localhost", "tcp://HOST:PORT, unix:PATH or message://HOST:PORT"),
            ("localhost:80", "did you mean tcp://localhost:80"),
            ("http://localhost:80", "'http' is not spoken here"),
            ("localhost:80", "message://localhost:80"),
            ("tcp://localhost", "port is missing"),
            ("message://localhost", "port is missing"),
            ("tcp://:80", "host is missing"),
            ("tcp://localhost:0", "from 1 to 65535"),
            ("tcp://localhost:x", "up to 65535"),
            ("tcp://localhost:+80", "up to 65535"),
            ("tcp://*:80", "host is missing"),
            ("tcp://localhost:80/path", "no path"),
            ("tcp://tcp://localhost:80", "one scheme is enough"),
            ("tcp://a b:80", "'a b' is neither"),
            ("HTTP://localhost:80", "'HTTP' is not spoken here"),
            ("unix:@", "name is missing"),
            ("tcp://::1:80", "brackets"),
            ("tcp://[nonsense]:80", "IPv6"),
            ("unix:", "path is missing"),
        ];
        for (text, says) in table {
            let error = text.parse::<SocketTarget>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_is_looked_up_without_asking_anybody() {
        let found = SocketTarget::Tcp("127.0.0.1".into(), 9).look_up().unwrap();
        assert_eq!(found, [driver::Target::Ip(([127, 0, 0, 1], 9).into())]);
    }
}
