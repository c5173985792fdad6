//! `sockeye load`, against our servers and against peers that misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Folder, Running, run, sockeye, text};

pub(crate) fn site(folder: &Folder) -> Running {
    folder.write("small.txt", b"Hello World");
    folder.write("large.bin", &(0..300_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    Running::start(&["http", folder.text(), "--listen", "127.0.0.1:0"])
}

/// A server that calls `answer` for the requests of each connection until it returns false.
fn peer(answer: impl Fn(&mut TcpStream, usize) -> bool + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            while matches!(stream.read(&mut request), Ok(1..)) && answer(&mut stream, number) {}
        }
    });
    url
}

/// Runs `load` with `--json`: the exit code and the report.
pub(crate) fn load(args: &[&str]) -> (Option<i32>, Value) {
    let output = run(&[&["load", "--json"], args].concat());
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|_| panic!("{}", stderr(&output))))
}

pub(crate) fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

#[test]
fn every_request_is_sent_and_counted_for_every_protocol() {
    let folder = Folder::new();
    let http = site(&folder);
    let echo = Running::start(&["echo", "--listen", "127.0.0.1:0"]);
    let messages = Running::start(&["message", "--listen", "127.0.0.1:0"]);
    let small = format!("{}/small.txt", http.url());
    for (target, content) in [(small.as_str(), 11), (echo.url(), 64), (messages.url(), 60)] {
        for flags in [
            &["--connections", "5"][..],
            &["--connections", "3", "--threads", "2", "--pipeline", "8", "--verify"],
            &["--connections", "2", "--close", "--verify"],
            &["--connections", "2", "--requests-per-connection", "7"],
            &["--connections", "4", "--rate", "20k"],
        ] {
            let (code, report) = load(&[&[target, "--requests", "100"], flags].concat());
            assert_eq!(code, Some(0), "{target} {flags:?}: {report:#}");
            assert_eq!(report["responses"], 100, "{report:#}");
            assert_eq!(report["content_bytes"], 100 * content, "{report:#}");
            assert_eq!(report["errors"], serde_json::json!({}));
            assert!(report["latency_us"]["p99"].as_f64() > Some(0.0), "{report:#}");
        }
    }
}

#[test]
fn several_paths_are_requested_in_turn_and_head_has_no_content() {
    let folder = Folder::new();
    let server = site(&folder);
    let small = format!("{}/small.txt", server.url());
    let large = format!("{}/large.bin", server.url());
    // With two connections, one might send an odd number of requests.
    let common = ["--connections", "1", "--requests", "40", "--verify"];
    let (code, report) = load(&[&[small.as_str(), &large], &common[..]].concat());
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["content_bytes"], 20 * 300_011, "{report:#}");
    assert_eq!(report["statuses"]["2xx"], 40, "{report:#}");
    let (code, report) = load(&[&[large.as_str(), "-X", "HEAD"], &common[..]].concat());
    assert_eq!((code, &report["content_bytes"]), (Some(0), &0.into()), "{report:#}");
    let range = ["-H", "If-None-Match: *", "--requests", "10"];
    let (code, report) = load(&[&[small.as_str()], &range[..]].concat());
    assert_eq!((code, &report["statuses"]["3xx"]), (Some(0), &10.into()), "{report:#}");
}

#[test]
fn a_unix_socket_can_be_loaded() {
    let folder = Folder::new();
    folder.write("index.html", b"everywhere");
    let socket = folder.join("socket");
    let unix = format!("unix:{socket}");
    let _server = Running::start(&["http", folder.text(), "--listen", &unix]);
    let flags = ["http://localhost/", "--unix-socket", &socket, "--requests", "10"];
    let (code, report) = load(&flags);
    assert_eq!((code, &report["content_bytes"]), (Some(0), &100.into()), "{report:#}");
    let echo = folder.join("echo");
    let unix = format!("unix:{echo}");
    let _server = Running::start(&["echo", "--listen", &unix]);
    let (code, _) = load(&[&unix, "--requests", "10", "--body", "hello"]);
    assert_eq!(code, Some(0));
}

#[test]
fn a_body_is_sent_with_its_length_or_in_chunks() {
    for (flags, request) in [
        (
            &["--body", "20"][..],
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n20",
        ),
        (
            &["--body", "20", "--chunked", "-X", "PUT", "-H", "A: b"],
            "PUT / HTTP/1.1\r\nHost: h\r\nA: b\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n2\r\n20\r\n0\r\n\r\n",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let peer = thread::spawn(move || {
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().unwrap();
                // The port in the Host header differs for each run.
                let expected = request
                    .replace("Host: h", &format!("Host: {}", listener.local_addr().unwrap()));
                let mut received = vec![0; expected.len()];
                stream.read_exact(&mut received).unwrap();
                assert_eq!(text(&received), expected);
                stream.write_all(b"HTTP/1.0 201 Created\r\n\r\nuntil the end").unwrap();
            }
        });
        let common = [url.as_str(), "--close", "--requests", "2", "--connections", "1"];
        let (code, report) = load(&[&common, flags].concat());
        peer.join().unwrap();
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(report["content_bytes"], 26, "{report:#}");
    }
}

#[test]
fn errors_are_counted_by_kind_and_set_the_exit_code() {
    let table: [(&str, String); 4] = [
        ("closed", peer(|stream, number| stream.write_all(OK).is_ok() && number == 0)),
        (
            "error_response",
            peer(|stream, _| {
                stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").is_ok()
            }),
        ),
        (
            "bad_response",
            peer(|stream, number| {
                stream.write_all(if number == 0 { OK } else { b"what?\r\n" }).is_ok()
            }),
        ),
        (
            "mismatch",
            peer(|stream, number| {
                let response = String::from_utf8_lossy(OK)
                    .replace("hi", if number == 0 { "hi" } else { "ho" });
                stream.write_all(response.as_bytes()).is_ok()
            }),
        ),
    ];
    for (kind, url) in table {
        let flags = [&url, "--requests", "4", "--connections", "1", "--verify"];
        let (code, report) = load(&flags);
        assert_eq!(code, Some(1), "{kind}: {report:#}");
        assert!(report["errors"][kind]["count"].as_u64() >= Some(1), "{kind}: {report:#}");
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Sends content until the client closes, but never all of it.
fn drip(stream: &mut TcpStream) -> bool {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    let _ = stream.write_all(head);
    while stream.write_all(b"x").is_ok() {}
    false
}

#[test]
fn the_load_ends_by_the_duration_whatever_the_server_does() {
    let url = peer(|stream, _| drip(stream));
    let output = run(&["load", &url, "--duration", "500ms", "--max-content", "100G"]);
    assert_eq!(output.status.code(), Some(1));
    let expected_text = "no complete response within 500ms: the connection was open";
    assert!(stderr(&output).contains(expected_text), "{}", stderr(&output));

    let url = peer(|stream, number| match number {
        0 => stream.write_all(OK).is_ok(),
        _ => drip(stream),
    });
    let flags = ["--duration", "1s", "--connections", "2", "--max-content", "100G"];
    let (code, report) = load(&[&[&*url], &flags[..]].concat());
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!((&report["responses"], &report["unanswered"]), (&0.into(), &2.into()), "{report:#}");
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
}

#[test]
fn the_time_of_requests_includes_waiting_for_failed_ones() {
    for answered in [0, 2] {
        // One more: the probe before the load.
        let remaining = std::sync::atomic::AtomicU32::new(answered + 1);
        let url = peer(move |stream, _| {
            let order = std::sync::atomic::Ordering::Relaxed;
            let answers =
                remaining.fetch_update(order, order, |remaining| remaining.checked_sub(1)).is_ok();
            !answers || stream.write_all(OK).is_ok()
        });
        let flags = ["--requests", "3", "--connections", "1", "--timeout", "300ms"];
        let (code, report) = load(&[&[&*url], &flags[..]].concat());
        assert_eq!(code, Some(1), "{report:#}");
        assert_eq!(report["errors"]["timeout"]["count"], 3 - answered, "{report:#}");
        let failed = f64::from(3 - answered);
        let seconds = report["seconds"].as_f64().unwrap();
        assert!(seconds >= 0.3 * failed, "{report:#}");
        let rate = report["responses_per_second"].as_f64().unwrap();
        assert!((rate * seconds - f64::from(answered)).abs() < 1e-6, "{report:#}");
    }
}

#[test]
fn a_connection_left_open_after_its_last_response_is_replaced() {
    let response = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    for response in [&response[..], b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"] {
        let url = peer(move |stream, _| stream.write_all(response).is_ok());
        let flags = ["--requests", "20", "--connections", "2", "--timeout", "1h"];
        let (code, report) = load(&[&[&*url], &flags[..]].concat());
        assert_eq!((code, &report["connected"]), (Some(0), &20.into()), "{report:#}");
    }
}

#[test]
fn latencies_exclude_errors_and_percentiles_need_enough_latencies() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let url = peer(move |stream, _| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bad = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(if number.is_multiple_of(2) { OK } else { bad }).is_ok()
    });
    let flags = ["--requests", "40", "--connections", "1"];
    let (code, report) = load(&[&[&*url], &flags[..]].concat());
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!((&report["responses"], &report["error_responses"]), (&40.into(), &20.into()));
    let latency = report["latency_us"].as_object().unwrap();
    assert_eq!(latency["count"], 20, "{report:#}");
    assert!(latency.contains_key("p90") && !latency.contains_key("p99"), "{report:#}");
    let output = run(&[&["load", &url], &flags[..]].concat());
    let report = text(&output.stdout);
    for line in ["per second; 20 of them errors\n", "; without errors\n", "\n  90 %"] {
        assert!(report.contains(line), "{report}");
    }
    assert!(!report.contains("  99 %"), "{report}");
}

#[test]
fn a_server_of_another_protocol_is_an_error() {
    let folder = Folder::new();
    let http = site(&folder);
    let echo = Running::start(&["echo", "--listen", "127.0.0.1:0"]);
    for (target, flags, expected_text) in [
        (echo.url().replace("tcp:", "message:"), &[][..], "the request itself: the server echoes"),
        (
            http.url().replace("http:", "tcp:"),
            &["--body", "GET / HTTP/1.1\r\n\r\n"],
            "the response is not what was sent",
        ),
        (
            format!("{}/", echo.url().replace("tcp:", "http:")),
            &[],
            "/ sent an invalid response: the peer sent back the request, as an echo server does\n",
        ),
    ] {
        let args = ["load", &target, "--requests", "4", "--connections", "1"];
        let output = run(&[&args, flags].concat());
        assert_eq!(output.status.code(), Some(1), "{target}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected_text), "{target}: {}", stderr(&output));
    }
}

#[test]
fn the_target_whose_request_failed_is_named() {
    let url = peer(|stream, number| {
        let response = if number == 0 { OK } else { b"garbage\r\n\r\n" };
        let _ = stream.write_all(response);
        false
    });
    let [first, second] = ["a", "b"].map(|name| format!("{url}{name}"));
    let output = run(&["load", &first, &second, "--requests", "2", "--connections", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("{second} sent an invalid response");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}

#[test]
fn an_unresponsive_server_is_reported_before_the_load() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&["load", &url]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("{url} did not respond: could not connect: Connection refused");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_load_of_requests_ends_when_the_server_is_gone() {
    // The server responds to the probe, and then stops listening.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let peer = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut bytes = [0; 64];
        stream.read_exact(&mut bytes).unwrap();
        drop(listener);
        stream.write_all(&bytes).unwrap();
    });
    let output = run(&["load", &url, "--requests", "10", "--connections", "2", "--rate", "1k"]);
    peer.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report = text(&output.stdout);
    assert!(report.contains("responses   0, "), "{report}");
    assert!(report.contains("not sent    10 requests: due, but no connection"), "{report}");
    assert!(report.contains(" × connect: could not connect: "), "{report}");
}

#[test]
fn ctrl_c_ends_it_with_the_results_so_far() {
    let server = Running::start(&["echo", "--listen", "127.0.0.1:0"]);
    let mut command = sockeye(&["load", server.url(), "--duration", "1h", "--log", "debug"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    // The probe has its response: its connection is closed.
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("closed") {
        assert!(std::io::BufRead::read_line(&mut stderr, &mut line).unwrap() > 0, "{line}");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("stopped early"), "{}", text(&output.stdout));
}

#[test]
fn the_report_is_text_unless_json_is_requested() {
    let server = Running::start(&["echo", "--listen", "127.0.0.1:0"]);
    let output = run(&["load", server.url(), "--requests", "10", "--connections", "2"]);
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for line in
        ["target      tcp://", "load        2 connections, as fast", "responses   10, ", "  90 %"]
    {
        assert!(report.contains(line), "{report}");
    }
    assert!(report.ends_with("errors      none\n"), "{report}");
}
