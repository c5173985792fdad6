//! Tests that drive a server's connection byte by byte.

mod attacks;
mod bodies;
mod exchanges;
mod h2;
mod heads;
mod hosts;
#[cfg(feature = "test-wire")]
mod json_lines;
mod late;
mod leaving;
mod logs;
mod pages;
mod prepared;
mod refusals;
mod splits;
mod streams;
mod timing;
mod wires;

use std::rc::Rc;

use bytes::Bytes;
use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Message, Peer, Ticket};

use super::{
    Answer, Body, Fields, Handler, Handlers, Request, Responder, Server, ServerConfig, Status,
};

/// Answers with the method and the path. Exceptions: `/later` answers when a job has run, `/big`
/// with more content than the output has room for, `/none` with 304, and `/error` with 404; `/read`
/// reads the content and then answers 500, and `/panic` panics.
#[derive(Debug, Default)]
struct Mirror {
    waits_for: Option<Ticket>,
}

impl Handler for Mirror {
    fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        match request.path() {
            b"/later" => {
                self.waits_for = Some(responder.run(|| "it took a while"));
                responder.later()
            }
            b"/big" => {
                let body = Bytes::from(vec![b'x'; Harness::ROOM]);
                responder.send(Status::OK, &Fields::new(), Body::Shared(&body))
            }
            b"/none" => {
                let fields = Fields::new().with("ETag", b"\"a\"").unwrap();
                responder.send(Status::NOT_MODIFIED, &fields, Body::Static(b"never sent"))
            }
            b"/read" => responder.read(),
            b"/panic" => panic!("on purpose"),
            b"/error" => {
                responder.error(Status::NOT_FOUND, &Fields::new(), "There is no such thing.")
            }
            path => {
                let text = format!("{} {}", request.method(), String::from_utf8_lossy(path));
                responder.send(Status::OK, &Fields::new(), Body::Shared(&text.into()))
            }
        }
    }

    fn on_message(
        &mut self,
        ticket: Ticket,
        body: Result<Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        assert_eq!(self.waits_for, Some(ticket));
        match body {
            Ok(message) => {
                let text = *message.downcast::<&'static str>().unwrap();
                responder.send(Status::OK, &Fields::new(), Body::Static(text.as_bytes()))
            }
            Err(Abandoned) => responder.error(Status::INTERNAL_SERVER_ERROR, &Fields::new(), ""),
        }
    }
}

/// A client of a server that uses `handlers`.
fn client_of(handlers: impl Handlers + 'static) -> Harness {
    Harness::new(Server::new(Rc::default(), handlers))
}

fn connect() -> Harness {
    client_of(|_: &Peer| Mirror::default())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// The output since the last call.
fn text(client: &mut Harness) -> String {
    String::from_utf8(client.output()).unwrap()
}

/// The output for `input`, and the client.
fn output_for(input: &[u8]) -> (String, Harness) {
    let mut client = connect();
    client.input(input);
    (text(&mut client), client)
}

/// The status codes of the responses in `output`. No body may contain a status line.
fn codes(output: &str) -> Vec<u16> {
    output.split("HTTP/1.1 ").filter_map(|response| response.get(..3)?.parse().ok()).collect()
}

#[test]
fn an_idle_connection_is_small() {
    let server = Server::new(Rc::default(), |_: &Peer| Mirror::default());
    assert!(size_of_val(&server) <= 56, "{}", size_of_val(&server));
}
