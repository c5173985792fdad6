//! One port for HTTP and for frames, which carry this crate's messages without HTTP. The first
//! bytes of a connection show which of the two it carries. A WebSocket begins as HTTP.
//!
//! A [`FramesOrHttp`] consumes no input. As soon as the bytes show the protocol, it switches the
//! connection to a [`Server`] for frames or an [`http_core::Server`], which reads from the first
//! byte and starts its timeouts. If the first bytes stay incomplete, the error is sent in a frame.
//! If a TLS handshake has chosen HTTP/2 (ALPN), the connection is switched before its first byte.

use std::fmt;
use std::mem;
use std::rc::Rc;

use sockeye_http::{self as http_core, AllowedOrigins, ws};
use sockeye_proto::{Consumed, DRAIN_GRACE, End, Event, Fault, Peer, Protocol, Stop, Time, Turn};

use super::connection_state::HttpRules;
use super::peer_protocol::PeerProtocol;
use super::refusal::{Refusal, idle};
use super::request::PendingRequest;
use super::{Handler, Http, Limits, Server};

/// The configuration that the connections of one worker (event loop) share.
#[derive(Debug)]
pub struct ServerConfig {
    rules: Rc<HttpRules>,
    http: Rc<http_core::ServerConfig>,
    frames_only: bool,
}

impl ServerConfig {
    /// Applies these limits to frames and, converted by [`Limits::http`], to HTTP.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let http = http_core::ServerConfig::new(limits.http());
        let websocket = limits.websocket();
        let rules = HttpRules::new(Rc::new(limits), AllowedOrigins::default(), websocket);
        Self { rules: Rc::new(rules), http: Rc::new(http), frames_only: false }
    }

    /// Checks the host of HTTP requests. Default: every host is allowed.
    #[must_use]
    pub fn checking_hosts(self, check: http_core::HostCheck) -> Self {
        self.with_http(|http| http.checking_hosts(check))
    }

    /// Notifies `log` of every HTTP request; frames are not logged. Default: no log.
    #[must_use]
    pub fn logging(self, log: Rc<dyn http_core::Log>) -> Self {
        self.with_http(|http| http.logging(log))
    }

    /// Sets whether clients may speak HTTP/2: see [`http_core::ServerConfig::http2`]. Default: on.
    #[must_use]
    pub fn http2(self, http2: bool) -> Self {
        self.with_http(|http| http.http2(http2))
    }

    fn with_http(
        mut self,
        change: impl FnOnce(http_core::ServerConfig) -> http_core::ServerConfig,
    ) -> Self {
        // `into_inner` never fails: nothing shares this value before the first connection.
        let http = Rc::into_inner(self.http).unwrap_or_default();
        self.http = Rc::new(change(http));
        self
    }

    /// Allows pages of these origins to send messages over HTTP and WebSocket. Default: only pages
    /// of the server's own origin.
    #[must_use]
    pub fn allowing_origins(self, origins: AllowedOrigins) -> Self {
        let websocket = self.rules.websocket.limits().clone();
        self.with_rules(origins, websocket)
    }

    /// Applies these limits to WebSockets, except [`ws::Limits::message`]: the maximum size of a
    /// message follows from [`Limits::header`] and [`Limits::content`]. Default:
    /// [`Limits::websocket`].
    #[must_use]
    pub fn websocket(self, limits: ws::Limits) -> Self {
        let origins = self.rules.origins.clone();
        self.with_rules(origins, limits)
    }

    fn with_rules(mut self, origins: AllowedOrigins, websocket: ws::Limits) -> Self {
        let limits = Rc::clone(&self.rules.limits);
        self.rules = Rc::new(HttpRules::new(limits, origins, websocket));
        self
    }

    /// Sets whether connections carry frames only. Default: frames or HTTP.
    #[must_use]
    pub fn frames_only(mut self, frames_only: bool) -> Self {
        self.frames_only = frames_only;
        self
    }

    /// Creates the protocol of one connection, whose messages `handler` answers.
    pub fn open<H: Handler + 'static>(self: &Rc<Self>, handler: H) -> Box<dyn Protocol> {
        if self.frames_only {
            return Box::new(Server::new(Rc::clone(&self.rules.limits), handler));
        }
        Box::new(FramesOrHttp::new(Rc::clone(self), handler))
    }
}

/// The protocol of a connection until [`PeerProtocol::detect`] has a result.
pub struct FramesOrHttp<H> {
    config: Rc<ServerConfig>,
    expects: Expects,
    /// When the connection times out.
    timeout_at: Time,
    /// Which event of a stopping server came last. Passed on to the detected protocol.
    stop: Stop,
    /// `None` once the protocol is detected.
    handler: Option<H>,
}

/// Which byte is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The first byte.
    FirstByte,
    /// The second or the third byte.
    LaterByte,
}

impl<H: Handler + 'static> FramesOrHttp<H> {
    /// Creates the protocol of one connection. `handler` answers its messages, in frames or over
    /// HTTP.
    pub fn new(config: Rc<ServerConfig>, handler: H) -> Self {
        Self {
            config,
            expects: Expects::FirstByte,
            timeout_at: Time::NEVER,
            stop: Stop::No,
            handler: Some(handler),
        }
    }

    /// Replaces this protocol with the detected one.
    fn switch(&self, protocol: PeerProtocol, handler: H, turn: &mut Turn<'_>) {
        let rules = &self.config.rules;
        turn.switch_to(match protocol {
            PeerProtocol::Frames => {
                Box::new(Server::new(Rc::clone(&rules.limits), handler).stopping(self.stop))
            }
            // The HTTP server answers TLS, on a port without TLS, with an error.
            PeerProtocol::Http | PeerProtocol::Tls => {
                let handler = Http::with(Rc::clone(rules), handler);
                let server = http_core::Server::new(Rc::clone(&self.config.http), handler);
                Box::new(server.with_stop(self.stop))
            }
        });
    }

    fn on_deadline(&self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if turn.now() < self.timeout_at {
            return Ok(());
        }
        let Limits { idle_timeout, header_timeout, .. } = &*self.config.rules.limits;
        match self.expects {
            // Lingers, so that a request that is on its way doesn't cause a reset.
            Expects::FirstByte if self.stop == Stop::Drain => {
                turn.end(End::Linger);
                Ok(())
            }
            Expects::FirstByte => Err(idle(*idle_timeout)),
            Expects::LaterByte => {
                let refusal = Refusal::header_timeout(*header_timeout);
                Err(PendingRequest::unread().refuse(refusal, turn))
            }
        }
    }
}

/// Whether the TLS handshake has chosen HTTP/2 (ALPN). Then the server is started at once, because
/// HTTP/2 servers send before they have read anything.
fn is_http2(peer: &Peer) -> bool {
    peer.tls.as_deref().is_some_and(|tls| tls.alpn.as_deref() == Some(b"h2"))
}

impl<H: Handler + 'static> Protocol for FramesOrHttp<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        match (PeerProtocol::detect(input), self.handler.take()) {
            (Some(protocol), Some(handler)) => self.switch(protocol, handler, turn),
            (_, handler) => {
                self.handler = handler;
                if mem::replace(&mut self.expects, Expects::LaterByte) == Expects::FirstByte {
                    self.timeout_at = turn.now() + self.config.rules.limits.header_timeout;
                }
            }
        }
        Ok(Consumed::more(0))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) if is_http2(peer) => {
                if let Some(handler) = self.handler.take() {
                    self.switch(PeerProtocol::Http, handler, turn);
                }
            }
            Event::Open(_) => self.timeout_at = turn.now() + self.config.rules.limits.idle_timeout,
            Event::Eof { .. } if self.expects == Expects::FirstByte => turn.end(End::Close),
            Event::Eof { .. } => {
                return Err(PendingRequest::unread().refuse(Refusal::incomplete_header(), turn));
            }
            Event::Deadline => return self.on_deadline(turn),
            Event::LameDuck => self.stop = Stop::LameDuck,
            Event::Drain { .. } => {
                self.stop = Stop::Drain;
                if self.expects == Expects::FirstByte {
                    self.timeout_at = self.timeout_at.min(turn.now() + DRAIN_GRACE);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.timeout_at).filter(|timeout_at| *timeout_at < Time::NEVER)
    }

    fn idle_since(&self) -> Option<Time> {
        match self.expects {
            Expects::FirstByte => {
                self.timeout_at.checked_sub(self.config.rules.limits.idle_timeout)
            }
            Expects::LaterByte => None,
        }
    }
}

impl<H> fmt::Debug for FramesOrHttp<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramesOrHttp").field("expects", &self.expects).finish_non_exhaustive()
    }
}
