//! Who answers, and what a server needs to have them asked.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use sockeye_engine::Service;
use sockeye_engine::driver::Bound;
use sockeye_http::{AllowedHosts, Fields, Handler, Limits, Server, Shared};
use sockeye_proto::{Budget, Peer, Protocol};

use super::body::Body;
use super::exchange::Exchange;
use super::reply::Reply;
use crate::serving::check_hosts_on_loopback;

/// Answers requests: a closure or function of a [`Request`] that returns whatever a [`Reply`] is
/// made from; or a value of one's own.
///
/// All of a server's threads share it. It is called on the loop, so an answer that has to wait for
/// something is a [`Reply::later`] or a [`Reply::run`]. The peer is among the request's extensions,
/// as a [`Peer`].
///
/// Any method comes here, extension methods among them, but CONNECT and TRACE, which are refused with 405.
/// What to do with one that isn't known is for the answer to say: 501, as a rule (RFC 9110, 9.1).
///
/// A panic is a 500 for the request whose answer it was. The log has it, and nothing else is hurt.
pub trait Respond: Send + Sync + 'static {
    /// Answers `request`.
    fn respond(&self, request: Request<Body>) -> Reply;
}

impl<F, R> Respond for F
where
    F: Fn(Request<Body>) -> R + Send + Sync + 'static,
    R: Into<Reply>,
{
    fn respond(&self, request: Request<Body>) -> Reply {
        self(request).into()
    }
}

/// A [`Respond`] as a [`Handler`] of the borrowed view, for a service that is put together by hand.
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

/// What the connections of a shard share.
pub(super) struct Common<R> {
    pub(super) respond: Arc<R>,
    /// What bodies that are collected are charged to: shared by all shards of a server.
    pub(super) collected: Arc<Budget>,
    /// Room in which the fields of a reply are written.
    pub(super) fields: RefCell<Fields>,
}

impl<R: Respond> Edge<R> {
    /// Has requests answered by `respond`. Bodies that are collected have a budget of 256 MiB.
    #[must_use]
    pub fn new(respond: Arc<R>) -> Self {
        Self::collecting(respond, collected())
    }

    /// The same, with a budget that the shards of a server can share: bytes of collected bodies, as
    /// far as one has more than 64 KiB, from when they come until the reply begins. One client has a
    /// quarter of it, a local one half. Beyond it the answer is 503.
    #[must_use]
    pub fn collecting(respond: Arc<R>, collected: Arc<Budget>) -> Self {
        Self { shared: Rc::new(Common { respond, collected, fields: RefCell::default() }) }
    }

    /// Answers the requests of one connection.
    #[must_use]
    pub fn handler(&self, peer: &Peer) -> impl Handler + use<R> {
        Exchange::new(Rc::clone(&self.shared), *peer)
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
        let mut shared = Shared::new(limits.clone()).names_itself(names_itself);
        if let Some(hosts) = &hosts {
            shared = shared.checking_hosts(check_hosts_on_loopback(hosts.clone(), bound));
        }
        let edge = Edge::collecting(Arc::clone(&respond), Arc::clone(&collected));
        Worker { shared: Rc::new(shared), edge }
    }
}

/// The service of one worker.
pub(super) struct Worker<R> {
    shared: Rc<Shared>,
    edge: Edge<R>,
}

impl<R: Respond> Service for Worker<R> {
    fn open(&mut self, peer: &Peer) -> Box<dyn Protocol> {
        Box::new(Server::new(Rc::clone(&self.shared), self.edge.handler(peer)))
    }
}
