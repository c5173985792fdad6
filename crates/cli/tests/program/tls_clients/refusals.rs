//! What is refused, and what is said of it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use serde_json::Value;

use super::peers::{Authority, Stream, serve_plain};
use crate::support::{Folder, Running, run, text};

/// Completes the handshake, and sends an echo until the client closes.
fn echo(mut stream: Stream) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let _ = stream.write_all(&buffer[..count]);
    }
}

#[test]
fn a_failed_handshake_is_one_line_that_says_why_and_what_to_do() {
    let folder = Folder::new();
    folder.write("index.html", b"home");
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let other = Authority::new("Other");
    other.issue(&["client"]).write(folder.join("client.pem"));
    let (ca, client) = (folder.join("ca.pem"), folder.join("client.pem"));
    let names = &["localhost", "127.0.0.1"];
    let good = authority.issue(names);
    let by_ca = &["--ca", &*ca][..];
    let with_certificate = &["--ca", &*ca, "--cert", &*client][..];
    let in_time = &["--ca", &*ca, "--connect-timeout", "50ms"][..];
    let plain = Running::start(&["http", folder.text(), "--port", "0"]);
    let plain_echo = Running::start(&["echo", "--port", "0"]);
    let silent = serve_plain(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let closing = serve_plain(|mut stream| drop(stream.read(&mut [0; 2048])));
    for (server, flags, expected_text) in [
        (
            authority.issue(&["example.org", "www.example.org"]).serve(None, echo),
            by_ca,
            "sent a certificate for example.org, www.example.org, not for 127.0.0.1: use one of \
             the certificate's names in the target",
        ),
        (
            authority.issue_expired(names).serve(None, echo),
            by_ca,
            "sent a certificate for localhost, 127.0.0.1 that expired at 2020-01-01 00:00 UTC: \
             --insecure accepts every certificate",
        ),
        (
            other.issue(names).serve(None, echo),
            by_ca,
            "sent a certificate for localhost, 127.0.0.1, issued by Other, which is not trusted: \
             --ca FILE trusts an authority, or this certificate, from a PEM file",
        ),
        (
            good.serve(None, echo),
            &[],
            "sent a certificate for localhost, 127.0.0.1, issued by Root, which is not trusted: --ca",
        ),
        (plain.address(), by_ca, "answered without TLS: try {plain}"),
        (plain_echo.address(), by_ca, "sent our TLS handshake back: try {plain}"),
        (
            closing,
            by_ca,
            "closed the connection during the TLS handshake; if it has no TLS, write {plain}",
        ),
        (
            silent,
            in_time,
            "did not complete the TLS handshake in time; if it has no TLS, write {plain}",
        ),
        (
            good.serve(Some(&authority), echo),
            by_ca,
            "requires a certificate of ours: add --cert CERT,KEY (TLS alert certificate_required)",
        ),
        (
            good.serve(Some(&authority), echo),
            with_certificate,
            "refused the certificate of --cert (TLS alert ",
        ),
    ] {
        let plain_url = |scheme: &str| format!("{scheme}://{server}");
        for (command, scheme, plain, extra) in [
            ("send", "tls", "tcp", &["hello"][..]),
            ("send", "message+tls", "message", &["hello"]),
            ("load", "tls", "tcp", &["--requests", "1"]),
            ("load", "https", "http", &["--requests", "1"]),
            ("load", "message+tls", "message", &["--requests", "1"]),
            ("health", "https", "http", &[]),
        ] {
            // It has only the flag for the whole time, and doesn't verify 127.0.0.1 by default.
            if command == "health" && (flags.is_empty() || flags == in_time) {
                continue;
            }
            let target = plain_url(scheme);
            let output = run(&[&[command, &*target], extra, flags].concat());
            let stderr = text(&output.stderr);
            let case = format!("{command} {target} {flags:?}: {stderr}");
            assert_eq!(output.status.code(), Some(1), "{case}");
            let first = stderr.lines().next().unwrap_or_default();
            let expected_text = expected_text.replace("{plain}", &plain_url(plain));
            assert!(
                first.contains(&format!("the peer {expected_text}")),
                "{expected_text}\n{case}"
            );
            // `send` adds its summary.
            let lines = if command == "send" { 2 } else { 1 };
            assert_eq!(stderr.lines().count(), lines, "{case}");
        }
    }
}

#[test]
fn a_plain_target_at_a_port_with_tls_is_an_error_that_names_the_target_to_type() {
    let (site, files) = (Folder::new(), Folder::new());
    site.write("index.html", b"home");
    let identity = Authority::new("Root").issue(&["localhost", "127.0.0.1"]);
    let http = identity.start(files.path(), &["http", site.text()]);
    let echo = identity.start(files.path(), &["echo"]);
    let alert = serve_plain(|mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 10]);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    // As nginx does.
    let bad_request = serve_plain(|mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let load = &["--requests", "9"][..];
    let http2 = &["--requests", "9", "--http2"][..];
    let (http, echo) = (http.address(), echo.address());
    for (command, plain, server, flags, expected_text) in [
        ("health", "http", http, &[][..], "redirected to TLS at the same port: write https://{}/"),
        ("load", "http", http, load, "redirected to TLS at the same port: write https://{}/"),
        ("load", "http", http, http2, "redirected to TLS at the same port: write https://{}/"),
        ("health", "tcp", echo, &[], "if the port speaks TLS, write tls://{}"),
        ("health", "http", alert, &[], "if the port speaks TLS, write https://{}/"),
        ("health", "message", echo, &[], "if the port speaks TLS, write message+tls://{}"),
        ("load", "tcp", echo, load, "if the port speaks TLS, write tls://{}"),
        ("load", "tcp", alert, load, "if the port speaks TLS, write tls://{}"),
        ("send", "tcp", echo, &["hello"], "if the port speaks TLS, write tls://{}"),
        ("send", "tcp", alert, &["hello you"], "the peer speaks TLS: write tls://{}"),
        ("health", "http", bad_request, &[], "is 400; if the port speaks TLS, write https://{}/"),
        ("load", "http", bad_request, load, "is 400; if the port speaks TLS, write https://{}/"),
        ("load", "ws", bad_request, load, "if the port speaks TLS, write wss://{}/"),
        ("send", "ws", bad_request, &["hello"], "if the port speaks TLS, write wss://{}/"),
        ("send", "tcp", http, &["GET / HTTP/1.0\n\n"], "HTTP/1.1 400 Bad Request"),
    ] {
        let target = format!("{plain}://{server}");
        let output = run(&[&[command, &*target], flags].concat());
        let stderr = text(&output.stderr);
        let case = format!("{command} {target}: {stderr}{}", text(&output.stdout));
        let is_done = expected_text.starts_with("HTTP");
        assert_eq!(output.status.code(), Some(i32::from(!is_done)), "{case}");
        assert!(stderr.contains(&expected_text.replace("{}", &server.to_string())), "{case}");
    }
    let other_port = serve_plain(|mut stream| {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(
            b"HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        );
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let output = run(&["health", &format!("http://{other_port}")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn what_ends_without_close_notify_is_incomplete() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let ca = folder.join("ca.pem");
    let identity = authority.issue(&["localhost", "127.0.0.1"]);
    let respond = |mut stream: Stream, is_honest: bool, head: &str| {
        let mut request = [0; 1024];
        if !matches!(stream.read(&mut request), Ok(1..)) {
            return;
        }
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\ncontent").unwrap();
        stream.flush().unwrap();
        if is_honest {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        // Unread input would reset the connection.
        let _ = stream.sock.shutdown(Shutdown::Write);
        let _ = stream.sock.read_to_end(&mut Vec::new());
    };
    let load = |server: SocketAddr| {
        let url = format!("https://{server}/");
        let args = ["load", &url, "--ca", &ca, "--requests", "2", "--connections", "1", "--json"];
        let output = run(&args);
        let report = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        (output.status.code(), report, text(&output.stderr))
    };
    let honest = identity.serve(None, move |stream| respond(stream, true, ""));
    let (code, report, _) = load(honest);
    assert_eq!((code, &report["content_bytes"]), (Some(0), &14.into()), "{report:#}");
    // Its length says where it ends.
    let with_length = "Content-Length: 7\r\n";
    let cut_after = identity.serve(None, move |stream| respond(stream, false, with_length));
    assert_eq!(load(cut_after).0, Some(0));
    let cut = identity.serve(None, move |stream| respond(stream, false, ""));
    let (code, _, stderr) = load(cut);
    assert_eq!(code, Some(1), "{stderr}");
    let expected_text = "sent an invalid response: the peer closed the connection without TLS's \
                         close_notify after 7 bytes of content";
    assert!(stderr.contains(expected_text), "{stderr}");
    let send = |server: SocketAddr| {
        let target = format!("tls://{server}");
        let output = run(&["send", &target, "GET", "--half-close", "--ca", &ca]);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(send(honest).0, Some(0));
    let (code, stderr) = send(cut);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("without TLS's close_notify: what it sent may be"), "{stderr}");
}

#[test]
fn later_cut_responses_of_a_load_are_counted() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let identity = authority.issue(&["127.0.0.1"]);
    let connections = std::cell::Cell::new(0);
    let server = identity.serve(None, move |mut stream| {
        connections.set(connections.get() + 1);
        if !matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ncontent").unwrap();
        // The probe's response ends as it should.
        if connections.get() == 1 {
            stream.conn.send_close_notify();
        }
        let _ = stream.flush();
    });
    let (url, ca) = (format!("https://{server}/"), folder.join("ca.pem"));
    let args = ["load", &url, "--ca", &ca, "--requests", "2", "--connections", "1", "--json"];
    let output = run(&args);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["errors"]["truncated_content"]["count"], 2, "{report:#}");
}

#[test]
fn failed_handshakes_of_a_load_are_counted() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let identity = authority.issue(&["127.0.0.1"]);
    let connections = std::cell::Cell::new(0);
    let server = identity.serve(None, move |stream| {
        connections.set(connections.get() + 1);
        match connections.get() {
            1 => echo(stream),
            _ => drop(stream),
        }
    });
    let (url, ca) = (format!("tls://{server}"), folder.join("ca.pem"));
    let args = ["load", &url, "--ca", &ca, "--requests", "2", "--connections", "1", "--json"];
    let output = run(&args);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = report["errors"].as_object().unwrap();
    // Closed with the client hello unread, a connection may be reset.
    assert!(errors.contains_key("tls") || errors.contains_key("connect"), "{report:#}");
    assert_eq!(report["connected"], 0);
}

#[test]
fn wrong_flags_are_refused_with_what_to_write_instead() {
    let folder = Folder::new();
    let authority = Authority::new("Root");
    folder.write("ca.pem", authority.pem().as_bytes());
    let identity = authority.issue(&["localhost"]);
    folder.write("cert.pem", identity.certificate.as_bytes());
    folder.write("key.pem", identity.key.as_bytes());
    let [ca, cert, key, none] =
        ["ca.pem", "cert.pem", "key.pem", "none"].map(|name| folder.join(name));
    let swapped = format!("{key},{cert}");
    let cannot_read =
        format!("sockeye: --ca: cannot read {none}: No such file or directory (os error 2)\n");
    for (args, code, expected_text) in [
        (
            &["load", "http://h/", "--insecure"][..],
            2,
            "--insecure is for TLS, and http://h/ has none: write https://h/",
        ),
        (
            &["send", "message://h:1", "--ca", &ca],
            2,
            "--ca is for TLS, and message://h:1 has none: write message+tls://h:1",
        ),
        (&["health", "unix:/s", "--cert", &cert], 2, "--cert is for TLS, and unix:/s has none"),
        (&["load", "tcp://h:1", "--resume"], 2, "--resume is for TLS, and tcp://h:1 has none"),
        (&["load", "tls://h:1", "--insecure", "--ca", &ca], 2, "cannot be used with"),
        (&["send", "tls://a%20b:1", "x"], 2, "a%20b"),
        (&["send", "tls://h:1", "x", "--connect-to", "h"], 2, "port is missing"),
        (&["send", "tls://h:1", "x", "--ca", &none], 1, &cannot_read),
        (&["send", "tls://h:1", "x", "--ca", &key], 1, "sockeye: --ca: "),
        (&["send", "tls://h:1", "x", "--cert", &swapped, "--insecure"], 1, "sockeye: --cert: "),
    ] {
        let output = run(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(expected_text), "{args:?}: {stderr}");
    }
}

#[test]
fn insecure_says_so_each_time() {
    let authority = Authority::new("Root");
    let server = authority.issue(&["localhost"]).serve(None, echo);
    let target = format!("tls://{server}");
    for args in [&["send", &*target, "x"][..], &["load", &target, "--requests", "1"]] {
        let output = run(&[args, &["--insecure"]].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let note = format!("sockeye: --insecure: the certificate of {target} is not verified\n");
        assert!(stderr.starts_with(&note), "{stderr}");
    }
}
