//! What a handler does instead of blocking the event loop.
//!
//! ```console
//! $ cargo run --example background_work 127.0.0.1:8080 &
//! $ curl http://127.0.0.1:8080/host     # blocking work, on a thread of the pool
//! …
//! $ curl http://127.0.0.1:8080/count    # a response from another thread
//! You are number 1.
//! ```
//!
//! For async code, see the example `async_handlers`.

use std::error::Error;
use std::fs;
use std::sync::mpsc::{self, TrySendError};
use std::thread;

use sockeye::ListenAddr;
use sockeye::http::{self, Options, PendingReply, Reply, ServeError, Serving, StatusCode};

/// Maximum number of requests that wait for the counting thread.
const MAX_WAITING: usize = 1000;

/// Answers the requests in the queue. Runs on a thread of its own, which owns the count; a database
/// client may need such a thread, too. Returns when the queue is closed, because the service has
/// stopped.
fn count(requests: mpsc::Receiver<PendingReply>) {
    for (count, pending) in (1..).zip(requests) {
        pending.send(format!("You are number {count}.\n"));
    }
}

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    let (queue, requests) = mpsc::sync_channel(MAX_WAITING);
    thread::spawn(move || count(requests));
    http::serve(&[address], Options::default(), move |request| match request.uri().path() {
        // The pool has a bounded number of threads, and clients take turns.
        "/host" => {
            Reply::run(|| fs::read_to_string("/etc/hostname").map_err(|_| StatusCode::NOT_FOUND))
        }
        "/count" => {
            let queue = queue.clone();
            Reply::later(move |pending| {
                // `try_send`, because `send` would block while the queue is full.
                match queue.try_send(pending) {
                    Ok(()) => {}
                    Err(TrySendError::Full(pending) | TrySendError::Disconnected(pending)) => {
                        pending.send(StatusCode::SERVICE_UNAVAILABLE);
                    }
                }
            })
        }
        _ => StatusCode::NOT_FOUND.into(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    let url = format!("http://{}", serving.addresses()[0]);
    println!("Listening at {url} - try: curl {url}/host; curl {url}/count");
    serving.join()?;
    Ok(())
}
