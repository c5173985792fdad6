//! Pages that a handler writes for refused requests.

use bytes::Bytes;

use super::*;

/// Panics at each request, and writes the pages of refusals.
struct Pages;

impl Handler for Pages {
    fn on_request(&mut self, _: &Request<'_>, _: Responder<'_, '_>) -> Answer {
        panic!("no secret");
    }

    fn page(&self, status: Status, code: &'static str, what: &str) -> Option<(Fields, Bytes)> {
        let fields = Fields::new().with("Content-Type", b"text/plain").unwrap();
        Some((fields, format!("{} {code}: {what}", status.code()).into()))
    }
}

#[test]
fn a_handler_can_write_the_pages_of_refusals() {
    for (input, ends) in [
        (
            "GET / HTTP/1.1\r\n\r\n",
            "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 35\r\n\r\n\
             400 bad_request: sent no Host field",
        ),
        (
            "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
            "Connection: close\r\nContent-Type: text/plain\r\nAllow: GET, HEAD\r\n\
             Content-Length: 73\r\n\r\n\
             405 refused_method: sent a request with a method that is not allowed here",
        ),
        (
            "HEAD / HTTP/1.1\r\n\r\n",
            "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 35\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n\r\n\
             500 handler_panicked: ",
        ),
    ] {
        let mut client = client_of(|_: &Peer| Pages);
        client.input(input.as_bytes());
        let output = text(&mut client);
        assert!(output.ends_with(ends), "{input}: {output}");
        assert!(client.fault().is_some());
    }
}

/// Panics at each call.
struct Panics;

impl Handler for Panics {
    fn on_request(&mut self, _: &Request<'_>, _: Responder<'_, '_>) -> Answer {
        panic!("on_request");
    }

    fn page(&self, _: Status, _: &'static str, _: &str) -> Option<(Fields, Bytes)> {
        panic!("page");
    }

    fn allow(&self) -> &'static str {
        panic!("allow");
    }
}

#[test]
fn a_panic_in_a_page_leads_to_the_plain_page() {
    for (input, status, reported) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, 1),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 500, 2),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 500, 1),
    ] {
        let mut client = client_of(|_: &Peer| Panics);
        client.input(input.as_bytes());
        let output = text(&mut client);
        assert_eq!(codes(&output), [status], "{output}");
        assert!(output.contains("Content-Type: text/plain"), "{output}");
        assert!(!output.contains("panic"), "{output}");
        assert!(client.fault().is_some());
        assert_eq!(client.take_reported().len(), reported, "{input}");
    }
}
