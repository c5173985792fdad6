//! Step 11: what step 10 does wrong, done right.

use std::io::{Read, Write};

use crate::http10::exchange;
use crate::support::{Server, rust};

/// The last request on a connection. So the server ends its side after the response.
const LAST: &str = "GET /square/3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn two_requests_on_one_connection_get_two_responses() {
    let server = Server::rust(&mut rust!("step11-server"));
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (request, status, end) in [
        ("GET /square/2 HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "\r\n\r\n4\n"),
        ("HEAD /square/2 HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "\r\n\r\n"),
        ("GET /no HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found", "no such page\n"),
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "501 Not Implemented", "POST to /\n"),
        (&format!("{post}Content-Length: 10\r\n\r\n/square/12"), "200 OK", "\r\n\r\n144\n"),
        (
            &format!(
                "{post}Transfer-Encoding: chunked\r\n\r\n3\r\n/sq\r\n7\r\nuare/12\r\n0\r\n\r\n"
            ),
            "200 OK",
            "\r\n\r\n144\n",
        ),
    ] {
        let connection = server.connect();
        let responses = exchange(connection, &format!("{request}{LAST}"));
        assert!(responses.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{responses}");
        let second = responses.rfind("HTTP/1.1 200 OK\r\n").expect("a second response");
        assert!(responses[second..].ends_with("\r\n\r\n9\n"), "{request}: {responses}");
        let first = &responses[..second];
        assert!(first.ends_with(end), "{request}: {first}");
    }
}

#[test]
fn a_client_that_expects_100_gets_it() {
    let server = Server::rust(&mut rust!("step11-server"));
    let mut connection = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n\
                Content-Length: 10\r\n\r\n";
    connection.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    connection.read_exact(&mut interim).unwrap();
    assert_eq!(interim, *b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(exchange(connection, "/square/12").ends_with("\r\n\r\n144\n"));
}

#[test]
fn a_request_whose_host_or_length_is_ambiguous_is_refused() {
    let server = Server::rust(&mut rust!("step11-server"));
    for fields in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let connection = server.connect();
        let response = exchange(connection, &format!("GET / HTTP/1.1\r\n{fields}\r\n"));
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{fields}: {response}");
    }
}

#[test]
fn no_websocket_opens() {
    let server = Server::rust(&mut rust!("step11-server"));
    let connection = server.connect();
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    assert!(exchange(connection, upgrade).starts_with("HTTP/1.1 200 OK\r\n"));
}
