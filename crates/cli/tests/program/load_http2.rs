//! `sockeye load` over HTTP/2.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::load::{load, site, stderr};
use crate::support::{Folder, Running, run, sockeye, text};
use crate::tls_clients::peers::{Authority, serve_both_versions};

#[test]
fn every_request_is_sent_and_counted() {
    let folder = Folder::new();
    let server = site(&folder);
    let small = format!("{}/small.txt", server.url());
    for flags in [
        &["--connections", "5"][..],
        &["--connections", "3", "--threads", "2", "--streams", "8", "--verify"],
        &["--connections", "2", "--close", "--verify"],
        &["--connections", "2", "--requests-per-connection", "7", "--streams", "3"],
        &["--connections", "4", "--rate", "20k", "--streams", "2"],
        // More than the server allows on one connection.
        &["--connections", "1", "--streams", "1000"],
        &["--connections", "2", "-H", "Host: localhost", "-H", "X-Y: z", "--max-content", "11"],
    ] {
        let args = [&small, "--http2", "--requests", "300"];
        let (code, report) = load(&[&args, flags].concat());
        assert_eq!(code, Some(0), "{flags:?}: {report:#}");
        assert_eq!((&report["responses"], &report["protocol"]), (&300.into(), &"HTTP/2".into()));
        assert_eq!(report["content_bytes"], 300 * 11, "{report:#}");
        assert_eq!(report["errors"], json!({}));
        assert_eq!(report["latency_us"]["count"], 300, "{report:#}");
    }
}

#[test]
fn several_paths_methods_and_contents_are_sent() {
    let folder = Folder::new();
    let server = site(&folder);
    let small = format!("{}/small.txt", server.url());
    let large = format!("{}/large.bin", server.url());
    let common =
        ["--http2", "--streams", "5", "--connections", "1", "--requests", "40", "--verify"];
    let (code, report) = load(&[&[small.as_str(), &large], &common[..]].concat());
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["content_bytes"], 20 * 300_011, "{report:#}");
    let (code, report) = load(&[&[large.as_str(), "-X", "HEAD"], &common[..]].concat());
    assert_eq!((code, &report["content_bytes"]), (Some(0), &0.into()), "{report:#}");
    let fields = ["-H", "If-None-Match: *"];
    let (code, report) = load(&[&[small.as_str()], &fields[..], &common].concat());
    assert_eq!((code, &report["statuses"]["3xx"]), (Some(0), &40.into()), "{report:#}");
    // The server refuses content before it has come.
    let content = ["--body-file", &folder.join("large.bin")];
    let (code, report) = load(&[&[small.as_str()], &content[..], &common].concat());
    assert_eq!((code, &report["statuses"]["4xx"]), (Some(1), &40.into()), "{report:#}");
    assert_eq!(report["errors"]["error_response"]["count"], 40, "{report:#}");
}

#[test]
fn content_reaches_a_message_server_if_it_is_larger_than_its_window() {
    let folder = Folder::new();
    let search = format!("{}{}", r#"{"action": "search", "value": "ring"}"#, " ".repeat(200_000));
    folder.write("search.json", search.as_bytes());
    let server = Running::start(&["message", "--listen", "127.0.0.1:0"]);
    let url = format!("{}/", server.url().replace("message:", "http:"));
    let content = folder.join("search.json");
    let flags = ["--body-file", &content, "-H", "Content-Type: text/json", "--requests", "20"];
    let (code, report) =
        load(&[&[&*url, "--http2", "--streams", "3", "--connections", "2"], &flags[..]].concat());
    assert_eq!((code, &report["statuses"]["2xx"]), (Some(0), &20.into()), "{report:#}");
    assert!(report["sent_bytes"].as_u64() > Some(20 * 200_000), "{report:#}");
}

/// A server is replaced while it is loaded: the new one listens at the same name, and the old one
/// drains.
#[test]
fn a_drain_under_load_loses_no_request() {
    for flags in [&["--http2", "--streams", "16"][..], &["--http2"], &["--pipeline", "4"]] {
        let folder = Folder::new();
        folder.write("index.html", b"home");
        let [socket, next] = ["socket", "next"].map(|name| folder.join(name));
        let start = |path: &str, log: &str| {
            let listen = format!("unix:{path}");
            Running::start(&["http", folder.text(), "--listen", &listen, "--log", log])
        };
        let mut old = start(&socket, "debug");
        let _new = start(&next, "warn");
        let common = ["load", "http://localhost/", "--unix-socket", &socket, "--json", "--verify"];
        let times = ["--connections", "4", "--rate", "10k", "--requests", "10000"];
        let mut command = sockeye(&[&common[..], &times, flags].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The probe, and the four connections.
        let mut accepted = 0;
        while accepted < 5 {
            accepted += usize::from(old.next_line().contains("accepted"));
        }
        fs::rename(&next, &socket).unwrap();
        old.signal(Signal::TERM);
        let (code, log) = old.end();
        assert_eq!(code, Some(0), "{log}");
        // Pipelined requests behind the last response are not read: they are sent again.
        assert!(log.contains("\nStopped: 0 connections cut."), "{flags:?}: {log}");
        let output = child.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{flags:?}: {report:#}");
        assert_eq!(report["responses"], 10_000, "{report:#}");
        assert_eq!((&report["errors"], &report["unanswered"]), (&json!({}), &0.into()));
        assert!(report["connected"].as_u64() >= Some(8), "the new server: {report:#}");
    }
}

#[test]
fn a_server_with_tls_chooses_the_version_among_those_that_are_offered() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let ca = folder.join("ca.pem");
    let identity = authority.issue(&["localhost", "127.0.0.1"]);
    let url = format!("https://{}/", serve_both_versions(&identity));
    let common = [&*url, "--ca", &ca, "--requests", "3", "--connections", "1", "--close"];
    for (flags, protocol) in [
        (&[][..], "HTTP/2"),
        (&["--http2"], "HTTP/2"),
        (&["--streams", "2"], "HTTP/2"),
        (&["--http1"], "HTTP/1.1"),
        (&["--pipeline", "2"], "HTTP/1.1"),
        (&["--body", "x", "--chunked"], "HTTP/1.1"),
        (&["-H", "TE: gzip"], "HTTP/1.1"),
        (&["--resume"], "HTTP/2"),
    ] {
        let (code, report) = load(&[&common[..], flags].concat());
        assert_eq!((code, &report["protocol"]), (Some(0), &protocol.into()), "{flags:?} {report}");
        assert_eq!(
            (&report["responses"], &report["errors"]),
            (&3.into(), &json!({})),
            "{report:#}"
        );
    }
    let output = run(&["health", &url, "--ca", &ca]);
    assert!(text(&output.stdout).contains(" is healthy ("), "{}", stderr(&output));

    // A server without HTTP/2.
    let server = identity.serve(None, |mut stream| drop(stream.read(&mut [0])));
    let url = format!("https://{server}/");
    let output = run(&["load", &url, "--ca", &ca, "--http2"]);
    let expected = "the peer has TLS, and no HTTP/2 (TLS alert no_application_protocol)";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn a_server_without_http2_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        assert!(matches!(stream.read(&mut [0; 1024]), Ok(1..)));
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let output = run(&["load", &url, "--http2"]);
    server.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let expected = format!("{url} sent an invalid response: the peer answered in HTTP/1");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}

#[test]
fn flags_that_do_not_fit_http2_are_refused() {
    for (args, expected_text) in [
        (
            &["http://h/", "--streams", "2"][..],
            "--streams is for HTTP/2: add --http2, or load https",
        ),
        (&["http://h/", "--http2", "--http1"], "cannot be used with"),
        (&["http://h/", "--http2", "--pipeline", "2"], "cannot be used with"),
        (&["https://h/", "--streams", "2", "--pipeline", "2"], "cannot be used with"),
        (&["https://h/", "--streams", "2", "--http1"], "cannot be used with"),
        (&["http://h/", "--http2", "--chunked", "--body", "x"], "cannot be used with"),
        (&["http://h/", "--http2", "--streams", "0"], "zero"),
        (&["tcp://h:1", "--http2"], "--http2 is for http[s]://HOST[:PORT]/PATH, not tcp://h:1"),
        (&["message://h:1", "--http1"], "--http1 is for http[s]://HOST[:PORT]/PATH"),
        (&["tls://h:1", "--streams", "2"], "--streams is for http[s]://HOST[:PORT]/PATH"),
        (&["http://h/", "--http2", "-X", "CONNECT"], "leave them out, or use --http1"),
        (&["https://h/", "--streams", "2", "-H", "TE: gzip"], "leave them out, or use --http1"),
    ] {
        let output = run(&[&["load"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected_text), "{args:?}: {}", stderr(&output));
    }
}
