//! Plain connections to servers with TLS: at the address that redirects, and where TLS is expected.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use super::certificates::Certificates;
use super::client::Client;
use crate::messages::frames::search;
use crate::support::{Folder, Running, run, text};

/// Sends bytes without TLS. Returns everything that the server sends.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut response = Vec::new();
    // A connection that is refused may be reset.
    let _ = stream.read_to_end(&mut response);
    String::from_utf8_lossy(&response).into_owned()
}

fn get(host: &str) -> Vec<u8> {
    format!("GET /a?b=c HTTP/1.1\r\nHost: {host}\r\n\r\n").into()
}

/// The address that redirects, according to the start screen.
fn redirecting(server: &Running) -> SocketAddr {
    let line = server.screen.iter().find_map(|line| line.strip_suffix(" redirects to HTTPS."));
    line.unwrap().parse().unwrap()
}

#[test]
fn plain_http_is_redirected_to_https() {
    let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
    folder.write("a", b"content");
    let pair = certificates.pair("localhost");
    let server = Running::start(&[
        "http",
        folder.text(),
        "--listen",
        "127.0.0.1:0",
        "--tls",
        &pair,
        "--https-redirect=127.0.0.1:0",
    ]);
    let port = server.address().port();
    for (address, host, location) in [
        (redirecting(&server), "localhost".to_owned(), format!("https://localhost:{port}/a?b=c")),
        (redirecting(&server), "localhost:80".into(), format!("https://localhost:{port}/a?b=c")),
        (server.address(), format!("localhost:{port}"), format!("https://localhost:{port}/a?b=c")),
        (server.address(), "localhost".into(), "https://localhost/a?b=c".into()),
    ] {
        let response = exchange(address, &get(&host));
        assert!(response.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{response}");
        assert!(response.contains(&format!("\r\nLocation: {location}\r\n")), "{response}");
        assert!(!response.contains("Strict-Transport"), "{response}");
    }
    let connected = Client::new().connect(redirecting(&server), "localhost");
    assert!(connected.is_err(), "a port that redirects doesn't speak TLS");
    // The URL of a redirect works.
    let response = Client::new().get(server.address(), "localhost", "/a?b=c").unwrap();
    assert!(response.ends_with("\r\n\r\ncontent"), "{response}");
    let post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    assert!(exchange(redirecting(&server), post).starts_with("HTTP/1.1 308 "));
    let response = exchange(server.address(), post);
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(response.contains("This port speaks HTTPS; "), "{response}");
}

/// One connection after the other: the log has a line for each.
#[test]
fn redirects_are_in_the_access_log() {
    let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
    let pair = certificates.pair("localhost");
    let mut server = Running::start(&[
        "http",
        folder.text(),
        "--listen",
        "127.0.0.1:0",
        "--tls",
        &pair,
        "--access-log",
        "-",
        "--https-redirect=127.0.0.1:0",
    ]);
    for address in [redirecting(&server), server.address()] {
        exchange(address, &get("localhost"));
    }
    server.signal(Signal::TERM);
    let (_, log) = server.end();
    assert_eq!(log.matches("\"GET /a?b=c HTTP/1.1\" 308 ").count(), 2, "{log}");
}

/// One connection after the other, so that the lines of the log are in this order.
#[test]
fn the_json_access_log_says_why_a_plain_request_is_not_answered() {
    let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
    let (pair, path) = (certificates.pair("localhost"), certificates.path("access.log"));
    let log = ["--access-log", &path, "--access-log-format", "json"];
    let tls = ["--listen", "127.0.0.1:0", "--tls", &pair, "--https-redirect=127.0.0.1:0"];
    let mut server =
        Running::start(&[&["http", folder.text(), "--workers", "1"], &tls[..], &log].concat());
    let (redirecting, tls) = (redirecting(&server), server.address());
    let post = || b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_vec();
    let table = [
        (tls, get("localhost"), 308, Some("plain_http")),
        (tls, post(), 400, Some("plain_http")),
        (tls, get("evil.example"), 421, Some("host_not_allowed")),
        (tls, b"GET\r\n\r\n".to_vec(), 400, Some("bad_request")),
        (redirecting, get("localhost"), 308, None),
        (redirecting, get("a@b"), 400, Some("bad_request")),
        (redirecting, get("evil.example"), 421, Some("host_not_allowed")),
    ];
    for (address, request, ..) in &table {
        exchange(*address, request);
    }
    server.signal(Signal::TERM);
    server.end();
    let log = std::fs::read_to_string(path).unwrap();
    assert_eq!(log.lines().count(), table.len(), "{log}");
    for (line, (_, _, status, reason)) in log.lines().zip(&table) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["status"], *status, "{line}");
        assert_eq!(line["reason"].as_str(), *reason, "{line}");
    }
}

#[test]
fn only_hosts_of_this_server_are_redirected_to() {
    let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
    let pair = certificates.pair("localhost");
    for (flags, named, other) in [
        // At loopback addresses, as for other requests.
        (&["--https-redirect=127.0.0.1:0"][..], "421", "421"),
        (&["--https-redirect=127.0.0.1:0", "--host", "www.example.org"], "308", "421"),
        (&["--https-redirect=0.0.0.0:0"], "308", "308"),
        (&["--https-redirect=0.0.0.0:0", "--host", "www.example.org"], "308", "421"),
    ] {
        let server = Running::start(
            &[&["http", folder.text(), "--listen", "127.0.0.1:0", "--tls", &pair], flags].concat(),
        );
        let redirecting = SocketAddr::from(([127, 0, 0, 1], redirecting(&server).port()));
        for (host, expected) in [
            ("www.example.org", named),
            ("other.example", other),
            ("192.0.2.1", other),
            ("localhost", "308"),
            ("127.0.0.1", "308"),
        ] {
            let response = exchange(redirecting, &get(host));
            let status = response.split(' ').nth(1).unwrap_or_default();
            assert_eq!(status, expected, "{flags:?} {host}: {response}");
            assert_eq!(response.contains("Location: "), expected == "308", "{response}");
        }
        for host in ["a@b", "a/b", "a\\b", "a?b", "a:b", "a b"] {
            let response = exchange(redirecting, &get(host));
            assert!(response.starts_with("HTTP/1.1 400 "), "{host}: {response}");
        }
    }
}

#[test]
fn a_message_server_with_tls_redirects_http_and_names_why_it_closes_others() {
    let certificates = Certificates::of(&["localhost"]);
    let pair = certificates.pair("localhost");
    for (flags, speaks_http) in
        [(&["message"][..], true), (&["message", "--frames-only"], false), (&["echo"], false)]
    {
        let mut server =
            Running::start(&[flags, &["--listen", "127.0.0.1:0", "--tls", &pair]].concat());
        let response = exchange(server.address(), &get("localhost"));
        assert_eq!(response.starts_with("HTTP/1.1 308 "), speaks_http, "{flags:?}: {response}");
        assert_eq!(response.is_empty(), !speaks_http, "{flags:?}: {response}");
        let response = exchange(server.address(), &search("one", None));
        assert!(!response.contains("No match"), "{flags:?}: {response}");
        server.signal(Signal::TERM);
        let (_, log) = server.end();
        let closed: Vec<_> = log.lines().filter(|line| line.contains("INFO closed ")).collect();
        assert_eq!(closed.len(), 2 - usize::from(speaks_http), "{flags:?}: {log}");
        assert!(closed.iter().all(|line| line.contains("TLS")), "{flags:?}: {log}");
    }
}

#[test]
fn flags_that_need_others_say_so() {
    let (certificates, folder) = (Certificates::of(&["localhost"]), Folder::new());
    let pair = certificates.pair("localhost");
    for (flags, expected) in [
        (&["--https-redirect"][..], "--https-redirect needs TLS: add --tls CERT,KEY"),
        (&["--https-redirect=:8080"], "--https-redirect needs TLS: add --tls CERT,KEY"),
        (&["--hsts"], "--hsts needs TLS: add --tls CERT,KEY; behind a proxy with TLS"),
        (&["--tls-unknown-name", "refuse"], "--tls-unknown-name needs TLS"),
        (&["--client-ca", "ca.pem"], "--client-ca needs TLS"),
        (&["--client-ca-optional", "--tls", &pair], "--client-ca-optional needs --client-ca FILE"),
        (
            &["--tls", &pair, "--https-redirect"],
            "--listen is 127.0.0.1:0: name an address, as --https-redirect=:8080",
        ),
        (
            &["--tls", &pair, "--https-redirect=127.0.0.1:9", "--listen", "127.0.0.1:9"],
            "--https-redirect=127.0.0.1:9 is the address of a --listen",
        ),
        (&["--tls", &pair, "--https-redirect=x:y"], "invalid value 'x:y' for '--https-redirect"),
        (
            &["--tls", &pair, "--hsts", "--header", "strict-transport-security: max-age=1"],
            "--hsts and --header both set Strict-Transport-Security",
        ),
        (&["--tls", &pair, "--hsts=x"], "write a duration with its unit"),
        (&["--tls", &pair, "--hsts=4000d"], "it must be at most 3650d"),
    ] {
        let output = run(&[&["http", folder.text(), "--listen", "127.0.0.1:0"], flags].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
    let unix = format!("unix:{}", certificates.path("socket"));
    for command in ["http", "message", "echo"] {
        let output = run(&[command, "--listen", &unix, "--tls", &pair]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {error}");
        let expected = "TLS needs an address, but --listen has only Unix sockets";
        assert!(error.contains(expected), "{command}: {error}");
        assert!(error.contains("127.0.0.1:8443, or remove --tls\n"), "{command}: {error}");
    }
}
