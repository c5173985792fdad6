//! One port for frames and HTTP: the first bytes of a connection tell which it is.
//!
//! A [`Port`] reads nothing. As soon as the bytes that have come can only be one of the two, it hands
//! the connection to a [`Server`] of frames or to an [`http_core::Server`], which begin with the first
//! byte. Until then it does what frames are owed: what is too slow, or ends in the middle, is
//! answered with a frame. Each of the two counts its deadlines from when it gets the connection.

use std::fmt;
use std::mem;
use std::rc::Rc;

use sockeye_http as http_core;
use sockeye_proto::{
    Address, Consumed, DRAIN_GRACE, End, Event, Fault, Peer, Protocol, Stop, Time, Turn,
};

use super::fault::{Refusal, idle};
use super::http::Rules;
use super::{AllowedOrigins, Handler, Header, Http, Limits, Server, frame};

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Frames, good or bad.
    Frames,
    /// HTTP, good or bad.
    Http,
    /// TLS, which is not spoken here. HTTP has an answer to that.
    Tls,
}

impl Spoken {
    /// What a connection is that begins with these bytes; `None` where more are needed, of which
    /// there are never more than three.
    ///
    /// - Three characters of a token (RFC 9110, 5.6.2), which a method is, are HTTP. They are no
    ///   frame: its third byte is a `{` or blank.
    /// - A TLS record of type 22, major version 3 and a minor version below 5 is TLS.
    /// - Anything else is a frame, or its fault; also a blank line in front of a request, which HTTP
    ///   forgives where requests follow one another.
    ///
    /// ```
    /// use sockeye_message::Spoken;
    ///
    /// assert_eq!(Spoken::of(b"PO"), None); // A header may have 20,559 bytes.
    /// assert_eq!(Spoken::of(b"POS"), Some(Spoken::Http));
    /// assert_eq!(Spoken::of(b"PO{"), Some(Spoken::Frames));
    /// assert_eq!(Spoken::of(b"\0"), Some(Spoken::Frames));
    /// ```
    #[must_use]
    pub fn of(first: &[u8]) -> Option<Self> {
        let is_token = |bytes: &[u8]| bytes.iter().all(|byte| http_core::is_token_byte(*byte));
        match first {
            [] | [0x16] | [0x16, 3] => None,
            [0x16, 3, 0..5, ..] => Some(Self::Tls),
            [a, b, c, ..] if is_token(&[*a, *b, *c]) => Some(Self::Http),
            [_] | [_, _] if is_token(first) => None,
            _ => Some(Self::Frames),
        }
    }
}

/// What the connections of one shard share that may speak frames or HTTP. Made once per shard, in an
/// `Rc`.
#[derive(Debug)]
pub struct ServerConfig {
    rules: Rc<Rules>,
    http: Rc<http_core::ServerConfig>,
    frames_only: bool,
}

impl ServerConfig {
    /// With these limits, which hold for both: the deadlines are the same, a request's body is a
    /// message's content. A request's head has the limits of [`http_core::Limits`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let http = http_core::ServerConfig::new(limits.http());
        let rules = Rules { limits: Rc::new(limits), origins: AllowedOrigins::default() };
        Self { rules: Rc::new(rules), http: Rc::new(http), frames_only: false }
    }

    /// Checks which host is asked for over HTTP. Without this, every host is answered for.
    #[must_use]
    pub fn checking_hosts(mut self, check: http_core::HostCheck) -> Self {
        let http = http_core::ServerConfig::new(self.rules.limits.http());
        self.http = Rc::new(http.checking_hosts(check));
        self
    }

    /// Lets pages of these origins send messages over HTTP. Without this, pages of the server's own
    /// origin alone may.
    #[must_use]
    pub fn allowing_origins(mut self, origins: AllowedOrigins) -> Self {
        let limits = Rc::clone(&self.rules.limits);
        self.rules = Rc::new(Rules { limits, origins });
        self
    }

    /// Has connections speak frames and nothing else, or both.
    #[must_use]
    pub fn frames_only(mut self, frames_only: bool) -> Self {
        self.frames_only = frames_only;
        self
    }

    /// A connection that `handler` answers.
    pub fn open<H: Handler + 'static>(self: &Rc<Self>, handler: H) -> Box<dyn Protocol> {
        if self.frames_only {
            return Box::new(Server::new(Rc::clone(&self.rules.limits), handler));
        }
        Box::new(Port::new(Rc::clone(self), handler))
    }
}

/// A connection of which nobody knows yet what it speaks.
pub struct Port<H> {
    shared: Rc<ServerConfig>,
    peer: Peer,
    expects: Expects,
    /// When it is given up.
    until: Time,
    stop: Stop,
    /// Gone when the connection is another's.
    handler: Option<H>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The first byte.
    First,
    /// The second or third, which tells.
    Second,
}

impl<H: Handler + 'static> Port<H> {
    /// A connection that `handler` answers, whatever it speaks.
    pub fn new(shared: Rc<ServerConfig>, handler: H) -> Self {
        Self {
            shared,
            peer: Peer { address: Address::Unix, via: 0 },
            expects: Expects::First,
            until: Time::NEVER,
            stop: Stop::No,
            handler: Some(handler),
        }
    }

    /// Hands the connection to who knows what it speaks.
    fn hand_over(&self, spoken: Spoken, handler: H, turn: &mut Turn<'_>) {
        let rules = &self.shared.rules;
        turn.switch_to(match spoken {
            Spoken::Frames => {
                Box::new(Server::new(Rc::clone(&rules.limits), handler).stopping(self.stop))
            }
            Spoken::Http | Spoken::Tls => {
                let handler = Http::with(Rc::clone(rules), handler);
                let server = http_core::Server::new(Rc::clone(&self.shared.http), handler);
                Box::new(server.stopping(self.stop))
            }
        });
    }

    fn on_deadline(&self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if turn.now() < self.until {
            return Ok(());
        }
        let Limits { idle_timeout, header_timeout, .. } = &*self.shared.rules.limits;
        match self.expects {
            // A client that is sending just now shall not find its request reset.
            Expects::First if self.stop == Stop::Drain => {
                turn.end(End::Linger);
                Ok(())
            }
            Expects::First => Err(idle(*idle_timeout)),
            Expects::Second => Err(refuse(Refusal::header_timeout(*header_timeout), turn)),
        }
    }

    fn on_eof(&self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match self.expects {
            Expects::First => turn.end(End::Close),
            Expects::Second => return Err(refuse(Refusal::incomplete_header(), turn)),
        }
        Ok(())
    }
}

/// Writes the response that a refused frame earns. Returns the fault that ends the connection.
fn refuse(refusal: Refusal, turn: &mut Turn<'_>) -> Fault {
    let reply = refusal.reply();
    // Its header is small.
    let _ = frame::write(&Header::of(&reply), reply.content, turn.out);
    refusal.fault()
}

impl<H: Handler + 'static> Protocol for Port<H> {
    fn on_bytes(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Consumed, Fault> {
        match (Spoken::of(input), self.handler.take()) {
            (Some(spoken), Some(handler)) => self.hand_over(spoken, handler, turn),
            (_, handler) => {
                self.handler = handler;
                if mem::replace(&mut self.expects, Expects::Second) == Expects::First {
                    self.until = turn.now() + self.shared.rules.limits.header_timeout;
                }
            }
        }
        Ok(Consumed::more(0))
    }

    fn on_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match event {
            Event::Open(peer) => {
                self.peer = *peer;
                self.until = turn.now() + self.shared.rules.limits.idle_timeout;
            }
            Event::Eof { .. } => return self.on_eof(turn),
            Event::Deadline => return self.on_deadline(turn),
            Event::LameDuck => self.stop = Stop::LameDuck,
            Event::Drain { .. } => {
                self.stop = Stop::Drain;
                if self.expects == Expects::First {
                    self.until = self.until.min(turn.now() + DRAIN_GRACE);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.until).filter(|until| *until < Time::NEVER)
    }

    fn idle_since(&self) -> Option<Time> {
        match self.expects {
            Expects::First => self.until.checked_sub(self.shared.rules.limits.idle_timeout),
            Expects::Second => None,
        }
    }
}

impl<H> fmt::Debug for Port<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("expects", &self.expects).finish_non_exhaustive()
    }
}
