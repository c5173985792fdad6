//! The example `http_core`.

use sockeye::Serving;

use crate::client::Client;

#[expect(dead_code, reason = "its main is unused here")]
#[path = "../../examples/http_core.rs"]
mod http_core;

fn echo() -> (Serving, Client) {
    let serving = http_core::serve("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = Client::new(&serving.addresses()[0].to_string());
    (serving, client)
}

fn stop(serving: Serving, client: Client) {
    drop(client);
    crate::client::stop(serving);
}

#[test]
fn a_body_comes_back_with_its_type_and_a_length() {
    let (serving, mut client) = echo();
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"] {
        client.head(
            &format!("{method} /anything?a=b"),
            &["Content-Length: 5", "content-type: text/x; y=\"z\""],
        );
        client.send("he\0\r\n");
        let answer = client.response();
        assert_eq!((answer.status, &*answer.body), (200, &b"he\0\r\n"[..]), "{method}");
        assert_eq!(answer.field("content-type"), Some("text/x; y=\"z\""));
        assert_eq!(answer.field("content-length"), Some("5"));
    }
    client.head("POST /", &["Transfer-Encoding: chunked"]);
    client.send("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.text(), answer.field("content-type")), ("abcde", None));
    assert_eq!(answer.field("content-length"), Some("5"));
    stop(serving, client);
}

#[test]
fn without_a_body_the_fields_are_listed_as_they_were_sent() {
    let (serving, mut client) = echo();
    let fields = ["X-b: 1", "a:\t2 ", "x-B: 3", "Empty:", "bytes: \u{e9}"];
    let listed = "Host: localhost\nX-b: 1\na: 2\nx-B: 3\nEmpty: \nbytes: \u{e9}\n";
    client.head("GET /echo", &fields);
    assert_eq!(client.response().text(), listed);
    client.head("HEAD /echo", &fields);
    let length = client.response_head().field("content-length").map(str::to_owned);
    assert_eq!(length, Some(listed.len().to_string()));
    client.head("GET /echo?x", &["Content-Length: 0"]);
    assert_eq!(client.response().text(), "Host: localhost\nContent-Length: 0\n");
    client.head("GET /echo", &["Transfer-Encoding: chunked"]);
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "Host: localhost\nTransfer-Encoding: chunked\n");
    for line in ["GET /", "POST /echo", "DELETE /x", "GET /echo/", "OPTIONS *"] {
        assert_eq!(client.request(line).text(), "ok", "{line}");
    }
    assert_eq!(client.request("HEAD /").field("content-length"), Some("2"));
    stop(serving, client);
}

#[test]
fn sixteen_mebibytes_come_back_and_a_byte_more_is_413() {
    const MOST: usize = 16 << 20;
    let (serving, mut client) = echo();
    let body: Vec<u8> = (0..MOST).map(|at| (at / 7) as u8).collect();
    assert!(client.request_with_body("POST /", &body).body == body);
    client.head("POST /", &[&format!("Content-Length: {}", MOST + 1)]);
    // At once, before the body is sent.
    assert_eq!(client.response().status, 413);
    assert!(client.is_closed());
    stop(serving, client);
}
