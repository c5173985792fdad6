//! What the connections of one shard share.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use sockeye_proto::{Client, Peer, Turn};

use super::log_buffer::LogBuffer;
use crate::h1::block::Block;
use crate::h1::exchange::H1Exchange;
use crate::h1::write::Opening;
use crate::semantics::span::Span;
use crate::{Clients, HostCheck, Limits, Log, Request, Status};

/// What the connections of one shard share: settings, and memory that they use in turn. Made once per
/// shard, in an `Rc`.
pub struct ServerConfig {
    pub(crate) limits: Limits,
    names_itself: bool,
    opening: Opening,
    /// Memory in which a head is parsed, with the fields of the last one. `None` while it is used.
    pub(crate) block: Cell<Option<Box<Block>>>,
    /// Memory in which a trailer section is parsed.
    pub(crate) trailers: Cell<Vec<Span>>,
    pub(crate) log: Option<Rc<dyn Log>>,
    clients: Option<Rc<dyn Clients>>,
    log_buffers: RefCell<Vec<LogBuffer>>,
    pub(crate) host_check: Option<HostCheck>,
}

/// The most log buffers that are kept while no connection uses them.
const MAX_SPARE_LOG_BUFFERS: usize = 64;

impl ServerConfig {
    /// A configuration with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            names_itself: false,
            opening: Opening::default(),
            block: Cell::default(),
            trailers: Cell::default(),
            log: None,
            clients: None,
            log_buffers: RefCell::default(),
            host_check: None,
        }
    }

    /// Adds `Server: sockeye` to every response. Default: off.
    #[must_use]
    pub fn names_itself(mut self, names_itself: bool) -> Self {
        self.names_itself = names_itself;
        self
    }

    /// Notifies `log` of every request.
    #[must_use]
    pub fn logging(mut self, log: Rc<dyn Log>) -> Self {
        self.log = Some(log);
        self
    }

    /// Decides who is charged for a request. Default: the peer of its connection.
    #[must_use]
    pub fn clients(mut self, clients: Rc<dyn Clients>) -> Self {
        self.clients = Some(clients);
        self
    }

    /// Refuses requests for other hosts than these. Default: all hosts are answered.
    #[must_use]
    pub fn checking_hosts(mut self, check: HostCheck) -> Self {
        self.host_check = Some(check);
        self
    }

    /// The client that is charged for `request`, which arrived from `peer`.
    pub(crate) fn client(&self, peer: &Peer, request: &Request<'_>) -> Client {
        match &self.clients {
            Some(clients) => clients.client(peer, request),
            None => Client::of(peer.address),
        }
    }

    /// Writes the start of a response as HTTP/1.1, and then what `fill` appends.
    #[inline(always)]
    pub(crate) fn write_h1_head(
        &self,
        h1: &H1Exchange,
        status: Status,
        turn: &mut Turn<'_>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        h1.write_head(&self.opening, self.names_itself, status, turn, fill);
    }

    /// Lends memory for what a log has not been told yet.
    pub(crate) fn lend_log_buffer(&self) -> LogBuffer {
        self.log_buffers.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_back_log_buffer(&self, buffer: LogBuffer) {
        let mut spare = self.log_buffers.borrow_mut();
        if spare.len() < MAX_SPARE_LOG_BUFFERS && buffer.is_worth_keeping() {
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
