//! axum's WebSockets, as its users write them, over HTTP/1.1 and HTTP/2.

use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{Method, Request, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use h2::Reason;
use sockeye::Config;
use sockeye::http::Options;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc};
use tokio_tungstenite::tungstenite::Message as Sent;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};

use super::websocket_client::{
    WIRES, Wire, close, connect, next, open, open_with, send, start_http2, within,
};
use super::{RunningApp, client, example, h2_client};

/// Runs `test` with a new server over each wire.
fn on_each_wire<F: Future<Output = ()>>(
    app: impl Fn() -> Router,
    test: impl Fn(Wire, String) -> F,
) {
    for wire in WIRES {
        let running = RunningApp::new(app());
        running.runtime.block_on(test(wire, running.address.clone()));
        running.stop();
    }
}

/// Handles WebSockets at `/`.
fn app<F: Future<Output = ()> + Send + 'static>(
    handle: impl FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
) -> Router {
    let handler = |upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(handle) };
    Router::new().route("/", any(handler))
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message).await.unwrap();
        }
    }
}

#[test]
fn messages_are_echoed_and_pings_are_answered() {
    on_each_wire(
        || app(echo),
        async |wire, address| {
            let mut client = open(wire, &address, "/").await;
            for sent in [Sent::text("hello"), Sent::binary(vec![0, 255]), Sent::text("")] {
                client.send(sent.clone()).await.unwrap();
                assert_eq!(next(&mut client).await, sent);
            }
            client.send(Sent::Ping("are you there?".into())).await.unwrap();
            assert_eq!(next(&mut client).await, Sent::Pong("are you there?".into()));
            close(client).await;
        },
    );
}

#[test]
fn a_server_may_speak_first() {
    let greet = |mut socket: WebSocket| async move { socket.send("welcome".into()).await.unwrap() };
    on_each_wire(
        move || app(greet),
        async |wire, address| {
            for _ in 0..50 {
                let mut client = open(wire, &address, "/").await;
                assert_eq!(next(&mut client).await, Sent::text("welcome"));
                // The handler has dropped its socket without a close.
                let end = within(client.next()).await.unwrap().unwrap_err();
                let expected = ProtocolError::ResetWithoutClosingHandshake;
                assert!(matches!(end, Error::Protocol(error) if error == expected));
            }
        },
    );
}

#[test]
fn one_task_sends_while_another_receives() {
    let split = |socket: WebSocket| async {
        let (mut sink, mut stream) = socket.split();
        let (lines, mut received) = mpsc::channel(1);
        let sending = tokio::spawn(async move {
            let mut count = 0;
            while let Some(line) = received.recv().await {
                count += 1;
                sink.send(Message::text(format!("{count} {line}"))).await.unwrap();
            }
            sink.send(Message::text("bye")).await.unwrap();
            sink.close().await.unwrap();
        });
        let receiving = tokio::spawn(async move {
            while let Some(Ok(Message::Text(line))) = stream.next().await {
                if line.as_str() == "end" {
                    break;
                }
                lines.send(line).await.unwrap();
            }
            stream
        });
        let mut stream = receiving.await.unwrap();
        sending.await.unwrap();
        assert!(matches!(stream.next().await, Some(Ok(Message::Close(_)))));
    };
    on_each_wire(
        move || app(split),
        async |wire, address| {
            let mut client = open(wire, &address, "/").await;
            for line in ["a", "b", "end"] {
                send(&mut client, line).await;
            }
            for expected in ["1 a", "2 b", "bye"] {
                assert_eq!(next(&mut client).await, Sent::text(expected));
            }
            assert!(matches!(next(&mut client).await, Sent::Close(_)));
            assert!(within(client.next()).await.is_none());
        },
    );
}

#[test]
fn a_chat_room_sends_each_line_to_all_members() {
    let room = broadcast::Sender::<String>::new(64);
    let member = move |mut socket: WebSocket| async move {
        let mut lines = room.subscribe();
        socket.send("joined".into()).await.unwrap();
        loop {
            tokio::select! {
                line = lines.recv() => socket.send(line.unwrap().into()).await.unwrap(),
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(line))) => {
                        room.send(line.to_string()).unwrap();
                    }
                    Some(Ok(_)) => {}
                    _ => break,
                },
            }
        }
    };
    let running = RunningApp::new(app(member));
    running.runtime.block_on(async {
        let mut members = Vec::new();
        for wire in [Wire::Http1, Wire::Http2, Wire::Http1, Wire::Http2] {
            let mut member = open(wire, &running.address, "/").await;
            assert_eq!(next(&mut member).await, Sent::text("joined"));
            members.push(member);
        }
        for speaker in 0..members.len() {
            let line = format!("I am {speaker}");
            send(&mut members[speaker], &line).await;
            for member in &mut members {
                assert_eq!(next(member).await, Sent::text(&*line));
            }
        }
        for member in members {
            close(member).await;
        }
    });
    running.stop();
}

#[test]
fn the_app_selects_a_subprotocol() {
    let select = |upgrade: WebSocketUpgrade| async {
        let upgrade = upgrade.protocols(["graphql-ws", "soap"]);
        let selected = upgrade.selected_protocol().cloned();
        upgrade.on_upgrade(|mut socket| async move {
            let selected = selected.map(|name| name.to_str().unwrap().to_owned());
            socket.send(selected.unwrap_or_default().into()).await.unwrap();
            echo(socket).await;
        })
    };
    let app = move || Router::new().route("/", any(select));
    on_each_wire(app, async |wire, address| {
        let asked = [("sec-websocket-protocol", "wamp, soap")];
        let (mut client, fields) = open_with(wire, &address, "/", &asked).await;
        assert_eq!(fields["sec-websocket-protocol"], "soap");
        let values = |name| fields.get_all(name).iter().map(|value| value.to_str().unwrap());
        let of_http1: Vec<_> = values("upgrade").chain(values("connection")).collect();
        match wire {
            Wire::Http1 => assert_eq!(of_http1, ["websocket", "Upgrade"]),
            Wire::Http2 => assert!(of_http1.is_empty()),
        }
        assert!(fields.contains_key("date") && !fields.contains_key("content-length"));
        assert_eq!(next(&mut client).await, Sent::text("soap"));
        close(client).await;
        let mut client = open(wire, &address, "/").await;
        assert_eq!(next(&mut client).await, Sent::text(""));
        close(client).await;
    });
}

#[test]
fn axum_rejects_what_is_no_handshake() {
    let running = RunningApp::new(app(echo));
    let [connection, upgrade] = ["Connection: Upgrade", "Upgrade: websocket"];
    let [version, key] =
        ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    let mut client = running.client();
    for (line, fields, status, text) in [
        ("GET /", &[][..], 400, "Connection header did not include 'upgrade'"),
        ("GET /", &[connection], 400, "`Upgrade` header did not include 'websocket'"),
        ("GET /", &[connection, "Upgrade: other", version, key], 400, "`Upgrade` header"),
        ("GET /", &[connection, upgrade, version], 400, "`Sec-WebSocket-Key` header missing"),
        ("GET /", &[connection, upgrade, key], 400, "`Sec-WebSocket-Version` header"),
        ("PUT /", &[connection, upgrade, version, key], 405, "must be `GET`"),
    ] {
        client.head(line, fields);
        let response = client.response();
        assert_eq!(response.status, status, "{fields:?}");
        assert!(response.text().contains(text), "{}", response.text());
    }
    // After all that, the connection may still switch.
    client.head("GET /", &[connection, upgrade, version, key]);
    let response = client.response_head();
    assert_eq!(response.status, 101);
    let accept = response.field("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "as in RFC 6455, section 1.3");
    drop(client);
    // HTTP/1.0 has no upgrades.
    let mut client = running.client();
    let fields = [connection, upgrade, version, key].join("\r\n");
    client.send(format!("GET / HTTP/1.0\r\n{fields}\r\n\r\n"));
    assert_eq!(client.rest().windows(13).next().unwrap(), b"HTTP/1.1 426 ");
    drop(client);
    running.stop();
}

#[test]
fn axum_rejects_what_is_no_handshake_over_http2() {
    let running = RunningApp::new(app(echo));
    let address = &*running.address;
    running.runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut requests = start_http2(stream, address).await;
        let mut get = connect(address, "/", "websocket", &[]);
        *get.method_mut() = Method::GET;
        get.extensions_mut().clear();
        let mut no_version = connect(address, "/", "websocket", &[]);
        no_version.headers_mut().clear();
        let other = connect(address, "/", "other", &[]);
        for (request, status) in [(get, 405), (no_version, 400), (other, 400)] {
            let what = format!("{request:?}");
            let response = within(requests.send_request(request)).await.unwrap();
            assert_eq!(response.status(), status, "{what}");
        }
    });
    running.stop();
}

#[test]
fn axum_reports_an_upgrade_that_a_layer_refuses() {
    let (to_test, mut failures) = mpsc::unbounded_channel();
    let handler = move |upgrade: WebSocketUpgrade| async move {
        let failed = move |error: axum::Error| to_test.send(error.to_string()).unwrap();
        upgrade.on_failed_upgrade(failed).on_upgrade(echo)
    };
    let refuse = middleware::map_response(async |_: Response| StatusCode::FORBIDDEN);
    let app = Router::new().route("/", any(handler)).layer(refuse);
    let running = RunningApp::new(app.route("/nowhere", any(StatusCode::NOT_FOUND)));
    let address = &*running.address;
    running.runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let opened = tokio_tungstenite::client_async("ws://localhost/", stream).await;
        let Err(Error::Http(response)) = opened else { panic!("{opened:?}") };
        assert_eq!(response.status(), 403);
        assert_eq!(within(failures.recv()).await.unwrap(), "operation was canceled");

        let stream = TcpStream::connect(address).await.unwrap();
        let mut requests = start_http2(stream, address).await;
        let request = connect(address, "/", "websocket", &[]);
        assert_eq!(within(requests.send_request(request)).await.unwrap().status(), 403);
        assert_eq!(within(failures.recv()).await.unwrap(), "operation was canceled");
    });
    running.stop();
}

/// More than all buffers on the way hold, apart from the kernel's.
const LARGE: usize = 6 << 20;

#[test]
fn large_messages_pass_in_both_directions_at_once() {
    on_each_wire(
        || app(echo),
        async |wire, address| {
            let (mut sink, mut stream) = open(wire, &address, "/").await.split();
            let content =
                |number: u8| (0..LARGE).map(|index| (index % 251) as u8 ^ number).collect();
            // Each message waits until the other side reads.
            let sending = tokio::spawn(async move {
                for number in 0..3 {
                    let content: Vec<u8> = content(number);
                    sink.send(Sent::binary(content)).await.unwrap();
                }
                sink
            });
            for number in 0..3 {
                let message = within(stream.next()).await.unwrap().unwrap();
                let expected: Vec<u8> = content(number);
                assert!(message.into_data() == expected, "message {number}");
            }
            let sink = within(sending).await.unwrap();
            close(sink.reunite(stream).unwrap()).await;
        },
    );
}

#[test]
fn either_side_closes() {
    let (to_test, told) = std::sync::mpsc::channel();
    let handle = move |mut socket: WebSocket| async move {
        let frame = CloseFrame { code: 4000, reason: "enough".into() };
        if let Some(Ok(Message::Text(_))) = socket.recv().await {
            socket.send(Message::Close(Some(frame))).await.unwrap();
        }
        while let Some(message) = socket.recv().await {
            to_test.send(format!("{message:?}")).unwrap();
        }
        to_test.send("end".into()).unwrap();
    };
    let told = || told.recv_timeout(client::TIMEOUT).unwrap();
    on_each_wire(
        move || app(handle.clone()),
        async |wire, address| {
            // The server.
            let mut client = open(wire, &address, "/").await;
            send(&mut client, "close, please").await;
            let Sent::Close(Some(frame)) = next(&mut client).await else { panic!("no close") };
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "enough"));
            assert!(within(client.next()).await.is_none());
            let seen = told();
            assert!(seen.contains("4000") && seen.contains("enough"), "{seen}");
            assert_eq!(told(), "end");
            // The client.
            close(open(wire, &address, "/").await).await;
            assert_eq!(told(), "end");
        },
    );
}

#[test]
fn a_task_ends_when_its_client_vanishes() {
    let (to_test, told) = std::sync::mpsc::channel();
    let watch = move |mut socket: WebSocket| async move {
        to_test.send("open".to_owned()).unwrap();
        while let Some(message) = socket.recv().await {
            let text = message.map(|message| message.into_text().unwrap().to_string());
            to_test.send(text.unwrap_or_else(|error| error.to_string())).unwrap();
        }
    };
    let told = || told.recv_timeout(client::TIMEOUT).unwrap();
    on_each_wire(
        move || app(watch.clone()),
        async |wire, address| {
            // The stream ends without a close.
            let mut client = open(wire, &address, "/").await;
            send(&mut client, "last words").await;
            let mut stream = client.into_inner();
            stream.shutdown().await.unwrap();
            for expected in
                ["open", "last words", "WebSocket protocol error: Connection reset without"]
            {
                let seen = told();
                assert!(seen.starts_with(expected), "{seen}");
            }
        },
    );
}

#[test]
fn a_task_ends_when_its_client_resets_the_connection() {
    let (to_test, told) = std::sync::mpsc::channel();
    let watch = move |mut socket: WebSocket| async move {
        to_test.send("open".to_owned()).unwrap();
        to_test.send(socket.recv().await.unwrap().unwrap_err().to_string()).unwrap();
    };
    let told = || told.recv_timeout(client::TIMEOUT).unwrap();
    let running = RunningApp::new(app(watch));
    running.runtime.block_on(async {
        let stream = TcpStream::connect(&running.address).await.unwrap();
        let opened = tokio_tungstenite::client_async("ws://localhost/", stream).await;
        assert_eq!(told(), "open");
        let stream = opened.unwrap().0.into_inner();
        stream.set_zero_linger().unwrap();
        drop(stream);
        assert_eq!(told(), "IO error: the peer reset the connection");
        // Only a stream. The settings that allow it come before the first response.
        let mut requests = h2_client::connect(&running.address).await;
        let url = format!("http://{}/", running.address);
        let get = Request::get(&url).body(()).unwrap();
        assert_eq!(h2_client::exchange(&mut requests, get).await.unwrap().status(), 405);
        let request = Request::connect(url)
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        let request = request.body(()).unwrap();
        let (response, mut stream) = requests.send_request(request, false).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        assert_eq!(told(), "open");
        stream.send_reset(Reason::CANCEL);
        assert_eq!(told(), "IO error: the peer reset the connection");
    });
    running.stop();
}

#[test]
fn sockets_live_while_the_server_drains() {
    for wire in WIRES {
        let running = RunningApp::new(app(echo));
        running.runtime.block_on(async {
            let mut client = open(wire, &running.address, "/").await;
            running.serving.handle().drain();
            // When no one else is served, the drain has begun.
            while TcpStream::connect(&running.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            send(&mut client, "still here?").await;
            assert_eq!(next(&mut client).await, Sent::text("still here?"));
            close(client).await;
        });
        running.stop();
    }
}

#[test]
fn sockets_are_cut_at_the_drain_deadline() {
    for wire in WIRES {
        let (to_test, told) = std::sync::mpsc::channel();
        let watch = move |mut socket: WebSocket| async move {
            let end = socket.recv().await.unwrap().unwrap_err();
            to_test.send(end.to_string()).unwrap();
        };
        let config = Config { drain_timeout: Duration::from_millis(50), ..Config::default() };
        let options = Options { config, ..Options::default() };
        let running = RunningApp::with_options(options, app(watch));
        let mut client = running.runtime.block_on(open(wire, &running.address, "/"));
        running.serving.handle().drain();
        assert_eq!(running.serving.join().unwrap().cut, 1);
        let seen = told.recv_timeout(client::TIMEOUT).unwrap();
        assert!(seen.contains("the server stopped before"), "{seen}");
        let end = running.runtime.block_on(within(client.next()));
        assert!(end.unwrap().is_err());
    }
}

#[test]
fn the_example_is_a_chat_room_that_closes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let room = broadcast::Sender::new(64);
    let any_port = "127.0.0.1:0".parse().unwrap();
    let serving = example::serve(any_port, runtime.handle(), room.downgrade()).unwrap();
    let address = serving.addresses()[0].to_string();
    let page = client::Client::new(&address).request("GET /");
    assert!(page.text().contains("WebSocket(") && page.text().contains("\"chat\""));
    runtime.block_on(async {
        let mut members = Vec::new();
        for wire in WIRES {
            members.push(open(wire, &address, "/chat").await);
        }
        while room.receiver_count() < 2 {
            tokio::task::yield_now().await;
        }
        send(&mut members[0], "Hello").await;
        for member in &mut members {
            assert_eq!(next(member).await, Sent::text("Hello"));
        }
        serving.handle().drain();
        drop(room);
        for mut member in members {
            let Sent::Close(Some(frame)) = next(&mut member).await else { panic!("no close") };
            assert_eq!(u16::from(frame.code), 1001);
            assert!(within(member.next()).await.is_none());
        }
    });
    assert_eq!(serving.join().unwrap().cut, 0);
}
