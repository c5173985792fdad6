//! What to load, as people write it.

use std::fmt;
use std::str::FromStr;

use super::socket::{SocketTarget, authority};

/// A server, and for HTTP what to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoadTarget {
    /// By HTTP/1.1.
    Http {
        /// A name or an address, without brackets.
        host: String,
        port: u16,
        /// The path and the query.
        path: String,
    },
    /// Bytes, or messages.
    Other(SocketTarget),
}

impl LoadTarget {
    /// Whether it is on the same server, and spoken to in the same way.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http { host, port, .. }, Self::Http { host: theirs, port: at, .. }) => {
                host == theirs && port == at
            }
            (one, other) => one == other,
        }
    }

    /// The server's addresses: those of a socket that is written in the same way.
    pub(crate) fn server(&self) -> SocketTarget {
        match self {
            Self::Http { host, port, .. } => SocketTarget::Tcp(host.clone(), *port),
            Self::Other(target) => target.clone(),
        }
    }

    /// The host and the port, as a `Host` field has them: 80 is left out.
    pub(crate) fn authority(&self) -> String {
        let Self::Http { host, port, .. } = self else { return String::new() };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == 80 { host } else { format!("{host}:{port}") }
    }
}

impl FromStr for LoadTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "a target is http://HOST[:PORT]/PATH, tcp://HOST:PORT, unix:PATH or \
                             message://HOST:PORT";
        let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let Some((_, rest)) = text.split_once("://").filter(|_| scheme == "http") else {
            if scheme == "https" {
                return Err(format!("'https' is not spoken here; {FORMS}"));
            }
            return match text.parse() {
                Ok(target) => Ok(Self::Other(target)),
                Err(_) if authority(text).is_ok() => {
                    Err(format!("did you mean http://{text}/ , tcp://{text} or message://{text} ?"))
                }
                // A scheme that is known, with something wrong behind it, is explained best there.
                Err(error) if ["tcp", "unix", "message"].contains(&&*scheme) => Err(error),
                Err(_) => Err(FORMS.into()),
            };
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (server, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if server.contains('@') {
            return Err(
                "a name and a password can't stand in a target: -H 'Authorization: …'".into()
            );
        }
        let has_port = server.rsplit(']').next().unwrap_or(server).contains(':');
        let with_port = if has_port { server.to_owned() } else { format!("{server}:80") };
        let (host, port) = authority(&with_port)?;
        Ok(Self::Http { host, port, path })
    }
}

impl fmt::Display for LoadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { path, .. } => write!(f, "http://{}{path}", self.authority()),
            Self::Other(target) => target.fmt(f),
        }
    }
}

/// Requests per second, more than none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate(pub(crate) f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HELP: &str = "write requests per second, as 500, 20k or 0.5";
        const MOST: f64 = 1e9;
        const LEAST: f64 = 1e-3;
        let (number, scale) = match text.strip_suffix(['k', 'K']) {
            Some(number) => (number, 1e3),
            None => (text, 1.0),
        };
        let rate = number.parse::<f64>().map_err(|_| HELP)? * scale;
        if (LEAST..=MOST).contains(&rate) { Ok(Self(rate)) } else { Err(HELP.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written_back() {
        for (text, back) in [
            ("http://localhost", "http://localhost/"),
            ("http://localhost:80/a?b#c", "http://localhost/a?b"),
            ("http://127.0.0.1:8000?x", "http://127.0.0.1:8000/?x"),
            ("http://[::1]:1/", "http://[::1]:1/"),
            ("http://[::1]/a:b", "http://[::1]/a:b"),
            ("tcp://localhost:1", "tcp://localhost:1"),
            ("unix:/run/s", "unix:/run/s"),
            ("message://h:2/", "message://h:2"),
            ("HTTP://localhost/A", "http://localhost/A"),
            ("http://[::ffff:127.0.0.1]:8000", "http://127.0.0.1:8000/"),
            ("TCP://localhost:1", "tcp://localhost:1"),
            ("unix:@s", "unix:@s"),
        ] {
            assert_eq!(
                text.parse::<LoadTarget>().map(|target| target.to_string()),
                Ok(back.into())
            );
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_to_write_instead() {
        for (text, says) in [
            ("localhost:80", "did you mean http://localhost:80/ ,"),
            ("https://localhost/", "'https' is not spoken here"),
            ("HTTPS://localhost/", "'https' is not spoken here"),
            ("http://::1/", "as in [::1]:8000"),
            ("http://a b/", "'a b' is neither"),
            ("http://localhost:+80/", "up to 65535"),
            ("UNIX:", "path is missing"),
            ("ftp://localhost/", "a target is http://"),
            ("http:///x", "host is missing"),
            ("http://a:b@c/", "Authorization"),
            ("http://h:0/", "from 1 to 65535"),
            ("tcp://localhost", "port is missing"),
        ] {
            let error = text.parse::<LoadTarget>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, rate) in [("500", 500.0), ("20k", 20_000.0), ("0.5", 0.5)] {
            assert_eq!(text.parse(), Ok(Rate(rate)));
        }
        for text in ["", "0", "-1", "nan", "inf", "1m", "1e12"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
