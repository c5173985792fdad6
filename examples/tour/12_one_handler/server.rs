//! Step 12: the pages of step 10 over TLS, in HTTP/1.1, HTTP/2 and WebSockets.

#[path = "../10_http10/page.rs"]
mod page;

use std::env;
use std::error::Error;
use std::path::Path;

use sockeye::http::{self, Body, Options, Reply, Request, Response, StatusCode, ws};
use sockeye::tls::{CertificateStore, SelfSigned, Settings};

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
        (_, "/socket") => ws::on_message(&request, |message, socket| {
            let page = message.text().and_then(page);
            socket.send(page.as_ref().map_or("no such page\n", |(_, content)| content));
        }),
        ("GET" | "HEAD", path) => reply(path),
        // The content of the request is the path of a page.
        ("POST", "/") => {
            request.into_body().collect(1024, |content| reply(&String::from_utf8_lossy(&content)))
        }
        _ => Reply::error(StatusCode::NOT_IMPLEMENTED, "only GET, HEAD, and POST to /"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:5000".into());
    let folder = args.next().unwrap_or_else(|| "../../target/certificate".into());
    let certificate = SelfSigned::open(Path::new(&folder), &[])?;
    let store = CertificateStore::open(vec![certificate.pair()], Settings::default())?;
    let options = Options::default().with_tls(store.acceptor());
    let serving = http::serve(&[address.parse()?], options, answer)?;
    for address in serving.ip_addresses() {
        println!("listening on port {}", address.port());
    }
    serving.join()?;
    Ok(())
}
