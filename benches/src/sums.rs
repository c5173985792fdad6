//! The server of the benchmark `mix`: it adds the numbers in a request's query and the number in
//! its body, and responds with the sum.
//!
//! ```text
//! sockeye-benches sums
//! ```

use std::{io::Write, num::NonZeroUsize, rc::Rc};

use sockeye::{
    Bound, Config, Peer, Protocol, Server, Service,
    http_core::{
        self, Answer, Body, Content, Fields, Handler, Request, Responder, ServerConfig, Status,
        Trailers,
    },
};

use crate::Result;

/// Prints the server's URLs, and serves until the process is killed.
pub(crate) fn run() -> Result<()> {
    let server = Server::bind(&["127.0.0.1:0".parse()?], NonZeroUsize::MIN, Config::default())?;
    for address in server.addresses() {
        if let Bound::Ip(address) = address {
            println!("http://{address}");
        }
    }
    // A signal ends the process.
    server.start(|_worker| service())?.join()?;
    Ok(())
}

/// The service of one worker (event loop).
pub(crate) fn service() -> impl Service {
    let shared = Rc::new(ServerConfig::default());
    let fields = Fields::new().with("Content-Type", b"text/plain");
    let fields = Rc::new(fields.unwrap_or_default());
    move |_: &Peer| -> Box<dyn Protocol> {
        let fields = Rc::clone(&fields);
        let sums = move |_: &Peer| Sums { sum: 0, number: 0, fields: Rc::clone(&fields) };
        Box::new(http_core::Server::new(Rc::clone(&shared), sums))
    }
}

struct Sums {
    /// The sum of the numbers in the query.
    sum: u64,
    /// The number in the body, as far as it has arrived.
    number: u64,
    fields: Rc<Fields>,
}

impl Sums {
    fn answer(&self, responder: Responder<'_, '_>) -> Answer {
        let mut text = [0; 20];
        let mut rest = &mut text[..];
        let _ = write!(rest, "{}", self.sum.wrapping_add(self.number));
        let left = rest.len();
        let text = &text[..20 - left];
        responder.send(Status::OK, &self.fields, Body::Copied(text))
    }
}

impl Handler for Sums {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let query = request.query().unwrap_or_default();
        let values = query.split(|byte| *byte == b'&').filter_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            Some(pair[at + 1..].iter().fold(0, add))
        });
        self.sum = values.fold(0, u64::wrapping_add);
        self.number = 0;
        match request.content() {
            Content::None => self.answer(responder),
            Content::Length(_) | Content::Chunked => responder.read(),
        }
    }

    fn on_body(&mut self, piece: &[u8], responder: Responder<'_, '_>) -> Answer {
        self.number = piece.iter().fold(self.number, add);
        responder.read()
    }

    fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
        self.answer(responder)
    }
}

/// Appends a digit to a number, and ignores any other character.
fn add(number: u64, byte: &u8) -> u64 {
    match byte {
        b'0'..=b'9' => number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
        _ => number,
    }
}
