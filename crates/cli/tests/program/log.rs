//! The log, and the limit on lines of one client.

use std::io::{Read, Write};

use rustix::process::Signal;

use crate::support::{Folder, Running};

/// Sends a request on a new connection. Returns the status.
fn status_of(server: &Running, request: &str) -> String {
    let mut peer = server.connect();
    peer.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    peer.read_to_string(&mut response).unwrap();
    response.get(9..12).unwrap_or_default().to_owned()
}

#[test]
fn a_scanner_causes_ten_lines_of_a_kind_and_a_count_at_the_end() {
    let folder = Folder::new();
    folder.write("index.html", b"hello");
    let mut server = Running::start(&["http", folder.text(), "--listen", "127.0.0.1:0"]);
    for n in 0..40 {
        // A 404 closes the connection in order, so it isn't logged.
        let missing = format!(
            "GET /wp-login.php?{n} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(status_of(&server, &missing), "404");
        assert_eq!(
            status_of(&server, &format!("GET /{n}\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n")),
            "400"
        );
        if n < 15 {
            assert_eq!(status_of(&server, "GET / HTTP/3.7\r\nHost: localhost\r\n\r\n"), "505");
        }
    }
    server.signal(Signal::TERM);
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr}");
    let count = |part: &str| stderr.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("INFO closed peer=127.0.0.1:"), 20, "{stderr}");
    assert_eq!(count("INFO closed: 30 more from 127.0.0.1 in "), 1, "{stderr}");
    assert_eq!(count("INFO closed: 5 more from 127.0.0.1 in "), 1, "{stderr}");
    assert_eq!(count(" INFO ") + count(" WARN ") + count(" ERROR "), 22, "{stderr}");
}

#[test]
fn debug_lines_are_not_limited() {
    let folder = Folder::new();
    let args = ["http", folder.text(), "--listen", "127.0.0.1:0", "--log", "debug"];
    let mut server = Running::start(&args);
    for _ in 0..15 {
        assert_eq!(status_of(&server, "GET /none HTTP/1.0\r\nHost: localhost\r\n\r\n"), "404");
    }
    server.signal(Signal::TERM);
    let (_, stderr) = server.end();
    let found = stderr.lines().filter(|line| {
        line.contains("DEBUG nothing to send path=\"/none\" status=404 client=127.0.0.1 reason=")
    });
    assert_eq!(found.count(), 15, "{stderr}");
    assert!(!stderr.contains(" more from "), "{stderr}");
}

#[test]
fn what_is_served_and_goes_and_comes_back_is_named_once() {
    let parent = Folder::new();
    std::fs::create_dir(parent.join("site")).unwrap();
    parent.write("site/index.html", b"home");
    for served in ["site", "site/index.html"] {
        let (path, away) = (parent.join(served), parent.join("away"));
        let flags = ["--listen", "127.0.0.1:0", "--workers", "1", "--fresh"];
        let mut server = Running::start(&[&["http", &path], &flags[..]].concat());
        let get = |server: &Running| status_of(server, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert_eq!(get(&server), "200");
        for _ in 0..2 {
            std::fs::rename(&path, &away).unwrap();
            assert_eq!([get(&server), get(&server)], ["404", "404"]);
            std::fs::rename(&away, &path).unwrap();
            assert_eq!([get(&server), get(&server)], ["200", "200"]);
        }
        server.signal(Signal::TERM);
        let log = server.end().1;
        let lines = log.lines().filter(|line| line.contains("what is served there"));
        let lines: Vec<&str> = lines.collect();
        let end = format!(" path={path}");
        assert_eq!(lines.len(), 4, "{log}");
        for pair in lines.chunks(2) {
            assert!(pair[0].contains(" WARN what is served there is gone, so its URLs"), "{log}");
            assert!(pair[1].contains(" INFO what is served there is back"), "{log}");
            assert!(pair.iter().all(|line| line.ends_with(&end)), "{log}");
        }
    }
}
