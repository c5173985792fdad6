//! What is said about packed files that are not sent. Alone in its process: another test on another
//! thread would decide whether a warning is of interest to anybody.

use std::fmt::Debug;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, process, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use sockeye_files::{CacheLimits, Folder};
use sockeye_proto::harness::Harness;
use sockeye_proto::http1::Server;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

fn old() -> Vec<u8> {
    b"<p>yesterday</p>".repeat(100)
}

fn new() -> Vec<u8> {
    b"<p>and today</p>".repeat(100)
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn client(folder: &Folder) -> Harness {
    let site = folder.site(CacheLimits::default());
    Harness::new(Server::new(Rc::default(), site.handler()))
}

/// Asks for the page in gzip, and gets it, packed or not.
fn get(client: &mut Harness) {
    client.input(b"GET /page.html HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    while client.run_jobs() > 0 {}
    assert!(client.output().starts_with(b"HTTP/1.1 200 OK\r\n"));
}

/// Keeps what is warned of.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_stale_sibling_is_warned_of_once_by_all_shards_and_again_when_it_changes() {
    let root = env::temp_dir().join(format!("sockeye-warnings-{}", process::id()));
    fs::create_dir_all(&root).unwrap();
    let beside = root.join("page.html.gz");
    fs::write(root.join("page.html"), new()).unwrap();
    fs::write(&beside, packed(&old())).unwrap();
    let settle = || {
        // Only what the clock has passed is remembered: it ticks every few milliseconds.
        let changed = fs::metadata(&beside).unwrap();
        let changed = (changed.ctime(), changed.ctime_nsec());
        let now = || rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        while (now().tv_sec, now().tv_nsec) <= changed {
            thread::yield_now();
        }
    };
    settle();
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let folder = Folder::open(&root).unwrap();
        for _ in 0..2 {
            let mut client = client(&folder);
            for _ in 0..3 {
                get(&mut client);
                client.pass(Duration::from_secs(1));
            }
        }
        let said = warnings.0.lock().unwrap().clone();
        assert_eq!(said.len(), 1, "{said:?}");
        for part in [
            "sockeye ",
            "file=\"page.html\"",
            "sibling=\"page.html.gz\"",
            "why=it unpacks to something else",
        ] {
            assert!(said[0].contains(part), "{part} in {}", said[0]);
        }
        fs::write(&beside, &packed(&new())[..30]).unwrap();
        settle();
        get(&mut client(&folder));
        let said = warnings.0.lock().unwrap().clone();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].contains("why=it is cut off"), "{}", said[1]);
    });
    fs::remove_dir_all(root).unwrap();
}
