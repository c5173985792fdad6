//! Clients that leave, and the tasks and bodies that are dropped then.

use std::convert::Infallible;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::Response;
use axum::routing::{get, post};
use http_body_util::{BodyExt, StreamBody};
use sockeye::http::Limits;
use tokio::sync::Notify;
use tokio_stream::StreamExt;

use super::RunningApp;
use super::client::{Client, TIMEOUT};

/// Sends a message when it is dropped.
struct Guard(mpsc::Sender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

/// Limits with this `half_closed_timeout`.
fn limits(half_closed_timeout: Duration) -> Limits {
    Limits { half_closed_timeout, ..Limits::default() }
}

/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(30);

/// An app whose streams and futures report on the returned channels that they started and were
/// dropped. `/never` never responds, `/silent` sends only a head, `/pour` sends without an end, and
/// `/unread` (a POST) doesn't read its body.
fn app() -> (Router, mpsc::Receiver<()>, mpsc::Receiver<()>) {
    let (to_began, began) = mpsc::channel();
    let (to_dropped, dropped) = mpsc::channel();
    let guard = move || {
        to_began.send(()).unwrap();
        Guard(to_dropped.clone())
    };
    let guards = [(); 4].map(|()| guard.clone());
    let [never, silent, pour, unread] = guards;
    let app = Router::new()
        .route("/", get(|| async { "at once" }))
        .route(
            "/never",
            get(|| async move {
                let _guard = never();
                std::future::pending::<()>().await;
            }),
        )
        .route(
            "/silent",
            get(|| async move {
                let guard = silent();
                Body::from_stream(tokio_stream::pending::<Result<Bytes, Infallible>>().map(
                    move |piece| {
                        let _guard = &guard;
                        piece
                    },
                ))
            }),
        )
        .route(
            "/pour",
            get(|| async move {
                let guard = pour();
                Body::from_stream(tokio_stream::iter(std::iter::repeat_with(move || {
                    let _guard = &guard;
                    Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 64 * 1024]))
                })))
            }),
        )
        .route(
            "/unread",
            post(|body: Body| async move {
                let _guard = (unread(), body);
                std::future::pending::<()>().await;
            }),
        );
    (app, began, dropped)
}

/// A client with an unread response, so that it closes with a reset.
fn client_of(running: &RunningApp) -> Client {
    let mut client = running.client();
    client.head("GET /", &[]);
    client.wait();
    client
}

#[test]
fn a_task_is_dropped_when_its_client_resets_the_connection() {
    let (app, began, dropped) = app();
    let running = RunningApp::with(limits(LONG), app);
    for path in ["/never", "/silent", "/pour"] {
        let mut client = client_of(&running);
        client.head(&format!("GET {path}"), &[]);
        began.recv_timeout(TIMEOUT).unwrap();
        assert!(dropped.try_recv().is_err(), "{path}");
        client.reset();
        dropped.recv_timeout(TIMEOUT).expect(path);
    }
    // A body that is larger than the buffer pauses the connection. After a reset, the task has a
    // grace period.
    let mut client = client_of(&running);
    client.head("POST /unread", &["Content-Length: 1000000"]);
    began.recv_timeout(TIMEOUT).unwrap();
    client.send(vec![b'x'; 400_000]);
    client.reset();
    dropped.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(running.stop().closed_for("reset"), 4);
}

/// An app that reads bodies and reports on the returned channel how they ended. `/busy` waits for
/// `go` after the first piece, and `/echo` sends each piece back.
fn uploads(go: &'static Notify) -> (Router, mpsc::Receiver<String>) {
    let (to_test, notifications) = mpsc::channel();
    let of = |to_test: &mpsc::Sender<String>| to_test.clone();
    let (collect, busy, echo) = (of(&to_test), of(&to_test), to_test);
    let app = Router::new()
        .route("/", get(|| async { "at once" }))
        .route(
            "/collect",
            post(|body: Body| async move {
                let end = body.collect().await;
                // Cleaning up may take several steps.
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                collect.send(outcome(end.map(|_| ()))).unwrap();
            }),
        )
        .route(
            "/busy",
            post(move |mut body: Body| async move {
                let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
                busy.send(format!("{} bytes", first.len())).unwrap();
                go.notified().await;
                busy.send(outcome(body.collect().await.map(|_| ()))).unwrap();
            }),
        )
        .route(
            "/echo",
            post(|body: Body| async move {
                Body::from_stream(body.into_data_stream().map(move |piece| {
                    if let Err(error) = &piece {
                        echo.send(error.to_string()).unwrap();
                    }
                    piece
                }))
            }),
        );
    (app, notifications)
}

fn outcome(end: Result<(), axum::Error>) -> String {
    end.map_or_else(|error| error.to_string(), |()| "complete".to_owned())
}

#[test]
fn a_service_that_reads_a_body_gets_an_error_if_it_is_incomplete() {
    static GO: Notify = Notify::const_new();
    const INCOMPLETE: &str = "the request's body is incomplete";

    let mut limits = limits(LONG);
    // Longer than a delayed acknowledgement.
    limits.body_timeout = Duration::from_millis(300);
    let (app, notifications) = uploads(&GO);
    let running = RunningApp::with(limits, app);
    type Cut = fn(Client) -> u16;
    let end: Cut = |mut client| {
        client.end();
        client.response().status
    };
    let wait: Cut = |mut client| client.response().status;
    let reset: Cut = |client| {
        client.reset();
        0
    };
    let (length, chunked) = ("Content-Length: 9", "Transfer-Encoding: chunked");
    for (field, body, cut, status) in [
        (length, "abc", end, 400),
        (length, "", end, 400),
        (length, "abc", wait, 408),
        (length, "abc", reset, 0),
        (chunked, "3\r\nabc\r\n", end, 400),
        (chunked, "3\r\nabc\r\nx", wait, 400),
    ] {
        let mut client = if status == 0 { client_of(&running) } else { running.client() };
        client.head("POST /collect", &[field]);
        client.send(body);
        assert_eq!(cut(client), status, "{field} {body}");
        assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), INCOMPLETE, "{field} {body}");
    }
    // A task that doesn't poll the body at that moment.
    for cut in [reset, end] {
        let mut client = client_of(&running);
        client.head("POST /busy", &[length]);
        client.send("abc");
        assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), "3 bytes");
        cut(client);
        GO.notify_one();
        assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), INCOMPLETE);
    }
    // A task whose response has started.
    let mut client = running.client();
    client.head("POST /echo", &[chunked]);
    client.send("3\r\nabc\r\n");
    client.response_head();
    assert_eq!(client.chunk().unwrap(), b"abc");
    client.end();
    assert_eq!(client.rest(), b"", "there is no last chunk");
    assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), INCOMPLETE);
    let mut client = running.client();
    client.request_with_body("POST /collect", b"abc");
    assert_eq!(notifications.recv_timeout(TIMEOUT).unwrap(), "complete");
    drop(client);
    running.stop();
    assert!(notifications.try_recv().is_err(), "each is notified once");
}

#[test]
fn a_silent_stream_to_a_half_closed_client_is_dropped() {
    let (app, began, dropped) = app();
    let running = RunningApp::with(limits(SHORT), app);
    // One client still reads, the other has left.
    let mut reading_client = running.client();
    reading_client.head("GET /silent", &[]);
    reading_client.response_head();
    reading_client.end();
    let mut departed_client = running.client();
    departed_client.head("GET /silent", &[]);
    departed_client.response_head();
    drop(departed_client);
    assert_eq!(reading_client.rest(), b"", "there is no last chunk");
    for _ in 0..2 {
        began.recv_timeout(TIMEOUT).unwrap();
        dropped.recv_timeout(TIMEOUT).unwrap();
    }
    assert_eq!(running.stop().closed_for("half_closed_timeout"), 2);
}

#[test]
fn a_half_closed_client_gets_late_and_pipelined_responses() {
    static GO: Notify = Notify::const_new();

    let (app, _began, dropped) = app();
    let late = get(|Path(n): Path<u32>| async move {
        GO.notified().await;
        n.to_string()
    });
    let running = RunningApp::with(limits(SHORT), app.route("/late/{n}", late));
    let mut client = running.client();
    client.head("GET /late/1", &[]);
    client.head("GET /late/2", &[]);
    client.end();
    // A stream to a client that closed its sending side later times out earlier.
    let mut other = running.client();
    other.head("GET /silent", &[]);
    other.end();
    dropped.recv_timeout(TIMEOUT).unwrap();
    for text in ["1", "2"] {
        GO.notify_one();
        assert_eq!(client.response().text(), text);
    }
    assert!(client.is_closed());
    running.stop();
}

#[test]
fn a_response_timeout_is_a_503_and_drops_the_task() {
    let (app, began, dropped) = app();
    // Long enough for a task to start on a busy machine.
    let response_timeout = Some(Duration::from_secs(1));
    let limits = Limits { response_timeout, ..Limits::default() };
    let running = RunningApp::with(limits, app);
    let mut client = running.client();
    assert_eq!(client.request_with_body("POST /unread", b"unread").status, 503);
    began.recv_timeout(TIMEOUT).unwrap();
    dropped.recv_timeout(TIMEOUT).unwrap();
    // The connection stays open: there is a response, which may be a 503 on a very busy machine.
    assert!(matches!(client.request("GET /").status, 200 | 503));
    drop(client);
    running.stop();
}

/// A response with `count` empty frames, then a piece. With `yields`, each frame needs its own
/// poll.
fn empty_frames(count: usize, yields: bool) -> Response<Body> {
    let frames = tokio_stream::iter((0..=count).map(move |at| {
        let data = if at < count { Bytes::new() } else { Bytes::from_static(b"piece") };
        Ok::<_, Infallible>(http_body::Frame::data(data))
    }));
    let frames = frames.then(move |frame| async move {
        if yields {
            tokio::task::yield_now().await;
        }
        frame
    });
    Response::new(Body::new(StreamBody::new(frames)))
}

#[test]
fn endless_empty_frames_abort_the_response() {
    let app = Router::new().route(
        "/{count}/{yields}",
        get(
            |Path((count, yields)): Path<(usize, bool)>| async move { empty_frames(count, yields) },
        ),
    );
    let running = RunningApp::new(app);
    let mut client = running.client();
    for yields in [false, true] {
        // The maximum number in a row.
        assert_eq!(client.request(&format!("GET /1023/{yields}")).text(), "piece");
        let mut client = running.client();
        client.head(&format!("GET /{}/{yields}", usize::MAX - 1), &[]);
        client.response_head();
        assert_eq!(client.rest(), b"", "there is no last chunk");
    }
    drop(client);
    assert_eq!(running.stop().closed_for("empty_body_frames"), 2);
}
