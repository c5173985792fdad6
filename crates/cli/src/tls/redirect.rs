//! Redirects plain HTTP requests to HTTPS: at the address of `--https-redirect`, and where TLS is
//! expected.
//!
//! A `Location` is made of the request's host, which is checked, and its target, whose special
//! characters are escaped. So it has one shape, whatever a client sends: `https://`, a name or an
//! IP address, perhaps a port, a path, and perhaps a query.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use sockeye::http_core::{
    AllowedHosts, Answer, Body, Fields, Handler, Handlers, Method, Request, Responder, Status,
};
use sockeye::proto::Peer;
use sockeye_acme::Challenges;

use crate::target::HTTPS_PORT;

/// How to redirect; shared by the connections of a worker (event loop).
#[derive(Clone, Debug)]
pub(crate) struct Redirects {
    /// The port of the server with TLS, to which the redirecting ports redirect.
    pub(crate) port: u16,
    /// The number of the first listener that only redirects. All listeners after it only redirect,
    /// too. The TCP listeners before it expect TLS.
    pub(crate) first: u32,
    /// By listener: whether it redirects only to hosts that `hosts` and `ips` allow.
    pub(crate) checked: Vec<bool>,
    /// The names that may be redirected to.
    pub(crate) hosts: AllowedHosts,
    /// The IP addresses that may be redirected to, besides loopback ones.
    pub(crate) ips: Vec<IpAddr>,
    /// The challenges that ACME authorities request by HTTP while they validate a name. These
    /// requests are answered before hosts are checked.
    pub(crate) challenges: Option<Arc<Challenges>>,
}

/// What decides where a request is redirected to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedirectRequest<'a> {
    /// The number of the listener that accepted the connection.
    pub(crate) via: u32,
    /// The host, with the port if the client sent one.
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) path: &'a [u8],
    pub(crate) query: Option<&'a [u8]>,
    /// The method is GET or HEAD.
    pub(crate) is_read: bool,
}

/// The kind of port that a client connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortKind {
    /// A port that only redirects.
    Redirecting,
    /// A port that expects TLS.
    Tls,
}

impl Redirects {
    fn port_kind(&self, via: u32) -> PortKind {
        if via < self.first { PortKind::Tls } else { PortKind::Redirecting }
    }

    /// What to answer an ACME authority that validates a name by http-01.
    fn challenge(&self, request: &Request<'_>) -> Option<String> {
        self.challenges.as_ref().filter(|_| is_read(request))?.http(request.path())
    }

    /// The URL to redirect a request to.
    ///
    /// # Errors
    ///
    /// The status and text to answer with instead.
    pub(crate) fn location(
        &self,
        request: RedirectRequest<'_>,
    ) -> Result<String, (Status, String)> {
        let kind = self.port_kind(request.via);
        let bad = |what: &str| Err((Status::BAD_REQUEST, format!("{} {what}", kind.text())));
        let Some(host) = request.host else {
            return bad("The request has no Host header, so it can't be redirected to HTTPS.");
        };
        let Some((name, port)) = split(host) else {
            return bad("The host of the request is no name or IP address.");
        };
        if kind == PortKind::Tls && !request.is_read {
            return bad(&format!("Send the request to https://{name}{} instead.", suffix(port)));
        }
        if self.checked.get(request.via as usize) != Some(&false) && !self.is_ours(host, name) {
            let text = "This host is not one of this server. To allow a name, start sockeye with \
                        --host NAME.";
            return Err((Status::MISDIRECTED_REQUEST, text.into()));
        }
        let port = match kind {
            PortKind::Redirecting => Some(self.port).filter(|port| *port != HTTPS_PORT),
            PortKind::Tls => port,
        };
        let mut location = format!("https://{name}{}", suffix(port));
        let path = request.path;
        if !path.starts_with(b"/") {
            return bad("The request is for no path, so it can't be redirected to HTTPS.");
        }
        escape(path, &mut location);
        if let Some(query) = request.query {
            location.push('?');
            escape(query, &mut location);
        }
        Ok(location)
    }

    /// Whether `hosts` and `ips` allow a host. `name`: the host without its port.
    fn is_ours(&self, host: &[u8], name: &str) -> bool {
        self.hosts.allows(host)
            && ip(name).is_none_or(|ip| ip.is_loopback() || self.ips.contains(&ip))
    }
}

impl PortKind {
    /// What the answer to a request that isn't redirected says about the port.
    fn text(self) -> &'static str {
        match self {
            Self::Redirecting => "This port redirects to HTTPS.",
            Self::Tls => "This port speaks HTTPS; write https:// in place of http:// in the URL.",
        }
    }
}

/// Makes the handlers of a worker.
#[derive(Clone, Debug)]
pub(crate) struct RedirectHandlers(pub(crate) Rc<Redirects>);

impl Handlers for RedirectHandlers {
    type Handler = Redirect;

    fn handler(&self, peer: &Peer) -> Redirect {
        Redirect { redirects: Rc::clone(&self.0), peer: peer.clone() }
    }
}

/// Redirects one request.
#[derive(Debug)]
pub(crate) struct Redirect {
    redirects: Rc<Redirects>,
    peer: Peer,
}

impl Handler for Redirect {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let responder = responder.closing();
        if let Some(content) = self.redirects.challenge(request) {
            let fields = Fields::new().with("Content-Type", b"application/octet-stream");
            let fields = fields.expect("the value is valid");
            return responder.send(Status::OK, &fields, Body::Copied(content.as_bytes()));
        }
        let requested = RedirectRequest {
            via: self.peer.via,
            host: request.host(),
            path: request.path(),
            query: request.query(),
            is_read: is_read(request),
        };
        match self.redirects.location(requested) {
            Ok(location) => {
                // A browser that cached the redirect could never use plain HTTP at this port again.
                let fields = Fields::new()
                    .with("Location", location.as_bytes())
                    .and_then(|fields| fields.with("Cache-Control", b"no-store"))
                    .expect("a location has only characters of a URL");
                let text = "This is served over HTTPS: see the Location header.";
                responder.error(Status::PERMANENT_REDIRECT, &fields, text)
            }
            Err((status, text)) => responder.error(status, &Fields::new(), &text),
        }
    }

    fn page(&self, status: Status, _: &'static str, what: &str) -> Option<(Fields, Bytes)> {
        let port = self.redirects.port_kind(self.peer.via).text();
        // `what` is empty if the handler panicked.
        let what = if what.is_empty() { String::new() } else { format!(" The client {what}.") };
        let text = format!("{status}\n{port}{what}\n");
        let fields = Fields::new().with("Content-Type", b"text/plain; charset=utf-8").ok()?;
        Some((fields, text.into()))
    }
}

fn is_read(request: &Request<'_>) -> bool {
    matches!(request.method(), Method::Get | Method::Head)
}

/// Splits a request's host into the name or IP address, and the port. `None` if the name has
/// characters that no host name has, or the port is no number up to 65,535.
fn split(host: &[u8]) -> Option<(&str, Option<u16>)> {
    let host = str::from_utf8(host).ok()?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
    let is_name = |name: &str| {
        let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !name.is_empty() && name.bytes().all(is_byte)
    };
    (is_name(name) || name.starts_with('[') && ip(name).is_some()).then_some((name, port))
}

/// The IP address in a host without its port.
fn ip(name: &str) -> Option<IpAddr> {
    let v6 = || name.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let v4 = name.trim_end_matches('.').parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    v4.or_else(|| v6().map(IpAddr::V6)).map(|ip| ip.to_canonical())
}

fn suffix(port: Option<u16>) -> String {
    port.map_or_else(String::new, |port| format!(":{port}"))
}

/// Appends a part of a target. Escapes characters that a URL must not contain, but that some
/// clients send.
fn escape(part: &[u8], url: &mut String) {
    for byte in part {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                // Writing to a string never fails.
                let _ = write!(url, "%{byte:02X}");
            }
            byte => url.push(char::from(*byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use sockeye::http_core::{Server, ServerConfig};
    use sockeye::proto::harness::Harness;

    use sockeye_acme::{Challenge, ChallengeKind};

    use super::*;

    /// The redirects at a port that only redirects, to a server with TLS at port 8443.
    fn redirecting() -> Redirects {
        Redirects {
            port: 8443,
            first: 0,
            checked: vec![false],
            hosts: AllowedHosts::default(),
            ips: Vec::new(),
            challenges: None,
        }
    }

    fn response(redirects: &Redirects, request: &str) -> String {
        let handlers = RedirectHandlers(Rc::new(redirects.clone()));
        let mut client = Harness::new(Server::new(Rc::<ServerConfig>::default(), handlers));
        client.input(request.as_bytes());
        String::from_utf8(client.output()).unwrap()
    }

    /// The status of a response, and its Location.
    fn outcome(redirects: &Redirects, request: &str) -> (u16, Option<String>) {
        let response = response(redirects, request);
        assert!(response.contains("\r\nConnection: close\r\n"), "{request}: {response}");
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        let location = response.lines().find_map(|line| line.strip_prefix("Location: "));
        (status, location.map(str::to_owned))
    }

    fn get(target: &str, host: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    }

    #[test]
    fn a_challenge_is_answered_before_hosts_and_redirects_and_only_while_it_waits() {
        let challenges = Arc::<Challenges>::default();
        // Every host is checked, and none is allowed.
        let redirects = Redirects {
            checked: vec![true],
            challenges: Some(Arc::clone(&challenges)),
            ..redirecting()
        };
        let request = get("/.well-known/acme-challenge/token", "a.example");
        assert_eq!(outcome(&redirects, &request), (421, None));
        let challenge = Challenge {
            kind: ChallengeKind::Http01,
            name: "a.example".into(),
            token: "token".into(),
            key_authorization: "token.key".into(),
        };
        challenges.present(challenge, &sockeye::tls::provider()).unwrap();
        assert!(response(&redirects, &request).ends_with("\r\n\r\ntoken.key"));
        for other in [
            get("/.well-known/acme-challenge/other", "a.example"),
            get("/", "a.example"),
            request.replace("GET", "PUT"),
        ] {
            assert_eq!(outcome(&redirects, &other), (421, None), "{other}");
        }
        challenges.withdraw();
        assert_eq!(outcome(&redirects, &request), (421, None));
    }

    #[test]
    fn a_redirecting_port_keeps_host_path_and_query_and_sets_the_port() {
        let (other, usual) = (redirecting(), Redirects { port: 443, ..redirecting() });
        for (target, host, expected_end) in [
            ("/", "a.example", "a.example{}/"),
            ("/", "a.example:80", "a.example{}/"),
            ("/", "A.example.:", "A.example.{}/"),
            ("/a/b?c=d&e=/../", "a.example", "a.example{}/a/b?c=d&e=/../"),
            ("/?", "a.example", "a.example{}/?"),
            ("//evil.example/", "a.example", "a.example{}//evil.example/"),
            ("/a%0d%0ab", "a.example", "a.example{}/a%0d%0ab"),
            ("/\"<>`{|}^?\\", "a.example", "a.example{}/%22%3C%3E%60%7B%7C%7D%5E?%5C"),
            ("/", "10.0.0.7:8000", "10.0.0.7{}/"),
            ("/", "[2001:db8::7]:8000", "[2001:db8::7]{}/"),
            ("/", "[::1]", "[::1]{}/"),
            ("/", "a_b.example", "a_b.example{}/"),
            ("http://b.example:8000/c?d", "a.example", "b.example{}/c?d"),
            ("http://b.example", "a.example", "b.example{}/"),
        ] {
            for (redirects, port) in [(&other, ":8443"), (&usual, "")] {
                let location = format!("https://{}", expected_end.replace("{}", port));
                let outcome = outcome(redirects, &get(target, host));
                assert_eq!(outcome, (308, Some(location)), "{target} {host}");
            }
        }
        let post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(outcome(&other, post), (308, Some("https://a:8443/a".into())));
    }

    #[test]
    fn the_page_of_a_refusal_blames_the_client_only_if_it_is_at_fault() {
        let peer = Peer::new(sockeye::proto::Address::Unix, 0);
        let redirect = RedirectHandlers(Rc::new(redirecting())).handler(&peer);
        let page = |what: &str| {
            let (_, content) = redirect.page(Status::BAD_REQUEST, "code", what).unwrap();
            String::from_utf8(content.to_vec()).unwrap()
        };
        let place = "400 Bad Request\nThis port redirects to HTTPS.";
        assert_eq!(page("sent no host"), format!("{place} The client sent no host.\n"));
        assert_eq!(page(""), format!("{place}\n"), "as after a panic");
    }

    #[test]
    fn a_request_whose_host_or_target_makes_no_url_gets_400() {
        let at_tls = Redirects { first: 1, ..redirecting() };
        for redirects in [redirecting(), at_tls] {
            for request in [
                "GET / HTTP/1.0\r\n\r\n",
                "GET / HTTP/1.1\r\n\r\n",
                "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            ] {
                assert_eq!(outcome(&redirects, request), (400, None), "{request}");
            }
            for host in [
                "",
                ":80",
                "a@evil.example",
                "a:b@evil.example",
                "a/b",
                "a.example/@evil.example",
                "a\\evil.example",
                "a?b",
                "a#b",
                "a b",
                "a\rLocation: x",
                "a%2fb",
                "a%0d%0ab",
                "a;b",
                "a'b",
                "a:70000",
                "a:-1",
                "a:1:2",
                "[::1",
                "[::1]a",
                "[::1]:x",
                "[v1.a]",
                "a, b",
            ] {
                assert_eq!(outcome(&redirects, &get("/", host)), (400, None), "{host:?}");
            }
        }
    }

    #[test]
    fn where_tls_is_expected_get_and_head_are_redirected_to_the_same_authority() {
        let at_tls = Redirects { first: 1, ..redirecting() };
        for (host, expected) in [
            ("a.example", "https://a.example/b?c"),
            ("a.example:8443", "https://a.example:8443/b?c"),
            ("[::1]:9", "https://[::1]:9/b?c"),
        ] {
            let location = Some(expected.to_owned());
            assert_eq!(outcome(&at_tls, &get("/b?c", host)), (308, location.clone()));
            let head = get("/b?c", host).replace("GET", "HEAD");
            assert_eq!(outcome(&at_tls, &head), (308, location));
        }
        for (request, why) in [
            ("POST / HTTP/1.1\r\nHost: a:9\r\n\r\n", "Send the request to https://a:9 instead."),
            ("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "Send the request to https://a instead."),
            ("GET / HTTP/1.0\r\n\r\n", "has no Host header"),
            ("GET / HTTP/1.1\r\n\r\n", "The client "),
            ("nonsense\r\n\r\n", "The client "),
        ] {
            let response = response(&at_tls, request);
            assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{request}: {response}");
            for part in ["This port speaks HTTPS; write https:// in place of http://", why] {
                assert!(response.contains(part), "{request}: {response}");
            }
        }
    }

    #[test]
    fn where_hosts_are_checked_no_other_host_is_redirected_to() {
        let hosts = AllowedHosts::default().allow("a.example").unwrap();
        let ips = vec!["10.0.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let checked = Redirects { checked: vec![true], hosts, ips, ..redirecting() };
        let at_tls = Redirects { first: 1, ..checked.clone() };
        for (host, status) in [
            ("a.example", 308),
            ("A.EXAMPLE.:80", 308),
            ("localhost", 308),
            ("127.0.0.1:8000", 308),
            ("[::1]", 308),
            ("10.0.0.7", 308),
            ("[::ffff:10.0.0.7]", 308),
            ("[2001:db8::7]:80", 308),
            ("evil.example", 421),
            ("a.example.evil.example", 421),
            ("192.0.2.1", 421),
            ("192.0.2.1.", 421),
            ("[2001:db8::1]", 421),
            ("167772167", 421),
        ] {
            for redirects in [&checked, &at_tls] {
                assert_eq!(outcome(redirects, &get("/", host)).0, status, "{host}");
            }
        }
    }
}
