//! Responses and connections: persistence, pipelining and half-closed clients.

use std::rc::Rc;
use std::time::Duration;

use sockeye_proto::End;

use super::*;
use crate::Trailers;

const DATE: &str = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n";

#[test]
fn responses_byte_for_byte() {
    for (input, expected) in [
        (
            "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
            format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 6\r\n\r\nGET /a"),
        ),
        (
            "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
            format!("HTTP/1.1 200 OK\r\n{DATE}Content-Length: 7\r\n\r\n"),
        ),
        (
            "GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
            format!("HTTP/1.1 304 Not Modified\r\n{DATE}ETag: \"a\"\r\n\r\n"),
        ),
        (
            "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            format!(
                "HTTP/1.1 200 OK\r\n{DATE}Connection: close\r\nContent-Length: 6\r\n\r\nGET /a"
            ),
        ),
        (
            "GET /a HTTP/1.0\r\n\r\n",
            format!(
                "HTTP/1.1 200 OK\r\n{DATE}Connection: close\r\nContent-Length: 6\r\n\r\nGET /a"
            ),
        ),
        (
            "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            format!(
                "HTTP/1.1 200 OK\r\n{DATE}Connection: keep-alive\r\nContent-Length: 6\r\n\r\nGET /a"
            ),
        ),
        (
            "GET /error HTTP/1.1\r\nHost: a\r\n\r\n",
            format!(
                "HTTP/1.1 404 Not Found\r\n{DATE}Content-Type: text/plain; charset=utf-8\r\n\
                 X-Content-Type-Options: nosniff\r\nContent-Length: 38\r\n\r\n\
                 404 Not Found\nThere is no such thing.\n"
            ),
        ),
        (
            "HEAD /error HTTP/1.1\r\nHost: a\r\n\r\n",
            format!(
                "HTTP/1.1 404 Not Found\r\n{DATE}Content-Type: text/plain; charset=utf-8\r\n\
                 X-Content-Type-Options: nosniff\r\nContent-Length: 38\r\n\r\n"
            ),
        ),
        (
            "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
            format!(
                "HTTP/1.1 405 Method Not Allowed\r\n{DATE}Connection: close\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\
                 X-Content-Type-Options: nosniff\r\nAllow: GET, HEAD\r\n\
                 Content-Length: 89\r\n\r\n405 Method Not Allowed\n\
                 The client sent a request with a method that is not allowed here.\n"
            ),
        ),
    ] {
        assert_eq!(output_for(input.as_bytes()).0, expected, "{input}");
    }
}

#[test]
fn a_server_can_send_a_server_field() {
    let shared = Rc::new(ServerConfig::default().server_header(true));
    let mut client = Harness::new(Server::new(shared, |_: &Peer| Mirror::default()));
    client.input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let output = text(&mut client);
    assert!(output.contains("GMT\r\nServer: sockeye\r\nContent-Length"), "{output}");
}

#[test]
fn every_response_has_strict_transport_security_if_it_is_on() {
    const FIELD: &str = "GMT\r\nStrict-Transport-Security: max-age=31536000\r\n";
    let year = Duration::from_secs(31_536_000);
    for input in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let output = |config: ServerConfig| {
            let server = Server::new(Rc::new(config), |_: &Peer| Mirror::default());
            let mut client = Harness::new(server);
            client.input(input.as_bytes());
            text(&mut client)
        };
        let on = output(ServerConfig::default().strict_transport_security(year));
        assert_eq!(on.matches(FIELD).count(), 1, "{input}: {on}");
        let off = output(ServerConfig::default());
        assert!(!off.contains("Strict-Transport"), "{input}: {off}");
    }
}

#[test]
fn connections_persist_as_the_version_and_the_client_say() {
    for (fields, version, persists) in [
        ("", "1.1", true),
        ("Connection: keep-alive\r\n", "1.1", true),
        ("Connection: close\r\n", "1.1", false),
        ("connection: foo , CLOSE\r\n", "1.1", false),
        ("Connection: keep-alive, close\r\n", "1.1", false),
        ("Connection: foo\r\nConnection: close\r\n", "1.1", false),
        ("Connection: closed\r\n", "1.1", true),
        ("", "1.0", false),
        ("Connection: keep-alive\r\n", "1.0", true),
        ("Connection: close, keep-alive\r\n", "1.0", false),
        ("Keep-Alive: timeout=5\r\n", "1.0", false),
        ("Content-Length: 0\r\n", "1.1", true),
        ("Content-Length: 5\r\n", "1.1", true),
        ("Content-Length: 65536\r\n", "1.1", true),
        ("Content-Length: 65537\r\n", "1.1", false),
        ("Content-Length: 5\r\nExpect: 100-Continue\r\n", "1.1", false),
        ("Content-Length: 0\r\nExpect: 100-continue\r\n", "1.1", true),
        ("Content-Length: 5\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n", "1.0", true),
        ("Transfer-Encoding: Chunked\r\n", "1.1", true),
        ("Connection: Host, Content-Length\r\nContent-Length: 65537\r\n", "1.1", false),
        ("Upgrade: h2c\r\nConnection: upgrade\r\n", "1.1", true),
        (
            "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABk\r\n",
            "1.1",
            true,
        ),
    ] {
        let input = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let (output, client) = output_for(input.as_bytes());
        assert_eq!(codes(&output), [200], "{input}");
        assert_eq!(client.end().is_none(), persists, "{input}");
        assert_eq!(output.contains("Connection: close\r\n"), !persists, "{input}");
    }
}

#[test]
fn an_unread_body_is_never_read_as_a_request() {
    for fields in ["Content-Length: 35", "Transfer-Encoding: chunked", "Content-Length: 999999999"]
    {
        let request = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
        let input = format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{fields}\r\n\r\n{request}"
        );
        let (output, mut client) = output_for(input.as_bytes());
        assert_eq!(codes(&output), [200], "{fields}");
        assert!(output.ends_with("POST /a"), "{output}");
        assert_eq!(client.end(), Some(End::Linger));
        assert_eq!(client.unused(), 0);
        client.input(request.as_bytes());
        assert!(client.output().is_empty());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_if_one_is_answered_late() {
    let (output, mut client) = output_for(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\n\
          HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /3",
    );
    assert!(output.ends_with("\r\n\r\nGET /1"), "{output}");
    assert_eq!(client.run_jobs(), 1);
    let output = text(&mut client);
    assert!(output.contains("it took a while"), "{output}");
    assert_eq!(codes(&output), [200, 200], "{output}");
    client.input(b" HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.output().is_empty(), "the earlier request is answered first");
    assert_eq!(client.run_jobs(), 1);
    let output = text(&mut client);
    assert!(output.ends_with("GET /3"), "{output}");
    assert_eq!(client.unused(), 0);
}

#[test]
fn a_close_in_a_pipeline_leaves_the_rest_unanswered() {
    let (output, client) = output_for(
        b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(codes(&output), [200]);
    assert_eq!(
        client.end(),
        Some(End::Linger),
        "closing with unread input would reset the response"
    );
    let (_, client) = output_for(b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.end(), Some(End::Close), "there is no unread input");
}

#[test]
fn a_full_output_stops_the_pipeline_until_there_is_room() {
    let mut client = connect();
    client.input(&b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
    assert_eq!(client.unused(), 60, "two requests wait");
    let mut output = String::new();
    for _ in 0..3 {
        output.push_str(&text(&mut client));
    }
    assert_eq!(codes(&output), [200, 200, 200]);
    assert_eq!(client.unused(), 0);
}

#[test]
fn a_half_closed_client_still_gets_its_late_answer() {
    let mut client = connect();
    client.input(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    client.eof();
    assert!(client.end().is_none());
    client.run_jobs();
    assert!(text(&mut client).ends_with("it took a while"));
    assert_eq!(client.end(), Some(End::Close));
}

#[test]
fn a_half_closed_client_gets_all_its_pipelined_answers() {
    let mut client = connect();
    client.input(
        b"GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /1",
    );
    client.eof();
    let mut output = String::new();
    while client.run_jobs() > 0 {
        output.push_str(&text(&mut client));
    }
    assert_eq!(codes(&output), [200, 200]);
    assert_eq!(client.fault().unwrap().code, "eof_in_head");
}

#[test]
fn a_dropped_job_is_a_500() {
    let mut client = connect();
    client.input(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    client.drop_jobs();
    let output = text(&mut client);
    assert!(output.ends_with("\r\n\r\n500 Internal Server Error\n"), "{output}");
    assert!(client.end().is_none(), "the connection stays open");
}

#[test]
fn the_host_is_that_of_an_absolute_target_or_of_the_field() {
    struct Host;
    impl Handler for Host {
        fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
            let host = request.host().unwrap_or(b"none").to_vec();
            responder.send(Status::OK, &Fields::new(), Body::Shared(&host.into()))
        }
    }
    for (input, host) in [
        ("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", "a:80"),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "b"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""),
        ("GET / HTTP/1.0\r\n\r\n", "none"),
    ] {
        let mut client = client_of(|_: &Peer| Host);
        client.input(input.as_bytes());
        let output = text(&mut client);
        assert_eq!(output.split_once("\r\n\r\n").unwrap().1, host, "{input}");
    }
}

#[test]
fn messages_without_on_message_are_ignored_while_a_body_is_read_and_500_otherwise() {
    struct Deaf;
    impl Handler for Deaf {
        fn on_request(&mut self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
            let _ = responder.run(|| ());
            match request.path() {
                b"/read" => responder.read_up_to(3),
                b"/wait" => responder.later(),
                _ => responder.send(Status::OK, &Fields::new(), Body::Empty),
            }
        }

        fn on_body_end(&mut self, _: &Trailers<'_>, responder: Responder<'_, '_>) -> Answer {
            responder.send(Status::OK, &Fields::new(), Body::Empty)
        }
    }
    let deaf = || client_of(|_: &Peer| Deaf);
    let answer = |client: &mut Harness| codes(&text(client));
    // The two messages belong to this request and to an earlier one.
    let mut client = deaf();
    client.input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer(&mut client), [200]);
    client.input(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    assert_eq!(client.run_jobs(), 2);
    assert!(answer(&mut client).is_empty());
    client.input(b"bc");
    assert_eq!(answer(&mut client), [200]);
    client.input(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    client.run_jobs();
    assert_eq!(answer(&mut client), [500]);
    client.input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer(&mut client), [200]);
    // An ignored message doesn't change the limit on the body.
    let mut client = deaf();
    client
        .input(b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    client.run_jobs();
    client.input(b"2\r\ncd\r\n0\r\n\r\n");
    assert_eq!(answer(&mut client), [413]);
}
