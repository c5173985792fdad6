//! Who is charged for what a request takes.

use std::net::SocketAddr;
use std::rc::Rc;

use sockeye_http::{Clients, Request, Server, ServerConfig};
use sockeye_proto::harness::Harness;
use sockeye_proto::{Budget, Client, Peer};

use crate::http::source::{BodySource, SourceNext};
use crate::http::{Body, HttpService, Reply};

/// The field `Client` names the client, as a proxy might.
#[derive(Debug)]
struct ClientField;

impl Clients for ClientField {
    fn client(&self, _: &Peer, request: &Request<'_>) -> Client {
        Client::V4([192, 0, 2, request.field("client").unwrap()[0]])
    }
}

#[test]
fn a_collected_body_is_charged_to_the_client_that_a_proxy_names() {
    // A client's share is 256 KiB.
    let collected = Budget::new("bytes of collected bodies", 1 << 20);
    let answer = |request: http::Request<Body>| request.into_body().collect(1 << 20, |_| "ok");
    let service = HttpService::with_budget(answer, collected.clone());
    let config = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
    let proxy = Peer::new(SocketAddr::from(([198, 51, 100, 1], 9)).into(), 0);
    let upload = |client: &str| {
        let server = Server::new(Rc::clone(&config), service.handlers());
        let mut connection = Harness::with_peer(server, proxy.clone());
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nClient: {client}\r\nContent-Length: 200000\r\n\r\n"
        );
        connection.input(&[head.as_bytes(), &[b'x'; 199_999]].concat());
        connection
    };
    let (mut first, mut second) = (upload("a"), upload("b"));
    assert!(first.output().is_empty() && second.output().is_empty());
    assert!(upload("a").output().starts_with(b"HTTP/1.1 503 "), "this client has its share");
    drop((first, second));
    assert_eq!(collected.used(), 0);
}

#[test]
fn a_collected_body_is_charged_for_no_more_than_it_can_have() {
    // A client's share is 256 KiB, and 64 KiB of a body are not charged.
    let collected = Budget::new("bytes of collected bodies", 1 << 20);
    let answer = |request: http::Request<Body>| request.into_body().collect(300_000, |_| "ok");
    let service = HttpService::with_budget(answer, collected.clone());
    let peer = Peer::new(SocketAddr::from(([192, 0, 2, 1], 9)).into(), 0);
    let server = Server::new(Rc::new(ServerConfig::default()), service.handlers());
    let mut connection = Harness::with_peer(server, peer);
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\n";
    for fields in ["Content-Length: 300000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n493e0\r\n"]
    {
        connection.input(format!("{head}{fields}").as_bytes());
        for _ in 0..299 {
            connection.input(&[b'x'; 1000]);
        }
        assert_eq!(collected.used(), 300_000 - (64 << 10), "{fields}");
        connection.input(&[b'x'; 1000]);
        if fields.starts_with("Transfer") {
            connection.input(b"\r\n0\r\n\r\n");
        }
        assert!(connection.output().starts_with(b"HTTP/1.1 200 OK\r\n"), "{fields}");
        assert_eq!(collected.used(), 0, "{fields}");
    }
}

/// Content of which a thread makes the first piece.
struct Slow;

impl BodySource for Slow {
    fn next(self: Box<Self>) -> SourceNext {
        SourceNext::run(|| SourceNext::End)
    }
}

#[test]
fn jobs_are_charged_to_the_client_that_a_proxy_names_also_without_content() {
    let answer = |request: http::Request<Body>| match request.uri().path() {
        "/run" => Reply::run(|| "ok"),
        "/source" => Reply::pull(http::Response::new(()), Slow),
        _ => request.into_body().collect(9, |_| Reply::run(|| "ok")),
    };
    let service = HttpService::with_budget(answer, Budget::new("bytes", 1 << 20));
    let config = Rc::new(ServerConfig::default().clients(Rc::new(ClientField)));
    let proxy = Peer::new(SocketAddr::from(([198, 51, 100, 1], 9)).into(), 0);
    let server = Server::new(config, service.handlers());
    let mut connection = Harness::with_peer(server, proxy);
    for (head, client) in [
        ("GET /run HTTP/1.1\r\nClient: a\r\n", b'a'),
        ("GET /source HTTP/1.1\r\nClient: b\r\n", b'b'),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nClient: c\r\n", b'c'),
        ("GET /run HTTP/1.1\r\nClient: d\r\n", b'd'),
    ] {
        connection.input(format!("{head}Host: localhost\r\n\r\n").as_bytes());
        if head.starts_with("POST") {
            connection.input(b"x");
        }
        assert_eq!(connection.job_clients(), [Client::V4([192, 0, 2, client])], "{head}");
        connection.run_jobs();
        assert!(connection.output().starts_with(b"HTTP/1.1 200 OK\r\n"), "{head}");
    }
}
