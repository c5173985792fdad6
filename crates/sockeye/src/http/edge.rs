//! What a server needs to have requests answered.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use sockeye_engine::Service;
use sockeye_engine::driver::Bound;
use sockeye_http::{AllowedHosts, Handlers, Limits, Server, ServerConfig};
use sockeye_proto::{Budget, Peer, Protocol};

use super::exchange::Exchange;
use super::respond::{Common, Respond};
use crate::serving::check_hosts_on_loopback;

/// A [`Respond`] as [`Handlers`] of the borrowed view, for a service that is put together by hand.
/// One for each shard, whose connections share it.
pub struct Edge<R> {
    shared: Rc<Common<R>>,
}

/// Bytes of bodies that all connections of a server may have in memory.
const COLLECTED_CONTENT: u64 = 256 * 1024 * 1024;

/// A budget for the bodies that are collected.
pub(super) fn collected() -> Arc<Budget> {
    Budget::new("bytes of collected bodies", COLLECTED_CONTENT)
}

impl<R: Respond> Edge<R> {
    /// Has requests answered by `respond`. Bodies that are collected have a budget of 256 MiB.
    #[must_use]
    pub fn new(respond: Arc<R>) -> Self {
        Self::collecting(respond, collected())
    }

    /// The same, with a budget that the shards of a server can share: bytes of collected bodies, as
    /// far as one has more than 64 KiB, from when they come until the response begins. One client has a
    /// quarter of it, a local one half. Beyond it the answer is 503.
    #[must_use]
    pub fn collecting(respond: Arc<R>, collected: Arc<Budget>) -> Self {
        Self {
            shared: Rc::new(Common {
                respond,
                collected,
                fields: RefCell::default(),
                next: Cell::default(),
            }),
        }
    }

    /// Makes the handlers of a connection's requests.
    pub fn handlers(&self) -> impl Handlers + use<R> {
        let common = Rc::clone(&self.shared);
        move |peer: &Peer| Exchange::new(Rc::clone(&common), *peer)
    }
}

impl<R> fmt::Debug for Edge<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").finish_non_exhaustive()
    }
}

/// What each worker's service is made by.
pub(super) fn service<R: Respond>(
    limits: Limits,
    collected: Arc<Budget>,
    names_itself: bool,
    hosts: Option<AllowedHosts>,
    respond: R,
) -> impl Fn(usize, &[Bound]) -> Worker<R> + Send + Sync + 'static {
    let respond = Arc::new(respond);
    move |_, bound| {
        let mut shared = ServerConfig::new(limits.clone()).names_itself(names_itself);
        if let Some(hosts) = &hosts {
            shared = shared.checking_hosts(check_hosts_on_loopback(hosts.clone(), bound));
        }
        let edge = Edge::collecting(Arc::clone(&respond), Arc::clone(&collected));
        Worker { shared: Rc::new(shared), edge }
    }
}

/// The service of one worker.
pub(super) struct Worker<R> {
    shared: Rc<ServerConfig>,
    edge: Edge<R>,
}

impl<R: Respond> Service for Worker<R> {
    fn open(&mut self, _: &Peer) -> Box<dyn Protocol> {
        Box::new(Server::new(Rc::clone(&self.shared), self.edge.handlers()))
    }
}
