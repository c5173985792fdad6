//! Warnings about precompressed files that are not sent. It is the only test of its process,
//! because tracing caches for all threads whether a warning is enabled.

mod collected_warnings;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;
use std::{env, process, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use sockeye_files::{CacheLimits, Folder};
use sockeye_http::Server;
use sockeye_proto::harness::Harness;

use collected_warnings::Warnings;

fn old() -> Vec<u8> {
    b"<p>yesterday</p>".repeat(100)
}

fn new() -> Vec<u8> {
    b"<p>and today</p>".repeat(100)
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn client(folder: &Folder) -> Harness {
    let site = folder.site(CacheLimits::default());
    Harness::new(Server::new(Rc::default(), site.clone()))
}

/// Requests the page in gzip, and returns the response, compressed or not.
fn get(client: &mut Harness) {
    client.input(b"GET /page.html HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    while client.run_jobs() > 0 {}
    assert!(client.output().starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn stale_precompressed_files_are_logged_once_and_again_after_a_change() {
    let root = env::temp_dir().join(format!("sockeye-warnings-{}", process::id()));
    fs::create_dir_all(&root).unwrap();
    let precompressed = root.join("page.html.gz");
    fs::write(root.join("page.html"), new()).unwrap();
    fs::write(&precompressed, compressed(&old())).unwrap();
    let settle = || {
        // Only settled identities are cached: the clock ticks every few milliseconds.
        let changed = fs::metadata(&precompressed).unwrap();
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
        let lines = warnings.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [
            "sockeye ",
            "file=\"page.html\"",
            "precompressed=\"page.html.gz\"",
            "reason=it decompresses to another content",
        ] {
            assert!(lines[0].contains(part), "{part} in {}", lines[0]);
        }
        fs::write(&precompressed, &compressed(&new())[..30]).unwrap();
        settle();
        get(&mut client(&folder));
        let lines = warnings.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].contains("reason=it is truncated"), "{}", lines[1]);
    });
    fs::remove_dir_all(root).unwrap();
}
