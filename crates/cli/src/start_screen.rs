//! The start screen: the lines that a server prints to standard output when it has started. They
//! say what is served, at which URLs, and how to stop the server.
//!
//! Each URL is alone on its line, so that programs can read it.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime};

use sockeye::engine::ListenAddr;
use sockeye::engine::driver::Bound;

use crate::acme::Acme;
use crate::text;
use crate::tls::Certificates;

/// How long [`Screen::show`] waits for the lines to be written. The workers already serve
/// meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_millis(500);

/// Maximum number of names of certificates that are shown as hosts of URLs.
const MAX_HOSTS: usize = 5;

/// The parts of the start screen.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The lines before the URLs, which say what is served.
    pub(crate) heading: Vec<String>,
    /// The scheme of the URLs, such as `http`.
    pub(crate) scheme: &'static str,
    /// If the server listens on all addresses: the hosts of the URLs to show, besides `localhost`
    /// or a loopback address. If empty, addresses of this machine are shown.
    pub(crate) hosts: Vec<String>,
    /// The lines after the URLs.
    pub(crate) notes: Vec<String>,
}

impl Screen {
    /// Creates a screen that begins with this line.
    pub(crate) fn new(heading: &str) -> Self {
        Self { heading: vec![heading.into()], ..Self::default() }
    }

    /// Adds the lines about certificates and about the listeners that redirect to HTTPS, and
    /// [`Certificates::hosts`] as hosts.
    pub(crate) fn add_certificates(&mut self, certificates: &Certificates, redirecting: &[Bound]) {
        self.hosts = certificates.hosts();
        self.hosts.truncate(MAX_HOSTS);
        let mut lines = certificates.lines(SystemTime::now());
        lines.extend(redirecting.iter().map(|bound| format!("{bound} redirects to HTTPS.")));
        self.notes.splice(0..0, lines);
    }

    /// Adds the line about `--acme`, and its names as hosts. The names are shown even before the
    /// first certificate is issued, since browsers will accept the certificate for no other host,
    /// such as an IP address.
    pub(crate) fn add_acme(&mut self, acme: &Acme) {
        for name in acme.names() {
            if self.hosts.len() < MAX_HOSTS && !self.hosts.contains(name) {
                self.hosts.push(name.clone());
            }
        }
        self.notes.insert(0, acme.line());
    }

    /// Writes the screen to standard output on a thread of its own, so that a full pipe, or a
    /// terminal stopped by Ctrl-S, delays neither serving nor the end of the process. `listen` are
    /// the addresses of `--listen`, `bound` the listeners to show.
    pub(crate) fn show(&self, listen: &[ListenAddr], bound: &[Bound]) -> io::Result<()> {
        let text = self.text(listen, bound, outward_addresses);
        let (done, written) = channel();
        thread::Builder::new().name("start-screen".into()).spawn(move || {
            let mut out = io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            // This fails if `show` no longer waits.
            let _ = done.send(());
        })?;
        // Without this wait, a server that is stopped right after its start might show nothing.
        let _ = written.recv_timeout(WRITE_TIMEOUT);
        Ok(())
    }

    /// The text of the screen. `outward` is [`outward_addresses`], except in tests.
    fn text(
        &self,
        listen: &[ListenAddr],
        bound: &[Bound],
        outward: impl Fn() -> Vec<IpAddr>,
    ) -> String {
        let mut lines = self.heading.clone();
        for bound in bound {
            match bound {
                Bound::Unix(_) => lines.push(bound.to_string()),
                Bound::Ip(address) => {
                    let hosts = self.reachable_hosts(*address, listen, &outward);
                    lines.extend(hosts.iter().map(|host| format!("{}://{host}", self.scheme)));
                }
            }
        }
        lines.extend(self.notes.iter().cloned());
        lines.push("Press Ctrl-C to stop.".into());
        let lines: Vec<String> = lines.iter().map(|line| text::escape_controls(line)).collect();
        lines.join("\n") + "\n"
    }

    /// The hosts and ports of the URLs that reach the listener at `address`. `outward` is as in
    /// `text`.
    fn reachable_hosts(
        &self,
        address: SocketAddr,
        listen: &[ListenAddr],
        outward: impl Fn() -> Vec<IpAddr>,
    ) -> Vec<String> {
        let (ip, port) = (address.ip(), address.port());
        if !ip.is_unspecified() {
            return vec![SocketAddr::new(ip, port).to_string()];
        }
        // `--listen :PORT` accepts both IPv6 and IPv4, on one listener.
        let dual_stack = listen.iter().any(|listen| match listen {
            ListenAddr::Any(requested) => *requested == 0 || *requested == port,
            _ => false,
        });
        let local = match ip {
            _ if dual_stack => format!("localhost:{port}"),
            IpAddr::V4(_) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => format!("[{}]:{port}", Ipv6Addr::LOCALHOST),
        };
        if !self.hosts.is_empty() {
            let named = self.hosts.iter().map(|host| format!("{host}:{port}"));
            let others: Vec<_> = named.filter(|named| *named != local).collect();
            return [local].into_iter().chain(others).collect();
        }
        let is_served = |outward: &IpAddr| dual_stack || outward.is_ipv4() == ip.is_ipv4();
        let outward = outward().into_iter().filter(is_served);
        let outward = outward.map(|ip| SocketAddr::new(ip, port).to_string());
        [local].into_iter().chain(outward).collect()
    }
}

/// The local addresses that this machine's outgoing connections have, one of IPv4 and one of IPv6
/// at most. Other machines can most likely reach this machine there. Connecting a UDP socket sends
/// nothing, but chooses a route and so a local address. The destinations are addresses for
/// documentation (RFC 5737, RFC 3849).
fn outward_addresses() -> Vec<IpAddr> {
    let routes = [
        (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), "192.0.2.1:9"),
        (SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), "[2001:db8::1]:9"),
    ];
    let local_address = |(unspecified, destination): (SocketAddr, &str)| {
        let socket = UdpSocket::bind(unspecified).ok()?;
        socket.connect(destination).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    routes.into_iter().filter_map(local_address).filter(|ip| !ip.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(listen: &[&str], bound: &[&str]) -> String {
        let listen: Vec<ListenAddr> = listen.iter().map(|text| text.parse().unwrap()).collect();
        let bound: Vec<Bound> = bound
            .iter()
            .map(|text| match text.strip_prefix("unix:") {
                Some(path) => Bound::Unix(path.into()),
                None => Bound::Ip(text.parse().unwrap()),
            })
            .collect();
        let screen =
            Screen { scheme: "http", notes: vec!["Note.".into()], ..Screen::new("Serving") };
        let outward = || vec!["10.0.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        screen.text(&listen, &bound, outward)
    }

    #[test]
    fn each_address_is_a_url_on_its_own_line() {
        assert_eq!(
            screen(&["127.0.0.1:0", "[::1]:0"], &["127.0.0.1:8000", "[::1]:8001", "unix:/run/s"]),
            "Serving\n\
             http://127.0.0.1:8000\n\
             http://[::1]:8001\n\
             unix:/run/s\n\
             Note.\n\
             Press Ctrl-C to stop.\n"
        );
    }

    #[test]
    fn unspecified_addresses_are_shown_as_urls_that_work() {
        let urls = |listen: &str, bound: &str| {
            let screen = screen(&[listen], &[bound]);
            let urls = screen.lines().filter(|line| line.starts_with("http"));
            urls.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            urls(":0", "[::]:80"),
            ["http://localhost:80", "http://10.0.0.7:80", "http://[2001:db8::7]:80"]
        );
        assert_eq!(urls("0.0.0.0:80", "0.0.0.0:80"), ["http://127.0.0.1:80", "http://10.0.0.7:80"]);
        assert_eq!(urls("[::]:80", "[::]:80"), ["http://[::1]:80", "http://[2001:db8::7]:80"]);
    }

    #[test]
    fn names_are_shown_once_each() {
        let hosts = ["www.example.org".to_owned(), "localhost".to_owned()].into();
        let screen = Screen { scheme: "https", hosts, ..Screen::default() };
        let text = screen.text(
            &[":443".parse().unwrap()],
            &[Bound::Ip("[::]:443".parse().unwrap())],
            Vec::new,
        );
        let expected =
            "https://localhost:443\nhttps://www.example.org:443\nPress Ctrl-C to stop.\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_path_cannot_forge_a_line() {
        let screen = screen(&["1"], &["unix:/run/\nhttp://evil"]);
        assert!(screen.contains("unix:/run/\\nhttp://evil\n"), "{screen}");
    }
}
