//! Tests of whole connections, on the harness of `sockeye-proto`.

mod client;
mod codec;
mod cors;
mod frames_or_http;
mod http;
mod http2;
mod http_pieces;
#[cfg(feature = "test-wire")]
mod json_lines;
mod large;
mod many;
mod raw;
mod splits;
mod timing;
mod vectors;
mod websocket;

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use sockeye_http as http_core;
use sockeye_proto::harness::Harness;
use sockeye_proto::{Abandoned, Peer, Promise, Ticket};

use super::reference::Reference;
use super::{
    Answer, ContentMode, Flow, FramesOrHttp, Handler, Header, Http, Id, Limits, Message, Responder,
    Server, ServerConfig, frame,
};

fn reference_server() -> Harness {
    Harness::new(Server::new(Rc::new(Limits::default()), Reference::default()))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A frame of these bytes.
fn framed(header: &str, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(header.len()).unwrap();
    [&len.to_be_bytes(), header.as_bytes(), content].concat()
}

/// A JSON request without an id.
fn request(content: &str) -> Vec<u8> {
    request_with("", content)
}

/// A JSON request with more keys in its header. `keys` begins with a comma.
fn request_with(keys: &str, content: &str) -> Vec<u8> {
    let len = content.len();
    let header = format!(
        r#"{{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8", "content-length": {len}{keys}}}"#
    );
    framed(&header, content.as_bytes())
}

/// A JSON request with an id.
fn request_with_id(id: u64, content: &str) -> Vec<u8> {
    request_with(&format!(r#", "id": {id}, "connection": "keep-alive""#), content)
}

/// The frames in `output`.
fn frames(mut output: &[u8]) -> Vec<(Header, Message)> {
    let mut frames = Vec::new();
    while !output.is_empty() {
        let (header, len) = frame::read(output, &Limits::default()).unwrap().expect("a header");
        let end = len + usize::try_from(header.content_length).unwrap();
        let message = Message {
            content_type: header.content_type.clone(),
            content_encoding: header.content_encoding.clone(),
            content: output[len..end].to_vec().into(),
        };
        frames.push((header, message));
        output = &output[end..];
    }
    frames
}

/// The ids and results in `output`.
fn results(output: &[u8]) -> Vec<(Option<u64>, String)> {
    let result = |message: &Message| {
        let value = message.to_json().unwrap();
        value["result"].as_str().unwrap().to_owned()
    };
    let id = |header: &Header| header.id.as_ref().and_then(Id::as_number);
    frames(output).iter().map(|(header, message)| (id(header), result(message))).collect()
}

/// The code of the one error response in `output`.
fn error_code(output: &[u8]) -> String {
    let frames = frames(output);
    assert_eq!(frames.len(), 1, "{}", String::from_utf8_lossy(output));
    let value = frames[0].1.to_json().unwrap();
    assert!(value["result"].as_str().unwrap().starts_with("Error: "), "{value}");
    value["error"]["code"].as_str().unwrap().to_owned()
}

/// Answers with the string in the request, when its job has run. It answers `now` at once, drops
/// the promise for `never`, and makes none for `forgotten`.
#[derive(Debug, Default)]
struct Slow {
    cancelled: Rc<std::cell::RefCell<Vec<u64>>>,
}

impl Handler for Slow {
    fn on_message(
        &mut self,
        message: Message,
        _: &Peer,
        mut responder: Responder<'_, '_>,
    ) -> Answer {
        let Ok(value) = message.to_json() else { return responder.error("no", "no JSON") };
        match value.as_str() {
            Some("now") => responder.send(result("now")),
            Some("never") => {
                drop(responder.promise());
                responder.later()
            }
            Some("forgotten") => responder.later(),
            _ => {
                responder.run(move || value);
                responder.later()
            }
        }
    }

    fn on_settled(
        &mut self,
        _: Ticket,
        body: Result<sockeye_proto::Message, Abandoned>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match body.map(|body| *body.downcast::<Value>().unwrap()) {
            Ok(Value::String(text)) => responder.send(result(&text)),
            Ok(other) => responder.send(result(&other.to_string())),
            Err(Abandoned) => responder.fail("the work was abandoned"),
        }
    }

    fn on_cancelled(&mut self, request: u64) {
        self.cancelled.borrow_mut().push(request);
    }
}

fn result(text: &str) -> Message {
    Message::json(&json!({ "result": text })).unwrap()
}

fn slow_server() -> Harness {
    Harness::new(Server::new(Rc::new(Limits::default()), Slow::default()))
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Server<()>>() <= 120, "{}", size_of::<Server<()>>());
    assert!(size_of::<FramesOrHttp<()>>() <= 72, "{}", size_of::<FramesOrHttp<()>>());
    let http = size_of::<http_core::Server<Http<Reference>>>();
    assert!(http <= 56, "{http}");
}
