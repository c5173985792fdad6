//! What answers requests.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::Request;
use sockeye_http::Fields;
use sockeye_proto::Budget;

use super::body::Body;
use super::reply::Reply;

/// Answers requests: a closure or function of a [`Request`] that returns whatever a [`Reply`] is
/// made from; or a value of one's own.
///
/// All of a server's threads share it. It is called on the loop, so an answer that has to wait for
/// something is a [`Reply::later`] or a [`Reply::run`]. The peer is among the request's extensions,
/// as a [`Peer`](sockeye_proto::Peer).
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

/// What the requests of a shard share.
pub(super) struct Common<R> {
    pub(super) respond: Arc<R>,
    /// What bodies that are collected are charged to: shared by all shards of a server.
    pub(super) collected: Arc<Budget>,
    /// Room in which the fields of a response are written.
    pub(super) fields: RefCell<Fields>,
    /// The number of the next request.
    pub(super) next: Cell<u64>,
}
