//! Services of `sockeye::message`, over plain sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sockeye::message::{
    self, AllowedHosts, AllowedOrigins, Encoding, Error, Message, Options, Reply, Request, Serving,
    WebSocketLimits,
};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{HandshakeError, WebSocket};

#[expect(dead_code, reason = "its main is unused here")]
#[path = "../examples/messages.rs"]
mod messages;

fn serve<R: Into<Reply>>(
    answer: impl Fn(Request) -> R + Send + Sync + 'static,
) -> (Serving, SocketAddr) {
    let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
    let serving = message::serve(&["127.0.0.1:0".parse().unwrap()], options, answer).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    (serving, address)
}

/// Drains the service, and checks that no connection was cut.
fn stop(serving: Serving) {
    serving.handle().drain();
    assert_eq!(serving.join().unwrap().cut, 0);
}

fn send(address: SocketAddr, encoding: &str, content: &[u8], more: &str) -> TcpStream {
    let header = format!(
        "{{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
         \"content-encoding\": \"{encoding}\", \"content-length\": {}{more}}}",
        content.len()
    );
    let len = u16::try_from(header.len()).unwrap().to_be_bytes();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(&[&len, header.as_bytes(), content].concat()).unwrap();
    peer
}

/// The JSON content of the only response.
fn receive(mut peer: TcpStream) -> Value {
    let mut response = Vec::new();
    peer.read_to_end(&mut response).unwrap();
    let len = usize::from(u16::from_be_bytes([response[0], response[1]]));
    serde_json::from_slice(&response[2 + len..]).unwrap()
}

fn response_to(address: SocketAddr, content: &str) -> Value {
    receive(send(address, "utf-8", content.as_bytes(), ""))
}

fn json_message(value: &Value) -> Result<Message, Error> {
    Ok(Message::json(value)?)
}

#[test]
fn a_closure_sees_the_message_and_answers_at_once() {
    let (serving, address) = serve(|request: Request| {
        assert!(request.peer.address.to_string().starts_with("127.0.0.1:"));
        assert_eq!((&*request.message.content_type, request.time_left), ("text/json", None));
        json_message(&json!([request.message.content_encoding, request.message.to_json()?]))
    });
    assert_eq!(response_to(address, "{\"a\": 1}"), json!(["utf-8", { "a": 1 }]));
    let utf16 = Encoding::Utf16.encode("\"🐟\"").unwrap();
    assert_eq!(receive(send(address, "utf-16", &utf16, "")), json!(["utf-16", "🐟"]));

    let error = response_to(address, "{");
    assert_eq!(error["error"]["code"], "bad_content");
    assert!(error["result"].as_str().unwrap().starts_with("Error: the content is not JSON"));
    stop(serving);
}

#[test]
fn a_handler_can_answer_with_an_error_code_of_its_own() {
    let (serving, address) = serve(|_: Request| Error::new("out_of_fish", "there is no fish left"));
    let expected =
        json!({ "result": "Error: there is no fish left", "error": { "code": "out_of_fish" } });
    assert_eq!(response_to(address, "1"), expected);
    stop(serving);
}

#[test]
fn other_threads_can_respond_and_a_dropped_pending_reply_is_an_error() {
    let (to_worker, requests) = mpsc::channel::<(message::PendingReply, Value)>();
    let (serving, address) = serve(move |request: Request| -> Result<Reply, Error> {
        let (to_worker, value) = (to_worker.clone(), request.message.to_json()?);
        Ok(Reply::later(move |pending| to_worker.send((pending, value)).unwrap()))
    });
    let [first, second, dropped] =
        ["1", "2", "3"].map(|content| send(address, "utf-8", content.as_bytes(), ""));
    let mut waiting: Vec<_> = requests.iter().take(3).collect();
    waiting.sort_by_key(|(_, value)| value.as_u64());
    // The last request is answered first.
    let (pending, _) = waiting.pop().unwrap();
    drop(pending);
    let error = receive(dropped);
    assert_eq!(error["error"]["code"], "internal", "{error}");
    let answering = thread::spawn(move || {
        for (pending, value) in waiting.into_iter().rev() {
            pending.send(json_message(&value));
        }
    });
    assert_eq!(receive(second), json!(2));
    assert_eq!(receive(first), json!(1));
    answering.join().unwrap();
    stop(serving);
}

#[test]
fn draining_waits_for_responses_in_flight() {
    let (to_worker, requests) = mpsc::channel::<message::PendingReply>();
    let (serving, address) = serve(move |_: Request| {
        let to_worker = to_worker.clone();
        Reply::later(move |pending| to_worker.send(pending).unwrap())
    });
    let peer = send(address, "utf-8", b"1", "");
    let pending = requests.recv().unwrap();
    serving.handle().drain();
    pending.send(json_message(&json!("at last")));
    assert_eq!(receive(peer), json!("at last"));
    assert_eq!(serving.join().unwrap().cut, 0);
}

#[test]
fn blocking_work_runs_on_the_pool_and_its_panic_is_an_error() {
    let (serving, address) = serve(|request: Request| {
        Reply::run(move || {
            let value = request.message.to_json()?;
            assert_ne!(value, json!("panic"));
            json_message(&value)
        })
    });
    assert_eq!(response_to(address, "42"), json!(42));
    assert_eq!(response_to(address, "\"panic\"")["error"]["code"], "internal");
    assert_eq!(response_to(address, "43"), json!(43));
    stop(serving);
}

#[test]
fn the_time_left_reaches_the_handler() {
    let (serving, address) = serve(|request: Request| {
        json_message(&json!(request.time_left.is_some_and(|left| left.as_secs() > 3000)))
    });
    let more = ", \"deadline-ms\": 3600000";
    assert_eq!(receive(send(address, "utf-8", b"1", more)), json!(true));
    stop(serving);
}

/// Makes a request over HTTP. Returns the status and the JSON of the response.
fn post(address: SocketAddr, content_type: &str, content: &str) -> (u16, Value) {
    let request = format!(
        "POST / HTTP/1.0\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    );
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    peer.read_to_string(&mut response).unwrap();
    let (head, content) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(content).unwrap())
}

#[test]
fn a_closure_answers_frames_and_http_alike() {
    let (serving, address) = serve(|request: Request| {
        let value = request.message.to_json()?;
        match value.as_str() {
            Some("code") => Err(Error::new("out_of_fish", "there is no fish left")),
            Some("missing") => Err(Error::new("not_found", "there is no such fish")),
            Some("later") => Ok(Reply::later(|pending| {
                thread::spawn(move || pending.send(json_message(&json!("at last"))));
            })),
            Some("dropped") => Ok(Reply::later(drop)),
            Some("run") => Ok(Reply::run(|| json_message(&json!("elsewhere")))),
            _ => Ok(Reply::from(json_message(&json!([request.message.content_type, value])))),
        }
    });
    for (content_type, content, status, expected) in [
        ("text/json", "1", 200, json!(["text/json", 1])),
        ("application/json", "1", 200, json!(["text/json", 1])),
        ("a/b; charset=utf-8", "1", 200, json!(["a/b", 1])),
        ("application/json", "\"later\"", 200, json!("at last")),
        ("application/json", "\"run\"", 200, json!("elsewhere")),
    ] {
        assert_eq!(post(address, content_type, content), (status, expected), "{content}");
    }
    for (content_type, content, status, code) in [
        ("text/json", "\"code\"", 422, "out_of_fish"),
        ("text/json", "\"missing\"", 404, "not_found"),
        ("text/json", "\"dropped\"", 500, "internal"),
        ("text/json", "{", 400, "bad_content"),
        ("a/b", "1", 415, "unsupported_encoding"),
    ] {
        let (got, error) = post(address, content_type, content);
        assert_eq!((got, &error["error"]["code"]), (status, &json!(code)), "{content}");
    }
    assert_eq!(response_to(address, "\"later\""), json!("at last"), "a frame, on the same port");
    stop(serving);
}

/// JSON of this value, with enough white space that it is parsed on the pool.
fn large(value: &str) -> String {
    format!("{value}{}", " ".repeat(message::LARGE_CONTENT))
}

#[test]
fn a_request_with_large_content_delays_no_other() {
    let (proceed, may_proceed) = mpsc::channel::<()>();
    let may_proceed = Arc::new(Mutex::new(may_proceed));
    let (serving, address) = serve(move |request: Request| {
        let value = request.message.to_json()?;
        if request.message.content.len() > message::LARGE_CONTENT {
            let may_proceed = may_proceed.lock().unwrap();
            may_proceed.recv_timeout(Duration::from_secs(20)).expect("the test continues it");
        }
        json_message(&value)
    });
    let slow = send(address, "utf-8", large("1").as_bytes(), "");
    let over_http = thread::spawn(move || post(address, "text/json", &large("2")));
    // The worker's event loop is free.
    for value in 3..10 {
        assert_eq!(response_to(address, &value.to_string()), json!(value));
    }
    proceed.send(()).unwrap();
    proceed.send(()).unwrap();
    assert_eq!(receive(slow), json!(1));
    assert_eq!(over_http.join().unwrap(), (200, json!(2)));
    stop(serving);
}

#[test]
fn large_content_can_get_every_kind_of_response() {
    let (serving, address) = serve(|request: Request| {
        let value = request.message.to_json()?;
        match value.as_str() {
            Some("later") => Ok(Reply::later(|pending| {
                thread::spawn(move || pending.send(json_message(&json!("at last"))));
            })),
            Some("dropped") => Ok(Reply::later(drop)),
            Some("run") => Ok(Reply::run(|| json_message(&json!("elsewhere")))),
            Some("panic") => panic!("on purpose"),
            Some("code") => Err(Error::new("out_of_fish", "there is no fish left")),
            _ => Ok(Reply::from(json_message(&value))),
        }
    });
    for (content, expected) in [("[1]", json!([1])), ("\"later\"", json!("at last"))] {
        assert_eq!(response_to(address, &large(content)), expected, "{content}");
    }
    assert_eq!(response_to(address, &large("\"run\"")), json!("elsewhere"));
    for (content, code) in [
        ("\"dropped\"", "internal"),
        ("\"panic\"", "internal"),
        ("\"code\"", "out_of_fish"),
        ("{", "bad_content"),
    ] {
        assert_eq!(response_to(address, &large(content))["error"]["code"], code, "{content}");
    }
    stop(serving);
}

#[test]
fn json_has_a_limit_on_its_values() {
    let limits = message::Limits { json_nodes: 10, ..message::Limits::default() };
    let options = Options { workers: NonZeroUsize::MIN, limits, ..Options::default() };
    let at = ["127.0.0.1:0".parse().unwrap()];
    let serving = message::serve(&at, options, |request: Request| request.message).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    assert_eq!(response_to(address, "[1,2,3,4,5,6,7,8,9]"), json!([1, 2, 3, 4, 5, 6, 7, 8, 9]));
    let too_many = "[1,2,3,4,5,6,7,8,9,10]";
    assert_eq!(response_to(address, too_many)["error"]["code"], "too_complex");
    let (status, error) = post(address, "application/json", too_many);
    assert_eq!((status, &error["error"]["code"]), (413, &json!("too_complex")));
    stop(serving);
}

/// Sends a request of HTTP, and reads the head of the response.
fn http(address: SocketAddr, request: &str) -> (String, TcpStream) {
    let mut peer = TcpStream::connect(address).unwrap();
    peer.write_all(request.as_bytes()).unwrap();
    let (mut head, mut byte) = (String::new(), [0]);
    while !head.ends_with("\r\n\r\n") {
        peer.read_exact(&mut byte).unwrap();
        head.push(byte[0].into());
    }
    (head, peer)
}

#[test]
fn the_example_answers_frames_http_and_websocket_on_one_port() {
    let serving = messages::serve("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = serving.ip_addresses().next().unwrap();
    let (content, expected) = (r#"{"name": "Ada"}"#, r#"{"hello": "Ada"}"#);
    assert_eq!(response_to(address, content), json!({"hello": "Ada"}));

    let post = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{content}",
        content.len()
    );
    let (head, mut peer) = http(address, &post);
    let mut response = String::new();
    peer.read_to_string(&mut response).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(response, expected);

    let (head, mut peer) = http(
        address,
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // Frames of text, without an id and with one, whose mask is zero.
    for id in ["", "{\"id\": 7}\n"] {
        let text = format!("{id}{content}");
        let header = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        peer.write_all(&[&header, text.as_bytes()].concat()).unwrap();
        let text = format!("{id}{expected}");
        let mut frame = vec![0; 2 + text.len()];
        peer.read_exact(&mut frame).unwrap();
        assert_eq!(frame, [&[0x81, text.len() as u8], text.as_bytes()].concat());
    }
    drop(peer);
    stop(serving);
}

#[test]
fn http_is_refused_if_only_frames_are_allowed() {
    let options = Options { workers: NonZeroUsize::MIN, frames_only: true, ..Options::default() };
    let at = ["127.0.0.1:0".parse().unwrap()];
    let serving = message::serve(&at, options, |request: Request| request.message).unwrap();
    let mut peer = TcpStream::connect(serving.ip_addresses().next().unwrap()).unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(receive(peer)["error"]["code"], "bad_header");
    stop(serving);
}

#[test]
fn hosts_and_origins_are_checked_as_the_options_say() {
    let hosts = AllowedHosts::default().allow("a.example").unwrap().hint("Ask us");
    let origins = AllowedOrigins::default().allow("https://app.example").hint("Ask them");
    let plain = Options { workers: NonZeroUsize::MIN, ..Options::default() };
    let strict = Options { allowed_hosts: Some(hosts), ..plain.clone() };
    let open = Options { allowed_origins: origins, ..plain.clone() };
    for (options, fields, status, expected_text) in [
        (&plain, "Host: evil.example\r\n", "200", ""),
        (&plain, "Host: a\r\nOrigin: https://app.example\r\n", "403", "another origin"),
        (&strict, "Host: a.example\r\n", "200", ""),
        (
            &strict,
            "Host: evil.example\r\n",
            "421",
            "evil.example, which is not allowed here. Ask us",
        ),
        (&open, "Host: a\r\nOrigin: https://app.example\r\n", "200", ""),
        (&open, "Host: a\r\nOrigin: https://b.example\r\n", "403", "Ask them"),
    ] {
        let at = ["127.0.0.1:0".parse().unwrap()];
        let respond = |request: Request| request.message;
        let serving = message::serve(&at, options.clone(), respond).unwrap();
        let mut peer = TcpStream::connect(serving.ip_addresses().next().unwrap()).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\n{fields}Content-Type: a/b\r\nContent-Length: 1\r\n\
             Connection: close\r\n\r\n1"
        );
        peer.write_all(head.as_bytes()).unwrap();
        let mut response = String::new();
        peer.read_to_string(&mut response).unwrap();
        assert_eq!(&response[9..12], status, "{fields}: {response}");
        assert!(response.contains(expected_text), "{fields}: {response}");
        stop(serving);
    }
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let (serving, address) = serve(|request: Request| request.message);
    let taken = [address.to_string().parse().unwrap()];
    let again = message::serve(&taken, Options::default(), |request: Request| request.message);
    let error = again.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    stop(serving);
}

/// Opens a WebSocket, from a page of `origin`. Returns the status if it is refused.
fn open(address: SocketAddr, origin: &str) -> Result<WebSocket<TcpStream>, u16> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_same_closure_answers_websockets() {
    let options = Options {
        workers: NonZeroUsize::MIN,
        allowed_origins: AllowedOrigins::default().allow("https://app.example"),
        websocket: WebSocketLimits { fragments: 2, ..WebSocketLimits::default() },
        ..Options::default()
    };
    let serving = message::serve(&["127.0.0.1:0".parse().unwrap()], options, |request| {
        let value = request.message.to_json()?;
        match value["wait"] == json!(true) {
            true => Ok(Reply::run(move || json_message(&json!({ "late": value["name"] })))),
            false => Ok::<_, Error>(json_message(&json!({ "got": value["name"] })).into()),
        }
    });
    let serving = serving.unwrap();
    let address = serving.ip_addresses().next().unwrap();
    assert_eq!(response_to(address, r#"{"name": "frame"}"#), json!({ "got": "frame" }));

    assert_eq!(open(address, "http://evil.example").unwrap_err(), 403);
    open(address, "https://app.example").unwrap();
    let mut socket = open(address, &format!("http://{address}")).unwrap();
    let mut ask = |text: &str| {
        socket.send(text.into()).unwrap();
        socket.read().unwrap().into_text().unwrap().to_string()
    };
    assert_eq!(ask(r#"{"name": "text"}"#), r#"{"got": "text"}"#);
    assert_eq!(ask("{\"id\": 7}\n{\"wait\": true, \"name\": 1}"), "{\"id\": 7}\n{\"late\": 1}");
    assert!(ask("no JSON").contains("Error: "));

    // The limits of WebSockets are those of the options.
    let part = |opcode, is_last| Frame::message("{", OpCode::Data(opcode), is_last);
    for opcode in [Data::Text, Data::Continue, Data::Continue] {
        socket.send(tungstenite::Message::Frame(part(opcode, false))).unwrap();
    }
    match socket.read().unwrap() {
        tungstenite::Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1008),
        other => panic!("{other:?}"),
    }
    drop(socket);
    stop(serving);
}
