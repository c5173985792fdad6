//! An axum app on Sockeye's engine, with state and a graceful stop.
//!
//! ```console
//! $ cargo run --example axum_app 127.0.0.1:8080 &
//! $ curl http://127.0.0.1:8080/hello/world
//! Hello, world!
//! $ curl http://127.0.0.1:8080/visits
//! 1
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sockeye::ListenAddr;
use sockeye::http::{Options, ServeError, Serving};
use tokio::runtime::{Builder, Handle};

type Visits = Arc<AtomicU64>;

async fn hello(State(visits): State<Visits>, Path(name): Path<String>) -> String {
    visits.fetch_add(1, Ordering::Relaxed);
    format!("Hello, {name}!\n")
}

async fn count(State(visits): State<Visits>) -> String {
    format!("{}\n", visits.load(Ordering::Relaxed))
}

/// Starts the server. The app's handlers run as tasks on the runtime of `tasks`, which has to
/// outlive the server.
pub(crate) fn serve(address: ListenAddr, tasks: &Handle) -> Result<Serving, ServeError> {
    let app = Router::new()
        .route("/hello/{name}", get(hello))
        .route("/visits", get(count))
        .with_state(Visits::default());
    // In place of `axum::serve(listener, app)`.
    sockeye_tower::serve(&[address], Options::default(), tasks, app)
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?, runtime.handle())?;
    let server = serving.handle();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || signals.forever().for_each(|_| server.drain()));
    let url = format!("http://{}", serving.addresses()[0]);
    println!("Listening at {url} - try: curl {url}/hello/world; curl {url}/visits");
    serving.join()?; // After a signal, returns when all responses are sent, or after 30 s.
    Ok(())
}
