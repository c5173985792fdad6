//! The connections of a server with TLS that aren't HTTPS:
//!
//! - plain HTTP, at the address of `--https-redirect`, or at a port that expects TLS, from clients
//!   that don't begin a TLS handshake. The responses are redirects, refusals, and what a CA
//!   requests to validate a name (ACME's http-01).
//! - connections by which a CA validates a name (ACME's tls-alpn-01). They are closed after the
//!   handshake.

use std::rc::Rc;

use sockeye::Service;
use sockeye::engine::Closed;
use sockeye::http_core::{Log, Outcome, RequestHead, Server, ServerConfig, Status};
use sockeye::proto::{Consumed, End, Event, Fault, Peer, Protocol, Time, Turn, WallTime};
use sockeye::tls::ACME_TLS_ALPN;

use super::redirect::{RedirectHandlers, Redirects};

/// Wraps the service of a server with TLS, and answers plain HTTP with redirects.
pub(crate) struct WithRedirects<S> {
    /// Serves connections with TLS, and those of Unix sockets.
    service: S,
    /// The configuration of plain HTTP.
    config: Rc<ServerConfig>,
    /// The number of the first listener that only redirects: see [`Redirects::first`].
    first: u32,
    handlers: RedirectHandlers,
}

impl<S> WithRedirects<S> {
    pub(crate) fn new(service: S, config: ServerConfig, redirects: Redirects) -> Self {
        let first = redirects.first;
        let handlers = RedirectHandlers(Rc::new(redirects));
        Self { service, config: Rc::new(config), first, handlers }
    }

    fn redirecting(&self) -> Box<dyn Protocol> {
        Box::new(Server::new(Rc::clone(&self.config), self.handlers.clone()))
    }
}

impl<S: Service> Service for WithRedirects<S> {
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol> {
        let alpn = peer.tls.as_deref().and_then(|tls| tls.alpn.as_deref());
        match alpn {
            Some(ACME_TLS_ALPN) => Box::new(Validated),
            _ if peer.via < self.first => self.service.open(peer),
            _ => self.redirecting(),
        }
    }

    fn open_plain(&mut self, _: &Peer) -> Option<Box<dyn Protocol>> {
        Some(self.redirecting())
    }

    fn on_closed(&mut self, closed: &Closed<'_>) {
        self.service.on_closed(closed);
    }

    fn deadline(&self) -> Option<Time> {
        self.service.deadline()
    }

    fn on_deadline(&mut self, now: Time) {
        self.service.on_deadline(now);
    }
}

/// An access log of plain HTTP requests, which passes them on to `log`. It adds a reason to
/// refusals, and to redirects at a port that expects TLS. Requests that the HTTP server itself
/// refuses have a reason already.
#[derive(Debug)]
pub(crate) struct WithReasons {
    pub(crate) log: Rc<dyn Log>,
    /// The number of the first listener that only redirects: see [`Redirects::first`].
    pub(crate) first: u32,
}

impl Log for WithReasons {
    fn on_request(
        &self,
        request: RequestHead<'_>,
        peer: &Peer,
        when: WallTime,
        notes: &mut Vec<u8>,
    ) {
        // The first byte of the notes says whether the port expects TLS. The rest belongs to `log`.
        notes.push((peer.via < self.first).into());
        self.log.on_request(request, peer, when, notes);
    }

    fn on_end(&self, notes: &[u8], outcome: &Outcome) {
        let Some((expects_tls, notes)) = notes.split_first() else { return };
        let reason = match outcome.status {
            Some(Status::MISDIRECTED_REQUEST) => Some("host_not_allowed"),
            Some(Status::PERMANENT_REDIRECT | Status::BAD_REQUEST) if *expects_tls == 1 => {
                Some("plain_http")
            }
            Some(Status::BAD_REQUEST) => Some("bad_request"),
            _ => None,
        };
        let mut outcome = *outcome;
        outcome.fault_code = outcome.fault_code.or(reason);
        self.log.on_end(notes, &outcome);
    }
}

/// Closes the connection: the handshake has already shown the CA the certificate that it asked for
/// (RFC 8737, section 3).
struct Validated;

impl Protocol for Validated {
    fn on_bytes(&mut self, input: &[u8], _: &mut Turn<'_>) -> Result<Consumed, Fault> {
        Ok(Consumed::more(input.len()))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if let Event::Open(_) = event {
            turn.end(End::Linger);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sockeye::http_core::AllowedHosts;
    use sockeye::proto::echo::Echo;
    use sockeye::proto::harness::Harness;
    use sockeye::proto::{Address, TlsInfo};

    use super::*;

    /// A boxed protocol, in a type that a [`Harness`] accepts.
    struct Opened(Box<dyn Protocol>);

    impl Protocol for Opened {
        fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
            self.0.on_bytes(input, turn)
        }

        fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
            self.0.on_event(event, turn)
        }

        fn deadline(&self) -> Option<Time> {
            self.0.deadline()
        }
    }

    #[test]
    fn the_connection_of_a_validation_is_closed_and_serves_nothing() {
        let redirects = Redirects {
            port: 8443,
            first: 1,
            checked: vec![false], // The only listener doesn't check the Host field.
            hosts: AllowedHosts::default(),
            ips: Vec::new(),
            challenges: None,
        };
        let echo = |_: &Peer| Echo::default();
        let mut service = WithRedirects::new(echo, ServerConfig::default(), redirects);
        for (alpn, end, output) in [
            (ACME_TLS_ALPN, Some(End::Linger), &b""[..]),
            (b"http/1.1", None, b"GET / HTTP/1.1\r\n"),
        ] {
            let mut tls = TlsInfo::default();
            tls.alpn = Some(alpn.into());
            let mut peer = Peer::new(Address::Unix, 0);
            peer.tls = Some(Arc::new(tls));
            let mut client = Harness::with_peer(Opened(service.open(&peer)), peer);
            client.input(b"GET / HTTP/1.1\r\n");
            assert_eq!((client.end(), &*client.output()), (end, output));
        }
    }
}
