//! The Content-Length of responses, and services that set a wrong one.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http_body_util::StreamBody;
use sockeye::http::Limits;
use sockeye_tower::RequestBody;
use tower_service::Service;

use super::RunningApp;

/// A body of unknown length, all of which is ready.
fn stream_of(text: &'static str) -> Body {
    Body::from_stream(tokio_stream::iter([Ok::<_, Infallible>(Bytes::from(text))]))
}

/// Replaces the body by one of unknown length, as a compression layer does.
async fn compress(request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = stream_of("the header of a gzip file");
    response
}

/// Responds to GET with content, and to HEAD without it.
async fn by_hand(method: Method) -> Response {
    let body = if method == Method::HEAD { Body::empty() } else { Body::from("content") };
    Response::new(body)
}

async fn by_hand_with_length(method: Method) -> impl IntoResponse {
    ([(header::CONTENT_LENGTH, "7")], by_hand(method).await)
}

async fn events() -> impl IntoResponse {
    Sse::new(tokio_stream::iter([Ok::<_, Infallible>(Event::default().data("one"))]))
}

#[test]
fn head_has_the_content_length_of_get_or_none() {
    let app = Router::new()
        .route("/text", get(|| async { "Hello" }))
        .route("/any-text", any(|| async { "Hello" }))
        .route("/empty", get(|| async {}))
        .route("/stream", get(|| async { stream_of("Hello") }))
        .route("/any-stream", any(|| async { stream_of("Hello") }))
        .route(
            "/pending",
            any(|| async {
                Body::from_stream(tokio_stream::pending::<Result<Bytes, Infallible>>())
            }),
        )
        .route("/events", get(events))
        .route("/any-events", any(events))
        .route("/by-hand", any(by_hand))
        .route("/by-hand-with-length", any(by_hand_with_length))
        .route("/compressed", get(|| async { "Hello" }).layer(middleware::from_fn(compress)))
        .route("/204", any(|| async { (StatusCode::NO_CONTENT, [(header::CONTENT_LENGTH, "5")]) }))
        .route("/205", any(|| async { StatusCode::RESET_CONTENT }))
        .route(
            "/304",
            any(|| async { (StatusCode::NOT_MODIFIED, [(header::CONTENT_LENGTH, "5")]) }),
        );
    let running = RunningApp::new(app);
    let mut client = running.client();
    for (path, status, length) in [
        ("/text", 200, Some("5")),
        ("/any-text", 200, Some("5")),
        // axum adds `Content-Length: 0` to every empty body. In response to HEAD it is not sent.
        ("/empty", 200, None),
        ("/stream", 200, None),
        ("/any-stream", 200, None),
        ("/pending", 200, None),
        ("/events", 200, None),
        ("/any-events", 200, None),
        ("/by-hand", 200, None),
        ("/by-hand-with-length", 200, Some("7")),
        ("/compressed", 200, None),
        ("/204", 204, None),
        ("/205", 205, Some("0")),
        ("/304", 304, None),
    ] {
        let answer = client.request(&format!("HEAD {path}"));
        assert_eq!((answer.status, answer.field("content-length")), (status, length), "{path}");
        assert_eq!(answer.field("transfer-encoding"), None, "{path}");
    }
    assert_eq!(client.request("GET /by-hand").field("content-length"), Some("7"));
    drop(client);
    running.stop();
}

/// A service without axum, which also returns content in response to HEAD.
#[derive(Clone)]
struct Bare(fn(&str) -> Response);

impl Service<Request<RequestBody>> for Bare {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        ready(Ok((self.0)(request.uri().path())))
    }
}

#[test]
fn content_in_response_to_head_is_not_sent() {
    let running = RunningApp::with(
        Limits::default(),
        Bare(|path| match path {
            "/text" => "Hello".into_response(),
            "/empty" => ().into_response(),
            "/stream" => stream_of("Hello").into_response(),
            "/pending" => {
                let pieces = tokio_stream::pending::<Result<Bytes, Infallible>>();
                Body::from_stream(pieces).into_response()
            }
            "/declared" => ([(header::CONTENT_LENGTH, "5")], stream_of("Hello")).into_response(),
            _ => ([(header::CONTENT_LENGTH, "6")], "Hello").into_response(),
        }),
    );
    let mut client = running.client();
    for (path, status, length) in [
        ("/text", 200, Some("5")),
        ("/empty", 200, None),
        ("/stream", 200, None),
        ("/pending", 200, None),
        ("/declared", 200, Some("5")),
        ("/wrong", 500, Some("26")),
    ] {
        let answer = client.request(&format!("HEAD {path}"));
        assert_eq!((answer.status, answer.field("content-length")), (status, length), "{path}");
        assert_eq!(answer.field("transfer-encoding"), None, "{path}");
    }
    assert_eq!(client.request("GET /empty").field("content-length"), Some("0"));
    drop(client);
    running.stop();
}

#[test]
fn a_wrong_content_length_is_a_500_and_the_connection_stays_open() {
    let says = |length: &'static str, body: &'static [u8]| {
        get(move || async move { ([(header::CONTENT_LENGTH, length)], body) })
    };
    let app = Router::new()
        .route("/short", says("5", b"Hello, you"))
        .route("/long", says("50", b"Hello, you"))
        .route("/none", says("0", b"Hello, you"))
        .route("/empty", says("5", b""))
        .route("/large", says("5", &[b'x'; 1 << 20]))
        .route("/right", says("10", b"Hello, you"));
    let running = RunningApp::new(app);
    let mut client = running.client();
    for path in ["/short", "/long", "/none", "/empty", "/large"] {
        let answer = client.request(&format!("GET {path}"));
        assert_eq!((answer.status, answer.text()), (500, "500 Internal Server Error\n"), "{path}");
    }
    assert_eq!(client.request("GET /right").text(), "Hello, you");
    drop(client);
    assert_eq!(running.stop().closed_for("response_aborted"), 0);
}

/// RFC 9110, 15.5.22.
#[test]
fn a_426_names_the_protocols_that_it_requires() {
    let respond = |status, protocols| ready((status, [(header::UPGRADE, protocols)]));
    let app = Router::new()
        .route("/", get(move || respond(StatusCode::UPGRADE_REQUIRED, "websocket, shout/1")))
        .route("/invalid", get(move || respond(StatusCode::UPGRADE_REQUIRED, "a b")))
        .route("/other", get(move || respond(StatusCode::OK, "websocket")));
    let running = RunningApp::new(app);
    let mut client = running.client();
    for (path, status, connection, upgrade) in [
        ("/", 426, Some("upgrade"), Some("websocket, shout/1")),
        ("/invalid", 500, None, None),
        ("/other", 200, None, None),
    ] {
        let response = client.request(&format!("GET {path}"));
        let fields = (response.field("connection"), response.field("upgrade"));
        assert_eq!((response.status, fields), (status, (connection, upgrade)), "{path}");
    }
    running.stop();
}

#[test]
fn a_stream_that_breaks_its_content_length_is_aborted() {
    let with_length = |length: &'static str| {
        get(move || async move {
            let frame = http_body::Frame::data(Bytes::from("Hello"));
            let body = Body::new(StreamBody::new(tokio_stream::iter([Ok::<_, Infallible>(frame)])));
            ([(header::CONTENT_LENGTH, length)], body)
        })
    };
    let app = Router::new()
        .route("/short", with_length("4"))
        .route("/long", with_length("6"))
        .route("/right", with_length("5"));
    let running = RunningApp::new(app);
    assert_eq!(running.client().request("GET /right").text(), "Hello");
    for (path, rest) in [("/short", ""), ("/long", "Hello")] {
        let mut client = running.client();
        client.head(&format!("GET {path}"), &[]);
        assert_eq!(client.response_head().status, 200);
        assert_eq!(client.rest(), rest.as_bytes(), "{path}");
    }
    assert_eq!(running.stop().closed_for("response_aborted"), 2);
}
