//! The examples work. `chat` and `http_core` have files of their own.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::Signals;
use sockeye::Serving;
use tokio::runtime::{Builder, Runtime};

use crate::client::{Client, TIMEOUT, stop, until};
use crate::websockets::{Socket, closed, open, text};

#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/async_handlers.rs"]
mod async_handlers;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/axum_app.rs"]
mod axum_app;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/background_work.rs"]
mod background_work;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/graceful_stop.rs"]
mod graceful_stop;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/hello.rs"]
mod hello;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/http_events.rs"]
mod http_events;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/json_api.rs"]
mod json_api;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/line_protocol.rs"]
mod line_protocol;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/upload.rs"]
mod upload;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/websocket_chat.rs"]
mod websocket_chat;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/websocket_counter.rs"]
mod websocket_counter;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/websocket_echo.rs"]
mod websocket_echo;

fn any_port() -> sockeye::ListenAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn client(serving: &Serving) -> Client {
    Client::new(&serving.addresses()[0].to_string())
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn hello_says_hello() {
    let serving = hello::serve(any_port()).unwrap();
    let mut client = client(&serving);
    assert_eq!(client.request("GET /there").text(), "Hello! This is /there.\n");
    drop(client);
    stop(serving);
}

#[test]
fn notes_are_kept_shown_and_removed() {
    let serving = json_api::serve(any_port()).unwrap();
    let mut client = client(&serving);
    let note = json!({ "text": "buy fish" });
    let made = client.request_with_body("POST /notes", note.to_string().as_bytes());
    assert_eq!((made.status, made.text()), (201, "{\"number\":1}"));
    let read = |client: &mut Client, line: &str| -> Value {
        let answer = client.request(line);
        assert_eq!(answer.field("content-type"), Some("application/json"));
        serde_json::from_slice(&answer.body).unwrap()
    };
    assert_eq!(read(&mut client, "GET /notes/1"), note);
    assert_eq!(read(&mut client, "GET /notes"), json!({ "1": note }));
    for (line, body, status) in [
        ("POST /notes", "{", 400),
        ("POST /notes", "{}", 422),
        ("GET /notes/2", "", 404),
        ("GET /notes/x", "", 404),
        ("GET /", "", 404),
        ("PUT /notes/1", "", 405),
        ("DELETE /notes", "", 405),
        ("HEAD /notes/1", "", 200),
        ("DELETE /notes/1", "", 200),
        ("DELETE /notes/1", "", 404),
    ] {
        assert_eq!(client.request_with_body(line, body.as_bytes()).status, status, "{line}");
    }
    assert_eq!(client.request_with_body("POST /notes", &vec![b' '; 65537]).status, 413);
    drop(client);
    stop(serving);
}

#[test]
fn slow_work_is_done_on_other_threads() {
    let serving = background_work::serve(any_port()).unwrap();
    let mut client = client(&serving);
    assert_eq!(client.request("GET /count").text(), "You are number 1.\n");
    assert_eq!(client.request("GET /count").text(), "You are number 2.\n");
    assert!([200, 404].contains(&client.request("GET /host").status));
    drop(client);
    stop(serving);
}

#[test]
fn async_blocks_are_responses() {
    let runtime = runtime();
    let serving = async_handlers::serve(any_port(), runtime.handle().clone()).unwrap();
    let mut client = client(&serving);
    assert_eq!(client.request("GET /wait").text(), "That took 10 ms.\n");
    assert_eq!(client.request_with_body("POST /shout", b"Hello").text(), "HELLO");
    assert_eq!(client.request("GET /").status, 404);
    drop(client);
    stop(serving);
}

#[test]
fn an_axum_app_has_state() {
    let runtime = runtime();
    let serving = axum_app::serve(any_port(), runtime.handle()).unwrap();
    let mut client = client(&serving);
    assert_eq!(client.request("GET /hello/world").text(), "Hello, world!\n");
    assert_eq!(client.request("GET /visits").text(), "1\n");
    assert_eq!(client.request("GET /").status, 404);
    drop(client);
    stop(serving);
}

#[test]
fn a_signal_lets_responses_finish_and_a_second_one_does_not() {
    // The handler for SIGUSR1 stays for the whole test process.
    let start = |work| {
        let serving = graceful_stop::serve(any_port(), work).unwrap();
        graceful_stop::stop_on(Signals::new([SIGUSR1]).unwrap(), serving.handle());
        (client(&serving), serving)
    };
    let raise = || signal_hook::low_level::raise(SIGUSR1).unwrap();
    let connected = |serving: &Serving| {
        let server = serving.handle();
        until(|| server.connections() == 1);
    };
    let (mut client, serving) = start(Duration::from_millis(50));
    client.head("GET /", &[]);
    connected(&serving);
    raise();
    assert_eq!(client.response().text(), "done\n");
    drop(client);
    assert_eq!(serving.join().unwrap().cut, 0);

    let (mut client, serving) = start(TIMEOUT);
    client.head("GET /", &[]);
    connected(&serving);
    raise();
    // Signals that arrive together may count as one.
    let address = serving.ip_addresses().next().unwrap();
    until(|| TcpStream::connect(address).is_err());
    raise();
    assert_eq!(client.rest(), b"");
    assert_eq!(serving.join().unwrap().cut, 1);
}

#[test]
fn an_upload_is_in_the_folder_when_it_is_complete() {
    let folder = std::env::temp_dir().join(format!("sockeye-upload-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let serving = upload::serve(any_port(), &folder).unwrap();
    let address = serving.addresses()[0].to_string();
    let mut client = Client::new(&address);
    let content: Vec<u8> = (0..10_000_000_u32).map(|at| (at / 5) as u8).collect();
    assert_eq!(client.request_with_body("PUT /big.bin", &content).status, 201);
    assert!(fs::read(folder.join("big.bin")).unwrap() == content);
    assert_eq!(client.request_with_body("PUT /empty", b"").status, 201);
    assert_eq!(client.request_with_body("PUT /big.bin", b"anew").status, 201);
    assert_eq!(fs::read(folder.join("big.bin")).unwrap(), b"anew");
    for name in ["", "..", ".hidden", "a/b", "a%2fb", "..%5cx"] {
        assert_eq!(client.request_with_body(&format!("PUT /{name}"), b"x").status, 403, "{name}");
    }
    assert_eq!(client.request("GET /big.bin").status, 403);
    // An incomplete upload leaves no file.
    let mut other = Client::new(&address);
    other.head("PUT /half", &["Content-Length: 1000000"]);
    other.send(vec![b'x'; 500_000]);
    drop((client, other));
    stop(serving);
    let mut left: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["big.bin", "empty"]);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_event_reaches_all_listeners() {
    let serving = http_events::serve(any_port(), TIMEOUT).unwrap();
    let address = serving.addresses()[0].to_string();
    let mut listeners = [Client::new(&address), Client::new(&address)];
    for listener in &mut listeners {
        listener.head("GET /events", &["Accept: text/event-stream"]);
        assert_eq!(listener.response_head().status, 200);
    }
    let mut client = Client::new(&address);
    assert_eq!(client.request_with_body("POST /say", "Grüß\nGott".as_bytes()).status, 204);
    for listener in &mut listeners {
        assert_eq!(listener.chunk().unwrap(), "data: Grüß\ndata: Gott\n\n".as_bytes());
    }
    // Nobody loses events of a burst, however late they are read.
    let burst: String =
        (0..100).map(|_| "POST /say HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n!").collect();
    client.send(burst);
    (0..100).for_each(|_| assert_eq!(client.response().status, 204));
    for listener in &mut listeners {
        (0..100).for_each(|_| assert_eq!(listener.chunk().unwrap(), b"data: !\n\n"));
    }
    assert!(client.request("GET /").text().contains("EventSource"));
    drop(client);
    serving.handle().drain();
    assert!(listeners.iter_mut().all(|listener| listener.chunk().is_none()));
    drop(listeners);
    assert_eq!(serving.join().unwrap().cut, 0);
}

#[test]
fn lines_are_answered_with_their_sums() {
    let serving = line_protocol::serve(any_port()).unwrap();
    let mut client = client(&serving);
    for part in ["1 2", " 3\n\n", "-5\r\n4 x\n9"] {
        client.send(part);
    }
    client.end();
    assert_eq!(client.rest(), b"6\n0\n-5\nerror: not numbers, or too large\n");
    stop(serving);
}

#[test]
fn a_line_protocol_has_limits() {
    use sockeye::proto::harness::Harness;

    let mut peer = Harness::new(line_protocol::Sums::default());
    peer.drip(b"9223372036854775807 1\n1 1\n");
    assert_eq!(peer.output(), b"error: not numbers, or too large\n2\n");
    peer.pass(Duration::from_secs(29));
    peer.input(&[b'1'; 1024]);
    assert!(peer.fault().is_none());
    peer.input(b"1");
    assert_eq!(peer.fault().map(|fault| fault.code), Some("line_too_long"));
    // However it arrives: here, at once and with its end.
    let mut peer = Harness::new(line_protocol::Sums::default());
    peer.input(format!("1 1\n{}\n", "1".repeat(1025)).as_bytes());
    assert_eq!(peer.output(), b"2\n");
    assert_eq!(peer.fault().map(|fault| fault.code), Some("line_too_long"));

    let mut peer = Harness::new(line_protocol::Sums::default());
    peer.input(b"1");
    peer.pass(Duration::from_secs(30));
    assert_eq!(peer.fault().map(|fault| fault.code), Some("idle_timeout"));
}

#[test]
fn a_page_gets_its_messages_back() {
    let serving = websocket_echo::serve(any_port()).unwrap();
    let address = serving.addresses()[0].to_string();
    let page = client(&serving).request("GET /");
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html")));
    let mut socket = open(&address, "/echo");
    socket.send("hello".into()).unwrap();
    assert_eq!(text(&mut socket), "hello");
    drop(socket);
    stop(serving);
}

#[test]
fn members_of_a_chat_room_hear_each_other() {
    let serving = websocket_chat::serve(any_port(), false).unwrap();
    let address = serving.addresses()[0].to_string();
    assert_eq!(client(&serving).request("GET /").status, 200);
    let mut one = open(&address, "/chat");
    assert_eq!(text(&mut one), "* guest 1 has joined");
    let mut other = open(&address, "/chat");
    for member in [&mut one, &mut other] {
        assert_eq!(text(member), "* guest 2 has joined");
    }
    // Many at once are not lost.
    for number in 0..100 {
        one.write(format!("line {number}").into()).unwrap();
    }
    one.flush().unwrap();
    for number in 0..100 {
        for member in [&mut one, &mut other] {
            assert_eq!(text(member), format!("<guest 1> line {number}"));
        }
    }
    drop(one);
    assert_eq!(text(&mut other), "* guest 1 has left");
    other.send(vec![0].into()).unwrap();
    assert_eq!(closed(&mut other), (1003, "text only".into()));
    stop(serving);
}

/// Sends what a slow member doesn't read, until it has missed some.
fn outrun_a_slow_member(close_if_slow: bool) -> (Serving, Socket) {
    let serving = websocket_chat::serve(any_port(), close_if_slow).unwrap();
    let address = serving.addresses()[0].to_string();
    let mut slow = open(&address, "/chat");
    assert_eq!(text(&mut slow), "* guest 1 has joined");
    let mut fast = open(&address, "/chat");
    assert_eq!(text(&mut fast), "* guest 2 has joined");
    let said = "x".repeat(4000);
    // More than the log and all buffers of the kernel.
    for number in 0..20_000 {
        let line = format!("{number} {said}");
        fast.send(line.clone().into()).unwrap();
        let mut heard = text(&mut fast);
        if heard == "* guest 1 has left" {
            heard = text(&mut fast);
        }
        assert!(heard == format!("<guest 2> {line}"), "{}", &heard[..20]);
    }
    (serving, slow)
}

#[test]
fn a_slow_member_of_a_chat_room_misses_some() {
    let (serving, mut slow) = outrun_a_slow_member(false);
    assert_eq!(text(&mut slow), "* guest 2 has joined");
    let mut next = 0;
    let mut missed = 0;
    while next < 20_000 {
        let line = text(&mut slow);
        match line.strip_prefix("* you missed ").and_then(|line| line.strip_suffix(" messages")) {
            Some(count) => {
                missed += 1;
                next += count.parse::<u32>().unwrap();
            }
            None if line.starts_with("<guest 2>") => {
                assert!(line.starts_with(&format!("<guest 2> {next} x")), "{}", &line[..20]);
                next += 1;
            }
            None => assert_eq!(line, "* guest 2 has left"),
        }
    }
    assert!(missed > 0);
    drop(slow);
    stop(serving);
}

#[test]
fn a_slow_member_of_a_chat_room_is_closed() {
    let (serving, mut slow) = outrun_a_slow_member(true);
    let error = loop {
        match slow.read() {
            Ok(message) => assert!(!message.is_ping(), "it is still open after 30 s"),
            Err(error) => break error,
        }
    };
    // The close frame is behind what it didn't read, and 5 s may be over.
    let is_timeout = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    assert!(!matches!(&error, tungstenite::Error::Io(error) if is_timeout(error)), "{error}");
    stop(serving);
}

#[test]
fn pages_follow_a_counter() {
    let serving = websocket_counter::serve(any_port(), Duration::from_millis(1)).unwrap();
    let address = serving.addresses()[0].to_string();
    assert_eq!(client(&serving).request("GET /").status, 200);
    let mut page = open(&address, "/count");
    let number = |page: &mut Socket| text(page).parse::<u64>().unwrap();
    let first = number(&mut page);
    let mut last = first;
    while last < first + 10 {
        last = number(&mut page);
    }
    page.send("reset".into()).unwrap();
    loop {
        match number(&mut page) {
            next if next < last => break,
            next => last = next,
        }
    }
    drop(page);
    stop(serving);
}
