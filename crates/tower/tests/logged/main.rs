//! Log lines about services. This is a program of its own, because it has one log for all threads.

#[expect(dead_code, reason = "these tests use only a part of the client")]
#[path = "../../../sockeye/tests/http/client.rs"]
mod client;

use std::fmt::{Debug, Write};
use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex, mpsc};
use std::thread;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use sockeye::Serving;
use sockeye::http::Options;
use tokio::runtime::{Builder, Handle};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use client::{Client, TIMEOUT};

/// Sends each warning and error, with its fields, to the test.
struct Log(Mutex<mpsc::Sender<String>>);

/// The fields of a line.
struct FieldText(String);

impl Visit for FieldText {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = FieldText(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        // Between tests, there is no receiver.
        let _ = self.0.lock().unwrap().send(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The lines of the log. A test locks them to have the log alone.
static LINES: LazyLock<Mutex<mpsc::Receiver<String>>> = LazyLock::new(|| {
    let (to, lines) = mpsc::channel();
    tracing::subscriber::set_global_default(Log(Mutex::new(to))).unwrap();
    Mutex::new(lines)
});

/// Waits for a line with this level and text. A busy machine may log others.
fn wait_for(level: &str, says: &str, lines: &mpsc::Receiver<String>) {
    loop {
        let line = lines.recv_timeout(TIMEOUT).unwrap();
        if line.starts_with(level) && line.contains(says) {
            return;
        }
    }
}

fn serve(runtime: &Handle, app: Router) -> (Serving, Client) {
    let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
    let at = ["127.0.0.1:0".parse().unwrap()];
    let serving = sockeye_tower::serve(&at, options, runtime, app).unwrap();
    let client = Client::new(&serving.addresses()[0].to_string());
    (serving, client)
}

fn stop_serving(serving: Serving) {
    serving.handle().drain();
    assert_eq!(serving.join().unwrap().cut, 0);
}

#[test]
fn a_wrong_content_length_is_logged_with_both_lengths() {
    let lines = LINES.lock().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let wrong = get(|| async { ([(header::CONTENT_LENGTH, "12345")], "seven b") });
    let (serving, mut client) = serve(runtime.handle(), Router::new().route("/", wrong));
    assert_eq!(client.request("GET /").status, 500);
    wait_for("ERROR ", "the Content-Length is 12345, and the body has 7 bytes", &lines);
    drop(client);
    stop_serving(serving);
}

#[test]
fn an_undriven_runtime_causes_a_warning_and_its_requests_wait() {
    let lines = LINES.lock().unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let app = Router::new().route("/", get(|| async { "at last" }));
    let (serving, mut client) = serve(runtime.handle(), app);
    client.head("GET /", &[]);
    wait_for("WARN ", "a current-thread runtime runs only while", &lines);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let driver = thread::spawn(move || runtime.block_on(stopped).is_err());
    assert_eq!(client.response().text(), "at last");
    drop(client);
    stop_serving(serving);
    drop(stop);
    assert!(driver.join().unwrap());
}
