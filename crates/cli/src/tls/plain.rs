//! Plain HTTP in a server with TLS: connections to the address of `--https-redirect`, and of clients
//! that don't begin a TLS handshake.

use std::rc::Rc;

use sockeye::Service;
use sockeye::http_core::{Server, ServerConfig};
use sockeye::proto::{Peer, Protocol, Time};

use super::redirect::{RedirectHandlers, Redirects};

/// A service with TLS that redirects plain HTTP.
pub(crate) struct WithRedirects<S> {
    /// For connections with TLS, and of Unix sockets.
    service: S,
    config: Rc<ServerConfig>,
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
        if peer.via < self.first { self.service.open(peer) } else { self.redirecting() }
    }

    fn open_plain(&mut self, _: &Peer) -> Option<Box<dyn Protocol>> {
        Some(self.redirecting())
    }

    fn deadline(&self) -> Option<Time> {
        self.service.deadline()
    }

    fn on_deadline(&mut self, now: Time) {
        self.service.on_deadline(now);
    }
}
