//! Tasks that make the responses of closures.

use std::future;
use std::sync::mpsc;
use std::time::Duration;

use sockeye::Serving;
use sockeye::http::{self, Body, Limits, Options, Reply, Request, StatusCode};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task;

use super::client::{Client, TIMEOUT};

/// A service whose handler can spawn tasks.
fn serve<R: Into<Reply>>(
    limits: Limits,
    answer: impl Fn(&Handle, Request<Body>) -> R + Send + Sync + 'static,
) -> (Serving, Client, Runtime) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tasks = runtime.handle().clone();
    let options = Options { limits, ..Options::default() };
    let any_port = ["127.0.0.1:0".parse().unwrap()];
    let serving = http::serve(&any_port, options, move |request| answer(&tasks, request)).unwrap();
    let client = Client::new(&serving.addresses()[0].to_string());
    (serving, client, runtime)
}

fn stop(serving: Serving, client: Client) {
    drop(client);
    serving.handle().drain();
    serving.join().unwrap();
}

#[test]
fn the_output_of_a_task_is_the_response() {
    let (serving, mut client, _runtime) = serve(Limits::default(), |tasks, request| {
        let tasks = tasks.clone();
        request.into_body().collect(100, move |body| {
            sockeye_tower::spawn(&tasks, async move {
                task::yield_now().await;
                if body.is_empty() { Err(StatusCode::BAD_REQUEST) } else { Ok(body) }
            })
        })
    });
    let response = client.request_with_body("POST /", b"Hello");
    assert_eq!((response.status, response.text()), (200, "Hello"));
    assert_eq!(client.request("GET /").status, 400);
    stop(serving, client);
}

#[test]
fn a_task_that_panics_or_has_no_runtime_is_a_500() {
    let (serving, mut client, runtime) = serve(Limits::default(), |tasks, request| {
        sockeye_tower::spawn(tasks, async move {
            assert!(request.uri().path() == "/", "for the test");
            "fine"
        })
    });
    assert_eq!(client.request("GET /").status, 200);
    assert_eq!(client.request("GET /panic").status, 500);
    assert_eq!(client.request("GET /").status, 200);
    runtime.shutdown_background();
    assert_eq!(client.request("GET /").status, 500);
    stop(serving, client);
}

/// Sends a message when it is dropped.
struct Guard(mpsc::Sender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

/// A service that responds only at `/`. It reports on the returned channels that a task was polled,
/// and that its future was dropped.
fn serve_never(
    limits: Limits,
) -> ((Serving, Client, Runtime), mpsc::Receiver<()>, mpsc::Receiver<()>) {
    let (to_began, began) = mpsc::channel();
    let (to_dropped, dropped) = mpsc::channel();
    let fixture = serve(limits, move |tasks, request| {
        if request.uri().path() == "/" {
            return "at once".into();
        }
        let (began, guard) = (to_began.clone(), Guard(to_dropped.clone()));
        sockeye_tower::spawn(tasks, async move {
            let _guard = guard;
            began.send(()).unwrap();
            future::pending::<&str>().await
        })
    });
    (fixture, began, dropped)
}

#[test]
fn a_task_is_dropped_when_its_client_resets_the_connection() {
    let ((serving, mut client, _runtime), began, dropped) = serve_never(Limits::default());
    client.head("GET /", &[]);
    client.head("GET /never", &[]);
    began.recv_timeout(TIMEOUT).unwrap();
    client.reset();
    dropped.recv_timeout(TIMEOUT).unwrap();
    serving.handle().drain();
    assert_eq!(serving.join().unwrap().closed_for("reset"), 1);
}

#[test]
fn a_task_is_dropped_when_its_response_would_be_too_late() {
    let response_timeout = Some(Duration::from_millis(30));
    let limits = Limits { response_timeout, ..Limits::default() };
    let ((serving, mut client, _runtime), _began, dropped) = serve_never(limits);
    assert_eq!(client.request("GET /never").status, 503);
    dropped.recv_timeout(TIMEOUT).unwrap();
    stop(serving, client);
}
