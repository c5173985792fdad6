//! WebSockets of closures, with tungstenite as client.

use std::net::TcpStream;
use std::sync::mpsc;

use sockeye::http::{AllowedOrigins, Body, Reply, Request, StatusCode, ws};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use crate::client::{Client, TIMEOUT, serve, stop};

pub(crate) type Socket = WebSocket<TcpStream>;

/// Opens a WebSocket, whose request has `fields`. Returns it with the response.
pub(crate) fn try_open(
    address: &str,
    path: &str,
    fields: &[(&'static str, &str)],
) -> Result<(Socket, tungstenite::handshake::client::Response), Error> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    tungstenite::client::client_with_config(request, stream, Some(config)).map_err(|error| {
        match error {
            tungstenite::HandshakeError::Failure(error) => error,
            tungstenite::HandshakeError::Interrupted(_) => panic!("timed out"),
        }
    })
}

pub(crate) fn open(address: &str, path: &str) -> Socket {
    try_open(address, path, &[]).unwrap().0
}

/// The text of the next message.
pub(crate) fn text(socket: &mut Socket) -> String {
    socket.read().unwrap().into_text().unwrap().to_string()
}

/// Reads until the WebSocket is closed. Returns the code and the reason of the close frame.
pub(crate) fn closed(socket: &mut Socket) -> (u16, String) {
    let mut received = None;
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => received = frame,
            Ok(message) => panic!("{message:?}"),
            Err(Error::ConnectionClosed) => {
                let frame = received.expect("a close frame");
                return (frame.code.into(), frame.reason.to_string());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn close(socket: &mut Socket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    socket.close(Some(frame)).unwrap();
}

/// Passes on how it was closed, and answers each message with the number of its bytes.
struct Lengths(mpsc::Sender<(ws::CloseCode, String)>);

impl ws::Handler for Lengths {
    fn on_message(&mut self, message: ws::Message<'_>, socket: &mut ws::Socket<'_, '_>) {
        match message.text() {
            Some("panic") => panic!("as the test wants"),
            Some("close") => socket.close(ws::CloseCode(4000), "as you wish"),
            _ => socket.send(&message.bytes().len().to_string()),
        }
    }

    fn on_close(&mut self, closed: ws::Closed<'_>, _: &mut ws::Socket<'_, '_>) {
        self.0.send((closed.code, closed.reason.to_owned())).unwrap();
    }
}

#[test]
fn messages_come_back() {
    let (serving, address) = serve(|request: Request<Body>| {
        ws::on_message(&request, |message, socket| socket.send(message))
    });
    let mut socket = open(&address, "/");
    for message in [
        Message::text(""),
        Message::text("Grüß Gott"),
        Message::binary([0, 255].as_slice()),
        Message::binary(vec![7; 1024 * 1024]),
    ] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    // More than the limit.
    socket.send(Message::binary(vec![7; 1024 * 1024 + 1])).unwrap_or_default();
    let (code, reason) = closed(&mut socket);
    assert_eq!((code, &*reason), (1009, "sent a message that is too large"));
    assert_eq!(stop(serving).closed_for("websocket_message_too_large"), 1);
}

#[test]
fn either_side_closes() {
    let (out, closes) = mpsc::channel();
    let (serving, address) =
        serve(move |request: Request<Body>| ws::upgrade(&request, Lengths(out.clone())));
    let mut socket = open(&address, "/");
    socket.send(Message::text("12345")).unwrap();
    assert_eq!(text(&mut socket), "5");
    close(&mut socket, 4001, "had enough");
    assert_eq!(closed(&mut socket), (4001, String::new()));
    assert_eq!(closes.recv().unwrap(), (ws::CloseCode(4001), "had enough".into()));

    let mut socket = open(&address, "/");
    socket.send(Message::text("close")).unwrap();
    assert_eq!(closed(&mut socket), (4000, "as you wish".into()));
    assert_eq!(closes.recv().unwrap().0, ws::CloseCode(4000));

    // Without a close frame.
    drop(open(&address, "/"));
    assert_eq!(closes.recv().unwrap().0, ws::CloseCode::ABNORMAL);

    let mut socket = open(&address, "/");
    serving.handle().drain();
    assert_eq!(closed(&mut socket), (1001, String::new()));
    assert_eq!(closes.recv().unwrap().0, ws::CloseCode::GOING_AWAY);
    assert_eq!(serving.join().unwrap().cut, 0);
}

#[test]
fn a_panic_ends_its_own_websocket() {
    let (out, closes) = mpsc::channel();
    let (serving, address) =
        serve(move |request: Request<Body>| ws::upgrade(&request, Lengths(out.clone())));
    let (mut one, mut other) = (open(&address, "/"), open(&address, "/"));
    one.send(Message::text("panic")).unwrap();
    assert_eq!(closed(&mut one), (1011, String::new()));
    other.send(Message::text("still")).unwrap();
    assert_eq!(text(&mut other), "5");
    close(&mut other, 1000, "");
    closed(&mut other);
    assert_eq!(closes.recv().unwrap().0, ws::CloseCode::NORMAL);
    assert_eq!(stop(serving).closed_for("handler_panicked"), 1);
}

#[test]
fn what_is_no_handshake_of_an_allowed_page_is_refused() {
    let options = ws::Options::default()
        .allowed_origins(AllowedOrigins::default().allow("https://app.example"));
    let (serving, address) = serve(move |request: Request<Body>| {
        options.on_message(&request, |message, socket| socket.send(message))
    });
    const ASKS: [&str; 4] = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let asks = |more: &'static str| [&ASKS[..], &[more]].concat();
    for (line, fields, status) in [
        ("GET /", vec![], 400),
        ("GET /", vec!["Connection: Upgrade", "Upgrade: h2c"], 400),
        ("GET /", ASKS[..3].to_vec(), 400),
        ("POST /", asks("X: y"), 405),
        ("GET /", asks("Origin: http://evil.example"), 403),
        ("GET /", asks("Sec-Fetch-Site: cross-site"), 403),
        ("GET /", asks("Origin: http://localhost"), 101),
        ("GET /", asks("Origin: https://app.example"), 101),
        ("GET /", ASKS.to_vec(), 101),
    ] {
        let mut client = Client::new(&address);
        client.head(line, &fields);
        let response = client.response_head();
        assert_eq!(response.status, status, "{line} {fields:?}");
        let version = (status == 400).then_some("13");
        assert_eq!(response.field("sec-websocket-version"), version, "{line} {fields:?}");
        if status == 101 {
            let accept = response.field("sec-websocket-accept");
            assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        }
    }
    stop(serving);
}

#[test]
fn the_first_subprotocol_that_the_client_offers_is_selected() {
    let options = ws::Options::default().protocols(["chat.v2", "chat.v1"]);
    let (serving, address) = serve(move |request: Request<Body>| {
        let protocol = options.protocol(&request).unwrap_or("none").to_owned();
        options.on_message(&request, move |_, socket| socket.send(&protocol))
    });
    for (offered, selected) in
        [("chat.v1, chat.v2", Some("chat.v2")), ("chat.v1", Some("chat.v1")), ("", None)]
    {
        let fields = [("sec-websocket-protocol", offered)];
        let fields = if selected.is_some() { &fields[..] } else { &[] };
        let (mut socket, response) = try_open(&address, "/", fields).unwrap();
        let field = response.headers().get("sec-websocket-protocol");
        assert_eq!(field.map(|value| value.to_str().unwrap()), selected);
        socket.send(Message::text("which?")).unwrap();
        assert_eq!(text(&mut socket), selected.unwrap_or("none"));
    }
    stop(serving);
}

#[test]
fn a_websocket_is_opened_after_work_that_blocks() {
    let (serving, address) = serve(|request: Request<Body>| {
        Reply::run(move || match request.uri().path() {
            "/secret" => Reply::from(StatusCode::FORBIDDEN),
            _ => ws::on_message(&request, |message, socket| socket.send(message)),
        })
    });
    let refused = try_open(&address, "/secret", &[]).unwrap_err();
    assert!(matches!(refused, Error::Http(response) if response.status() == 403));
    let mut socket = open(&address, "/");
    socket.send(Message::text("hello")).unwrap();
    assert_eq!(text(&mut socket), "hello");
    drop(socket);
    stop(serving);
}

#[test]
fn each_kind_of_websocket_has_its_own_limits() {
    let small = ws::Options::default().limits(ws::Limits { message: 4, ..Default::default() });
    let (serving, address) = serve(move |request: Request<Body>| {
        let options = match request.uri().path() {
            "/small" => small.clone(),
            _ => ws::Options::default(),
        };
        options.on_message(&request, |message, socket| socket.send(message))
    });
    let (mut small, mut large) = (open(&address, "/small"), open(&address, "/large"));
    for socket in [&mut small, &mut large] {
        socket.send(Message::text("1234")).unwrap();
        assert_eq!(text(socket), "1234");
        socket.send(Message::text("12345")).unwrap();
    }
    assert_eq!(closed(&mut small).0, 1009);
    assert_eq!(text(&mut large), "12345");
    drop(large);
    stop(serving);
}

#[cfg(feature = "deflate")]
#[test]
fn messages_are_compressed_only_if_the_options_say_so() {
    let deflate = ws::Options::default().deflate(ws::DeflateOptions::new());
    let (serving, address) = serve(move |request: Request<Body>| {
        let options = match request.uri().path() {
            "/deflate" => deflate.clone(),
            _ => ws::Options::default(),
        };
        options.on_message(&request, |message, socket| socket.send(message))
    });
    let agreed = |path| {
        let mut client = Client::new(&address);
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let offer = "Sec-WebSocket-Extensions: permessage-deflate";
        client.head(
            &format!("GET {path}"),
            &["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key, offer],
        );
        let response = client.response_head();
        response.field("sec-websocket-extensions").is_some_and(|s| s.contains("permessage-deflate"))
    };
    assert_eq!((agreed("/deflate"), agreed("/")), (true, false));
    stop(serving);
}
