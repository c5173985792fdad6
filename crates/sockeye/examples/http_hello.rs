//! The smallest service: a function from a request to a response.
//!
//! ```sh
//! cargo run --example http_hello 127.0.0.1:8080
//! curl http://127.0.0.1:8080/
//! ```

use std::error::Error;

use sockeye::http::{self, Body, Options, Request, ServeError, Serving};
use sockeye::{ListenAddr, Peer};

fn hello(request: Request<Body>) -> String {
    let peer = request.extensions().get::<Peer>().expect("every request has one");
    format!("Hello, {}! This is {}.\n", peer.address, request.uri().path())
}

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    http::serve(&[address], Options::default(), hello)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    println!("http://{}", serving.addresses()[0]);
    serving.join()?;
    Ok(())
}
