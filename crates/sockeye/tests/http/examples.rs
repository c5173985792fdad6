//! The examples work.

use std::fs;

use serde_json::{Value, json};

use crate::client::{Client, stop};

#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/http_events.rs"]
mod http_events;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/http_hello.rs"]
mod http_hello;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/http_json.rs"]
mod http_json;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/http_upload.rs"]
mod http_upload;
#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/protocol.rs"]
mod protocol;

fn any_port() -> sockeye::ListenAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn hello_says_hello() {
    let serving = http_hello::serve(any_port()).unwrap();
    let mut client = Client::new(&serving.addresses()[0].to_string());
    let response = client.request("GET /there");
    assert!(response.text().starts_with("Hello, 127.0.0.1:"), "{}", response.text());
    assert!(response.text().ends_with("! This is /there.\n"), "{}", response.text());
    drop(client);
    stop(serving);
}

#[test]
fn notes_are_kept_shown_and_removed() {
    let serving = http_json::serve(any_port()).unwrap();
    let mut client = Client::new(&serving.addresses()[0].to_string());
    let note = json!({ "text": "buy fish" });
    let made = client.request_with_body("POST /notes", note.to_string().as_bytes());
    assert_eq!((made.status, made.field("location")), (201, Some("/notes/1")));
    let read = |client: &mut Client, line: &str| -> Value {
        let response = client.request(line);
        assert_eq!(response.field("content-type"), Some("application/json"));
        serde_json::from_slice(&response.body).unwrap()
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
        ("DELETE /notes/1", "", 204),
        ("DELETE /notes/1", "", 404),
    ] {
        assert_eq!(client.request_with_body(line, body.as_bytes()).status, status, "{line}");
    }
    assert_eq!(client.request_with_body("POST /notes", &vec![b' '; 65537]).status, 413);
    drop(client);
    stop(serving);
}

#[test]
fn an_upload_is_in_the_folder_when_it_is_complete() {
    let folder = std::env::temp_dir().join(format!("sockeye-upload-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let serving = http_upload::serve(any_port(), &folder).unwrap();
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
    assert_eq!(client.request("GET /big.bin").status, 404);
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
    let serving = http_events::serve(any_port(), http_events::COMMENT_INTERVAL).unwrap();
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
fn netstrings_come_back_reversed() {
    let (running, address) = protocol::serve(any_port()).unwrap();
    let mut client = Client::new(&address);
    for part in ["5:he", "llo,0:,1", ":x,"] {
        client.send(part);
    }
    client.end();
    assert_eq!(client.rest(), b"5:olleh,0:,1:x,");
    running.handle().drain();
    running.join().unwrap();
}

#[test]
fn an_invalid_netstring_ends_the_connection() {
    use sockeye::proto::harness::Harness;

    for bad in ["x", "01:a,", "4097:", "99999", "1:ab", "1,"] {
        let mut peer = Harness::new(protocol::Reverse::default());
        peer.drip(bad.as_bytes());
        assert_eq!(peer.output(), b"1:?,", "{bad}");
        assert_eq!(peer.fault().map(|fault| fault.code), Some("bad_netstring"), "{bad}");
    }
}
