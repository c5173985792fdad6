//! For services that avoid allocations: a handler of [`sockeye::http_core`]. It borrows the head of
//! a request instead of copying it, and sees the fields as they were sent, in their order.
//!
//! ```console
//! $ cargo run --example http_core 127.0.0.1:8080 &
//! $ curl -d 'Hello' http://127.0.0.1:8080/      # sent back, up to 16 MiB
//! Hello
//! $ curl http://127.0.0.1:8080/echo             # lists the fields of the request
//! Host: 127.0.0.1:8080
//! …
//! ```

use std::error::Error;
use std::mem;
use std::rc::Rc;

use sockeye::http_core::{
    Answer, Body, Fields, Handler, Method, Request, Responder, Server, ServerConfig, Status,
    Trailers,
};
use sockeye::{Config, ListenAddr, Peer, ServeError, Serving, usable_cores};

const MAX_BODY: u64 = 16 * 1024 * 1024; // bytes

#[derive(Default)]
struct Echo {
    /// The content of the response to a request without content.
    listed: Vec<u8>,
    content_type: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl Handler for Echo {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        self.content_type = request.field("content-type").map(<[u8]>::to_vec);
        if request.path() == b"/echo" && matches!(request.method(), Method::Get | Method::Head) {
            for (name, value) in request.fields() {
                self.listed.extend([name, b": ", value, b"\n"].into_iter().flatten());
            }
        } else {
            self.listed.extend_from_slice(b"ok");
        }
        responder.read_up_to(MAX_BODY)
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.body.extend_from_slice(piece);
        responder.read()
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        let (content_type, body) = match self.body.is_empty() {
            true => (Some(b"text/plain".to_vec()), mem::take(&mut self.listed)),
            false => (self.content_type.take(), mem::take(&mut self.body)),
        };
        let mut fields = Fields::new();
        if let Some(content_type) = content_type {
            fields.push("Content-Type", &content_type).expect("a received value can be sent");
        }
        responder.send(Status::OK, &fields, Body::Shared(&body.into()))
    }

    fn allow(&self) -> &'static str {
        "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    }
}

pub(crate) fn serve(address: ListenAddr) -> Result<Serving, ServeError> {
    Serving::start(&[address], usable_cores(), Config::default(), |_worker, _bound| {
        let config = Rc::new(ServerConfig::default());
        // A `Server` for each connection, and an `Echo` for each request.
        move |_: &Peer| Server::new(Rc::clone(&config), |_: &Peer| Echo::default())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let serving = serve(address.parse()?)?;
    let url = format!("http://{}", serving.addresses()[0]);
    println!("Listening at {url} - try: curl -d Hello {url}; curl {url}/echo");
    serving.join()?;
    Ok(())
}
