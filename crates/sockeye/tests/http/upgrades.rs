//! Upgrades to other protocols than WebSocket, over HTTP/1.1.

use sockeye::Protocol;
use sockeye::http::{Body, HeaderMap, HeaderValue, Reply, Request, Response, StatusCode, Upgrade};

use crate::client::{Client, serve, stop};

#[test]
fn a_connection_is_upgraded_if_the_client_asks_for_it() {
    let (serving, address) = serve(|_: Request<Body>| {
        let mut fields = HeaderMap::new();
        fields.insert("x-accept", HeaderValue::from_static("yes"));
        let make = || Box::new(sockeye::echo::Echo::default()) as Box<dyn Protocol>;
        Reply::upgrade("echo", fields, make)
    });
    let mut client = Client::new(&address);
    assert_eq!(client.request("GET /").status, 400);
    // Only to a protocol that the client lists (RFC 9110, 7.8).
    client.head("GET /", &["Connection: upgrade", "Upgrade: h2c, echo2"]);
    let answer = client.response();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("needs an upgrade of the connection to echo"));
    client.head("GET /", &["Connection: upgrade", "Upgrade: h2c, Echo"]);
    client.send("early");
    let answer = client.response_head();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("echo")));
    assert_eq!(answer.field("x-accept"), Some("yes"));
    client.send(" late");
    client.end();
    assert_eq!(client.rest(), b"early late");
    stop(serving);
}

/// The server ignores `Upgrade` in HTTP/1.0 and without `Connection: upgrade` (RFC 9110, 7.8), and
/// if the request has a body.
#[test]
fn an_upgrade_that_the_server_ignores_is_not_offered() {
    let (serving, address) = serve(|request: Request<Body>| {
        let upgrade = request.extensions().get::<Upgrade>();
        let offers = upgrade.is_some_and(|upgrade| upgrade.offers("echo"));
        format!("{} {offers}", upgrade.is_some())
    });
    let mut client = Client::new(&address);
    const ECHO: &str = "Upgrade: echo";
    for (fields, body, expected) in [
        (&["Connection: upgrade", ECHO][..], "", "true true"),
        (&["Connection: a", "Connection: b, UPGRADE", ECHO], "", "true true"),
        (&["Connection: upgrade", "Upgrade: h2c"], "", "true false"),
        (&[ECHO], "", "false false"),
        (&["Connection: keep-alive", ECHO], "", "false false"),
        (&["Connection: upgrade", ECHO, "Content-Length: 1"], "x", "false false"),
        (&["Connection: upgrade"], "", "false false"),
    ] {
        client.head("GET /", fields);
        client.send(body);
        assert_eq!(client.response().text(), expected, "{fields:?}");
    }
    let mut client = Client::new(&address);
    client.send("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.response().text(), "false false");
    stop(serving);
}

/// RFC 9110, 15.5.22. Other responses have no `Upgrade`.
#[test]
fn a_426_names_the_protocols_that_it_requires() {
    let (serving, address) = serve(|request: Request<Body>| {
        let (status, protocols) = match request.uri().path() {
            "/" => (StatusCode::UPGRADE_REQUIRED, "websocket, echo/1"),
            "/invalid" => (StatusCode::UPGRADE_REQUIRED, "a b"),
            _ => (StatusCode::OK, "websocket"),
        };
        Response::builder().status(status).header("upgrade", protocols).body("page").unwrap()
    });
    let mut client = Client::new(&address);
    for (path, status, connection, upgrade) in [
        ("/", 426, Some("upgrade"), Some("websocket, echo/1")),
        ("/invalid", 500, None, None),
        ("/other", 200, None, None),
    ] {
        let answer = client.request(&format!("GET {path}"));
        let fields = (answer.field("connection"), answer.field("upgrade"));
        assert_eq!((answer.status, fields), (status, (connection, upgrade)), "{path}");
    }
    stop(serving);
}

/// RFC 9110, 15.
#[test]
fn a_status_that_is_not_final_or_invalid_is_a_500() {
    let (serving, address) = serve(|request: Request<Body>| {
        let code = request.uri().path()[1..].parse::<u16>().unwrap();
        StatusCode::from_u16(code).unwrap()
    });
    let mut client = Client::new(&address);
    for (code, status) in [(100, 500), (101, 500), (103, 500), (599, 599), (600, 500), (999, 500)] {
        assert_eq!(client.request(&format!("GET /{code}")).status, status, "{code}");
    }
    stop(serving);
}
