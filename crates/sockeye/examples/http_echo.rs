//! Sends back what it is sent, on the borrowed view of requests: no copy is made of a head, and the
//! fields of a request are seen in their order, with their names as they were sent.
//!
//! ```sh
//! cargo run --release --example http_echo 127.0.0.1:8080
//! curl -d 'Hello' http://127.0.0.1:8080/
//! curl http://127.0.0.1:8080/echo
//! ```
//!
//! A body (up to 16 MiB, beyond it 413) comes back with its Content-Type. Without a body, or with an
//! empty one, `GET /echo` lists the request's fields as `name: value` lines, and anything else
//! answers `ok`. HEAD is answered as GET.

use std::error::Error;
use std::mem;
use std::rc::Rc;

use sockeye::http_core::{
    Answer, Body, Content, Fields, Handler, Method, Request, Responder, Server, ServerConfig,
    Status, Trailers,
};
use sockeye::{Config, ListenAddr, Peer, Running, usable_cores};

/// Bytes of a body; more are answered with 413.
const MOST: u64 = 16 * 1024 * 1024;

/// Bytes that are reserved for a body whose length is announced: memory for more is taken when it
/// has come.
const RESERVED: u64 = 64 * 1024;

/// Answers one request.
#[derive(Default)]
struct Echo {
    /// What to answer if the body turns out to be empty.
    without_body: Vec<u8>,
    /// Of the request, as it was sent.
    content_type: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl Handler for Echo {
    fn on_request(&mut self, request: &Request<'_>, reply: Responder<'_, '_>) -> Answer {
        let lists = matches!(request.method(), Method::Get | Method::Head);
        self.without_body.clear();
        if lists && request.path() == b"/echo" {
            for (name, value) in request.fields() {
                self.without_body.extend([name, b": ", value, b"\n"].into_iter().flatten());
            }
        } else {
            self.without_body.extend_from_slice(b"ok");
        }
        self.content_type = request.field("content-type").map(<[u8]>::to_vec);
        self.body = match request.content() {
            Content::None => return self.answer(reply),
            Content::Length(length) => Vec::with_capacity(length.min(RESERVED) as usize),
            Content::Chunked => Vec::new(),
        };
        reply.read_up_to(MOST)
    }

    fn on_body(&mut self, piece: &[u8], reply: Responder<'_, '_>) -> Answer {
        self.body.extend_from_slice(piece);
        reply.read()
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, reply: Responder<'_, '_>) -> Answer {
        self.answer(reply)
    }

    fn allow(&self) -> &'static str {
        "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    }
}

impl Echo {
    fn answer(&mut self, reply: Responder<'_, '_>) -> Answer {
        let (kind, body) = if self.body.is_empty() {
            (Some(b"text/plain".to_vec()), mem::take(&mut self.without_body))
        } else {
            (self.content_type.take(), mem::take(&mut self.body))
        };
        let mut fields = Fields::new();
        if let Some(kind) = kind {
            // It was a field's value when it came, so it can be one again.
            let _ = fields.push("Content-Type", &kind);
        }
        reply.send(Status::OK, &fields, Body::Shared(&body.into()))
    }
}

/// Answers at `address`, until the returned value's handle says to stop.
pub(crate) fn serve(address: ListenAddr) -> Result<(Running, String), Box<dyn Error>> {
    let server = sockeye::Server::bind(&[address], usable_cores(), Config::default())?;
    let bound = server.addresses()[0].to_string();
    let running = server.start(|_shard| {
        let shared = Rc::new(ServerConfig::default());
        move |_: &Peer| Server::new(Rc::clone(&shared), |_: &Peer| Echo::default())
    })?;
    Ok((running, bound))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let (running, bound) = serve(address.parse()?)?;
    println!("http://{bound}");
    running.join()?;
    Ok(())
}
