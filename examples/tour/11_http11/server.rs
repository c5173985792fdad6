//! Step 11: the pages of step 10 over HTTP/1.1.

#[path = "../10_http10/page.rs"]
mod page;

use std::env;
use std::error::Error;

use sockeye::http::{self, Body, Options, Reply, Request, Response, StatusCode};

use page::page;

/// The page with this path, as a response.
fn reply(path: &str) -> Reply {
    match page(path) {
        Some((media_type, content)) => {
            Response::builder().header("content-type", media_type).body(content).unwrap().into()
        }
        None => Reply::error(StatusCode::NOT_FOUND, "no such page"),
    }
}

/// Runs on the event loop: don't block.
fn answer(request: Request<Body>) -> Reply {
    match (request.method().as_str(), request.uri().path()) {
        ("GET" | "HEAD", path) => reply(path),
        // The content of the request is the path of a page.
        ("POST", "/") => {
            request.into_body().collect(1024, |content| reply(&String::from_utf8_lossy(&content)))
        }
        _ => Reply::error(StatusCode::NOT_IMPLEMENTED, "only GET, HEAD, and POST to /"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let serving = http::serve(&[address.parse()?], Options::default(), answer)?;
    for address in serving.ip_addresses() {
        println!("listening on port {}", address.port());
    }
    serving.join()?;
    Ok(())
}
