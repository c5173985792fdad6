//! Step 10, and what step 11 finds wrong with it.

use std::io::{Read, Write};

use crate::support::{Server, rust};

/// Sends this, and returns what comes back until the server ends its side.
pub(crate) fn exchange(mut connection: impl Read + Write, request: &str) -> String {
    connection.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    response
}

fn ask(server: &Server, request: &str) -> String {
    exchange(server.connect(), request)
}

#[test]
fn a_request_gets_a_page_and_the_connection_ends() {
    let server = Server::rust(&mut rust!("step10-server"));
    let page = ask(&server, "GET / HTTP/1.0\r\n\r\n");
    assert!(page.starts_with("HTTP/1.0 200 OK\r\nContent-Type: text/html;"), "{page}");
    assert!(page.contains("<h1>Squares</h1>"), "{page}");
    assert!(server.program.line().starts_with("connection from 127.0.0.1:"));

    let page = ask(&server, "GET /square/12 HTTP/1.0\r\nAccept: */*\r\n\r\n");
    assert!(page.ends_with("\r\nContent-Length: 4\r\n\r\n144\n"), "{page}");
    for (request, status) in [
        ("GET /nothing HTTP/1.0\r\n\r\n", "404 Not Found"),
        ("DELETE / HTTP/1.0\r\n\r\n", "501 Not Implemented"),
        ("Hello World\r\n\r\n", "400 Bad Request"),
    ] {
        let response = ask(&server, request);
        assert!(response.starts_with(&format!("HTTP/1.0 {status}\r\n")), "{request}: {response}");
    }
}

#[test]
fn of_two_requests_the_second_is_lost() {
    let server = Server::rust(&mut rust!("step10-server"));
    let two = "GET /square/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /square/3 HTTP/1.1\r\nHost: a\r\n\r\n";
    let response = ask(&server, two);
    assert_eq!(response.matches("HTTP/1.0 200 OK\r\n").count(), 1, "{response}");
    assert!(response.ends_with("\r\n\r\n4\n"), "{response}");
}

#[test]
fn head_and_post_are_not_implemented_and_two_hosts_are_not_noticed() {
    let server = Server::rust(&mut rust!("step10-server"));
    for (request, status) in [
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "501 Not Implemented"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n/square/12",
            "501 Not Implemented",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "200 OK"),
    ] {
        let response = ask(&server, request);
        assert!(response.starts_with(&format!("HTTP/1.0 {status}\r\n")), "{request}: {response}");
    }
}
