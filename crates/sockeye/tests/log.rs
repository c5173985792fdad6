//! What a program sees in its log. This test has a process of its own, because it collects the
//! lines of all threads.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use sockeye::http::{self, Options};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Collects the lines that are at least warnings.
struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        LINES.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

#[test]
fn a_panic_of_a_handler_is_an_error_and_a_bad_request_is_none() {
    tracing::subscriber::set_global_default(Collector).unwrap();
    let serving = http::serve(&["127.0.0.1:0".parse().unwrap()], Options::default(), |_| {
        if true { panic!("on purpose") } else { "never" }
    });
    let serving = serving.expect("a free port");
    let exchange = |request: &str| {
        let mut client = TcpStream::connect(serving.ip_addresses().next().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        response
    };
    assert!(exchange("no HTTP\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(exchange("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 500 "));
    serving.handle().drain();
    serving.join().unwrap();
    let lines = LINES.lock().unwrap();
    let errors: Vec<_> = lines.iter().filter(|line| line.starts_with("ERROR ")).collect();
    assert_eq!(errors.len(), 1, "{lines:?}");
    assert!(errors[0].contains("we panicked while answering a request: on purpose"), "{lines:?}");
}
