//! Streamed bodies of requests and responses, and how they end.

use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{Notify, mpsc};
use tokio_stream::StreamExt;

use super::RunningApp;
use super::client::Client;

/// A stream of the messages of a channel.
fn stream_of<T>(receiver: mpsc::Receiver<T>) -> impl tokio_stream::Stream<Item = T> {
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

type Piece = Result<Bytes, std::io::Error>;

/// An app whose `/` streams, once, the messages of the returned channel.
fn streaming() -> (Router, mpsc::Sender<Piece>) {
    let (send, receive) = mpsc::channel(1);
    let receive = Arc::new(Mutex::new(Some(receive)));
    let app = Router::new().route(
        "/",
        get(move || async move {
            let receive = receive.lock().unwrap().take().unwrap();
            Body::from_stream(stream_of(receive))
        }),
    );
    (app, send)
}

#[test]
fn a_response_is_sent_while_it_is_produced() {
    let (app, send) = streaming();
    let running = RunningApp::new(app);
    let mut client = running.client();
    client.head("GET /", &[]);
    assert_eq!(client.response_head().field("transfer-encoding"), Some("chunked"));
    for piece in ["one", "two", "three"] {
        send.blocking_send(Ok(piece.into())).unwrap();
        assert_eq!(client.chunk().unwrap(), piece.as_bytes());
    }
    drop(send);
    assert_eq!(client.chunk(), None);
    drop(client);
    running.stop();
}

#[test]
fn a_response_that_fails_is_aborted() {
    let (app, send) = streaming();
    let running = RunningApp::new(app);
    let mut client = running.client();
    client.head("GET /", &[]);
    send.blocking_send(Ok("some".into())).unwrap();
    client.response_head();
    assert_eq!(client.chunk().unwrap(), b"some");
    send.blocking_send(Err(std::io::Error::other("on purpose"))).unwrap();
    assert_eq!(client.rest(), b"", "there is no last chunk");
    assert_eq!(running.stop().closed_for("response_aborted"), 1);
}

#[test]
fn events_arrive_one_by_one_and_draining_completes_the_response() {
    let (send, receive) = mpsc::channel::<&'static str>(1);
    let receive = Arc::new(Mutex::new(Some(receive)));
    let app = Router::new().route(
        "/",
        get(move || async move {
            let receive = receive.lock().unwrap().take().unwrap();
            Sse::new(
                stream_of(receive).map(|text| Ok::<_, Infallible>(Event::default().data(text))),
            )
        }),
    );
    let running = RunningApp::new(app);
    let mut client = running.client();
    client.head("GET /", &[]);
    assert_eq!(client.response_head().field("content-type"), Some("text/event-stream"));
    for text in ["one", "two"] {
        send.blocking_send(text).unwrap();
        assert_eq!(client.chunk().unwrap(), format!("data: {text}\n\n").as_bytes());
    }
    running.serving.handle().drain();
    assert_eq!(client.chunk(), None);
    running.stop();
    // The stream is dropped with its task.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(send.closed());
}

#[test]
fn a_slow_client_slows_the_response_stream_down() {
    const PIECES: usize = 2000;
    let produced = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&produced);
    let app = Router::new().route(
        "/",
        get(move || async move {
            Body::from_stream(tokio_stream::iter(0..PIECES).map(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(vec![b'x'; 64 * 1024])
            }))
        }),
    );
    let running = RunningApp::new(app);
    let mut client = running.client();
    client.head("GET /", &[]);
    client.response_head();
    let (mut seen, mut same) = (0, 0);
    while same < 1000 {
        let now = produced.load(Ordering::Relaxed);
        (same, seen) = if now == seen { (same + 1, seen) } else { (0, now) };
        thread::yield_now();
        assert!(seen < PIECES, "everything was produced, though the client doesn't read");
    }
    let mut bytes = 0;
    while let Some(chunk) = client.chunk() {
        bytes += chunk.len();
    }
    assert_eq!(bytes, PIECES * 64 * 1024);
    drop(client);
    running.stop();
}

#[test]
fn a_slow_service_slows_the_client_down() {
    const BYTES: usize = 64 << 20;
    let go = Arc::new(Notify::new());
    let may_go = Arc::clone(&go);
    let app = Router::new().route(
        "/",
        post(move |body: Body| async move {
            may_go.notified().await;
            let mut bytes = 0;
            let mut body = body;
            while let Some(frame) = body.frame().await {
                bytes += frame.unwrap().into_data().map_or(0, |data| data.len());
            }
            bytes.to_string()
        }),
    );
    let running = RunningApp::new(app);
    let mut client = TcpStream::connect(&running.address).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {BYTES}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).unwrap();
    client.set_nonblocking(true).unwrap();
    let chunk = vec![0; 1 << 20];
    let (mut sent, mut refused) = (0, 0);
    while refused < 1000 {
        match client.write(&chunk) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
                thread::yield_now();
            }
        }
        assert!(sent < BYTES, "everything was read, though the service doesn't poll the body");
    }
    go.notify_one();
    client.set_nonblocking(false).unwrap();
    while sent < BYTES {
        let count = chunk.len().min(BYTES - sent);
        client.write_all(&chunk[..count]).unwrap();
        sent += count;
    }
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.ends_with(&format!("\r\n\r\n{BYTES}")), "{response}");
    running.stop();
}

#[test]
fn large_bodies_flow_both_ways_at_once() {
    const BYTES: usize = 32 << 20;
    let app = Router::new().route("/", post(|body: Body| async move { body }));
    let running = RunningApp::new(app);
    let mut client = TcpStream::connect(&running.address).unwrap();
    let mut sender = client.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        sender.write_all(format!("{head}Content-Length: {BYTES}\r\n\r\n").as_bytes()).unwrap();
        let content: Vec<u8> = (0..BYTES).map(|at| (at / 3) as u8).collect();
        for part in content.chunks(1_000_003) {
            sender.write_all(part).unwrap();
        }
    });
    let mut response = Vec::new();
    client.read_to_end(&mut response).unwrap();
    sending.join().unwrap();
    let head = response.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    // With a length, because the request has one.
    assert!(response[..head].windows(15).any(|name| name.eq_ignore_ascii_case(b"content-length:")));
    assert_eq!(response.len() - head, BYTES);
    assert!(response[head..].iter().enumerate().all(|(at, byte)| *byte == (at / 3) as u8));
    drop(client);
    running.stop();
}

#[test]
fn trailers_go_both_ways() {
    async fn handler(body: Body) -> Response {
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let data = http_body::Frame::data(collected.to_bytes());
        let frames = [Ok::<_, Infallible>(data), Ok(http_body::Frame::trailers(trailers))];
        let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
        Response::builder().header("trailer", "x-sum").body(body).unwrap()
    }

    let running = RunningApp::new(Router::new().route("/", post(handler)));
    let mut client = running.client();
    client.head("POST /", &["Transfer-Encoding: chunked"]);
    client.send("3\r\nabc\r\n0\r\nX-Sum: 3\r\nx-sum: 4\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.text(), &*answer.trailers), ("abc", "x-sum: 3\r\nx-sum: 4\r\n"));
    assert_eq!(answer.field("trailer"), Some("x-sum"));
    drop(client);
    running.stop();
}

#[test]
fn a_client_gets_100_continue_when_the_service_polls_the_body() {
    let app = Router::new().route(
        "/",
        post(|headers: HeaderMap, body: Body| async move {
            if headers.contains_key("x-unwanted") {
                return (StatusCode::FORBIDDEN, Bytes::new());
            }
            (StatusCode::OK, body.collect().await.unwrap().to_bytes())
        }),
    );
    let running = RunningApp::new(app);
    let mut client = running.client();
    let expects = ["Expect: 100-continue", "Content-Length: 5"];
    client.head("POST /", &expects);
    assert_eq!(client.response_head().status, 100);
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
    client.head("POST /", &[&expects[..], &["X-Unwanted: 1"]].concat());
    assert_eq!(client.response().status, 403);
    assert!(client.is_closed());
    running.stop();
}

/// Sends a message when it is dropped.
struct Dropped(std_mpsc::Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

#[test]
fn a_task_is_aborted_when_its_client_leaves() {
    let (dropped, was_dropped) = std_mpsc::channel();
    let (began, has_begun) = std_mpsc::channel();
    let app = Router::new().route("/", get(|| async { "unread" })).route(
        "/never",
        get(move || async move {
            let _dropped = Dropped(dropped);
            began.send(()).unwrap();
            std::future::pending::<()>().await;
        }),
    );
    let running = RunningApp::new(app);
    let mut client = TcpStream::connect(&running.address).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    has_begun.recv().unwrap();
    // Unread bytes make this a reset.
    assert_eq!(client.peek(&mut [0]).unwrap(), 1);
    drop(client);
    was_dropped.recv().unwrap();
    running.stop();
}

#[test]
fn an_incomplete_body_ends_its_task() {
    let (dropped, was_dropped) = std_mpsc::channel();
    let (began, has_begun) = std_mpsc::channel();
    let app = Router::new().route(
        "/",
        post(move |body: Body| async move {
            let _dropped = Dropped(dropped);
            began.send(()).unwrap();
            let _ = body.collect().await;
        }),
    );
    let running = RunningApp::new(app);
    let mut client = running.client();
    client.head("POST /", &["Content-Length: 10"]);
    client.send("four");
    has_begun.recv().unwrap();
    drop(client);
    was_dropped.recv().unwrap();
    running.stop();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = Router::new().route(
        "/{n}",
        get(|axum::extract::Path(n): axum::extract::Path<u32>| async move {
            // Earlier requests take longer.
            for _ in n..10 {
                tokio::task::yield_now().await;
            }
            n.to_string()
        }),
    );
    let running = RunningApp::new(app);
    let mut client: Client = running.client();
    let requests: String =
        (0..10).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..10 {
        assert_eq!(client.response().text(), n.to_string());
    }
    drop(client);
    running.stop();
}
