//! What the connections of one shard share: limits, the date, and room to parse in.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use sockeye_proto::{Client, Peer, WallTime};

use crate::h1::block::Block;
use crate::handling::log_buffer::LogBuffer;
use crate::semantics::date;
use crate::semantics::limits::Limits;
use crate::semantics::span::Span;
use crate::{Clients, HostCheck, Log, Request, Status};

/// What the connections of one shard share. Made once per shard, in an `Rc`.
pub struct ServerConfig {
    pub(crate) limits: Limits,
    names_itself: bool,
    // The second that `opening` was written for.
    second: Cell<Option<WallTime>>,
    /// The status line of a 200 and the fields that stand in every response.
    opening: RefCell<Vec<u8>>,
    block: Cell<Option<Box<Block>>>,
    trailers: Cell<Vec<Span>>,
    log: Option<Rc<dyn Log>>,
    clients: Option<Rc<dyn Clients>>,
    log_buffers: RefCell<Vec<LogBuffer>>,
    host_check: Option<HostCheck>,
}

/// So many log buffers are kept that no connection uses: as many as requests may be under way at once,
/// mostly.
const SPARE_LOG_BUFFERS: usize = 64;

impl ServerConfig {
    /// With these limits. Responses have no `Server` field.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            names_itself: false,
            second: Cell::new(None),
            opening: RefCell::default(),
            block: Cell::default(),
            trailers: Cell::default(),
            log: None,
            clients: None,
            log_buffers: RefCell::default(),
            host_check: None,
        }
    }

    /// Adds `Server: sockeye` to every response, or leaves it out.
    #[must_use]
    pub fn names_itself(mut self, names_itself: bool) -> Self {
        self.names_itself = names_itself;
        self.second.set(None);
        self
    }

    /// Tells `log` of every request.
    #[must_use]
    pub fn logging(mut self, log: Rc<dyn Log>) -> Self {
        self.log = Some(log);
        self
    }

    /// Has `clients` say who is charged for a request. By default, the peer of its connection.
    #[must_use]
    pub fn clients(mut self, clients: Rc<dyn Clients>) -> Self {
        self.clients = Some(clients);
        self
    }

    /// Who is charged for `request`, which came by way of `peer`.
    pub(crate) fn client(&self, peer: &Peer, request: &Request<'_>) -> Client {
        match &self.clients {
            Some(clients) => clients.client(peer, request),
            None => Client::of(peer.address),
        }
    }

    /// Checks which host is asked for. Without this, every host is answered for.
    #[must_use]
    pub fn checking_hosts(mut self, check: HostCheck) -> Self {
        self.host_check = Some(check);
        self
    }

    /// Writes what every response begins with: its status line, and the fields that are made once a
    /// second.
    #[inline(always)]
    pub(crate) fn open(&self, status: Status, now: WallTime, bytes: &mut Vec<u8>) {
        let mut opening = self.opening.borrow_mut();
        if self.second.replace(Some(now)) != Some(now) {
            self.make_opening(now, &mut opening);
        }
        if status == Status::OK {
            bytes.extend_from_slice(&opening);
        } else {
            status.with_line(|line| bytes.extend_from_slice(line));
            bytes.extend_from_slice(&opening[Status::OK_LINE.len()..]);
        }
    }

    #[cold]
    fn make_opening(&self, now: WallTime, opening: &mut Vec<u8>) {
        opening.clear();
        // Most responses have this status.
        opening.extend_from_slice(Status::OK_LINE);
        opening.extend_from_slice(b"Date: ");
        opening.extend_from_slice(&date::format(now));
        opening.extend_from_slice(b"\r\n");
        if self.names_itself {
            opening.extend_from_slice(b"Server: sockeye\r\n");
        }
    }

    /// Lends the room in which a head is parsed, with the last one's fields. It comes back by
    /// [`ServerConfig::give_back`].
    pub(crate) fn lend(&self) -> Box<Block> {
        self.block.take().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, block: Box<Block>) {
        self.block.set(Some(block));
    }

    /// Lends the room in which a trailer section is parsed.
    pub(crate) fn lend_trailers(&self) -> Vec<Span> {
        self.trailers.take()
    }

    pub(crate) fn give_back_trailers(&self, spans: Vec<Span>) {
        self.trailers.set(spans);
    }

    pub(crate) fn log(&self) -> Option<&dyn Log> {
        self.log.as_deref()
    }

    pub(crate) fn host_check(&self) -> Option<&HostCheck> {
        self.host_check.as_ref()
    }

    /// Lends a buffer for what a log has yet to hear. It comes back by [`ServerConfig::give_back_log_buffer`].
    pub(crate) fn lend_log_buffer(&self) -> LogBuffer {
        self.log_buffers.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_back_log_buffer(&self, buffer: LogBuffer) {
        let mut spare = self.log_buffers.borrow_mut();
        if spare.len() < SPARE_LOG_BUFFERS && buffer.is_worth_keeping() {
            spare.push(buffer);
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}
