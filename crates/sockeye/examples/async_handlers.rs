//! Async blocks as responses, without a framework: `sockeye_tower::spawn` runs them on tokio.
//!
//! ```console
//! $ cargo run --example async_handlers 127.0.0.1:8080 &
//! $ curl http://127.0.0.1:8080/wait
//! That took 10 ms.
//! $ curl -d Hello http://127.0.0.1:8080/shout
//! HELLO
//! ```

use std::error::Error;
use std::time::Duration;

use sockeye::ListenAddr;
use sockeye::http::{self, Body, Options, Reply, Request, ServeError, Serving, StatusCode};
use tokio::runtime::{Builder, Handle};
use tokio::time::sleep;

/// Maximum size of a body, in bytes.
const MAX_BODY: u64 = 64 * 1024;

fn answer(tasks: &Handle, request: Request<Body>) -> Reply {
    match request.uri().path() {
        // The `sleep` stands for a database query. All of the block runs on threads of the runtime,
        // even the part before the first `await`.
        "/wait" => sockeye_tower::spawn(tasks, async {
            sleep(Duration::from_millis(10)).await;
            "That took 10 ms.\n"
        }),
        "/shout" => {
            let tasks = tasks.clone();
            request.into_body().collect(MAX_BODY, move |body| {
                sockeye_tower::spawn(&tasks, async move { body.to_ascii_uppercase() })
            })
        }
        _ => StatusCode::NOT_FOUND.into(),
    }
}

/// Serves at `address`. The runtime of `tasks` has to outlive the service.
pub(crate) fn serve(address: ListenAddr, tasks: Handle) -> Result<Serving, ServeError> {
    http::serve(&[address], Options::default(), move |request| answer(&tasks, request))
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?, runtime.handle().clone())?;
    let url = format!("http://{}", serving.addresses()[0]);
    println!("Listening at {url} - try: curl {url}/wait; curl -d Hello {url}/shout");
    serving.join()?;
    Ok(())
}
