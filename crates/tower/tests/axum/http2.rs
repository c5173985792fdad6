//! The same apps over HTTP/2.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, mpsc};

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Request, Version};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use h2::Reason;
use http_body_util::{BodyExt, StreamBody};
use sockeye::Peer;
use sockeye::http::Options;
use tokio::time::timeout;

use super::RunningApp;
use super::client::TIMEOUT;
use super::h2_client::{connect, exchange, receive};

fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://a.example:81{path}");
    Request::builder().method(method).version(Version::HTTP_2).uri(uri).body(()).unwrap()
}

/// Fails if more content follows, or the stream is reset.
async fn assert_ends(body: &mut h2::RecvStream) {
    // The frame that ends a stream may be empty.
    while let Some(piece) = body.data().await {
        assert_eq!(piece.unwrap(), "");
    }
}

/// What a handler can know of a request.
async fn describe(Extension(peer): Extension<Peer>, request: Request<Body>) -> String {
    let host = request.headers()["host"].to_str().unwrap();
    format!("{:?} {} {host} {}", request.version(), request.uri(), peer.address)
}

#[test]
fn a_handler_sees_version_absolute_uri_host_and_peer() {
    let app = Router::new()
        .route("/b", get(describe))
        .nest("/n", Router::new().route("/b", get(describe)));
    let running = RunningApp::new(app);
    running.runtime.block_on(async {
        let mut client = connect(&running.address).await;
        let told = exchange(&mut client, request("GET", "/b?c=d")).await.unwrap();
        let start = "HTTP/2.0 http://a.example:81/b?c=d a.example:81 127.0.0.1:";
        assert!(told.text().starts_with(start), "{told:?}");
        let told = exchange(&mut client, request("GET", "/n/b")).await.unwrap();
        assert!(told.text().starts_with("HTTP/2.0 http://a.example:81/b "), "{told:?}");
    });
    running.stop();
}

#[test]
fn content_streams_in_both_directions_at_once() {
    let app = Router::new().route("/echo", post(|body: Body| async { body }));
    let running = RunningApp::new(app);
    running.runtime.block_on(async {
        let mut client = connect(&running.address).await;
        let (response, mut content) = client.send_request(request("POST", "/echo"), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        for piece in ["one", "two", "three"] {
            content.send_data(piece.into(), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), piece);
            body.flow_control().release_capacity(piece.len()).unwrap();
        }
        content.send_data(Bytes::new(), true).unwrap();
        assert_ends(&mut body).await;
    });
    running.stop();
}

#[test]
fn large_content_of_many_streams_passes_all_windows() {
    const SIZE: usize = 300_000;
    let app = Router::new().route("/echo", post(|body: Body| async { body }));
    let running = RunningApp::new(app);
    running.runtime.block_on(async {
        let client = connect(&running.address).await;
        let exchanges = (0..8_u8).map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let (response, mut content) =
                    client.send_request(request("POST", "/echo"), false).unwrap();
                let sent = Bytes::from(vec![number; SIZE]);
                content.send_data(sent.clone(), true).unwrap();
                let received = receive(response.await.unwrap()).await.unwrap();
                assert!(received.content == sent, "stream {number}");
            })
        });
        for exchange in exchanges.collect::<Vec<_>>() {
            exchange.await.unwrap();
        }
    });
    running.stop();
}

/// Answers as gRPC does: with a message, and a status in the trailers.
async fn call(body: Body) -> Response {
    let collected = body.collect().await.unwrap();
    let mut trailers = collected.trailers().cloned().unwrap_or_default();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames =
        [http_body::Frame::data(collected.to_bytes()), http_body::Frame::trailers(trailers)];
    let body = StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Infallible>)));
    ([("content-type", "application/grpc")], Body::new(body)).into_response()
}

#[test]
fn trailers_pass_in_both_directions() {
    let app = Router::new().route("/call", post(call));
    let running = RunningApp::new(app);
    running.runtime.block_on(async {
        let mut client = connect(&running.address).await;
        let mut head = request("POST", "/call");
        head.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let (response, mut content) = client.send_request(head, false).unwrap();
        content.send_data("message".into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        content.send_trailers(trailers).unwrap();
        let received = receive(response.await.unwrap()).await.unwrap();
        assert_eq!((received.status(), received.text()), (200, "message"));
        let trailers = received.trailers.unwrap();
        assert_eq!(
            (&trailers["x-sum"], &trailers["grpc-status"]),
            (&"7".parse().unwrap(), &"0".parse().unwrap())
        );
    });
    running.stop();
}

/// Sends a message when it is dropped.
struct Guard(mpsc::Sender<String>, String);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(format!("dropped {}", self.1));
    }
}

#[test]
fn a_stream_that_its_client_resets_drops_its_task_and_no_other() {
    let (to_test, told) = mpsc::channel();
    let app = Router::new().route("/", get(|| async { "at once" })).route(
        "/{name}",
        get(|Path(name): Path<String>| async move {
            let guard = Guard(to_test.clone(), name.clone());
            to_test.send(format!("began {name}")).unwrap();
            if name == "body" {
                // Dropped with the response.
                let pieces = tokio_stream::pending::<Result<Bytes, Infallible>>();
                let pieces = tokio_stream::StreamExt::map(pieces, move |piece| {
                    let _guard = &guard;
                    piece
                });
                return Body::from_stream(pieces);
            }
            let _guard = guard;
            pending().await
        }),
    );
    let running = RunningApp::new(app);
    let next = || told.recv_timeout(TIMEOUT).unwrap();
    running.runtime.block_on(async {
        let mut client = connect(&running.address).await;
        let (_waits, mut other) = client.send_request(request("GET", "/other"), true).unwrap();
        assert_eq!(next(), "began other");
        for name in ["body", "task"] {
            let path = format!("/{name}");
            let (response, mut stream) = client.send_request(request("GET", &path), true).unwrap();
            assert_eq!(next(), format!("began {name}"));
            let response = match name {
                "body" => Some(response.await.unwrap()),
                _ => None,
            };
            stream.send_reset(Reason::CANCEL);
            assert_eq!(next(), format!("dropped {name}"));
            drop(response);
            let received = exchange(&mut client, request("GET", "/")).await.unwrap();
            assert_eq!(received.text(), "at once");
        }
        assert!(told.try_recv().is_err());
        other.send_reset(Reason::CANCEL);
        assert_eq!(next(), "dropped other");
    });
    running.stop();
}

#[test]
fn an_event_stream_and_other_responses_share_a_connection_until_the_server_drains() {
    let events = || async {
        let first = Event::default().data("one");
        let events = tokio_stream::iter([Ok::<_, Infallible>(first)]);
        Sse::new(tokio_stream::StreamExt::chain(events, tokio_stream::pending()))
    };
    let app = Router::new().route("/", get(|| async { "at once" })).route("/events", get(events));
    let running = RunningApp::new(app);
    running.runtime.block_on(async {
        let mut client = connect(&running.address).await;
        let (response, _) = client.send_request(request("GET", "/events"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "data: one\n\n");
        let received = exchange(&mut client, request("GET", "/")).await.unwrap();
        assert_eq!(received.text(), "at once");
        running.serving.handle().drain();
        assert_ends(&mut body).await;
    });
    running.stop();
}

#[test]
fn responses_have_no_fields_about_a_connection() {
    let fields = [
        ("connection", "close, x"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("x", "Y"),
    ];
    let app = Router::new().route("/", get(move || async move { (fields, "text") }));
    let running = RunningApp::new(app);
    running.runtime.block_on(async {
        let mut client = connect(&running.address).await;
        // `close` ends no connection: its other streams need it.
        for _ in 0..2 {
            let received = exchange(&mut client, request("GET", "/")).await.unwrap();
            assert_eq!((received.status(), received.text()), (200, "text"));
            assert_eq!((received.field("x"), received.field("content-length")), ("Y", "4"));
            for (name, _) in &fields[..5] {
                assert_eq!(received.field(name), "", "{name}");
            }
        }
    });
    running.stop();
}

#[test]
fn what_a_body_buffers_is_charged() {
    let options = Options::default();
    let (budget, other) = (Arc::clone(&options.collected), Arc::clone(&options.collected));
    // Answers once the whole body is buffered, and then reads it.
    let read = move |body: Body| async move {
        while other.used() < 1000 {
            tokio::task::yield_now().await;
        }
        body.collect().await.unwrap().to_bytes().len().to_string()
    };
    let running = RunningApp::with_options(options, Router::new().route("/", post(read)));
    running.runtime.block_on(async {
        let mut client = connect(&running.address).await;
        let (response, mut content) = client.send_request(request("POST", "/"), false).unwrap();
        content.send_data(vec![b'x'; 1000].into(), true).unwrap();
        let received = timeout(TIMEOUT, async { receive(response.await.unwrap()).await });
        assert_eq!(received.await.expect("it is charged").unwrap().text(), "1000");
    });
    assert_eq!(budget.used(), 0);
    running.stop();
}
