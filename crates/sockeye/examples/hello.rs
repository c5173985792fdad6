//! The smallest HTTP service: a closure from a request to a response.
//!
//! ```console
//! $ cargo run --example hello 127.0.0.1:8080 &
//! $ curl http://127.0.0.1:8080/there
//! Hello! This is /there.
//! ```

use std::error::Error;

use sockeye::ListenAddr;
use sockeye::http::{self, Options, ServeError, Serving};

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    // Runs on the event loop: don't block. The example `background_work` shows what to do instead.
    http::serve(&[address], Options::default(), |request| {
        format!("Hello! This is {}.\n", request.uri().path())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    let address = &serving.addresses()[0];
    println!("Listening at http://{address} - try: curl http://{address}/there");
    serving.join()?; // Serves until the process ends. The example `graceful_stop` stops it earlier.
    Ok(())
}
