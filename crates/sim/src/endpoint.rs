//! One endpoint of a connection: the state that a kernel keeps for a socket.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use sockeye_engine::driver::Target;
use sockeye_proto::driver::Key;
use sockeye_proto::{Address, Output};

/// The number of an endpoint. It is unique in a run, so that late events are not taken for those of
/// a newer endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndpointId(pub usize);

/// What owns an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The queue of a listener: the endpoint waits to be accepted.
    Queue,
    /// A socket of the driver with this poller. `key` is `None` for an accepted socket until the
    /// driver's `set_key` is called.
    Driver { poller: usize, key: Option<Key> },
    /// The scripted peer with this index.
    Script(usize),
    /// Nothing: it is closed.
    Closed,
}

/// The state of an endpoint's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    Connecting,
    Established,
    Failed(io::ErrorKind),
}

/// One endpoint of a connection.
///
/// A delivery moves bytes from `in_flight` of one endpoint to `unread` of the other, in order. At
/// most one delivery is scheduled per direction.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) owner: Owner,
    pub(crate) state: ConnectionState,
    /// The other endpoint, once the connection is established.
    pub(crate) peer: Option<EndpointId>,
    /// The address of the other endpoint.
    pub(crate) address: Address,
    /// For a connecting endpoint: its target, and its own address.
    pub(crate) connecting_to: Option<(Target, Option<IpAddr>)>,
    /// Bytes that have arrived and were not read.
    pub(crate) unread: VecDeque<u8>,
    /// The FIN of the other endpoint has arrived, after `unread`.
    pub(crate) eof: bool,
    /// Bytes that were sent and have not arrived.
    pub(crate) in_flight: VecDeque<u8>,
    /// A FIN of this endpoint follows `in_flight`.
    pub(crate) fin_queued: bool,
    /// That FIN has arrived at the other endpoint.
    pub(crate) fin_delivered: bool,
    /// A delivery from `in_flight` is scheduled.
    pub(crate) delivery_scheduled: bool,
    /// A send has blocked. The socket must be reported as writable when there is space.
    pub(crate) waits_for_space: bool,
    /// Nothing is delivered to or from this endpoint any more.
    pub(crate) black_holed: bool,
    /// A receive has returned the failure. The next one returns the end of input.
    pub(crate) failure_reported: bool,
    /// Maximum number of bytes in `in_flight`, if it is lower than the send buffer.
    pub(crate) unsent_limit: Option<usize>,
    /// The output of a send that is not complete.
    pub(crate) pending: Option<Box<Output>>,
    /// The pending send was to be executed, but there was no space. The send waits for space.
    pub(crate) pending_waits_for_space: bool,
}

impl Endpoint {
    pub(crate) fn new(owner: Owner, state: ConnectionState, address: Address) -> Self {
        Self {
            owner,
            state,
            peer: None,
            address,
            connecting_to: None,
            unread: VecDeque::new(),
            eof: false,
            in_flight: VecDeque::new(),
            fin_queued: false,
            fin_delivered: false,
            delivery_scheduled: false,
            waits_for_space: false,
            black_holed: false,
            failure_reported: false,
            unsent_limit: None,
            pending: None,
            pending_waits_for_space: false,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.owner == Owner::Closed
    }

    pub(crate) fn failure(&self) -> Option<io::ErrorKind> {
        match self.state {
            ConnectionState::Failed(kind) => Some(kind),
            ConnectionState::Connecting | ConnectionState::Established => None,
        }
    }

    /// Whether a receive would return bytes, the end of input or an error.
    pub(crate) fn is_readable(&self) -> bool {
        !self.unread.is_empty() || self.eof || self.failure().is_some()
    }

    /// The number of bytes that a send could take, with a send buffer of `buffer` bytes.
    pub(crate) fn free_space(&self, buffer: usize) -> usize {
        self.limit(buffer).saturating_sub(self.in_flight.len())
    }

    /// Whether the socket is reported as writable after a send has blocked. As in a kernel, it is
    /// writable when a third of the buffer is free.
    pub(crate) fn has_enough_space(&self, buffer: usize) -> bool {
        let limit = self.limit(buffer);
        self.in_flight.len() < limit && self.in_flight.len() <= limit * 2 / 3
    }

    fn limit(&self, buffer: usize) -> usize {
        self.unsent_limit.map_or(buffer, |limit| limit.min(buffer))
    }

    /// Whether bytes or a FIN are to be delivered.
    pub(crate) fn has_undelivered(&self) -> bool {
        !self.in_flight.is_empty() || (self.fin_queued && !self.fin_delivered)
    }

    /// Fails the connection. Unread bytes are lost: some network stacks discard them, and a server
    /// must not depend on them.
    pub(crate) fn fail(&mut self, kind: io::ErrorKind) {
        self.state = ConnectionState::Failed(kind);
        self.unread.clear();
        self.in_flight.clear();
        self.fin_delivered = true;
    }
}
