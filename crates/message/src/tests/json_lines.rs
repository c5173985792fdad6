//! Messages over the second wire of HTTP, which is for tests: requests are in flight in parallel.

use sockeye_http::JsonLines;

use super::http_pieces::StreamingHandler;
use super::*;

fn connect(handler: impl Handler + 'static) -> Harness {
    let config = Rc::new(http_core::ServerConfig::new(Limits::default().http()));
    Harness::new(JsonLines::new(config, Http::new(Rc::new(Limits::default()), handler)))
}

/// Starts a message. `content` is the length of its content, or `true` if it is not known.
fn begin(client: &mut Harness, stream: u32, content_type: &str, content: Value) {
    let fields = json!([["host", "a"], ["content-type", content_type]]);
    let line = json!({"stream": stream, "method": "POST", "path": "/", "fields": fields, "content": content});
    client.input(format!("{line}\n").as_bytes());
}

fn piece(client: &mut Harness, stream: u32, content: &[u8]) {
    let line = json!({"stream": stream, "content": content.len()});
    client.input(&[line.to_string().as_bytes(), b"\n", content].concat());
}

fn end(client: &mut Harness, stream: u32) {
    client.input(format!("{}\n", json!({"stream": stream, "end": []})).as_bytes());
}

/// Sends a whole message with JSON content.
fn send(client: &mut Harness, stream: u32, text: &str) {
    let content = json!(text).to_string();
    begin(client, stream, "text/json", json!(content.len()));
    piece(client, stream, content.as_bytes());
    end(client, stream);
}

/// The streams of the responses in `output`, in their order, with the results.
fn responses(mut output: &[u8]) -> Vec<(u64, Value)> {
    let (mut all, mut content) = (Vec::new(), std::collections::HashMap::<u64, Vec<u8>>::new());
    while !output.is_empty() {
        let end = output.iter().position(|byte| *byte == b'\n').unwrap();
        let line: Value = serde_json::from_slice(&output[..end]).unwrap();
        output = &output[end + 1..];
        let stream = line["stream"].as_u64().unwrap();
        if let Some(len) = line["content"].as_u64() {
            let (piece, rest) = output.split_at(len as usize);
            content.entry(stream).or_default().extend_from_slice(piece);
            output = rest;
        } else if line["end"].is_array() {
            let content = content.remove(&stream).unwrap();
            let content: Value = serde_json::from_slice(&content).unwrap();
            all.push((stream, content["result"].clone()));
        }
    }
    all
}

#[test]
fn responses_have_the_order_in_which_promises_are_fulfilled() {
    let mut client = connect(Slow::default());
    send(&mut client, 1, "first");
    send(&mut client, 2, "now");
    assert_eq!(responses(&client.output()), [(2, json!("now"))]);
    send(&mut client, 3, "third");
    client.run_jobs();
    assert_eq!(responses(&client.output()), [(1, json!("first")), (3, json!("third"))]);
}

#[test]
fn content_is_streamed_with_pauses() {
    let mut client = connect(StreamingHandler::default());
    begin(&mut client, 1, "a/pause", json!(true));
    piece(&mut client, 1, &[7; 20]);
    // The handler has paused: this piece waits.
    piece(&mut client, 1, &[7; 30]);
    end(&mut client, 1);
    assert_eq!(responses(&client.output()), []);
    while client.run_jobs() > 0 {}
    let paused = responses(&client.output());
    assert_eq!((paused[0].0, paused[0].1.as_str().unwrap().starts_with("50 of ")), (1, true));
    begin(&mut client, 2, "a/b", json!(5));
    piece(&mut client, 2, &[7; 5]);
    end(&mut client, 2);
    assert_eq!(responses(&client.output()), [(2, json!("5 of 5"))]);
}

#[test]
fn the_handler_is_notified_when_the_client_cancels_a_message() {
    let handler = Slow::default();
    let cancelled = Rc::clone(&handler.cancelled);
    let mut client = connect(handler);
    send(&mut client, 1, "first");
    send(&mut client, 2, "second");
    client.input(b"{\"stream\": 1, \"cancel\": true}\n");
    assert_eq!(cancelled.take(), [0]);
    client.run_jobs();
    assert_eq!(responses(&client.output()), [(2, json!("second"))]);
    assert!(cancelled.take().is_empty());
}
