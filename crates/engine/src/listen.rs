//! Where to listen, as people write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen at.
///
/// `HOST:PORT`, `[::1]:PORT`, `:PORT` or `PORT` for every address of both families, `unix:PATH`.
/// Port 0 takes a free one.
///
/// ```
/// use sockeye_engine::ListenAddr;
///
/// let address: ListenAddr = "localhost:8000".parse()?;
/// assert_eq!(address, ListenAddr::Host("localhost".into(), 8000));
/// assert_eq!(":80".parse::<ListenAddr>()?, ListenAddr::Any(80));
/// assert!("localhost".parse::<ListenAddr>().is_err());
/// # Ok::<(), sockeye_engine::BadListenAddr>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// A name or an address, and a port. A name may stand for several addresses: all are meant.
    Host(String, u16),
    /// Every address of this machine, IPv6 and IPv4.
    Any(u16),
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// A text that is no address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadListenAddr {
    text: String,
    why: &'static str,
}

impl FromStr for ListenAddr {
    type Err = BadListenAddr;

    fn from_str(text: &str) -> Result<Self, BadListenAddr> {
        let bad = |why| BadListenAddr { text: text.to_owned(), why };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(bad("a path is missing after 'unix:'"))
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let (host, port) = match text.rsplit_once(':') {
            None => ("", text),
            Some((host, port)) => (host, port),
        };
        let port = port.parse().map_err(|_| bad("a port is a number from 0 to 65535"))?;
        match host {
            "" => Ok(Self::Any(port)),
            _ if host.starts_with('[') && host.ends_with(']') => {
                let inner = &host[1..host.len() - 1];
                match inner.parse::<std::net::Ipv6Addr>() {
                    Ok(_) => Ok(Self::Host(inner.to_owned(), port)),
                    Err(_) => Err(bad("there is no IPv6 address between the brackets")),
                }
            }
            _ if host.contains(':') => Err(bad("an IPv6 address stands in brackets: [::1]:PORT")),
            _ => Ok(Self::Host(host.to_owned(), port)),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Any(port) => write!(f, ":{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for BadListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, why } = self;
        write!(
            f,
            "'{text}' is no address to listen at: {why} \
             (HOST:PORT, :PORT, PORT, [::1]:PORT or unix:PATH)"
        )
    }
}

impl std::error::Error for BadListenAddr {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        let host = |host: &str, port| ListenAddr::Host(host.into(), port);
        for (text, address, back) in [
            ("127.0.0.1:8000", host("127.0.0.1", 8000), "127.0.0.1:8000"),
            ("localhost:0", host("localhost", 0), "localhost:0"),
            ("[::1]:80", host("::1", 80), "[::1]:80"),
            (":8000", ListenAddr::Any(8000), ":8000"),
            ("8000", ListenAddr::Any(8000), ":8000"),
            ("unix:/run/s.sock", ListenAddr::Unix("/run/s.sock".into()), "unix:/run/s.sock"),
        ] {
            assert_eq!(text.parse::<ListenAddr>().as_ref(), Ok(&address), "{text}");
            assert_eq!(address.to_string(), back);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "number"),
            ("localhost", "number"),
            ("host:65536", "number"),
            ("host:-1", "number"),
            ("::1:80", "brackets"),
            ("[::g]:80", "IPv6"),
            ("[]:80", "IPv6"),
            ("unix:", "path"),
        ] {
            let error = text.parse::<ListenAddr>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
