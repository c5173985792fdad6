//! Serves a small response with may_minihttp and one worker. Prints the server's address.

#![forbid(unsafe_code)]

use std::{error::Error, io, net::TcpListener};

use may_minihttp::{HttpServer, HttpService, Request, Response};

#[derive(Clone)]
struct Small;

impl HttpService for Small {
    fn call(&mut self, _: Request, response: &mut Response) -> io::Result<()> {
        response.header("Content-Type: text/plain").body("Hello, world.");
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    may::config().set_workers(1);
    // may_minihttp doesn't return the port that it chose, so choose a free one here.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let server = HttpServer(Small).start(address)?;
    println!("http://{address}");
    server.join().map_err(|_| "it panicked".into())
}
