//! The configuration of a shard.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use sockeye_proto::{Client, Peer};

use super::log_buffer::LogBuffer;
use crate::h1::cached_fields::CachedFields;
use crate::h1::write::CachedPreamble;
use crate::semantics::span::Span;
use crate::{HostCheck, Limits, Log, Request};

/// What the connections of one shard share: settings, and memory that they use in turn. Made once per
/// shard, in an `Rc`.
#[derive(Default)]
pub struct ServerConfig {
    pub(crate) limits: Limits,
    pub(crate) preamble: CachedPreamble,
    /// The last head's fields, and the memory in which the next head is parsed. `None` during parsing.
    pub(crate) cached_fields: Cell<Option<Box<CachedFields>>>,
    /// Memory in which a trailer section is parsed.
    pub(crate) trailers: Cell<Vec<Span>>,
    pub(crate) log: Option<Rc<dyn Log>>,
    pub(super) clients: Option<Rc<dyn Clients>>,
    /// Memory of logs that no connection uses now.
    pub(super) log_buffers: RefCell<Vec<LogBuffer>>,
    pub(crate) host_check: Option<HostCheck>,
}

impl ServerConfig {
    /// A configuration with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Adds `Server: sockeye` to every response. Default: off.
    #[must_use]
    pub fn server_header(mut self, server_header: bool) -> Self {
        self.preamble.server_header = server_header;
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
}

/// Decides who is charged for a request: the peer, or the client that a trusted proxy names.
///
/// Called only if a request makes the server hold something, so it may parse fields.
pub trait Clients: fmt::Debug {
    /// The client that sent `request`, which arrived from `peer`.
    fn client(&self, peer: &Peer, request: &Request<'_>) -> Client;
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}
