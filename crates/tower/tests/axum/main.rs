//! axum apps and tasks of closures on the engine, with clients on TCP sockets.

#[expect(dead_code, reason = "these tests use only a part of the client")]
#[path = "../../../sockeye/tests/http/client.rs"]
mod client;
#[path = "../../../sockeye/tests/http/h2_client.rs"]
mod h2_client;

mod app;
#[expect(dead_code, reason = "its `main` is for its users")]
#[path = "../../examples/axum_websocket.rs"]
mod example;
mod flow;
mod framing;
mod http2;
mod leaving;
mod spawn;
mod upgrades;
mod websocket_client;
mod websockets;

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use sockeye::engine::Linger;
use sockeye::http::{Limits, Options};
use sockeye::{Config, Serving, Stats};
use sockeye_tower::RequestBody;
use tokio::runtime::Runtime;
use tower_service::Service;

/// A running app.
struct RunningApp {
    runtime: Runtime,
    serving: Serving,
    address: String,
}

impl RunningApp {
    fn new(app: Router) -> Self {
        Self::with(Limits::default(), app)
    }

    fn with<S>(limits: Limits, app: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        Self::with_options(Options { limits, ..Options::default() }, app)
    }

    fn with_options<S>(options: Options, app: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response, Error = Infallible, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        // Draining waits only briefly for connected clients.
        let linger = Linger { quiet: Duration::from_millis(20), ..Linger::default() };
        let config = Config { linger, ..options.config };
        let options = Options { workers: NonZeroUsize::MIN, config, ..options };
        let addresses = ["127.0.0.1:0".parse().unwrap()];
        let serving = sockeye_tower::serve(&addresses, options, runtime.handle(), app).unwrap();
        let address = serving.addresses()[0].to_string();
        Self { runtime, serving, address }
    }

    fn client(&self) -> client::Client {
        client::Client::new(&self.address)
    }

    /// Drains the service, and checks that no connection was cut.
    fn stop(self) -> Stats {
        self.serving.handle().drain();
        let stats = self.serving.join().unwrap();
        assert_eq!(stats.cut, 0);
        self.runtime.shutdown_background();
        stats
    }
}
