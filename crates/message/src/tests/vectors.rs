//! Exchanges with the Python client and server, byte for byte.

use std::cell::RefCell;

use sockeye_proto::{End, Turn};

use super::super::{Client, ClientAction, ClientConfig, ClientEnd, ClientHandler};
use super::*;

/// A request of the Python client, and the response of the Python server, if it has one.
struct Vector {
    args: Vec<String>,
    request: Vec<u8>,
    response: Option<Vec<u8>>,
}

fn vectors() -> Vec<Vector> {
    let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let vector = |one: &Value| Vector {
        args: one["client_args"].as_array().into_iter().flatten().map(text).collect(),
        request: unhex(&text(&one["request_hex"])),
        response: one["response_hex"].as_str().map(unhex),
    };
    let vectors: Vec<Vector> = all.as_array().unwrap().iter().map(vector).collect();
    assert!(vectors.len() >= 10);
    vectors
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

#[test]
fn our_server_answers_the_python_client_byte_for_byte() {
    for Vector { request, response, .. } in vectors() {
        let mut at_once = reference_server();
        at_once.input(&request);
        let mut dripped = reference_server();
        dripped.drip(&request);
        for mut client in [at_once, dripped] {
            let output = client.output();
            match &response {
                Some(response) => assert_eq!(&output, response),
                // The Python server never answers an empty request.
                None => assert!(output.ends_with(b"First 10 bytes of request: ")),
            }
            assert_eq!(client.end(), Some(End::Close));
        }
    }
}

/// Sends one message and keeps the responses.
struct One {
    message: Option<Message>,
    record: Rc<RefCell<(Vec<Message>, Option<ClientEnd>)>>,
}

impl ClientHandler for One {
    fn next_message(&mut self) -> Option<Message> {
        self.message.take()
    }
    fn on_response(&mut self, number: u64, response: Message, _: &mut Turn<'_>) -> ClientAction {
        assert_eq!(number, 0);
        self.record.borrow_mut().0.push(response);
        ClientAction::Continue
    }
    fn on_end(&mut self, ending: ClientEnd) {
        self.record.borrow_mut().1 = Some(ending);
    }
}

/// The message that the Python client makes of its arguments.
fn message_of(args: &[String]) -> Message {
    match &args[0][..] {
        "search" => Message::json(&json!({ "action": args[0], "value": args[1] })).unwrap(),
        _ => Message::binary("binary/custom-client-binary-type", args.concat().into_bytes()),
    }
}

#[test]
fn our_client_matches_the_python_client_byte_for_byte() {
    for Vector { args, request, response } in vectors() {
        if args.is_empty() {
            continue;
        }
        for drip in [false, true] {
            let record = Rc::default();
            let one = One { message: Some(message_of(&args)), record: Rc::clone(&record) };
            let mut server = Harness::new(Client::new(ClientConfig::default(), one));
            assert_eq!(server.output(), request);
            let Some(response) = &response else {
                server.eof();
                let unanswered = ClientEnd::Closed { unanswered: 1, mid_response: false };
                assert_eq!(record.borrow().1, Some(unanswered));
                continue;
            };
            if drip {
                server.drip(response);
            } else {
                server.input(response);
            }
            server.output();
            let (responses, ending) = &*record.borrow();
            assert_eq!(responses, &[frames(response)[0].1.clone()]);
            assert_eq!(ending, &Some(ClientEnd::Completed));
        }
    }
}
