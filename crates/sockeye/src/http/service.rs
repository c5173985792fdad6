//! Turns a closure that answers requests into a service that the engine runs.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use sockeye_engine::ListenAddr;
use sockeye_http::{Handlers, Server};
use sockeye_proto::{Budget, Peer};

use super::body::Body;
use super::exchange::{Exchange, RequestFn, WorkerState};
use super::options::{Options, default_budget};
use super::reply::Reply;
use super::websockets::WebSocketConfigs;
use crate::serving::{ServeError, Serving};

/// Adapts a closure to [`http_core::Handlers`](Handlers), for a service that runs without
/// [`serve`]. Make one for each worker (event loop). All connections of the worker share it.
pub struct HttpService {
    worker: Rc<WorkerState>,
}

impl HttpService {
    /// Answers requests with `answer`. Collected bodies have a budget of 256 MiB.
    #[must_use]
    pub fn new<R: Into<Reply>>(
        answer: impl Fn(Request<Body>) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::with_budget(answer, default_budget())
    }

    /// As [`HttpService::new`], with a budget for collected bodies that several workers can share:
    /// see [`Options::collected`].
    #[must_use]
    pub fn with_budget<R: Into<Reply>>(
        answer: impl Fn(Request<Body>) -> R + Send + Sync + 'static,
        collected: Arc<Budget>,
    ) -> Self {
        Self::of_worker(Arc::new(move |request| answer(request).into()), collected)
    }

    fn of_worker(request_fn: Arc<RequestFn>, collected: Arc<Budget>) -> Self {
        let worker = WorkerState {
            request_fn,
            collected,
            fields: RefCell::default(),
            next_number: Cell::default(),
            websockets: WebSocketConfigs::default(),
        };
        Self { worker: Rc::new(worker) }
    }

    /// The [`Handlers`] of one connection, which make a handler for each of its requests.
    pub fn handlers(&self) -> impl Handlers + use<> {
        let worker = Rc::clone(&self.worker);
        move |peer: &Peer| Exchange::new(Rc::clone(&worker), peer.clone())
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

/// Answers requests at `addresses` with the closure `answer`.
///
/// The service has threads of its own. It runs until [`Serving::handle`] stops it or the returned
/// value is dropped.
///
/// # Errors
///
/// [`ServeError`] if it could not start.
pub fn serve<R: Into<Reply>>(
    addresses: &[ListenAddr],
    options: Options,
    answer: impl Fn(Request<Body>) -> R + Send + Sync + 'static,
) -> Result<Serving, ServeError> {
    let answer: Arc<RequestFn> = Arc::new(move |request| answer(request).into());
    let (workers, config) = (options.workers, options.config.clone());
    Serving::start(addresses, workers, config, move |_, bound| {
        let config = Rc::new(options.server_config(bound));
        let http = HttpService::of_worker(Arc::clone(&answer), Arc::clone(&options.collected));
        move |_: &Peer| Server::new(Rc::clone(&config), http.handlers())
    })
}
