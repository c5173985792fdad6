//! State that the requests of a connection share, and the deadlines that follow from it.

use std::rc::Rc;

use sockeye_proto::{DRAIN_GRACE, Peer, Stop, Time};

use super::config::ServerConfig;
use super::pending_log::PendingLog;
use crate::semantics::exchange::Exchange;
use crate::semantics::limits::Limits;

/// State that the requests of one connection share. [`Connection::split`] makes a copy for one
/// stream of HTTP/2.
pub(crate) struct Connection {
    pub(crate) config: Rc<ServerConfig>,
    /// Whether the server is stopping, or will be soon. Then HTTP/1.1 announces the close in the
    /// response to the last request that has arrived. A request with content counts as the last.
    pub(crate) stop: Stop,
    /// In HTTP/1.1: the place of the input that arrived before the drain and is still unread.
    pub(crate) unread: UnreadInput,
    /// Whether the client has closed its sending side. The server may not have read all input yet.
    pub(crate) half_closed: bool,
    /// Whether the hosts of this connection's requests are checked.
    pub(crate) checks_host: bool,
    /// Requests that are not yet logged; `None` without a log.
    pub(crate) log: Option<Box<PendingLog>>,
}

/// Where the unread input of [`Event::Drain`](sockeye_proto::Event) is: input that may have arrived
/// before the drain, and that no call has passed to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnreadInput {
    /// There is none, a call has passed it since, or the next call passes it, because no other
    /// input precedes it.
    None,
    /// It follows the unused input, which calls have passed, but the protocol has not used.
    AfterUnused,
    /// It follows the current request, which was the last one in the unused input.
    AfterRequest,
}

impl Connection {
    pub(crate) fn new(config: Rc<ServerConfig>) -> Self {
        Self {
            config,
            stop: Stop::No,
            unread: UnreadInput::None,
            half_closed: false,
            checks_host: false,
            log: None,
        }
    }

    /// Call this once the connection is established.
    pub(crate) fn open(&mut self, peer: &Peer) {
        let config = &self.config;
        let log = config.log.is_some().then(|| PendingLog::new(Rc::clone(config), peer.clone()));
        self.log = log.map(Box::new);
        self.checks_host = config.host_check.as_ref().is_some_and(|check| (check.applies)(peer));
    }

    /// The state of one stream of this connection. The stream's request, which is the last one in
    /// the log, moves to the new state.
    pub(crate) fn split(&mut self) -> Self {
        let Self { config, stop, unread, half_closed, checks_host, log } = self;
        Self {
            config: Rc::clone(config),
            stop: *stop,
            unread: *unread,
            half_closed: *half_closed,
            checks_host: *checks_host,
            log: log.as_mut().map(|log| Box::new(log.split_last())),
        }
    }

    /// Whether the server is stopping, or will be soon.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop != Stop::No
    }

    /// When to close a connection that is idle from `now` on.
    pub(crate) fn idle_deadline(&self, now: Time) -> Time {
        let idle_timeout = self.config.limits.idle_timeout;
        now + if self.stop == Stop::Drain { idle_timeout.min(DRAIN_GRACE) } else { idle_timeout }
    }

    /// When to cancel a streamed response to a client that has closed its sending side, unless the
    /// response sends something earlier.
    pub(crate) fn silence_deadline(&self, now: Time) -> Time {
        now + self.config.limits.half_closed_timeout
    }

    /// When a request's content times out, unless more of it arrives earlier.
    pub(crate) fn content_deadline(&self, now: Time) -> Time {
        now + self.config.limits.body_timeout
    }

    /// The [`Exchange::send_deadline`] of a request whose handler waits. Before the response
    /// starts: when it must start. After that: when it must send more, if the client has closed its
    /// sending side. [`Time::NEVER`] if neither limit applies. Otherwise, a deadline that is
    /// already set stays.
    pub(crate) fn send_deadline(&self, exchange: &Exchange, now: Time) -> Time {
        let Limits { half_closed_timeout, response_timeout, .. } = self.config.limits;
        let timeout = match exchange.has_started() {
            true => self.half_closed.then_some(half_closed_timeout),
            // The handler waits for the request's content, so `content_deadline` applies.
            false if exchange.wait_for.reads_content() => None,
            false => response_timeout,
        };
        match timeout {
            Some(timeout) if exchange.send_deadline == Time::NEVER => now + timeout,
            Some(_) => exchange.send_deadline,
            None => Time::NEVER,
        }
    }
}
