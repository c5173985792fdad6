//! axum's WebSockets, as its users write them, with tungstenite as the client.

use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use sockeye::Config;
use sockeye::http::Options;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Error, error::ProtocolError};

use super::client::{self, TIMEOUT};
use super::{RunningApp, example};

type Client = WebSocketStream<TcpStream>;
type Sent = tungstenite::Message;

/// Opens a WebSocket. Returns the response's fields, too.
async fn open_with(
    address: &str,
    path: &str,
    fields: &[(&'static str, &str)],
) -> (Client, HeaderMap) {
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}{path}");
    let mut request = url.into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let opened = tokio_tungstenite::client_async(request, stream);
    let (client, response) = within(opened).await.unwrap();
    assert_eq!(response.status(), 101);
    (client, response.headers().clone())
}

async fn open(running: &RunningApp, path: &str) -> Client {
    open_at(&running.address, path).await
}

async fn open_at(address: &str, path: &str) -> Client {
    open_with(address, path, &[]).await.0
}

/// Far longer than anything here should take.
async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TIMEOUT, future).await.expect("in time")
}

async fn next(client: &mut Client) -> Sent {
    within(client.next()).await.expect("a message").unwrap()
}

async fn send(client: &mut Client, text: &str) {
    within(client.send(Sent::text(text))).await.unwrap();
}

/// Closes, and expects that the server closes, too.
async fn close(mut client: Client) {
    within(client.close(None)).await.unwrap();
    assert!(matches!(next(&mut client).await, Sent::Close(_)));
    assert!(within(client.next()).await.is_none());
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message).await.unwrap();
        }
    }
}

async fn upgrade_to_echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

fn echo_app() -> Router {
    Router::new().route("/", any(upgrade_to_echo))
}

#[test]
fn messages_are_echoed_and_pings_are_answered() {
    let running = RunningApp::new(echo_app());
    running.runtime.block_on(async {
        let mut client = open(&running, "/").await;
        for sent in [Sent::text("hello"), Sent::binary(vec![0, 255]), Sent::text("")] {
            client.send(sent.clone()).await.unwrap();
            assert_eq!(next(&mut client).await, sent);
        }
        client.send(Sent::Ping("are you there?".into())).await.unwrap();
        assert_eq!(next(&mut client).await, Sent::Pong("are you there?".into()));
        close(client).await;
    });
    running.stop();
}

#[test]
fn a_server_may_speak_first() {
    let greet = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move { socket.send("welcome".into()).await.unwrap() })
    };
    let running = RunningApp::new(Router::new().route("/", any(greet)));
    running.runtime.block_on(async {
        for _ in 0..100 {
            let mut client = open(&running, "/").await;
            assert_eq!(next(&mut client).await, Sent::text("welcome"));
            // The handler has dropped its socket without a close.
            let end = within(client.next()).await.unwrap().unwrap_err();
            let expected = ProtocolError::ResetWithoutClosingHandshake;
            assert!(matches!(end, Error::Protocol(error) if error == expected));
        }
    });
    running.stop();
}

#[test]
fn one_task_sends_while_another_receives() {
    let split = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|socket| async move {
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
        })
    };
    let running = RunningApp::new(Router::new().route("/", any(split)));
    running.runtime.block_on(async {
        let mut client = open(&running, "/").await;
        for line in ["a", "b", "end"] {
            send(&mut client, line).await;
        }
        for expected in ["1 a", "2 b", "bye"] {
            assert_eq!(next(&mut client).await, Sent::text(expected));
        }
        assert!(matches!(next(&mut client).await, Sent::Close(_)));
        assert!(within(client.next()).await.is_none());
    });
    running.stop();
}

#[test]
fn a_chat_room_sends_each_line_to_all_members() {
    let (room, _) = broadcast::channel::<String>(64);
    let member = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
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
        })
    };
    let running = RunningApp::new(Router::new().route("/chat", any(member)));
    running.runtime.block_on(async {
        let mut members = Vec::new();
        for _ in 0..5 {
            let mut member = open(&running, "/chat").await;
            assert_eq!(next(&mut member).await, Sent::text("joined"));
            members.push(member);
        }
        for speaker in 0..5 {
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
    let running = RunningApp::new(Router::new().route("/", any(select)));
    running.runtime.block_on(async {
        let asked = [("sec-websocket-protocol", "wamp, soap")];
        let (mut client, fields) = open_with(&running.address, "/", &asked).await;
        assert_eq!(fields["sec-websocket-protocol"], "soap");
        assert_eq!(fields["upgrade"], "websocket");
        assert_eq!(fields["connection"], "Upgrade");
        assert_eq!(fields.get_all("connection").iter().count(), 1);
        assert!(fields.contains_key("date") && !fields.contains_key("content-length"));
        assert_eq!(next(&mut client).await, Sent::text("soap"));
        close(client).await;
        let mut client = open(&running, "/").await;
        assert_eq!(next(&mut client).await, Sent::text(""));
        close(client).await;
    });
    running.stop();
}

#[test]
fn axum_rejects_what_is_no_handshake() {
    let running = RunningApp::new(echo_app());
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
fn axum_reports_an_upgrade_that_a_layer_refuses() {
    let (to_test, mut failures) = mpsc::unbounded_channel();
    let handler = move |upgrade: WebSocketUpgrade| async move {
        let failed = move |error: axum::Error| to_test.send(error.to_string()).unwrap();
        upgrade.on_failed_upgrade(failed).on_upgrade(echo)
    };
    let refuse = middleware::map_response(async |_: Response| StatusCode::FORBIDDEN);
    let running = RunningApp::new(Router::new().route("/", any(handler)).layer(refuse));
    running.runtime.block_on(async {
        let stream = TcpStream::connect(&running.address).await.unwrap();
        let opened = tokio_tungstenite::client_async("ws://localhost/", stream).await;
        let Err(Error::Http(response)) = opened else { panic!("{opened:?}") };
        assert_eq!(response.status(), 403);
        assert_eq!(within(failures.recv()).await.unwrap(), "operation was canceled");
    });
    running.stop();
}

/// Many times what all buffers on the way hold.
const LARGE: usize = 16 << 20;

#[test]
fn large_messages_pass_in_both_directions_at_once() {
    let running = RunningApp::new(echo_app());
    running.runtime.block_on(async {
        let (mut sink, mut stream) = open(&running, "/").await.split();
        let content = |number: u8| (0..LARGE).map(|index| (index % 251) as u8 ^ number).collect();
        // Each message of the server waits until the client reads, and so do the client's next ones.
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
    });
    running.stop();
}

#[test]
fn either_side_closes() {
    let (to_test, mut told) = mpsc::unbounded_channel();
    let closes = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            let frame = CloseFrame { code: 4000, reason: "enough".into() };
            if let Some(Ok(Message::Text(_))) = socket.recv().await {
                socket.send(Message::Close(Some(frame))).await.unwrap();
            }
            while let Some(message) = socket.recv().await {
                to_test.send(format!("{message:?}")).unwrap();
            }
            to_test.send("end".into()).unwrap();
        })
    };
    let running = RunningApp::new(Router::new().route("/", any(closes)));
    running.runtime.block_on(async {
        // The server.
        let mut client = open(&running, "/").await;
        send(&mut client, "close, please").await;
        let Sent::Close(Some(frame)) = next(&mut client).await else { panic!("no close") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "enough"));
        assert!(within(client.next()).await.is_none());
        let seen = within(told.recv()).await.unwrap();
        assert!(seen.contains("4000") && seen.contains("enough"), "{seen}");
        assert_eq!(within(told.recv()).await.unwrap(), "end");
        // The client.
        close(open(&running, "/").await).await;
        assert_eq!(within(told.recv()).await.unwrap(), "end");
    });
    running.stop();
}

#[test]
fn a_task_ends_when_its_client_vanishes() {
    let (to_test, mut told) = mpsc::unbounded_channel();
    let watch = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            to_test.send("open".to_owned()).unwrap();
            while let Some(message) = socket.recv().await {
                match message {
                    Ok(message) => to_test.send(message.into_text().unwrap().to_string()).unwrap(),
                    Err(error) => to_test.send(error.to_string()).unwrap(),
                }
            }
        })
    };
    let running = RunningApp::new(Router::new().route("/", any(watch)));
    running.runtime.block_on(async {
        // Without a close: the stream ends.
        let mut client = open(&running, "/").await;
        send(&mut client, "last words").await;
        drop(client);
        for expected in ["open", "last words", "WebSocket protocol error: Connection reset without"]
        {
            let seen = within(told.recv()).await.unwrap();
            assert!(seen.starts_with(expected), "{seen}");
        }
        // With a reset.
        let client = open(&running, "/").await;
        assert_eq!(within(told.recv()).await.unwrap(), "open");
        let stream = client.into_inner();
        stream.set_zero_linger().unwrap();
        drop(stream);
        let seen = within(told.recv()).await.unwrap();
        assert!(seen.contains("the peer reset the connection"), "{seen}");
    });
    assert_eq!(running.stop().closed_for("reset"), 1);
}

#[test]
fn sockets_live_while_the_server_drains() {
    let running = RunningApp::new(echo_app());
    running.runtime.block_on(async {
        let mut client = open(&running, "/").await;
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

#[test]
fn sockets_are_cut_at_the_drain_deadline() {
    let (to_test, mut told) = mpsc::unbounded_channel();
    let watch = move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            let end = socket.recv().await.unwrap().unwrap_err();
            to_test.send(end.to_string()).unwrap();
        })
    };
    let config = Config { drain_timeout: Duration::from_millis(50), ..Config::default() };
    let options = Options { config, ..Options::default() };
    let running = RunningApp::with_options(options, Router::new().route("/", any(watch)));
    let mut client = running.runtime.block_on(open(&running, "/"));
    running.serving.handle().drain();
    assert_eq!(running.serving.join().unwrap().cut, 1);
    running.runtime.block_on(async {
        let seen = within(told.recv()).await.unwrap();
        assert!(seen.contains("the server stopped before"), "{seen}");
        assert!(within(client.next()).await.unwrap().is_err());
    });
}

#[test]
fn the_example_is_a_chat_room_that_closes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.unwrap();
    let room = broadcast::Sender::new(64);
    let any_port = "127.0.0.1:0".parse().unwrap();
    let serving = example::serve(any_port, runtime.handle(), room.downgrade()).unwrap();
    let address = serving.addresses()[0].to_string();
    let page = client::Client::new(&address).request("GET /");
    assert!(page.text().contains("WebSocket(") && page.text().contains("\"chat\""));
    runtime.block_on(async {
        let mut members = Vec::new();
        for _ in 0..2 {
            members.push(open_at(&address, "/chat").await);
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
